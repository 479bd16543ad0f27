//! Operators' requests about experiments: `POST /v1/experiments` takes a
//! [`experiment::automation::Command`] and answers with an [`experiment::automation::Answer`].
//!
//! Results are nobody's business but the operators', so looking needs the token as well.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use experiment::automation::{Command, OperateError, Operator};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::guard::Guard;

/// Bytes of a command; an import is the largest.
const BODY_BYTES_MAX: usize = 8 << 20;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Commands at once: one that looks at all units keeps a core busy for seconds.
const COMMANDS_MAX: usize = 4;
/// Bytes of who asks, as `X-Operator` says.
const WHO_BYTES_MAX: usize = 64;

#[derive(Clone)]
struct Admin {
    operator: Arc<Operator>,
    guard: Arc<Guard>,
    places: Arc<Semaphore>,
}

/// The route of operators.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(
    operator: Arc<Operator>,
    guard: Guard,
) -> Router<S> {
    let admin =
        Admin { operator, guard: Arc::new(guard), places: Arc::new(Semaphore::new(COMMANDS_MAX)) };
    Router::new().route("/v1/experiments", post(command)).with_state(admin)
}

async fn command(State(admin): State<Admin>, headers: HeaderMap, body: Body) -> Response {
    if let Err((status, why)) = admin.guard.check(&headers) {
        return failed(status, &why.replace("[admin]", "[experiments]"));
    }
    let read = axum::body::to_bytes(body, BODY_BYTES_MAX);
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let why = format!("the body is cut short or larger than {BODY_BYTES_MAX} bytes");
            return failed(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
        Err(_) => return failed(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let command: Command = match serde_json::from_slice(&bytes) {
        Ok(command) => command,
        Err(error) => {
            return failed(StatusCode::BAD_REQUEST, &format!("the body is no command: {error}"));
        }
    };
    // It is given back when the work is done, also when the client has gone.
    let Ok(place) = Arc::clone(&admin.places).try_acquire_owned() else {
        let why = format!("{COMMANDS_MAX} commands are being worked on: come again in a second");
        let mut response = failed(StatusCode::TOO_MANY_REQUESTS, &why);
        response.headers_mut().insert(header::RETRY_AFTER, 1.into());
        return response;
    };
    let who = who(&headers);
    let work = move || {
        let _place = place;
        admin.operator.run(&command, &who, now())
    };
    // It reads and writes files.
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => match serde_json::to_value(&answer) {
            Ok(value) => json_answer(StatusCode::OK, &value),
            Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        },
        Ok(Err(error)) => failed(status_of(&error), &error.to_string()),
        Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR, "the command ended with a panic"),
    }
}

fn status_of(error: &OperateError) -> StatusCode {
    match error {
        OperateError::Unknown(_) => StatusCode::NOT_FOUND,
        OperateError::Problems(_) | OperateError::Apply(_) | OperateError::Live(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        OperateError::Refused(_) => StatusCode::CONFLICT,
        OperateError::Document(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Who asks, as far as is said: it stands in the audit log.
fn who(headers: &HeaderMap) -> String {
    let said = headers.get("x-operator").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let plain: String = said.chars().filter(|c| !c.is_control()).take(WHO_BYTES_MAX).collect();
    if plain.is_empty() { "operator".to_owned() } else { plain }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn failed(status: StatusCode, why: &str) -> Response {
    json_answer(status, &json!({ "error": why }))
}

fn json_answer(status: StatusCode, value: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, value.to_string()).into_response()
}

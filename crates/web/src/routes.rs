//! What can be asked for, and the answers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::guard::Guard;
use crate::{Control, Refusal, body};

const JSON: &str = "application/json";
/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What handlers work with.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) control: Arc<dyn Control>,
    pub(crate) guard: Arc<Guard>,
}

/// All routes; those that change something are behind the guard.
pub(crate) fn router(app: App) -> Router {
    let changes = Router::new()
        .route("/reload", post(reload))
        .route("/purge", post(purge))
        .route("/drain", post(drain))
        .route("/upstreams/{upstream}/servers/{server}", post(set_server))
        .route_layer(middleware::from_fn_with_state(app.clone(), guarded));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/health", get(health))
        .merge(changes)
        .fallback(|| async {
            let known = "there are GET /metrics, /status, /health and POST /reload, /purge, /drain, /upstreams/{name}/servers/{address}";
            failed(StatusCode::NOT_FOUND, known)
        })
        .method_not_allowed_fallback(|| async {
            failed(StatusCode::METHOD_NOT_ALLOWED, "this path has another method; see Allow")
        })
        .with_state(app)
}

async fn metrics(State(app): State<App>) -> Response {
    answer(StatusCode::OK, METRICS, app.control.metrics())
}

async fn status(State(app): State<App>) -> Response {
    json_answer(StatusCode::OK, &app.control.status())
}

async fn health(State(app): State<App>) -> Response {
    if app.control.is_draining() {
        json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "health": "draining" }))
    } else {
        json_answer(StatusCode::OK, &json!({ "health": "ok" }))
    }
}

async fn guarded(
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    match app.guard.check(&headers) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => failed(status, why),
    }
}

async fn reload(State(app): State<App>) -> Response {
    let control = Arc::clone(&app.control);
    // A task of its own: a client that goes away must not leave a reload half done.
    match tokio::spawn(async move { control.reload().await }).await {
        Ok(result) => done(result),
        Err(error) => {
            tracing::error!(%error, "a reload ended with a panic");
            failed(StatusCode::INTERNAL_SERVER_ERROR, "the reload failed inside tidegate")
        }
    }
}

async fn purge(State(app): State<App>, body: Body) -> Response {
    match body::object(body).await.and_then(|object| body::purge(&object)) {
        Ok(purge) => done(app.control.purge(&purge)),
        Err(why) => failed(StatusCode::BAD_REQUEST, &why),
    }
}

async fn drain(State(app): State<App>) -> Response {
    done(app.control.drain())
}

async fn set_server(
    State(app): State<App>,
    Path((upstream, server)): Path<(String, String)>,
    body: Body,
) -> Response {
    match body::object(body).await.and_then(|object| body::set(&object)) {
        Ok(set) => done(app.control.set_server(&upstream, &server, set)),
        Err(why) => failed(StatusCode::BAD_REQUEST, &why),
    }
}

/// The answer to a change.
fn done(result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(value) => json_answer(StatusCode::OK, &value),
        Err(Refusal::NotFound(why)) => failed(StatusCode::NOT_FOUND, &why),
        Err(Refusal::Invalid(why)) => failed(StatusCode::UNPROCESSABLE_ENTITY, &why),
        Err(Refusal::Unavailable(why)) => failed(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

fn failed(status: StatusCode, why: &str) -> Response {
    let mut response = json_answer(status, &json!({ "error": why }));
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

fn json_answer(status: StatusCode, value: &Value) -> Response {
    answer(status, JSON, format!("{value}\n"))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body).into_response()
}

//! The same as JSON over HTTP, as the metrics-api scaler of KEDA reads it.

use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::load::{BODY_BYTES_MAX, rate_of};
use super::{Shared, now_s, timestamp};

/// Answers one request: `GET /` the advice, `POST /load` a measurement, `GET /healthz`.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/" | "/instances") => {
            json_of(StatusCode::OK, &advice(&shared))
        }
        (&Method::GET | &Method::HEAD, "/healthz") => {
            json_of(StatusCode::OK, &json!({ "ok": true }))
        }
        (&Method::POST, "/load") => {
            let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
            let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            match rate_of(&String::from_utf8_lossy(&bytes)) {
                Some(rate) => {
                    shared.measured(now_s(), rate);
                    json_of(StatusCode::OK, &advice(&shared))
                }
                None => problem(
                    StatusCode::BAD_REQUEST,
                    "send the requests per second of all instances: {\"rate\": 120.5}",
                ),
            }
        }
        (_, "/" | "/instances" | "/healthz" | "/load") => {
            problem(StatusCode::METHOD_NOT_ALLOWED, "GET /, GET /healthz or POST /load")
        }
        _ => problem(StatusCode::NOT_FOUND, "there are /, /healthz and /load"),
    }
}

fn advice(shared: &Shared) -> Value {
    let advice = shared.advice();
    json!({
        "instances": shared.told(),
        "wanted": advice.wanted,
        "floor": advice.floor,
        "reactive": advice.reactive,
        "seen": advice.seen,
        "time": timestamp(advice.time_s),
        "controller": shared.kind,
        "shadow": shared.is_shadow,
    })
}

fn problem(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    json_of(status, &json!({ "error": text }))
}

fn json_of(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{value}\n"))));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

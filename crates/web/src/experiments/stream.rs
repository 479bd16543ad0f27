//! Server-sent events: the experiments have changed, ask again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::json;

use super::Api;
use super::answer::{again, failed};
use super::key::Key;

/// How often a silent stream says that it lives.
const PING: Duration = Duration::from_secs(25);

/// What a stream says.
#[derive(Clone, Copy)]
enum Dialect {
    Ofrep,
    Growthbook,
}

/// The stream that bulk evaluations of the OpenFeature protocol name. It says only that something
/// has changed, so it needs no key: browsers cannot send one.
pub(super) async fn ofrep(State(api): State<Api>, headers: HeaderMap) -> Response {
    open(&api, &headers, Dialect::Ofrep)
}

/// GrowthBook's stream. It asks clients to fetch, which is right for those that evaluate
/// themselves and for those that do not.
pub(super) async fn growthbook(
    State(api): State<Api>,
    Key(key): Key,
    headers: HeaderMap,
) -> Response {
    match api.access.read(&headers, Some(&key)) {
        Ok(()) => open(&api, &headers, Dialect::Growthbook),
        Err((status, why)) => failed(status, why),
    }
}

fn open(api: &Api, headers: &HeaderMap, dialect: Dialect) -> Response {
    let Ok(place) = Arc::clone(&api.streams).try_acquire_owned() else {
        return again("too many streams are open: come again later");
    };
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    // A client that comes back may have missed something.
    let missed = last.is_some_and(|last| last != version(api));
    let mut changes = api.changes.clone();
    changes.mark_unchanged();
    let state = (api.clone(), changes, missed, place);
    let events = stream::unfold(state, move |(api, mut changes, missed, place)| async move {
        if !missed && changes.changed().await.is_err() {
            return None;
        }
        let event = event(&api, dialect);
        Some((Ok::<_, Infallible>(event), (api, changes, false, place)))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(PING)).into_response();
    // For proxies that would gather a response before they pass it on.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn version(api: &Api) -> String {
    let current = api.live.current();
    format!("{}-{}", current.version(), current.boundaries_before(api.live.now()))
}

fn event(api: &Api, dialect: Dialect) -> Event {
    let version = version(api);
    let event = Event::default().id(&version);
    match dialect {
        Dialect::Ofrep => {
            let seconds = api.live.current().changed(api.live.now()) / 1_000;
            let data = json!({
                "type": "refetchEvaluation", "etag": version, "lastModified": seconds,
            });
            event.event("message").data(data.to_string())
        }
        Dialect::Growthbook => event.event("features-updated").data("{}"),
    }
}

//! `POST /v1/links`: links that show somebody a variant, for quality assurance.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use experiment::live::growthbook::date;
use experiment::live::{LINK_MAX_MS, LINK_NAME};
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::answer::{failed, json_answer};
use super::body;
use super::native::index_of;

/// How long a link is valid unless told, in seconds: a day.
const SECONDS: u64 = 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    experiment: String,
    variant: String,
    #[serde(default = "seconds")]
    seconds: u64,
}

fn seconds() -> u64 {
    SECONDS
}

/// Signs a link. Whoever follows it is served the variant and is not counted.
pub(super) async fn create(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    if let Err((status, why)) = api.access.write(&headers) {
        return failed(status, why);
    }
    let wanted: Wanted = match body::json(body, api.live.limits().body_bytes).await {
        Ok(wanted) => wanted,
        Err((status, why)) => return failed(status, &why),
    };
    let current = api.live.current();
    let index = match index_of(&current, &wanted.experiment) {
        Ok(index) => index,
        Err((status, why)) => return failed(status, &why),
    };
    let experiment = current.experiment(index);
    if experiment.is_none_or(|each| each.variant_index(&wanted.variant).is_none()) {
        return failed(StatusCode::NOT_FOUND, "the experiment has no such variant");
    }
    let most = LINK_MAX_MS / 1_000;
    if !(1..=most).contains(&wanted.seconds) {
        let why = format!("`seconds` must be 1 to {most}");
        return failed(StatusCode::BAD_REQUEST, &why);
    }
    let expires = api.live.now() + wanted.seconds * 1_000;
    let link = api.live.signer().link(&wanted.experiment, &wanted.variant, expires);
    let value = json!({
        "link": link, "query": format!("{LINK_NAME}={link}"), "expires": date(expires),
    });
    json_answer(StatusCode::OK, &value)
}

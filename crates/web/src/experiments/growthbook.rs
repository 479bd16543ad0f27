//! GrowthBook's SDK API: the payload for clients that evaluate themselves, and evaluation for those
//! that do not.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use experiment::evaluate::Context;
use experiment::live::growthbook::{date, decided as feature, hash_attribute};
use experiment::live::{Current, Named, ids};
use experiment::model::Experiment;
use experiment::targeting::PlainFacts;
use experiment::targeting::growthbook::hashed_text;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{etag_of, failed, json_answer, tagged};
use super::body::{self, Refused, check_attributes, check_id};
use super::json as unambiguous;
use super::key::Key;

/// Forced variations, and forced features, of one question.
const FORCED_MAX: usize = 1_000;

/// The payload.
pub(super) async fn features(
    State(api): State<Api>,
    Key(key): Key,
    headers: HeaderMap,
) -> Response {
    if let Err((status, why)) = api.access.read(&headers, Some(&key)) {
        return failed(status, why);
    }
    let payload = api.live.current().growthbook_payload(api.live.now());
    streaming(tagged(&headers, &etag_of(&[&payload]), payload.to_string()))
}

/// Tells clients that there is a stream.
fn streaming(mut response: Response) -> Response {
    response.headers_mut().insert("x-sse-support", HeaderValue::from_static("enabled"));
    response
}

/// A question; clients add keys with every version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    #[serde(default, deserialize_with = "unambiguous::object")]
    attributes: Map<String, Value>,
    #[serde(default, deserialize_with = "unambiguous::object")]
    forced_variations: Map<String, Value>,
    #[serde(default)]
    forced_features: Vec<(String, Value)>,
}

/// Evaluates every experiment for a user; the payload has values only, and exposures to report.
pub(super) async fn evaluate(
    State(api): State<Api>,
    Key(key): Key,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err((status, why)) = api.access.read(&headers, Some(&key)) {
        return failed(status, why);
    }
    let question: Question = match body::json(body, api.live.limits().body_bytes).await {
        Ok(question) => question,
        Err((status, why)) => return failed(status, &why),
    };
    match answer(&api, question) {
        Ok(payload) => streaming(json_answer(StatusCode::OK, &payload)),
        Err((status, why)) => failed(status, &why),
    }
}

fn answer(api: &Api, question: Question) -> Result<Value, Refused> {
    let bad = |why| (StatusCode::BAD_REQUEST, why);
    check_attributes(&question.attributes).map_err(bad)?;
    let forced = question.forced_variations.len().max(question.forced_features.len());
    if forced > FORCED_MAX {
        return Err(bad(format!("{FORCED_MAX} may be forced at most")));
    }
    let current = api.live.current();
    let attributes = question.attributes;
    let mut features = Map::new();
    for (index, experiment) in current.source().experiments.iter().enumerate() {
        let name = hash_attribute(experiment);
        let id = attributes.get(name).and_then(hashed_text);
        if let Some(id) = &id {
            check_id(name, id).map_err(bad)?;
        }
        let forced = match question.forced_variations.get(&experiment.key) {
            None => None,
            Some(number) => match forced_variant(experiment, number) {
                Some(variant) => Some(variant),
                // The SDK hashes nobody who is forced: there is no such variation, so there is none.
                None => continue,
            },
        };
        let id = id.as_deref();
        if let Some(found) = one(api, &current, (index, experiment), (id, &attributes), forced) {
            features.insert(experiment.key.clone(), found);
        }
    }
    for (key, value) in question.forced_features {
        if current.set().index(&key).is_some() {
            let rule = json!({ "force": value });
            features.insert(key, json!({ "defaultValue": null, "rules": [rule] }));
        }
    }
    Ok(json!({
        "features": features, "experiments": [], "dateUpdated": date(current.since()),
    }))
}

/// The key of the variant of a number.
fn forced_variant<'e>(experiment: &'e Experiment, number: &Value) -> Option<&'e str> {
    let number = number.as_f64().filter(|it| it.fract() == 0.0 && *it >= 0.0)?;
    // Beyond the range of `usize` it is its greatest number, which no variant has.
    experiment.variants.get(number as usize).map(|variant| variant.key.as_str())
}

fn one(
    api: &Api,
    current: &Current,
    (index, experiment): (usize, &Experiment),
    (id, attributes): (Option<&str>, &Map<String, Value>),
    forced: Option<&str>,
) -> Option<Value> {
    let facts = PlainFacts { attributes: attributes.clone(), ..PlainFacts::default() };
    let overrides: Vec<(&str, &str)> =
        forced.map(|variant| (experiment.key.as_str(), variant)).into_iter().collect();
    let context = Context { facts: &facts, overrides: &overrides, ..Context::default() };
    let named = Named { unit: id, ..Named::default() };
    let ids = ids(&experiment.unit, &named, attributes);
    let decided = api.live.decide(current, index, ids, &context, api.live.now())?;
    let unit = decided.unit.as_deref().unwrap_or_default();
    feature(experiment, decided.variant?, unit, decided.counted())
}

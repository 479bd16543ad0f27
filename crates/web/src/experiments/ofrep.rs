//! The OpenFeature Remote Evaluation Protocol, version 0.3.0. Each experiment is a flag; its value
//! is that of the variant, or the variant's key. Who does not take part gets no value, so that the
//! default of the code holds.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use experiment::evaluate::{Context, Reason};
use experiment::live::growthbook::value_of;
use experiment::live::{Current, Decided, Named, ids};
use experiment::model::Status;
use experiment::targeting::PlainFacts;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{canonical, etag_of, failed, json_answer, tagged};
use super::body::{self, check_attributes, check_id};
use super::json::Unambiguous;
use super::key::Key;

/// How long a hidden page keeps its stream, in seconds: what clients do by themselves.
const INACTIVITY_S: u32 = 120;

/// What is wrong with a question: status, code of OpenFeature, and words.
type Wrong = (StatusCode, &'static str, String);

/// Evaluates one flag.
pub(super) async fn single(
    State(api): State<Api>,
    Key(key): Key,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let key = key.trim_end_matches('/');
    let tell = |(status, code, why): Wrong| {
        json_answer(status, &json!({ "key": key, "errorCode": code, "errorDetails": why }))
    };
    if let Err((status, why)) = api.access.read(&headers, None) {
        return failed(status, why);
    }
    let context = match context(&api, body).await {
        Ok(context) => context,
        Err(wrong) => return tell(wrong),
    };
    let current = api.live.current();
    let Some(index) = current.set().index(key) else {
        let why = "there is no experiment of this key".to_owned();
        return tell((StatusCode::NOT_FOUND, "FLAG_NOT_FOUND", why));
    };
    match evaluate(&api, &current, index, &context) {
        Ok(mut flag) => {
            if let Some(metadata) = flag.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.extend(urls());
            }
            json_answer(StatusCode::OK, &flag)
        }
        Err(wrong) => tell(wrong),
    }
}

/// Evaluates all flags.
pub(super) async fn bulk(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    if let Err((status, why)) = api.access.read(&headers, None) {
        return failed(status, why);
    }
    let context = match context(&api, body).await {
        Ok(context) => context,
        Err((status, code, why)) => {
            return json_answer(status, &json!({ "errorCode": code, "errorDetails": why }));
        }
    };
    let current = api.live.current();
    let experiments = current.source().experiments.iter().enumerate();
    let live =
        experiments.filter(|(_, each)| !matches!(each.status, Status::Draft | Status::Stopped));
    let flag = |(index, each): (usize, &experiment::model::Experiment)| {
        evaluate(&api, &current, index, &context).unwrap_or_else(
            |(_, code, why)| json!({ "key": each.key, "errorCode": code, "errorDetails": why }),
        )
    };
    let flags: Vec<Value> = live.map(flag).collect();
    let stream = json!({
        "type": "sse",
        "endpoint": { "requestUri": "/ofrep/v1/stream" },
        "inactivityDelaySec": INACTIVITY_S,
    });
    let mut metadata: Map<String, Value> = urls().collect();
    metadata.insert("version".to_owned(), current.version().into());
    let answer = json!({ "flags": flags, "metadata": metadata, "eventStreams": [stream] });
    let text = answer.to_string();
    // The context is part of it: clients do not forget their tag when an attribute changes.
    let etag = etag_of(&[current.version(), &canonical(&Value::Object(context)), &text]);
    tagged(&headers, &etag, text)
}

/// Where exposures and events go: the protocol has no place for them yet.
fn urls() -> impl Iterator<Item = (String, Value)> {
    let urls = [("eventsUrl", "/v1/events"), ("exposuresUrl", "/v1/exposures")];
    urls.into_iter().map(|(name, url)| (name.to_owned(), Value::from(url)))
}

/// The context of a question; an empty one when there is none.
async fn context(api: &Api, body: Body) -> Result<Map<String, Value>, Wrong> {
    let invalid = |why: &str| (StatusCode::BAD_REQUEST, "INVALID_CONTEXT", why.to_owned());
    let bytes = body::bytes(body, api.live.limits().body_bytes).await;
    let bytes = bytes.map_err(|(status, why)| (status, "PARSE_ERROR", why))?;
    let question = if bytes.is_empty() {
        Ok(json!({}))
    } else {
        body::parse::<Unambiguous>(&bytes).map(|it| it.0)
    };
    let question = question.map_err(|(status, why)| (status, "PARSE_ERROR", why))?;
    let Value::Object(mut question) = question else {
        let why = "the body must be a JSON object".to_owned();
        return Err((StatusCode::BAD_REQUEST, "PARSE_ERROR", why));
    };
    let context = match question.remove("context") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(context)) => context,
        Some(_) => return Err(invalid("`context` must be an object")),
    };
    match context.get("targetingKey") {
        None | Some(Value::Null) => {}
        Some(Value::String(key)) if key.is_empty() => {}
        Some(Value::String(key)) => {
            check_id("targetingKey", key).map_err(|why| invalid(&why))?;
        }
        Some(_) => return Err(invalid("`targetingKey` must be a text")),
    }
    check_attributes(&context).map_err(|why| invalid(&why))?;
    Ok(context)
}

fn evaluate(
    api: &Api,
    current: &Current,
    index: usize,
    context: &Map<String, Value>,
) -> Result<Value, Wrong> {
    let internal =
        || (StatusCode::INTERNAL_SERVER_ERROR, "GENERAL", "no such experiment".to_owned());
    let experiment = current.experiment(index).ok_or_else(internal)?;
    let unit = context.get("targetingKey").and_then(Value::as_str);
    let named = Named { unit, ..Named::default() };
    let facts = PlainFacts { attributes: context.clone(), ..PlainFacts::default() };
    let asked = Context { facts: &facts, ..Context::default() };
    let ids = ids(&experiment.unit, &named, context);
    let decided = api.live.decide(current, index, ids, &asked, api.live.now());
    let decided = decided.ok_or_else(internal)?;
    if decided.reason == Reason::NoUnit {
        let why = "the context has no `targetingKey`".to_owned();
        return Err((StatusCode::BAD_REQUEST, "TARGETING_KEY_MISSING", why));
    }
    let variant = decided.variant.and_then(|index| experiment.variants.get(usize::from(index)));
    let mut flag = json!({
        "key": experiment.key,
        "reason": reason(decided.reason),
        // Clients expect one even of those who have none.
        "variant": variant.map_or("", |variant| &variant.key),
        "metadata": metadata(&experiment.key, &decided),
    });
    let value = variant.map(value_of).filter(|value| !value.is_null());
    if let (Some(flag), Some(value)) = (flag.as_object_mut(), value) {
        flag.insert("value".to_owned(), value);
    }
    Ok(flag)
}

/// The protocol's word for a reason.
fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Override => "TARGETING_MATCH",
        Reason::Sticky | Reason::Split => "SPLIT",
        Reason::Draft | Reason::Paused | Reason::Stopped | Reason::NotStarted | Reason::Ended => {
            "DISABLED"
        }
        Reason::NoUnit
        | Reason::BadUnit
        | Reason::Holdout
        | Reason::Blocked
        | Reason::Layer
        | Reason::Targeting
        | Reason::Prerequisite
        | Reason::Coverage => "UNKNOWN",
    }
}

/// Only texts, numbers and truth values are allowed here.
fn metadata(key: &str, decided: &Decided) -> Value {
    let mut metadata = json!({
        "experiment": key,
        "reason": decided.reason.name(),
        "phase": decided.phase,
        "counted": decided.counted(),
    });
    if let (Some(metadata), Some(bucket)) = (metadata.as_object_mut(), decided.bucket) {
        metadata.insert("bucket".to_owned(), bucket.into());
    }
    metadata
}

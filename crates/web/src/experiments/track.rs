//! `POST /track`: what the tracking plugins of GrowthBook's SDKs send. They know no ids of events
//! and no times, so events are stamped here, and one that is sent twice counts twice; exposures
//! count once whatever happens.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use experiment::event::{Attributes, Event, Exposure, Record, UnixMicros};
use experiment::ledger::Fates;
use experiment::live::Current;
use experiment::live::growthbook::hash_attribute;
use experiment::targeting::growthbook::hashed_text;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Api;
use super::answer::failed;
use super::body::{self, Object, Refused, check_attributes, check_id};
use super::json as unambiguous;
use super::records::{LeftOut, append, check_name, micros, recorded};

#[derive(Deserialize)]
pub(super) struct Asked {
    client_key: Option<String>,
}

/// One message; plugins add keys with every version.
#[derive(Deserialize)]
struct Message {
    event_name: String,
    #[serde(default, deserialize_with = "unambiguous::object")]
    properties_json: Map<String, Value>,
    user_id: Option<String>,
    device_id: Option<String>,
    #[serde(default, deserialize_with = "unambiguous::object")]
    context_json: Map<String, Value>,
}

/// A message that is to be recorded, on its own.
enum Found {
    Exposure { experiment: String, unit: String, variant: u16, phase: u16 },
    Event { unit: String, name: String, value: i64 },
}

/// What a message is.
enum Read {
    Found(Vec<Found>),
    /// Something that is not recorded.
    Ignored,
    /// About an experiment that there is not.
    Unknown,
}

/// Records exposures and events of a browser or an application.
pub(super) async fn track(
    State(api): State<Api>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(Query(asked)) = asked else {
        let why = "the query is none, or names `client_key` twice";
        return failed(StatusCode::BAD_REQUEST, why);
    };
    if let Err((status, why)) = api.access.read(&headers, asked.client_key.as_deref()) {
        return failed(status, why);
    }
    let limits = *api.live.limits();
    let bytes = body::bytes(body, limits.body_bytes).await;
    let messages = bytes.and_then(|bytes| body::parse::<Vec<Object<Message>>>(&bytes));
    let messages = match messages {
        Ok(messages) => messages,
        Err((status, why)) => return failed(status, &why),
    };
    if messages.is_empty() || messages.len() > limits.batch {
        let why = format!("{} messages: 1 to {} are allowed", messages.len(), limits.batch);
        return failed(StatusCode::BAD_REQUEST, &why);
    }
    let current = api.live.current();
    let now = api.live.now_us();
    let (mut found, mut ignored, mut unknown) = (Vec::new(), 0_u64, 0);
    for (index, Object(message)) in messages.iter().enumerate() {
        match read(&api, &current, message) {
            Ok(Read::Found(all)) => found.extend(all),
            Ok(Read::Ignored) => ignored += 1,
            Ok(Read::Unknown) => {
                ignored += 1;
                unknown += 1;
            }
            Err((status, why)) => return failed(status, &format!("[{index}]: {why}")),
        }
    }
    if unknown == messages.len() {
        return failed(StatusCode::NOT_FOUND, "nothing here is about a known experiment");
    }
    let more = Map::from_iter([("ignored".to_owned(), ignored.into())]);
    if found.is_empty() {
        return recorded(Some(&Fates::default()), &LeftOut::default(), more);
    }
    let mut left_out = LeftOut::default();
    let records = left_out.without(&current, found.iter().map(|it| record(it, now)).collect());
    match append(&api, None, records).await {
        Ok(fates) => recorded(fates.as_ref(), &left_out, more),
        Err(response) => *response,
    }
}

fn record(found: &Found, now: UnixMicros) -> Record<'_> {
    match found {
        Found::Exposure { experiment, unit, variant, phase } => Record::Exposure(Exposure {
            experiment,
            unit,
            variant: *variant,
            phase: *phase,
            time_us: now,
            attributes: Attributes::default(),
        }),
        Found::Event { unit, name, value } => {
            Record::Event(Event { unit, name, value: *value, time_us: now, event_id: None })
        }
    }
}

/// What a message says.
fn read(api: &Api, current: &Current, message: &Message) -> Result<Read, Refused> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    check_attributes(&message.properties_json).map_err(bad)?;
    check_attributes(&message.context_json).map_err(bad)?;
    for (what, id) in [("user_id", &message.user_id), ("device_id", &message.device_id)] {
        id.as_ref()
            .filter(|id| !id.is_empty())
            .map_or(Ok(()), |id| check_id(what, id))
            .map_err(bad)?;
    }
    match message.event_name.as_str() {
        // The JavaScript plugin's names, then the Python plugin's.
        "Experiment Viewed" | "$$experiment_viewed" => exposure(api, current, message),
        "Feature Evaluated" | "$$feature_evaluated" => Ok(Read::Ignored),
        name => {
            check_name(name).map_err(bad)?;
            let Some(value) = value_of(&message.properties_json) else { return Ok(Read::Ignored) };
            let value = micros(value).map_err(bad)?;
            let event = |unit| Found::Event { unit, name: name.to_owned(), value };
            let units = units(current, message).map_err(bad)?;
            if units.is_empty() {
                return Ok(Read::Ignored);
            }
            Ok(Read::Found(units.into_iter().map(event).collect()))
        }
    }
}

/// How much an event is worth: the first of its values that is a number, or a text that is one; 0
/// when it has none, `None` when it has but none is a number.
fn value_of(properties: &Map<String, Value>) -> Option<f64> {
    let all = ["value", "revenue", "amount"].map(|key| properties.get(key));
    let mut given = all.into_iter().flatten().filter(|value| !value.is_null()).peekable();
    if given.peek().is_none() {
        return Some(0.0);
    }
    let number = |value: &Value| {
        let text = || value.as_str()?.trim().parse::<f64>().ok().filter(|it| it.is_finite());
        value.as_f64().or_else(text)
    };
    given.find_map(number)
}

fn exposure(api: &Api, current: &Current, message: &Message) -> Result<Read, Refused> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let property = |names: [&str; 2]| names.iter().find_map(|&it| message.properties_json.get(it));
    let Some(key) = property(["experimentId", "experiment_id"]).and_then(Value::as_str) else {
        return Err(bad("an exposure must name its experiment".to_owned()));
    };
    let Some(unit) = property(["hashValue", "hash_value"]).and_then(hashed_text) else {
        return Err(bad("an exposure must have the value that was hashed".to_owned()));
    };
    check_id("hashValue", &unit).map_err(bad)?;
    let Some(index) = current.set().index(key) else { return Ok(Read::Unknown) };
    let Some(experiment) = current.experiment(index) else { return Ok(Read::Unknown) };
    // The id of something else is no unit of it.
    let attribute = property(["hashAttribute", "hash_attribute"]).and_then(Value::as_str);
    if attribute.is_some_and(|name| !name.is_empty() && name != hash_attribute(experiment)) {
        return Ok(Read::Ignored);
    }
    // A key, or the number of the variation where a client sends that.
    let by_key = |value: &Value| value.as_str().and_then(|key| experiment.variant_index(key));
    let named = property(["variation_key", "variationKey"]).and_then(by_key);
    let variant = named.or_else(|| {
        let value = property(["variationId", "variation_id"])?;
        let number = || value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let known = |number: &u16| usize::from(*number) < experiment.variants.len();
        by_key(value).or_else(|| u16::try_from(number()?).ok().filter(known))
    });
    let Some(variant) = variant else {
        return Err(bad(format!("experiment \"{key}\" has no such variation")));
    };
    let phase = api.live.phase_of(current, index, &unit, api.live.now());
    Ok(Read::Found(vec![Found::Exposure { experiment: key.to_owned(), unit, variant, phase }]))
}

/// The ids by which experiments know whoever sent an event. The plugins put some attributes
/// elsewhere: `id` and `anonymous_id` into `device_id`.
fn units(current: &Current, message: &Message) -> Result<BTreeSet<String>, String> {
    let mut units = BTreeSet::new();
    for experiment in &current.source().experiments {
        let text = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
        let unit = match hash_attribute(experiment) {
            "user_id" => text(&message.user_id),
            "device_id" | "anonymous_id" | "id" => text(&message.device_id),
            name => message.context_json.get(name).and_then(hashed_text),
        };
        if let Some(unit) = unit {
            check_id("unit", &unit)?;
            units.insert(unit);
        }
    }
    Ok(units)
}

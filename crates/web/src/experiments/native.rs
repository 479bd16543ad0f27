//! `POST /v1/decide` and `GET /v1/status`.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use experiment::evaluate::Context;
use experiment::live::growthbook::{date, value_of};
use experiment::live::{Current, Decided, Named, ids};
use experiment::model::limits::EXPERIMENTS_MAX;
use experiment::targeting::{PlainFacts, is_bot, is_prefetch};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{failed, json_answer};
use super::body::{self, Object, Refused, check_attributes, check_id};
use super::json as unambiguous;

/// Pairs of one kind, such as headers.
const PAIRS_MAX: usize = 100;

/// A question.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Question {
    unit: Option<String>,
    device: Option<String>,
    user: Option<String>,
    #[serde(deserialize_with = "unambiguous::object")]
    attributes: Map<String, Value>,
    /// Keys; all experiments without.
    experiments: Option<Vec<String>>,
    request: Option<Object<RequestFacts>>,
    /// What a link for quality assurance carries.
    link: Option<String>,
}

/// What is known of the request that the application answers.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RequestFacts {
    path: String,
    host: String,
    #[serde(deserialize_with = "unambiguous::object")]
    headers: Map<String, Value>,
    #[serde(deserialize_with = "unambiguous::object")]
    cookies: Map<String, Value>,
    #[serde(deserialize_with = "unambiguous::object")]
    query: Map<String, Value>,
    country: Option<String>,
    client: Option<std::net::IpAddr>,
}

/// Decides experiments for one unit. Nothing is recorded: who was served what is told with
/// `POST /v1/exposures`.
pub(super) async fn decide(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    if let Err((status, why)) = api.access.read(&headers, None) {
        return failed(status, why);
    }
    let question: Question = match body::json(body, api.live.limits().body_bytes).await {
        Ok(question) => question,
        Err((status, why)) => return failed(status, &why),
    };
    match answer(&api, question) {
        Ok(value) => json_answer(StatusCode::OK, &value),
        Err((status, why)) => failed(status, &why),
    }
}

fn answer(api: &Api, question: Question) -> Result<Value, Refused> {
    let bad = |why| (StatusCode::BAD_REQUEST, why);
    let named = [("unit", &question.unit), ("device", &question.device), ("user", &question.user)];
    for (what, id) in named {
        id.as_ref().map_or(Ok(()), |id| check_id(what, id)).map_err(bad)?;
    }
    check_attributes(&question.attributes).map_err(bad)?;
    let current = api.live.current();
    let indices: Vec<usize> = match &question.experiments {
        None => (0..current.source().experiments.len()).collect(),
        Some(keys) if keys.len() > EXPERIMENTS_MAX => {
            return Err(bad(format!("{EXPERIMENTS_MAX} experiments can be asked for at most")));
        }
        Some(keys) => {
            let mut told = BTreeSet::new();
            let all: Vec<usize> =
                keys.iter().map(|key| index_of(&current, key)).collect::<Result<_, _>>()?;
            // Whoever asks twice is answered once.
            all.into_iter().filter(|&index| told.insert(index)).collect()
        }
    };
    let now = api.live.now();
    let choices = api.live.signer().choices(question.link.as_deref().unwrap_or_default(), now);
    let request = question.request.map(|request| request.0).unwrap_or_default();
    let facts = facts(request, question.attributes).map_err(bad)?;
    let context = Context { facts: &facts.0, overrides: &choices.variants, ..facts.1 };
    let named = Named {
        unit: question.unit.as_deref(),
        device: question.device.as_deref(),
        user: question.user.as_deref(),
    };
    let decisions = indices.into_iter().filter_map(|index| {
        let experiment = current.experiment(index)?;
        let ids = ids(&experiment.unit, &named, &facts.0.attributes);
        let decided = api.live.decide(&current, index, ids, &context, now)?;
        Some(told(&current, &decided))
    });
    Ok(json!({ "decisions": decisions.collect::<Vec<_>>(), "version": current.version() }))
}

/// The index of an experiment; 404 when there is none.
pub(super) fn index_of(current: &Current, key: &str) -> Result<usize, Refused> {
    current.set().index(key).ok_or_else(|| {
        let shown: String = key.chars().take(60).collect();
        (StatusCode::NOT_FOUND, format!("there is no experiment {shown:?}"))
    })
}

/// What conditions ask for, and whether a program or a browser ahead of its user asks.
fn facts(
    request: RequestFacts,
    attributes: Map<String, Value>,
) -> Result<(PlainFacts, Context<'static>), String> {
    let pairs = |what: &str, map: Map<String, Value>, lower: bool| {
        if map.len() > PAIRS_MAX {
            return Err(format!("`{what}` has more than {PAIRS_MAX} entries"));
        }
        let pair = |(name, value): (String, Value)| match value {
            Value::String(value) if lower => Ok((name.to_ascii_lowercase(), value)),
            Value::String(value) => Ok((name, value)),
            _ => Err(format!("`{what}` must have texts")),
        };
        map.into_iter().map(pair).collect::<Result<Vec<_>, _>>()
    };
    let facts = PlainFacts {
        path: request.path,
        host: request.host.to_ascii_lowercase(),
        headers: pairs("headers", request.headers, true)?,
        cookies: pairs("cookies", request.cookies, false)?,
        query: pairs("query", request.query, false)?,
        country: request.country.map(|country| country.to_ascii_uppercase()),
        client: request.client,
        attributes,
    };
    let header = |name: &str| {
        let found = facts.headers.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.as_str())
    };
    // An application that says nothing of the user agent asks for a visitor.
    let bot = header("user-agent").is_some_and(|agent| is_bot(Some(agent)));
    let prefetch = is_prefetch(["sec-purpose", "purpose", "x-moz"].map(header));
    let context = Context { bot, prefetch, ..Context::default() };
    Ok((facts, context))
}

/// A decision as clients see it.
fn told(current: &Current, decided: &Decided) -> Value {
    let Some(experiment) = current.experiment(decided.experiment) else { return Value::Null };
    let variant = decided.variant.and_then(|index| experiment.variants.get(usize::from(index)));
    json!({
        "experiment": experiment.key,
        "variant": variant.map(|variant| &variant.key),
        "index": decided.variant,
        "value": variant.map(value_of),
        "reason": decided.reason.name(),
        "unit": decided.unit,
        "phase": decided.phase,
        "bucket": decided.bucket,
        "counted": decided.counted(),
    })
}

/// How the service does.
pub(super) async fn status(State(api): State<Api>, headers: HeaderMap) -> Response {
    if let Err((status, why)) = api.access.read(&headers, None) {
        return failed(status, why);
    }
    let (current, numbers) = (api.live.current(), api.live.numbers());
    let experiment = |each: &experiment::model::Experiment| {
        json!({
            "key": each.key,
            "status": each.status,
            "phase": each.phase_at(api.live.now()),
            "variants": each.variants.iter().map(|variant| &variant.key).collect::<Vec<_>>(),
        })
    };
    let experiments: Vec<Value> = current.source().experiments.iter().map(experiment).collect();
    let recording = json!({
        "queued": numbers.queued,
        "recorded": numbers.recorded,
        "overflowed": numbers.overflowed,
        "failed": numbers.failed,
        "kept": numbers.kept,
        "unkept": numbers.unkept,
        "held": numbers.held,
        "failing": numbers.failing,
    });
    let status = json!({
        "version": current.version(),
        "since": date(current.since()),
        "experiments": experiments,
        "exposures": recording,
        "received": {
            "exposures": api.received.exposures.load(Ordering::Relaxed),
            "events": api.received.events.load(Ordering::Relaxed),
        },
    });
    json_answer(StatusCode::OK, &status)
}

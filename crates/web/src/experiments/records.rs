//! `POST /v1/exposures` and `POST /v1/events`: batches that are acknowledged when they are durable.
//! A batch is taken as a whole or refused as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use experiment::event::{
    ATTRIBUTE_BYTES_MAX, Attributes, BatchId, Entry, Event, Exposure, NAME_BYTES_MAX, Record,
    UnixMicros, VALUE_MAX, encode,
};
use experiment::ledger::{FUTURE_US_MAX, Fate, Fates, JournalError, Outcome};
use experiment::live::Current;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{again, failed, json_answer};
use super::body::{self, Refused, check_id};
use super::entries::{OneEntry, entries, number};
use super::native::index_of;

/// Millionths of one.
const MICROS: f64 = 1_000_000.0;

/// A batch of exposures.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exposures {
    producer: Option<String>,
    epoch: Option<u32>,
    sequence: Option<u64>,
    #[serde(deserialize_with = "entries")]
    exposures: Vec<OneExposure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneExposure {
    experiment: String,
    unit: String,
    variant: String,
    time: Option<Time>,
    #[serde(default)]
    browser: String,
    #[serde(default)]
    country: String,
    #[serde(default)]
    route: String,
}

/// A batch of events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    producer: Option<String>,
    epoch: Option<u32>,
    sequence: Option<u64>,
    #[serde(deserialize_with = "entries")]
    events: Vec<OneEvent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneEvent {
    unit: String,
    name: String,
    #[serde(default, deserialize_with = "number")]
    value: f64,
    time: Option<Time>,
    id: Option<String>,
}

/// Milliseconds since 1970, or text as RFC 3339 has it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`time` must be RFC 3339 text or milliseconds since 1970")]
enum Time {
    Millis(i64),
    /// As languages write them whose numbers are all of one kind.
    Fraction(f64),
    Text(String),
}

impl OneEntry for OneExposure {
    const FIELD: &'static str = "exposures";
}

impl OneEntry for OneEvent {
    const FIELD: &'static str = "events";
}

/// Records who was served what.
pub(super) async fn exposures(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    let batch: Exposures = match read(&api, &headers, body).await {
        Ok(batch) => batch,
        Err((status, why)) => return failed(status, &why),
    };
    let current = api.live.current();
    let now = api.live.now_us();
    let mut left_out = LeftOut::default();
    let built = batch_id(&batch.producer, batch.epoch, batch.sequence).and_then(|id| {
        let record = |each| exposure(&api, &current, each, now);
        let all = each(&api, &batch.exposures, "exposures", record)?;
        Ok((id, left_out.without(&current, all)))
    });
    answer(&api, built, &left_out).await
}

/// Records what units did.
pub(super) async fn events(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    let batch: Events = match read(&api, &headers, body).await {
        Ok(batch) => batch,
        Err((status, why)) => return failed(status, &why),
    };
    let now = api.live.now_us();
    let built = batch_id(&batch.producer, batch.epoch, batch.sequence)
        .and_then(|id| Ok((id, each(&api, &batch.events, "events", |each| event(each, now))?)));
    answer(&api, built, &LeftOut::default()).await
}

async fn read<T: DeserializeOwned>(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Refused> {
    api.access.write(headers).map_err(|(status, why)| (status, why.to_owned()))?;
    body::json(body, api.live.limits().body_bytes).await
}

/// The name of a batch: all three parts or none.
fn batch_id(
    producer: &Option<String>,
    epoch: Option<u32>,
    sequence: Option<u64>,
) -> Result<Option<BatchId<'_>>, Refused> {
    match (producer, epoch, sequence) {
        (None, None, None) => Ok(None),
        (Some(producer), Some(epoch), Some(sequence)) => {
            check_id("producer", producer).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
            Ok(Some(BatchId { producer, epoch, sequence }))
        }
        _ => Err((
            StatusCode::BAD_REQUEST,
            "`producer`, `epoch` and `sequence` belong together: send all or none".to_owned(),
        )),
    }
}

/// The records of a batch, or which one is wrong and why.
fn each<'a, T>(
    api: &Api,
    items: &'a [T],
    what: &str,
    record: impl Fn(&'a T) -> Result<Record<'a>, Refused>,
) -> Result<Vec<Record<'a>>, Refused> {
    let most = api.live.limits().batch;
    if items.is_empty() || items.len() > most {
        let why = format!("`{what}` has {} entries: 1 to {most} are allowed", items.len());
        return Err((StatusCode::BAD_REQUEST, why));
    }
    let at = |(index, item): (usize, &'a T)| {
        record(item).map_err(|(status, why)| (status, format!("{what}[{index}]: {why}")))
    };
    items.iter().enumerate().map(at).collect()
}

fn exposure<'a>(
    api: &Api,
    current: &Current,
    each: &'a OneExposure,
    now: UnixMicros,
) -> Result<Record<'a>, Refused> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    check_id("unit", &each.unit).map_err(bad)?;
    let index = index_of(current, &each.experiment)?;
    let experiment = current.experiment(index);
    let variant = experiment.and_then(|experiment| experiment.variant_index(&each.variant));
    let variant = variant.ok_or_else(|| {
        let why = format!("experiment \"{}\" has no such variant", each.experiment);
        (StatusCode::NOT_FOUND, why)
    })?;
    let segments = [("browser", &each.browser), ("country", &each.country), ("route", &each.route)];
    for (what, text) in segments {
        if text.len() > ATTRIBUTE_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(bad(format!(
                "`{what}` is longer than {ATTRIBUTE_BYTES_MAX} bytes, or binary"
            )));
        }
    }
    let time_us = time(each.time.as_ref(), now).map_err(bad)?;
    let millis = u64::try_from(time_us / 1_000).unwrap_or(0);
    Ok(Record::Exposure(Exposure {
        experiment: &each.experiment,
        unit: &each.unit,
        variant,
        phase: api.live.phase_of(current, index, &each.unit, millis),
        time_us,
        attributes: Attributes {
            browser: &each.browser,
            country: &each.country,
            route: &each.route,
            cache: "",
        },
    }))
}

fn event(each: &OneEvent, now: UnixMicros) -> Result<Record<'_>, Refused> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    check_id("unit", &each.unit).map_err(bad)?;
    check_name(&each.name).map_err(bad)?;
    if let Some(id) = &each.id {
        check_id("id", id).map_err(bad)?;
    }
    Ok(Record::Event(Event {
        unit: &each.unit,
        name: &each.name,
        value: micros(each.value).map_err(bad)?,
        time_us: time(each.time.as_ref(), now).map_err(bad)?,
        event_id: each.id.as_deref(),
    }))
}

/// Refuses what cannot be the name of an event.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    fits.then_some(()).ok_or_else(|| {
        format!("`name` must have 1 to {NAME_BYTES_MAX} bytes without control characters")
    })
}

/// A value in millionths.
pub(super) fn micros(value: f64) -> Result<i64, String> {
    let micros = (value * MICROS).round();
    // Also false for what is no number.
    let fits = micros.abs() <= VALUE_MAX as f64;
    fits.then_some(micros as i64)
        .ok_or_else(|| format!("`value` must be at most {} either way", VALUE_MAX / 1_000_000))
}

fn time(time: Option<&Time>, now: UnixMicros) -> Result<UnixMicros, String> {
    let wrong = || "`time` must be RFC 3339 text or milliseconds since 1970".to_owned();
    let micros = match time {
        None => return Ok(now),
        Some(Time::Millis(millis)) => millis.checked_mul(1_000).ok_or_else(wrong)?,
        Some(Time::Fraction(millis)) => {
            let micros = (millis * 1_000.0).round();
            // Beyond the range of integers it is their greatest, which is too far ahead.
            if micros.is_finite() { micros as i64 } else { return Err(wrong()) }
        }
        Some(Time::Text(text)) => {
            text.parse::<jiff::Timestamp>().map_err(|_| wrong())?.as_microsecond()
        }
    };
    if micros < 0 {
        return Err(wrong());
    }
    if micros > now.saturating_add(FUTURE_US_MAX) {
        return Err(format!(
            "`time` is more than {} s ahead of this clock",
            FUTURE_US_MAX / 1_000_000
        ));
    }
    Ok(micros)
}

/// Makes a batch durable, and says what became of it.
async fn answer(
    api: &Api,
    built: Result<(Option<BatchId<'_>>, Vec<Record<'_>>), Refused>,
    left_out: &LeftOut,
) -> Response {
    let (id, records) = match built {
        Ok(built) => built,
        Err((status, why)) => return failed(status, &why),
    };
    match append(api, id, records).await {
        Ok(fates) => recorded(fates.as_ref(), left_out, Map::new()),
        Err(response) => *response,
    }
}

/// The answer for a batch that is durable; `None` for one that was before.
pub(super) fn recorded(
    fates: Option<&Fates>,
    left_out: &LeftOut,
    mut more: Map<String, Value>,
) -> Response {
    let status = if fates.is_some() { "recorded" } else { "duplicate" };
    more.insert("status".to_owned(), status.into());
    for fate in fates.iter().flat_map(|_| Fate::ALL) {
        let count = fates.map_or(0, |fates| fates.of(fate));
        if count > 0 || fate == Fate::Counted {
            more.insert(fate.name().to_owned(), count.into());
        }
    }
    for (name, count) in left_out.0.iter().filter(|_| fates.is_some()) {
        let known = more.get(*name).and_then(Value::as_u64).unwrap_or(0);
        more.insert((*name).to_owned(), (known + count).into());
    }
    json_answer(StatusCode::OK, &Value::Object(more))
}

/// How many exposures were not passed to the journal, by why they cannot count.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<&'static str, u64>);

impl LeftOut {
    /// The records that can count; the others are noted.
    pub(super) fn without<'a>(
        &mut self,
        current: &Current,
        mut records: Vec<Record<'a>>,
    ) -> Vec<Record<'a>> {
        records.retain(|record| {
            let Record::Exposure(Exposure { experiment, unit, time_us, .. }) = record else {
                return true;
            };
            let at = u64::try_from(time_us / 1_000).unwrap_or(0);
            let index = current.set().index(experiment);
            let why = index.and_then(|index| current.uncountable(index, unit, at));
            if let Some(why) = why {
                *self.0.entry(why.name()).or_default() += 1;
            }
            why.is_none()
        });
        records
    }
}

/// Appends records to the journal; over when they are durable. `None` for a batch that was counted
/// before.
pub(super) async fn append(
    api: &Api,
    id: Option<BatchId<'_>>,
    records: Vec<Record<'_>>,
) -> Result<Option<Fates>, Box<Response>> {
    let all = records.len() as u64;
    let exposures = records.iter().filter(|it| matches!(it, Record::Exposure(_))).count() as u64;
    let entry = encode(&Entry::Batch { id, records });
    let entry = entry.map_err(|error| failed(StatusCode::BAD_REQUEST, &error.to_string()))?;
    let (sender, durable) = tokio::sync::oneshot::channel();
    let done = move |result| {
        // The client may have gone; what it sent is durable all the same.
        let _ = sender.send(result);
    };
    let submitted = api.live.record(entry, Box::new(done));
    let outcome = match submitted {
        Ok(()) => durable.await.unwrap_or(Err(JournalError::Closed)),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(Outcome::Applied(fates)) => {
            api.received.exposures.fetch_add(exposures, Ordering::Relaxed);
            api.received.events.fetch_add(all - exposures, Ordering::Relaxed);
            Ok(Some(fates))
        }
        Ok(Outcome::Duplicate) => Ok(None),
        Ok(Outcome::Gap { expected }) => {
            let why = format!("batch {expected} of this producer is missing: send it first");
            Err(Box::new(conflict(&why, "expected", expected)))
        }
        Ok(Outcome::Fenced { epoch }) => {
            let why = format!("this producer has begun epoch {epoch}: begin a higher one");
            Err(Box::new(conflict(&why, "epoch", epoch.into())))
        }
        Ok(Outcome::TooManyProducers) => {
            let why = "there are too many producers: send without one, and events with ids";
            Err(Box::new(failed(StatusCode::UNPROCESSABLE_ENTITY, why)))
        }
        Ok(Outcome::Refused(why)) => Err(Box::new(failed(StatusCode::UNPROCESSABLE_ENTITY, &why))),
        Err(JournalError::Busy) => Err(Box::new(again(&JournalError::Busy.to_string()))),
        Err(error) => Err(Box::new(unavailable(&error))),
    }
}

fn conflict(why: &str, key: &str, value: u64) -> Response {
    let value = Map::from_iter([
        ("error".to_owned(), Value::from(why)),
        (key.to_owned(), Value::from(value)),
    ]);
    json_answer(StatusCode::CONFLICT, &Value::Object(value))
}

fn unavailable(error: &JournalError) -> Response {
    // The words for operators name files; clients need not know them.
    tracing::error!(%error, "a batch was not recorded");
    let (status, why) = match error {
        JournalError::Full { .. } => {
            (StatusCode::INSUFFICIENT_STORAGE, "there is no room to record: send it again later")
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "nothing can be recorded now: send it again later"),
    };
    let mut response = json_answer(status, &json!({ "error": why }));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_millionths() {
        assert_eq!(micros(19.99), Ok(19_990_000));
        assert_eq!(micros(-0.000_001), Ok(-1));
        assert_eq!(micros(1e9), Ok(VALUE_MAX));
        for value in [f64::NAN, f64::INFINITY, -f64::INFINITY, 1.000_001e9, 1e300] {
            assert!(micros(value).is_err(), "{value}");
        }
    }

    #[test]
    fn times_are_now_or_before() {
        let now = 1_800_000_000_000_000;
        assert_eq!(time(None, now), Ok(now));
        assert_eq!(time(Some(&Time::Millis(1_700_000_000_000)), now), Ok(1_700_000_000_000_000));
        let fraction = |millis| time(Some(&Time::Fraction(millis)), now);
        assert_eq!(fraction(1_700_000_000_000.25), Ok(1_700_000_000_000_250));
        for wrong in [-1.0, 1e300, f64::INFINITY, f64::NAN] {
            assert!(fraction(wrong).is_err(), "{wrong}");
        }
        let text = |text: &str| time(Some(&Time::Text(text.to_owned())), now);
        assert_eq!(text("2024-01-02T03:04:05.678Z"), Ok(1_704_164_645_678_000));
        for wrong in ["", "yesterday", "2024-01-02", "9999-01-01T00:00:00Z", "1969-01-01T00:00:00Z"]
        {
            assert!(text(wrong).is_err(), "{wrong}");
        }
        for wrong in [-1, i64::MAX, now / 1_000 + 301_000] {
            assert!(time(Some(&Time::Millis(wrong)), now).is_err(), "{wrong}");
        }
    }
}

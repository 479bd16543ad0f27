//! Entries as bytes: version, kind, body, CRC-32 of all before it.

use super::{
    ATTRIBUTE_BYTES_MAX, Attributes, BatchId, COUNT_MAX, ENTRY_BYTES_MAX, EVENT_ID_BYTES_MAX,
    Entry, Event, Exposure, LATENCY_BUCKETS_MAX, NAME_BYTES_MAX, PRODUCER_BYTES_MAX, RECORDS_MAX,
    Reader, Record, TIME_MAX, Traffic, UNIT_BYTES_MAX, VALUE_MAX, Writer,
};

/// The version that is written.
const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

const BATCH: u8 = 1;
const DEFINE: u8 = 2;
const FORGET: u8 = 3;

const EXPOSURE: u8 = 1;
const EVENT: u8 = 2;
const EVENT_WITH_ID: u8 = 3;
const TRAFFIC: u8 = 4;

/// An entry that is within the limits, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded(Vec<u8>);

impl Encoded {
    /// The bytes, at most [`ENTRY_BYTES_MAX`].
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Something is longer, greater or more than it may be: which record, and what of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {record}: {what}")]
pub struct LimitError {
    /// Index of the record; 0 when the entry has none.
    pub record: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Bytes that are no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Short,
    /// There are bytes after the end.
    #[error("there are bytes after the end")]
    Long,
    /// The checksum is wrong.
    #[error("the checksum is wrong")]
    Checksum,
    /// Written by a newer program.
    #[error("version {0} is not known: use a newer tidegate")]
    Version(u8),
    /// A value that cannot be.
    #[error("impossible {0}")]
    Value(&'static str),
}

/// The bytes of an entry.
///
/// # Errors
/// [`LimitError`] when a part of it is over its limit.
pub fn encode(entry: &Entry<'_>) -> Result<Encoded, LimitError> {
    let mut out = Writer::default();
    out.byte(VERSION);
    let fail = |record: usize| move |what: String| LimitError { record, what };
    match entry {
        Entry::Batch { id, records } => {
            out.byte(BATCH);
            write_id(&mut out, id.as_ref()).map_err(fail(0))?;
            if records.len() > RECORDS_MAX {
                return Err(fail(0)(format!(
                    "{} records are too many: send at most {RECORDS_MAX} at once",
                    records.len()
                )));
            }
            out.number(records.len() as u64);
            let mut before = 0;
            for (index, record) in records.iter().enumerate() {
                write_record(&mut out, record, before).map_err(fail(index))?;
                before = record.time_us();
            }
        }
        Entry::Define(definition) => {
            out.byte(DEFINE);
            write_text(&mut out, definition, ENTRY_BYTES_MAX, "definition").map_err(fail(0))?;
        }
        Entry::Forget(experiment) => {
            out.byte(FORGET);
            write_text(&mut out, experiment, NAME_BYTES_MAX, "experiment").map_err(fail(0))?;
        }
    }
    if out.0.len() + CRC_BYTES > ENTRY_BYTES_MAX {
        let bytes = out.0.len();
        let what = format!("{bytes} bytes are too many: send at most {ENTRY_BYTES_MAX} at once");
        return Err(fail(0)(what));
    }
    let crc = crc32fast::hash(&out.0);
    out.0.extend_from_slice(&crc.to_le_bytes());
    Ok(Encoded(out.0))
}

fn write_text(out: &mut Writer, text: &str, max: usize, what: &str) -> Result<(), String> {
    if text.len() > max {
        return Err(format!("{what}: {} bytes, at most {max} are allowed", text.len()));
    }
    out.text(text);
    Ok(())
}

/// A text that names something and is therefore not empty.
fn write_name(out: &mut Writer, text: &str, max: usize, what: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what}: must not be empty"));
    }
    write_text(out, text, max, what)
}

fn write_id(out: &mut Writer, id: Option<&BatchId<'_>>) -> Result<(), String> {
    let Some(id) = id else {
        out.byte(0);
        return Ok(());
    };
    out.byte(1);
    write_name(out, id.producer, PRODUCER_BYTES_MAX, "producer")?;
    out.number(id.epoch.into());
    out.number(id.sequence);
    Ok(())
}

fn write_record(out: &mut Writer, record: &Record<'_>, before: i64) -> Result<(), String> {
    let time = record.time_us();
    if !(0..=TIME_MAX).contains(&time) {
        return Err(format!("time {time}: must be microseconds since 1970, until 9999"));
    }
    let kind = match record {
        Record::Exposure(_) => EXPOSURE,
        Record::Event(Event { event_id: None, .. }) => EVENT,
        Record::Event(_) => EVENT_WITH_ID,
        Record::Traffic(_) => TRAFFIC,
    };
    out.byte(kind);
    out.signed(time - before);
    match record {
        Record::Exposure(exposure) => {
            write_name(out, exposure.experiment, NAME_BYTES_MAX, "experiment")?;
            write_name(out, exposure.unit, UNIT_BYTES_MAX, "unit")?;
            out.number(exposure.variant.into());
            out.number(exposure.phase.into());
            for text in exposure.attributes.all() {
                write_text(out, text, ATTRIBUTE_BYTES_MAX, "attribute")?;
            }
        }
        Record::Event(event) => {
            write_name(out, event.unit, UNIT_BYTES_MAX, "unit")?;
            write_name(out, event.name, NAME_BYTES_MAX, "name")?;
            if event.value.unsigned_abs() > VALUE_MAX as u64 {
                return Err(format!("value {}: at most ±{VALUE_MAX} millionths", event.value));
            }
            out.signed(event.value);
            if let Some(id) = event.event_id {
                write_name(out, id, EVENT_ID_BYTES_MAX, "event id")?;
            }
        }
        Record::Traffic(traffic) => {
            write_name(out, traffic.experiment, NAME_BYTES_MAX, "experiment")?;
            out.number(traffic.variant.into());
            out.number(traffic.phase.into());
            let counts = [traffic.requests, traffic.errors, traffic.bytes];
            for count in counts.into_iter().chain(traffic.latency.iter().map(|bucket| bucket.1)) {
                if count > COUNT_MAX {
                    return Err(format!("count {count}: at most {COUNT_MAX}"));
                }
            }
            counts.into_iter().for_each(|count| out.number(count));
            if traffic.latency.len() > LATENCY_BUCKETS_MAX {
                return Err(format!("more than {LATENCY_BUCKETS_MAX} latency buckets"));
            }
            out.number(traffic.latency.len() as u64);
            for &(bucket, count) in &traffic.latency {
                out.signed(bucket.into());
                out.number(count);
            }
        }
    }
    Ok(())
}

/// The entry that some bytes stand for.
///
/// # Errors
/// [`DecodeError`] when they are not what [`encode`] makes.
pub fn decode(bytes: &[u8]) -> Result<Entry<'_>, DecodeError> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(DecodeError::Long);
    }
    let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or(DecodeError::Short)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(DecodeError::Checksum);
    }
    let mut from = Reader(body);
    match from.byte()? {
        VERSION => {}
        other => return Err(DecodeError::Version(other)),
    }
    let entry = match from.byte()? {
        BATCH => {
            let id = read_id(&mut from)?;
            let count = from.count(RECORDS_MAX, "number of records")?;
            let mut records = Vec::with_capacity(count);
            let mut before = 0;
            for _ in 0..count {
                let record = read_record(&mut from, before)?;
                before = record.time_us();
                records.push(record);
            }
            Entry::Batch { id, records }
        }
        DEFINE => Entry::Define(from.text(ENTRY_BYTES_MAX, "definition")?),
        FORGET => Entry::Forget(from.text(NAME_BYTES_MAX, "experiment")?),
        _ => return Err(DecodeError::Value("kind of entry")),
    };
    if from.0.is_empty() { Ok(entry) } else { Err(DecodeError::Long) }
}

fn read_id<'a>(from: &mut Reader<'a>) -> Result<Option<BatchId<'a>>, DecodeError> {
    match from.byte()? {
        0 => Ok(None),
        1 => {
            let producer = read_name(from, PRODUCER_BYTES_MAX, "producer")?;
            let epoch = from.at_most(u32::MAX.into(), "epoch")? as u32;
            Ok(Some(BatchId { producer, epoch, sequence: from.number()? }))
        }
        _ => Err(DecodeError::Value("batch id")),
    }
}

fn read_name<'a>(
    from: &mut Reader<'a>,
    max: usize,
    what: &'static str,
) -> Result<&'a str, DecodeError> {
    from.text(max, what)
        .and_then(|text| if text.is_empty() { Err(DecodeError::Value(what)) } else { Ok(text) })
}

fn read_record<'a>(from: &mut Reader<'a>, before: i64) -> Result<Record<'a>, DecodeError> {
    let kind = from.byte()?;
    let time_us = before.checked_add(from.signed()?).filter(|time| (0..=TIME_MAX).contains(time));
    let time_us = time_us.ok_or(DecodeError::Value("time"))?;
    Ok(match kind {
        EXPOSURE => Record::Exposure(Exposure {
            experiment: read_name(from, NAME_BYTES_MAX, "experiment")?,
            unit: read_name(from, UNIT_BYTES_MAX, "unit")?,
            variant: from.small("variant")?,
            phase: from.small("phase")?,
            time_us,
            attributes: Attributes {
                browser: from.text(ATTRIBUTE_BYTES_MAX, "browser")?,
                country: from.text(ATTRIBUTE_BYTES_MAX, "country")?,
                route: from.text(ATTRIBUTE_BYTES_MAX, "route")?,
                cache: from.text(ATTRIBUTE_BYTES_MAX, "cache")?,
            },
        }),
        EVENT | EVENT_WITH_ID => {
            let unit = read_name(from, UNIT_BYTES_MAX, "unit")?;
            let name = read_name(from, NAME_BYTES_MAX, "name")?;
            let value = from.signed()?;
            if value.unsigned_abs() > VALUE_MAX as u64 {
                return Err(DecodeError::Value("value"));
            }
            let with_id = kind == EVENT_WITH_ID;
            let event_id =
                with_id.then(|| read_name(from, EVENT_ID_BYTES_MAX, "event id")).transpose()?;
            Record::Event(Event { unit, name, value, time_us, event_id })
        }
        TRAFFIC => {
            let experiment = read_name(from, NAME_BYTES_MAX, "experiment")?;
            let (variant, phase) = (from.small("variant")?, from.small("phase")?);
            let requests = from.at_most(COUNT_MAX, "count")?;
            let errors = from.at_most(COUNT_MAX, "count")?;
            let bytes = from.at_most(COUNT_MAX, "count")?;
            let buckets = from.count(LATENCY_BUCKETS_MAX, "number of buckets")?;
            let mut latency = Vec::with_capacity(buckets);
            for _ in 0..buckets {
                let bucket = from.signed()?.try_into();
                let bucket = bucket.map_err(|_| DecodeError::Value("bucket"))?;
                latency.push((bucket, from.at_most(COUNT_MAX, "count")?));
            }
            let traffic =
                Traffic { experiment, variant, phase, time_us, requests, errors, bytes, latency };
            Record::Traffic(traffic)
        }
        _ => return Err(DecodeError::Value("kind of record")),
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

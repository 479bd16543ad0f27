//! What is recorded: who was served which variant, what they did, and what the gateway saw.
//!
//! Records borrow their texts from a request or from the bytes of the journal. [`encode`] turns an
//! [`Entry`] into the bytes that are made durable, [`decode`] turns them back; the format is told
//! in `docs/reference/experiment-state.md`.

mod bytes;
mod codec;

pub use codec::{DecodeError, Encoded, LimitError, decode, encode};

pub(crate) use bytes::{Reader, Writer};

pub use crate::model::limits::{NAME_BYTES_MAX, UNIT_BYTES_MAX};

/// Records of one batch.
pub const RECORDS_MAX: usize = 10_000;
/// Bytes of one encoded entry.
pub const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one attribute; [`bounded`] cuts longer ones.
pub const ATTRIBUTE_BYTES_MAX: usize = 64;
/// Bytes of the id of an event.
pub const EVENT_ID_BYTES_MAX: usize = 128;
/// Bytes of the name of a producer.
pub const PRODUCER_BYTES_MAX: usize = 128;
/// The greatest value of one event, either sign, in millionths: a thousand million.
pub const VALUE_MAX: i64 = 1_000_000_000_000_000;
/// Latency buckets of one traffic record.
pub const LATENCY_BUCKETS_MAX: usize = 4_096;
/// The greatest count of one traffic record.
pub const COUNT_MAX: u64 = 1 << 48;

/// Microseconds since 1970-01-01, UTC, without leap seconds.
pub type UnixMicros = i64;

/// The moment after which no time is accepted, the year 9999.
pub const TIME_MAX: UnixMicros = 253_402_300_800_000_000;

/// What is known of a unit when it is first exposed: the segments that it belongs to for good.
/// Empty when unknown. The day follows from the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Attributes<'a> {
    /// Family of the browser.
    pub browser: &'a str,
    /// Country, as the gateway was told.
    pub country: &'a str,
    /// Route of the gateway.
    pub route: &'a str,
    /// What the cache did.
    pub cache: &'a str,
}

impl<'a> Attributes<'a> {
    /// All of them, in the order of [`crate::ledger::Dimension`].
    #[must_use]
    pub fn all(&self) -> [&'a str; 4] {
        [self.browser, self.country, self.route, self.cache]
    }
}

/// A unit was served a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure<'a> {
    /// Key of the experiment.
    pub experiment: &'a str,
    /// Id of the unit.
    pub unit: &'a str,
    /// Index of the variant.
    pub variant: u16,
    /// Index of the phase.
    pub phase: u16,
    /// When it was served.
    pub time_us: UnixMicros,
    /// What was known of the unit.
    pub attributes: Attributes<'a>,
}

/// A unit did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Id of the unit.
    pub unit: &'a str,
    /// What it did.
    pub name: &'a str,
    /// How much, in millionths; at most [`VALUE_MAX`] either way.
    pub value: i64,
    /// When.
    pub time_us: UnixMicros,
    /// Counted once per unit and id, however often it is sent.
    pub event_id: Option<&'a str>,
}

/// What the gateway saw of the requests of one variant since it last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic<'a> {
    /// Key of the experiment.
    pub experiment: &'a str,
    /// Index of the variant.
    pub variant: u16,
    /// Index of the phase.
    pub phase: u16,
    /// End of the interval.
    pub time_us: UnixMicros,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Bytes of the responses.
    pub bytes: u64,
    /// Response times: bucket of the microseconds ([`crate::ledger::bucket`]) and requests.
    pub latency: Vec<(i16, u64)>,
}

/// One thing that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// A unit was served a variant.
    Exposure(Exposure<'a>),
    /// A unit did something.
    Event(Event<'a>),
    /// What the gateway saw.
    Traffic(Traffic<'a>),
}

impl Record<'_> {
    /// When it happened.
    #[must_use]
    pub fn time_us(&self) -> UnixMicros {
        match self {
            Record::Exposure(exposure) => exposure.time_us,
            Record::Event(event) => event.time_us,
            Record::Traffic(traffic) => traffic.time_us,
        }
    }
}

/// Names a batch, so that sending it again does not count it again. A producer numbers its batches
/// 0, 1, 2 … within an epoch and repeats a batch until it is acknowledged; when it has forgotten
/// its number it begins a higher epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchId<'a> {
    /// Name of the producer.
    pub producer: &'a str,
    /// Its life.
    pub epoch: u32,
    /// Number of the batch in that life.
    pub sequence: u64,
}

/// One entry of the journal: all of it becomes durable, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Records.
    Batch {
        /// Without an id, records that are sent again are counted again, except for events with an
        /// id and for exposures, which count once anyway.
        id: Option<BatchId<'a>>,
        /// At most [`RECORDS_MAX`].
        records: Vec<Record<'a>>,
    },
    /// An experiment begins, or is given phases or metrics: a [`crate::ledger::Definition`] as
    /// JSON.
    Define(&'a str),
    /// The data of an experiment are no longer needed.
    Forget(&'a str),
}

/// The beginning of a text of at most [`ATTRIBUTE_BYTES_MAX`] bytes.
#[must_use]
pub fn bounded(attribute: &str) -> &str {
    attribute.get(..attribute.floor_char_boundary(ATTRIBUTE_BYTES_MAX)).unwrap_or(attribute)
}

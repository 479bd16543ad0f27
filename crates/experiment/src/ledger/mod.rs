//! The state of experiments: who was exposed, what they did, and exact sums of it.
//!
//! [`Ledger::apply`] is a function of its state and an entry of the journal: no clock, no IO, no
//! random source, so that the same entries make the same state again. Within the horizon the sums
//! do not depend on the order in which records arrive, on the number of shards, or on repetition.
//!
//! A unit is in one shard, and nothing that a record does looks at another shard or at all units.

mod attributes;
mod checkpoint;
mod definition;
mod event_ids;
mod histogram;
mod limits;
mod metric;
mod producers;
mod results;
mod scan;
mod shard;
mod storage;
mod sums;
mod table;
mod traffic;
mod units;

pub use checkpoint::RestoreError;
pub use definition::{Definition, EVENT_NAMES_MAX, METRICS_MAX, TABLES_MAX};
pub use histogram::{BUCKET_MAX, bucket, bucket_value};
pub use limits::{
    ATTRIBUTE_TEXTS_MAX, ATTRIBUTES_MAX, FUTURE_US_MAX, HORIZON_US, HORIZON_US_MAX,
    PRODUCER_ACTIVE_US, PRODUCER_IDLE_US, PRODUCERS_MAX, RECENT_PER_UNIT_MAX, SHARDS_MAX, Settings,
    UNITS_MAX,
};
pub use metric::{DAY_US, Metric, MetricKind, TOTAL_MAX, Term, WINDOW_US_MAX};
pub use results::{Arm, Dimension, Progress, QuantileSample, Summary, TrafficArm};
pub use scan::{InSteps, Lend, ROWS_AT_ONCE, SAMPLE_MAX, SEGMENTS_MAX};
pub use storage::{
    Acknowledge, AuditEntry, Change, Checkpoint, Control, ControlError, Document, Journal,
    JournalError, KIND_EXPERIMENT, Results, StoredResult,
};
pub use sums::MetricSums;
pub use traffic::TrafficTotals;

use crate::event::{BatchId, Entry, Record, UnixMicros};
use definition::Definitions;
use producers::{Admission, Producers};
use shard::{Moment, Shard};
use units::UnitKey;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It counts, now or when its exposure comes.
    Counted,
    /// No metric counts events of this name.
    Unused,
    /// There is no such experiment, variant or phase.
    Unknown,
    /// An event with this id was counted, or the unit was exposed before; if to another variant, it
    /// counts nowhere from now on.
    Duplicate,
    /// It is older than the horizon.
    Late,
    /// It is more than [`FUTURE_US_MAX`] ahead of the journal's clock.
    Future,
    /// A limit of [`Settings`] is reached.
    Full,
}

impl Fate {
    /// All of them.
    pub const ALL: [Fate; 7] = [
        Fate::Counted,
        Fate::Unused,
        Fate::Unknown,
        Fate::Duplicate,
        Fate::Late,
        Fate::Future,
        Fate::Full,
    ];
    pub(crate) const COUNT: usize = Fate::ALL.len();

    /// The word in APIs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fate::Counted => "counted",
            Fate::Unused => "unused",
            Fate::Unknown => "unknown",
            Fate::Duplicate => "duplicate",
            Fate::Late => "late",
            Fate::Future => "future",
            Fate::Full => "full",
        }
    }
}

/// How many records met which fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fates([u64; Fate::COUNT]);

impl Fates {
    /// How many met this one.
    #[must_use]
    pub fn of(&self, fate: Fate) -> u64 {
        self.0.get(fate as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, fate: Fate, count: u64) {
        if let Some(own) = self.0.get_mut(fate as usize) {
            *own += count;
        }
    }
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was applied; of a batch, what became of its records.
    Applied(Fates),
    /// It was applied before. To its sender this is success.
    Duplicate,
    /// A batch of the producer before it is missing: send that one first.
    Gap {
        /// The number of the batch that is expected.
        expected: u64,
    },
    /// The producer has begun a later epoch.
    Fenced {
        /// That epoch.
        epoch: u32,
    },
    /// There are more than [`PRODUCERS_MAX`] producers: send without a batch id, and with ids of
    /// events.
    TooManyProducers,
    /// A definition that cannot be, and why.
    Refused(String),
}

/// The state of all experiments.
#[derive(Debug)]
pub struct Ledger {
    settings: Settings,
    definitions: Definitions,
    producers: Producers,
    shards: Vec<Shard>,
    /// Entries before this one are applied.
    position: u64,
    /// When the newest entry was received.
    received_us: UnixMicros,
    /// Time of the newest record.
    newest_us: UnixMicros,
    /// Changes with every definition.
    generation: u64,
}

impl Ledger {
    /// An empty ledger; settings beyond their limits are taken as the limits.
    #[must_use]
    pub fn new(settings: Settings) -> Ledger {
        let settings = settings.clamped();
        let mut shards = Vec::new();
        shards.resize_with(settings.shards, Shard::default);
        Ledger {
            settings,
            definitions: Definitions::default(),
            producers: Producers::default(),
            shards,
            position: 0,
            received_us: UnixMicros::MIN,
            newest_us: UnixMicros::MIN,
            generation: 0,
        }
    }

    /// The number of the next entry.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// When the newest entry was received, as the journal said.
    #[must_use]
    pub fn received_us(&self) -> Option<UnixMicros> {
        (self.received_us != UnixMicros::MIN).then_some(self.received_us)
    }

    /// Whether a batch is known to be counted, so that it need not be written again.
    #[must_use]
    pub fn is_duplicate(&self, id: &BatchId<'_>) -> bool {
        self.producers.check(id, self.received_us) == Admission::Duplicate
    }

    /// Applies the entry with the number `position`, which the journal received at `received_us`
    /// (its clock does not go back). An entry that was applied before changes nothing.
    pub fn apply(&mut self, position: u64, received_us: UnixMicros, entry: &Entry<'_>) -> Outcome {
        if position < self.position {
            return Outcome::Duplicate;
        }
        self.position = position + 1;
        self.received_us = self.received_us.max(received_us);
        match entry {
            Entry::Batch { id, records } => self.batch(position, id.as_ref(), records),
            Entry::Define(definition) => self.define(definition),
            Entry::Forget(experiment) => self.forget(position, experiment),
        }
    }

    fn batch(
        &mut self,
        position: u64,
        id: Option<&BatchId<'_>>,
        records: &[Record<'_>],
    ) -> Outcome {
        let received_us = self.received_us;
        match id.map(|id| self.producers.check(id, received_us)) {
            None | Some(Admission::Next) => {}
            Some(Admission::Duplicate) => return Outcome::Duplicate,
            Some(Admission::Gap { expected }) => return Outcome::Gap { expected },
            Some(Admission::Fenced { epoch }) => return Outcome::Fenced { epoch },
            Some(Admission::Full) => return Outcome::TooManyProducers,
        }
        let accept_from = self.newest_us.saturating_sub(self.settings.horizon_us);
        let moment = Moment {
            received_us,
            accept_from,
            keep_from: accept_from.saturating_sub(self.definitions.lookback_us),
        };
        let mut fates = Fates::default();
        let mut newest_us = UnixMicros::MIN;
        for record in records {
            let key = match record {
                Record::Exposure(exposure) => UnitKey::new(exposure.unit),
                Record::Event(event) => UnitKey::new(event.unit),
                Record::Traffic(traffic) => UnitKey::new(traffic.experiment),
            };
            let Some(shard) = self.shards.get_mut(key.shard(self.settings.shards)) else { break };
            // After a restart, a shard may have been written later than the head of the checkpoint.
            if position >= shard.position {
                let fate = shard.apply(&self.settings, &self.definitions, &moment, key, record);
                fates.add(fate, 1);
            }
            if record.time_us() <= received_us.saturating_add(FUTURE_US_MAX) {
                newest_us = newest_us.max(record.time_us());
            }
        }
        self.newest_us = self.newest_us.max(newest_us);
        if let Some(id) = id {
            self.producers.counted(id, received_us, newest_us);
        }
        Outcome::Applied(fates)
    }

    fn define(&mut self, definition: &str) -> Outcome {
        let definition: Definition = match serde_json::from_str(definition) {
            Ok(definition) => definition,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let horizon_us = self.settings.horizon_us;
        let key = definition.experiment.clone();
        let before = self.definitions.get(&key);
        // A cap may be set now, which changes what every unit counts.
        let recount = before.is_some_and(|old| {
            old.definition.metrics.iter().any(|metric| metric.open_cap().is_some())
        });
        if let Err(why) = self.definitions.define(definition, self.received_us, horizon_us) {
            return Outcome::Refused(why);
        }
        self.generation += 1;
        for shard in &mut self.shards {
            shard.fit(&self.definitions);
        }
        if let Some(measured) = self.definitions.get(&key).filter(|_| recount) {
            for shard in &mut self.shards {
                for &table in &measured.tables {
                    if let Some(table) = shard.tables.get_mut(usize::from(table)) {
                        table.recount(measured);
                    }
                }
            }
        }
        Outcome::Applied(Fates::default())
    }

    fn forget(&mut self, position: u64, experiment: &str) -> Outcome {
        let Some(measured) = self.definitions.get(experiment) else {
            return Outcome::Refused(format!("no experiment \"{experiment}\" is measured"));
        };
        let tables = measured.tables.clone();
        self.definitions.forget(experiment);
        self.generation += 1;
        for shard in self.shards.iter_mut().filter(|shard| position >= shard.position) {
            shard.forget(experiment, &tables);
        }
        Outcome::Applied(Fates::default())
    }

    /// Bytes of memory that units, rows and ids take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.shards.iter().map(Shard::bytes).sum()
    }
}

#[cfg(test)]
mod tests;

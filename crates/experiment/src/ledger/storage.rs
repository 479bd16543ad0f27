//! What experiments ask of a store. One process keeps all of it embedded; several nodes can share
//! an implementation over Redis, because everything on the way of a record is about one unit or one
//! producer, and everything about all units is asked of [`Results`] only.

use super::{Arm, Dimension, Fates, Outcome, QuantileSample, Summary};
use crate::event::{Encoded, UnixMicros};
use crate::model::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::mpsc;

/// Why an entry is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// More is waiting than may wait: try again later.
    #[error("too many batches are waiting to be written: try again in a moment")]
    Busy,
    /// Nothing can be written now; it is taken again when there is room.
    #[error("{place}: no room to record events ({cause}): free some space, then send again")]
    Full {
        /// The file.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// Writing failed.
    #[error("{place}: events cannot be recorded ({cause}): check the disk, then send again")]
    Failed {
        /// The file.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// The bytes are no entry.
    #[error("the batch cannot be read: {0}")]
    Unreadable(String),
    /// The journal is closed, or whatever wrote it has ended.
    #[error("the journal is closed")]
    Closed,
}

/// Called once, when an entry is durable and applied, or refused. It runs on the thread that writes,
/// so it must not wait for anything.
pub type Acknowledge = Box<dyn FnOnce(Result<Outcome, JournalError>) + Send>;

/// Takes entries and makes them durable.
pub trait Journal: Send + Sync {
    /// Hands over an entry without waiting. It is durable when `done` is called with an outcome.
    ///
    /// # Errors
    /// [`JournalError::Busy`] and [`JournalError::Closed`]; `done` is then not called.
    fn submit(&self, entry: Encoded, done: Acknowledge) -> Result<(), JournalError>;

    /// Hands over an entry and waits until it is durable and applied. What it returns is an
    /// acknowledgement: it will not be lost.
    ///
    /// # Errors
    /// [`JournalError`]; the entry is then not recorded, or may be sent again under the same batch
    /// id without being counted twice.
    fn append(&self, entry: Encoded) -> Result<Outcome, JournalError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let done = move |result| {
            // The receiver waits below; if its thread has died, nobody wants to know.
            let _ = sender.send(result);
        };
        self.submit(entry, Box::new(done))?;
        receiver.recv().unwrap_or(Err(JournalError::Closed))
    }
}

/// Shortens the way back after a restart.
pub trait Checkpoint: Send + Sync {
    /// Begins to write the state down, so that older entries are no longer needed; one that is
    /// under way is enough.
    ///
    /// # Errors
    /// [`JournalError::Closed`].
    fn checkpoint(&self) -> Result<(), JournalError>;
}

/// Reads what was recorded. Sums of several nodes or shards are added with
/// [`super::MetricSums::merge`].
pub trait Results: Send + Sync {
    /// The sums of an experiment; cheap.
    fn summary(&self, experiment: &str) -> Option<Summary>;
    /// The sums of units first exposed within a time; looks at every unit.
    fn cohort(&self, experiment: &str, first_us: Range<UnixMicros>) -> Option<Vec<Arm>>;
    /// The sums by segment; looks at every unit.
    fn segments(
        &self,
        experiment: &str,
        dimension: Dimension,
        first_us: Range<UnixMicros>,
    ) -> Option<BTreeMap<String, Vec<Arm>>>;
    /// The events of a quantile metric in one arm; looks at every unit.
    fn quantile_sample(
        &self,
        experiment: &str,
        metric: &str,
        phase: u16,
        variant: u16,
    ) -> Option<QuantileSample>;
    /// Totals of the units first exposed before a time for a metric, to take a cap from; looks at
    /// every unit.
    fn unit_totals(
        &self,
        experiment: &str,
        metric: &str,
        before_us: UnixMicros,
    ) -> Option<Vec<i64>>;
    /// What became of all records.
    fn fates(&self) -> Fates;
}

/// Why control data cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Somebody else wrote it meanwhile.
    #[error("{what} has version {current}, not {expected}: read it again, then change that")]
    Conflict {
        /// Which document.
        what: String,
        /// The version that the change was made from.
        expected: u64,
        /// The version that there is.
        current: u64,
    },
    /// A value is over its limit.
    #[error("{0}")]
    Limit(String),
    /// The store failed.
    #[error("{place}: {cause}")]
    Failed {
        /// The file.
        place: String,
        /// What failed, and what to do.
        cause: String,
    },
}

/// The kind of documents that are [`crate::model::Experiment`]s.
pub const KIND_EXPERIMENT: &str = "experiment";

/// A JSON document with its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `experiment`, `layer`, `holdout`, `metric` …
    pub kind: String,
    /// Its key.
    pub key: String,
    /// 1 for the first.
    pub version: u64,
    /// When it was written.
    pub time_ms: UnixMillis,
    /// JSON; `None` when it was deleted.
    pub body: Option<String>,
}

/// Who changes something, when and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// A person, or `tidegate` for what it does by itself.
    pub who: &'a str,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub time_ms: UnixMillis,
}

/// A line of the audit log. Lines are never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When.
    pub time_ms: UnixMillis,
    /// By whom.
    pub who: String,
    /// `put`, `delete`, `ship`, `roll-back` …
    pub action: String,
    /// What it was done to, as `kind/key`.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// The version that it made, if it made one.
    pub version: Option<u64>,
}

/// A result as it was shown or acted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    /// When.
    pub time_ms: UnixMillis,
    /// JSON.
    pub body: String,
}

/// Control data: few, precious, changed by people.
pub trait Control: Send + Sync {
    /// Writes a document, or deletes it (`None`), and a line of the audit log with it. `expected` is
    /// the version that the change was made from, 0 for a new one; without it the last one wins.
    /// Returns the new version.
    ///
    /// # Errors
    /// [`ControlError`].
    fn put(
        &self,
        kind: &str,
        key: &str,
        body: Option<&str>,
        expected: Option<u64>,
        change: &Change<'_>,
    ) -> Result<u64, ControlError>;

    /// The newest version of a document, unless it was deleted.
    ///
    /// # Errors
    /// [`ControlError`].
    fn get(&self, kind: &str, key: &str) -> Result<Option<Document>, ControlError>;

    /// All documents of a kind that are not deleted, by key.
    ///
    /// # Errors
    /// [`ControlError`].
    fn list(&self, kind: &str) -> Result<Vec<Document>, ControlError>;

    /// The versions of a document, newest first.
    ///
    /// # Errors
    /// [`ControlError`].
    fn history(&self, kind: &str, key: &str, limit: usize) -> Result<Vec<Document>, ControlError>;

    /// Writes a line of the audit log for what changes no document.
    ///
    /// # Errors
    /// [`ControlError`].
    fn note(&self, action: &str, subject: &str, change: &Change<'_>) -> Result<(), ControlError>;

    /// Lines of the audit log, newest first; of one subject, or of all.
    ///
    /// # Errors
    /// [`ControlError`].
    fn audit(&self, subject: Option<&str>, limit: usize) -> Result<Vec<AuditEntry>, ControlError>;

    /// Keeps a result.
    ///
    /// # Errors
    /// [`ControlError`].
    fn save_result(
        &self,
        experiment: &str,
        time_ms: UnixMillis,
        body: &str,
    ) -> Result<(), ControlError>;

    /// Kept results, newest first.
    ///
    /// # Errors
    /// [`ControlError`].
    fn results(&self, experiment: &str, limit: usize) -> Result<Vec<StoredResult>, ControlError>;
}

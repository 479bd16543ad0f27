//! Durable state of experiments, embedded: nothing to install.
//!
//! [`Events`] is the event path: an append-only log in segments, written in groups and flushed to
//! the disk before anything is acknowledged, with checkpoints of the ledger that keep restarts
//! short. [`SqliteControl`] keeps what people change: documents, audit log, results, assignments,
//! keys. Both implement traits of [`experiment::ledger`]. The files are told in
//! `docs/reference/experiment-state.md`; why they are what they are in
//! `docs/decisions/0021-event-path.md`.

mod checkpoint;
mod control;
mod error;
mod events;
mod log;
mod recover;
mod volume;
mod writer;

pub use control::SqliteControl;
pub use control::limits;
pub use error::OpenError;
pub use events::{Events, Options, Status};
pub use recover::Recovery;

/// Entries that wait to be written.
pub const QUEUE_MAX: usize = 4_096;
/// Bytes that wait to be written.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that are made durable at once, unless a single entry has more.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;

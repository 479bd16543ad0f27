//! The event path over files, failing disks and clocks.

mod damage;
mod failure;
mod restart;

use crate::volume::{Disk, Output, Volume};
use crate::{Events, OpenError, Options};
use experiment::event::{Attributes, BatchId, Entry, Event, Exposure, Record, encode};
use experiment::ledger::{
    Definition, Fate, Journal, JournalError, Ledger, Metric, MetricKind, MetricSums, Outcome,
    Settings,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const NOW: i64 = 1_700_000_000_000_000;

/// So small that every few entries make a new file.
pub(super) fn options() -> Options {
    Options {
        ledger: Settings { shards: 4, ..Settings::default() },
        segment_bytes: 2_000,
        checkpoint_bytes: u64::MAX,
    }
}

/// The disk without flushes: these tests end processes in thought only, and a flush takes longer
/// than all the rest.
struct Unflushed;

struct UnflushedFile(Box<dyn Output>);

impl Volume for Unflushed {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(UnflushedFile(Disk.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(UnflushedFile(Disk.open(path)?)))
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Output for UnflushedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
}

pub(super) fn open(folder: &Path) -> Result<Events, OpenError> {
    open_on(Arc::new(Unflushed), folder, options())
}

pub(super) fn open_on(
    volume: Arc<dyn Volume>,
    folder: &Path,
    options: Options,
) -> Result<Events, OpenError> {
    Events::open_with(volume, folder, options, Box::new(|| NOW))
}

/// Measures the total and the number of `buy` in the experiment `checkout`.
pub(super) fn define(events: &Events) {
    let metric = |name: &str, kind| Metric {
        name: name.into(),
        kind,
        delay_us: 0,
        window_us: 1_000_000_000,
        lookback_us: 0,
    };
    let definition = Definition {
        experiment: "checkout".into(),
        variants: 2,
        deals: vec![0],
        metrics: vec![
            metric("spent", MetricKind::Mean { event: "buy".into() }),
            metric("bought", MetricKind::Count { event: "buy".into() }),
        ],
    };
    let text = serde_json::to_string(&definition).unwrap();
    let outcome = events.append(encode(&Entry::Define(&text)).unwrap());
    assert!(matches!(outcome, Ok(Outcome::Applied(_))), "{outcome:?}");
}

/// The batch of a number: a unit is exposed and buys for as much.
pub(super) fn send(events: &Events, number: u64) -> Result<Outcome, JournalError> {
    let unit = number.to_string();
    let (experiment, attributes) = ("checkout", Attributes::default());
    let exposure =
        Exposure { experiment, unit: &unit, variant: 0, phase: 0, time_us: NOW, attributes };
    let value = number as i64;
    let event = Event { unit: &unit, name: "buy", value, time_us: NOW + 1, event_id: None };
    let id = Some(BatchId { producer: "shop", epoch: 1, sequence: number });
    let records = vec![Record::Exposure(exposure), Record::Event(event)];
    events.append(encode(&Entry::Batch { id, records }).unwrap())
}

pub(super) fn send_all(events: &Events, numbers: std::ops::Range<u64>) {
    for number in numbers {
        match send(events, number) {
            Ok(Outcome::Applied(fates)) => assert_eq!(fates.of(Fate::Counted), 2),
            other => panic!("{number}: {other:?}"),
        }
    }
}

/// Units, events and the total that were counted.
pub(super) fn counted(ledger: &Ledger) -> (u64, i128, i128) {
    let Some(summary) = ledger.summary("checkout") else { return (0, 0, 0) };
    let arm = &summary.arms[0];
    let [MetricSums::Single(spent), MetricSums::Single(bought)] = &arm.metrics[..] else {
        panic!("{arm:?}");
    };
    (arm.units, bought.sums[0], spent.sums[0])
}

/// What is counted after the batches 0 to `count`.
pub(super) fn after(count: u64) -> (u64, i128, i128) {
    (count, i128::from(count), (0..i128::from(count)).sum())
}

/// The files of the log, oldest first.
pub(super) fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|it| it == "log")).collect();
    segments.sort();
    segments
}

/// Waits, without sleeping, until a checkpoint is written or has failed.
pub(super) fn checkpoint(events: &Events) -> crate::Status {
    use experiment::ledger::Checkpoint;
    let before = events.status();
    events.checkpoint().unwrap();
    loop {
        let status = events.status();
        if status.checkpoints > before.checkpoints || status.checkpoint_failed.is_some() {
            return status;
        }
        std::thread::yield_now();
    }
}

//! The thread between the data plane and the journal.

use super::kept::Kept;
use super::seen::{Seen, fingerprint};
use super::storage::Keeper;
use super::traffic::Gathered;
use crate::event::{Attributes, Entry, Exposure, Record, UnixMicros, bounded, encode};
use crate::ledger::{Journal, Outcome};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Exposures of one entry.
const BATCH_MAX: usize = 1_000;
/// How often sums of traffic are written.
const TRAFFIC_EVERY: Duration = Duration::from_secs(5);
/// How long to wait after the journal failed.
const PAUSE: Duration = Duration::from_millis(200);
/// Assignments and links that wait for a store that fails; more are dropped and counted.
const UNWRITTEN_MAX: usize = 65_536;
/// Traffic records of one entry: each has thousands of buckets at most.
const TRAFFIC_MAX: usize = 64;

/// Somebody was served a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served<'a> {
    /// Key of the experiment.
    pub experiment: &'a str,
    /// Id of the unit.
    pub unit: &'a str,
    /// Index of the variant.
    pub variant: u16,
    /// Index of the phase.
    pub phase: u16,
    /// When.
    pub time_us: UnixMicros,
    /// Family of the browser.
    pub browser: &'static str,
    /// Country.
    pub country: &'a str,
    /// Route of the gateway.
    pub route: &'a str,
    /// What the cache did.
    pub cache: &'static str,
}

/// The same, on its way: only of those who are new.
struct Queued {
    experiment: String,
    unit: String,
    variant: u16,
    phase: u16,
    time_us: UnixMicros,
    browser: &'static str,
    country: String,
    route: String,
    cache: &'static str,
}

impl Queued {
    fn new(served: &Served<'_>) -> Queued {
        let &Served { variant, phase, time_us, browser, cache, .. } = served;
        Queued {
            experiment: served.experiment.to_owned(),
            unit: served.unit.to_owned(),
            variant,
            phase,
            time_us,
            browser,
            country: bounded(served.country).to_owned(),
            route: bounded(served.route).to_owned(),
            cache,
        }
    }

    fn fingerprint(&self) -> u128 {
        fingerprint(&self.experiment, self.phase, self.variant, &self.unit)
    }

    fn record(&self) -> Record<'_> {
        let Queued { experiment, unit, browser, country, route, cache, .. } = self;
        let attributes = Attributes { browser, country, route, cache };
        let &Queued { variant, phase, time_us, .. } = self;
        Record::Exposure(Exposure { experiment, unit, variant, phase, time_us, attributes })
    }
}

/// What waits.
enum Message {
    Served(Queued),
    Kept(Kept),
    /// Everything before it is written when the answer comes.
    Flush(SyncSender<()>),
    Stop,
}

/// What was counted about the way to the journal.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) queued: AtomicU64,
    pub(super) recorded: AtomicU64,
    pub(super) overflowed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) failing: AtomicBool,
}

/// What the data plane and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) seen: Seen,
    pub(super) traffic: Gathered,
    pub(super) counts: Counts,
}

/// The thread, its queue and its owner.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    pub(super) fn start(
        journal: Arc<dyn Journal>,
        keeper: Arc<dyn Keeper>,
        shared: Arc<Shared>,
        queue_max: usize,
        clock: fn() -> UnixMicros,
    ) -> std::io::Result<Recorder> {
        let (queue, waiting) = sync_channel(queue_max);
        let work = Work { journal, keeper, shared: Arc::clone(&shared), clock };
        let thread = std::thread::Builder::new()
            .name("experiments".to_owned())
            .spawn(move || work.run(&waiting))?;
        Ok(Recorder { queue, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Passes an exposure on, unless it is known. Never waits.
    pub(super) fn served(&self, served: &Served<'_>) {
        let &Served { experiment, unit, variant, phase, .. } = served;
        let fingerprint = fingerprint(experiment, phase, variant, unit);
        if !self.shared.seen.insert(fingerprint) {
            return;
        }
        match self.queue.try_send(Message::Served(Queued::new(served))) {
            Ok(()) => self.shared.counts.queued.fetch_add(1, Ordering::Relaxed),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                // The unit's next request tries again.
                self.shared.seen.forget(fingerprint);
                self.shared.counts.overflowed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }

    /// Passes something to keep on. Never waits.
    pub(super) fn keep(&self, kept: Kept) {
        if self.queue.try_send(Message::Kept(kept)).is_err() {
            self.shared.counts.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything that was passed on before is written, or has failed.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            // An error means that the thread has ended, which flushes.
            let _ = wait.recv();
        }
    }

    /// Writes what waits and ends the thread.
    pub(super) fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = self.queue.send(Message::Stop);
            if thread.join().is_err() {
                tracing::error!("the thread that records experiments ended with a panic");
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Work {
    journal: Arc<dyn Journal>,
    keeper: Arc<dyn Keeper>,
    shared: Arc<Shared>,
    clock: fn() -> UnixMicros,
}

impl Work {
    fn run(&self, waiting: &Receiver<Message>) {
        let mut traffic_at = Instant::now() + TRAFFIC_EVERY;
        let mut stop = false;
        let mut kept = Vec::new();
        while !stop {
            let (mut served, mut done) = (Vec::new(), None);
            let unwritten = kept.len();
            let wait = traffic_at.saturating_duration_since(Instant::now());
            let mut next = match waiting.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            while let Some(message) = next {
                match message {
                    Message::Served(one) => served.push(one),
                    Message::Kept(one) => kept.push(one),
                    Message::Flush(answer) => done = Some(answer),
                    Message::Stop => stop = true,
                }
                let full = served.len().max(kept.len() - unwritten) >= BATCH_MAX;
                next = if full || stop || done.is_some() { None } else { waiting.try_recv().ok() };
            }
            let mut tried = !served.is_empty() || !kept.is_empty();
            let mut result = self.write(&served).and(self.keep(&mut kept));
            if stop || done.is_some() || Instant::now() >= traffic_at {
                let traffic = self.write_traffic();
                tried |= traffic != Ok(0);
                result = result.and(traffic.map(drop));
                traffic_at = Instant::now() + TRAFFIC_EVERY;
            }
            // That there was nothing to write is no sign that writing works.
            if tried {
                self.tell(&result);
            }
            if let Some(done) = done {
                // Whoever waited may have gone.
                let _ = done.try_send(());
            }
        }
    }

    fn write(&self, served: &[Queued]) -> Result<(), String> {
        if served.is_empty() {
            return Ok(());
        }
        let counts = &self.shared.counts;
        let result = self.append(served.iter().map(Queued::record).collect());
        if result.is_ok() {
            counts.recorded.fetch_add(served.len() as u64, Ordering::Relaxed);
        } else {
            // They are recorded when the units come again.
            served.iter().for_each(|one| self.shared.seen.forget(one.fingerprint()));
            counts.failed.fetch_add(served.len() as u64, Ordering::Relaxed);
        }
        result
    }

    /// What cannot be written is tried again with the next: nobody else would.
    fn keep(&self, kept: &mut Vec<Kept>) -> Result<(), String> {
        if kept.is_empty() {
            return Ok(());
        }
        let counts = &self.shared.counts;
        let result = self.keeper.keep(kept);
        let written = if result.is_ok() { kept.len() } else { 0 };
        let dropped = (kept.len() - written).saturating_sub(UNWRITTEN_MAX);
        counts.kept.fetch_add(written as u64, Ordering::Relaxed);
        counts.failed.fetch_add(dropped as u64, Ordering::Relaxed);
        kept.truncate(kept.len() - written - dropped);
        result
    }

    /// Writes the sums of traffic; how many entries they took.
    fn write_traffic(&self) -> Result<usize, String> {
        let all = self.shared.traffic.take(TRAFFIC_MAX);
        let mut result = Ok(all.len());
        for taken in all {
            if let Err(error) = self.append(taken.records((self.clock)())) {
                self.shared.traffic.put_back(taken);
                result = Err(error);
            }
        }
        result
    }

    fn append(&self, records: Vec<Record<'_>>) -> Result<(), String> {
        let entry = encode(&Entry::Batch { id: None, records }).map_err(|it| it.to_string())?;
        match self.journal.append(entry) {
            Ok(Outcome::Applied(_) | Outcome::Duplicate) => Ok(()),
            Ok(other) => Err(format!("the journal did not take a batch: {other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Says once that recording fails, and once that it works again.
    fn tell(&self, result: &Result<(), String>) {
        let failing = &self.shared.counts.failing;
        match result {
            Ok(()) => {
                if failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("experiments are recorded again");
                }
            }
            Err(error) => {
                if !failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(error, "experiments cannot be recorded");
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

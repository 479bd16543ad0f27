//! The service.

use super::current::Current;
use super::kept::{Keep, Keeping, Kept};
use super::params::ServiceLimits;
use super::recorder::{Counts, Recorder, Served, Shared};
use super::seen::Seen;
use super::sign::Signer;
use super::storage::Keeper;
use super::traffic::{Gathered, Request};
use crate::evaluate::{Context, Reason, StickyView, Uncounted, Unit};
use crate::event::{Encoded, Entry, UnixMicros, encode};
use crate::ledger::{Acknowledge, Definition, Journal, JournalError, Outcome};
use crate::model::{ExperimentSet, Identity, Problem, UnixMillis};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Told when the experiments change.
type Watcher = Box<dyn Fn() + Send + Sync>;

/// Most watchers; there is one per address that serves the API.
const WATCHERS_MAX: usize = 16;

/// Experiments while they run. Shared by the gateway's cores and the API.
pub struct Live {
    current: RwLock<Arc<Current>>,
    keep: Keep,
    shared: Arc<Shared>,
    recorder: Recorder,
    journal: Arc<dyn Journal>,
    signer: Signer,
    limits: ServiceLimits,
    watchers: Mutex<Vec<Watcher>>,
    unkept: AtomicU64,
    clock: fn() -> UnixMicros,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("numbers", &self.numbers()).finish_non_exhaustive()
    }
}

/// What was decided for a unit, on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Index of the experiment in its [`Current`].
    pub experiment: usize,
    /// Index of the variant. `None` when the unit does not take part.
    pub variant: Option<u16>,
    /// Why.
    pub reason: Reason,
    /// The id that was hashed.
    pub unit: Option<String>,
    /// Where the hash fell, in millionths.
    pub bucket: Option<u32>,
    /// The phase that the unit counts in.
    pub phase: u16,
    /// Why it is not counted though it has a variant.
    pub uncounted: Option<Uncounted>,
}

impl Decided {
    /// Whether serving it is an exposure.
    #[must_use]
    pub fn counted(&self) -> bool {
        self.variant.is_some() && self.uncounted.is_none()
    }
}

/// What the service did since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Exposures of the gateway that were passed to the journal.
    pub queued: u64,
    /// Those that are durable.
    pub recorded: u64,
    /// Those that found the queue full; they are tried again when the unit comes again.
    pub overflowed: u64,
    /// Those that the journal did not take; likewise.
    pub failed: u64,
    /// Assignments and links that were made durable.
    pub kept: u64,
    /// Assignments and links that found no room, so that they hold only as long as the hash does.
    pub unkept: u64,
    /// Assignments and links in memory.
    pub held: u64,
    /// Whether nothing can be recorded now.
    pub failing: bool,
}

/// Why experiments were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// They contradict themselves.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// What is measured cannot be changed so.
    #[error("experiment \"{experiment}\": {why}")]
    Definition {
        /// Which.
        experiment: String,
        /// Why.
        why: String,
    },
    /// It could not be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What was kept cannot be read.
    #[error("{0}")]
    Kept(String),
    /// There is no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The experiments cannot be taken.
    #[error(transparent)]
    Experiments(#[from] ReplaceError),
}

impl Live {
    /// Starts with experiments and what is measured of them.
    ///
    /// # Errors
    /// When what was kept cannot be read, there is no thread, or [`Live::replace`] would fail.
    pub fn start(
        store: (Arc<dyn Journal>, Arc<dyn Keeper>),
        signer: Signer,
        limits: ServiceLimits,
        (set, definitions): (ExperimentSet, &[Definition]),
        clock: fn() -> UnixMicros,
    ) -> Result<Live, StartError> {
        let (journal, keeper) = store;
        let current = Current::new(set, millis(clock())).map_err(ReplaceError::Problems)?;
        define(&*journal, definitions)?;
        let keep = Keep::new(limits.kept);
        keeper.each(&mut |kept| keep.restore(kept)).map_err(StartError::Kept)?;
        let shared = Arc::new(Shared {
            seen: Seen::new(limits.remembered),
            traffic: Gathered::new(),
            counts: Counts::default(),
        });
        let (to_journal, share) = (Arc::clone(&journal), Arc::clone(&shared));
        let recorder = Recorder::start(to_journal, keeper, share, limits.queue, clock)?;
        Ok(Live {
            current: RwLock::new(Arc::new(current)),
            keep,
            shared,
            recorder,
            journal,
            signer,
            limits,
            watchers: Mutex::default(),
            unkept: AtomicU64::new(0),
            clock,
        })
    }

    /// Takes other experiments, all or none: first what is measured is written to the journal,
    /// then everybody decides by them. Blocks.
    ///
    /// # Errors
    /// [`ReplaceError`]; nothing has changed for requests then.
    pub fn replace(
        &self,
        set: ExperimentSet,
        definitions: &[Definition],
    ) -> Result<(), ReplaceError> {
        let current = Current::new(set, self.now()).map_err(ReplaceError::Problems)?;
        define(&*self.journal, definitions)?;
        let changed = {
            let mut place = self.current.write().unwrap_or_else(PoisonError::into_inner);
            let changed = place.version() != current.version();
            if changed {
                *place = Arc::new(current);
            }
            changed
        };
        if changed {
            self.wake();
        }
        Ok(())
    }

    /// The experiments that are decided now.
    #[must_use]
    pub fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls `watcher` whenever the experiments have changed; it must not block. A few only.
    pub fn watch(&self, watcher: Watcher) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.len() < WATCHERS_MAX {
            watchers.push(watcher);
        }
    }

    /// Tells the watchers; also when a schedule or a phase began or ended.
    pub fn wake(&self) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.iter().for_each(|watcher| watcher());
    }

    /// Signs and verifies.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The limits that it was started with.
    #[must_use]
    pub fn limits(&self) -> &ServiceLimits {
        &self.limits
    }

    /// Microseconds since 1970, of the clock that it was started with.
    #[must_use]
    pub fn now_us(&self) -> UnixMicros {
        (self.clock)()
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        millis(self.now_us())
    }

    /// Decides one experiment for a device and a user. Keeps the assignment of a sticky experiment
    /// and the link of a user; never waits.
    #[must_use]
    pub fn decide(
        &self,
        current: &Current,
        index: usize,
        (device, user): (Option<&str>, Option<&str>),
        context: &Context<'_>,
        now: UnixMillis,
    ) -> Option<Decided> {
        let experiment = current.experiment(index)?;
        let identity = experiment.unit.identity;
        let linked = user.filter(|_| identity == Identity::Linked);
        let linked = linked.and_then(|user| self.keep.device(user));
        let mut unit = Unit { device, user, linked: linked.as_deref() };
        let counts = !context.bot && !context.prefetch && context.overrides.is_empty();
        let winner;
        if identity == Identity::Linked
            && counts
            && let Some((user, device)) = unit.link()
        {
            winner = self.link(user, device);
            unit.linked = winner.as_deref();
        }
        // Those that it depends on may keep theirs, of the same unit.
        let keeps = experiment.sticky.is_some() || !experiment.prerequisites.is_empty();
        let records = keeps.then(|| self.keep.records(unit.id(identity)?)).flatten();
        let view = records.as_deref().map(|records| records as &dyn StickyView);
        let mut decision = current.set().decide_at(index, &unit, context, view, now)?;
        if let (Some(id), Some(record)) = (decision.unit, &decision.keep) {
            match self.keep.assign(id, &experiment.key, record) {
                Keeping::New => self.recorder.keep(Kept::Assignment {
                    unit: id.to_owned(),
                    experiment: experiment.key.clone(),
                    record: record.clone(),
                }),
                Keeping::Before(winner) => decision = decision.settle(&winner),
                Keeping::Full => {
                    self.unkept.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Some(Decided {
            experiment: index,
            variant: decision.variant,
            reason: decision.reason,
            unit: decision.unit.map(str::to_owned),
            bucket: decision.bucket,
            // There are at most 256 phases.
            phase: u16::try_from(decision.phase).unwrap_or(u16::MAX),
            uncounted: decision.uncounted,
        })
    }

    fn link(&self, user: &str, device: &str) -> Option<Arc<str>> {
        match self.keep.link(user, device) {
            Keeping::New => {
                self.recorder.keep(Kept::Link { user: user.to_owned(), device: device.to_owned() });
                None
            }
            Keeping::Before(device) => Some(device),
            Keeping::Full => {
                self.unkept.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// The phase that a unit counts in when it was served at a time: that of its kept assignment
    /// if it has one.
    #[must_use]
    pub fn phase_of(&self, current: &Current, index: usize, unit: &str, time: UnixMillis) -> u16 {
        let Some(experiment) = current.experiment(index) else { return 0 };
        let records = experiment.sticky.and_then(|_| self.keep.records(unit));
        let kept = records.as_deref().and_then(|records| records.get(&experiment.key));
        let phase = kept.map_or_else(|| experiment.phase_at(time), |record| record.phase);
        u16::try_from(phase).unwrap_or(u16::MAX)
    }

    /// Notes that a unit was served a variant, the first time. Never waits.
    pub fn expose(&self, served: &Served<'_>) {
        self.recorder.served(served);
    }

    /// Notes what the gateway saw of a request of a variant. Never waits.
    pub fn saw(&self, experiment: &str, variant: u16, phase: u16, request: Request) {
        self.shared.traffic.add(experiment, variant, phase, request);
    }

    /// Hands an entry to the journal; `done` is called when it is durable, or refused.
    ///
    /// # Errors
    /// [`JournalError::Busy`] and [`JournalError::Closed`]; `done` is not called then.
    pub fn record(&self, entry: Encoded, done: Acknowledge) -> Result<(), JournalError> {
        self.journal.submit(entry, done)
    }

    /// Waits until everything that was noted before is durable, or was refused.
    pub fn flush(&self) {
        self.recorder.flush();
    }

    /// Writes what waits and ends. Whatever is noted later is lost.
    pub fn stop(&self) {
        self.recorder.stop();
    }

    /// What it did since it began.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Numbers {
            queued: read(&counts.queued),
            recorded: read(&counts.recorded),
            overflowed: read(&counts.overflowed),
            failed: read(&counts.failed),
            kept: read(&counts.kept),
            unkept: read(&self.unkept),
            held: self.keep.held() as u64,
            failing: counts.failing.load(Ordering::Relaxed),
        }
    }
}

fn millis(micros: UnixMicros) -> UnixMillis {
    UnixMillis::try_from(micros / 1_000).unwrap_or(0)
}

/// Writes to the journal what is measured. What it knows already changes nothing.
fn define(journal: &dyn Journal, definitions: &[Definition]) -> Result<(), ReplaceError> {
    for definition in definitions {
        let refused = |why| {
            let experiment = definition.experiment.clone();
            ReplaceError::Definition { experiment, why }
        };
        let text = serde_json::to_string(definition).map_err(|it| refused(it.to_string()))?;
        let entry = encode(&Entry::Define(&text)).map_err(|it| refused(it.to_string()))?;
        if let Outcome::Refused(why) = journal.append(entry)? {
            return Err(refused(why));
        }
    }
    Ok(())
}

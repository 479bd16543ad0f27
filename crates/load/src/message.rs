//! What workers and the collector tell each other.

use std::time::Duration;

use policy::Curve;

use crate::data::Exhausted;
use crate::recorder::Recorder;

/// What a worker is told while it runs.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Pause,
    Resume,
    /// Take no new work; finish what is under way.
    Stop,
    /// Drop what is under way.
    Abort,
    /// So many users of all workers together from now on.
    Users(u32),
    /// So many arrivals per second of all workers together from now on.
    Rate(Curve),
    /// Send so many requests at once.
    Burst(usize),
    /// No further bursts.
    NoMoreBursts,
}

/// What a worker tells.
pub(crate) enum Event {
    Interval(Interval),
    BurstDone(BurstCount),
    Done(Interval),
    /// Asked for from outside.
    Control(crate::engine::Request),
}

/// One worker's counts of a tick.
pub(crate) struct Interval {
    pub(crate) worker: usize,
    /// Number of the tick that ended, from 1.
    pub(crate) tick: u64,
    pub(crate) recorder: Box<Recorder>,
    pub(crate) users: u64,
    /// Most users that were alive at once so far.
    pub(crate) users_max: u64,
    pub(crate) in_flight: u64,
    pub(crate) connections_max: u64,
    /// CPU time of the thread so far, and the time it waited for a CPU, where that is known.
    pub(crate) cpu: Duration,
    pub(crate) starved: Option<Duration>,
    /// When the last request so far ended.
    pub(crate) last_end: Duration,
    /// How long the run has been paused so far.
    pub(crate) paused: Duration,
    /// Data that ran out.
    pub(crate) exhausted: Option<Exhausted>,
}

/// One worker's share of a burst.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BurstCount {
    pub(crate) left: usize,
    pub(crate) ended: Duration,
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    pub(crate) rate_limited: u64,
}

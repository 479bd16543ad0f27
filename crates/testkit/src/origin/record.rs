//! What the origin was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most requests that are kept whole; more are only counted.
pub const RECORDED_MAX: usize = 2_000_000;

/// Most distinct targets that are counted apart; more are counted as [`OTHER_TARGETS`].
pub const TARGETS_MAX: usize = 100_000;

/// Under which name targets beyond [`TARGETS_MAX`] are counted.
pub const OTHER_TARGETS: &str = "(other)";

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// As sent: `GET`.
    pub method: String,
    /// As sent: path and query.
    pub target: String,
    /// The version of HTTP it came by.
    pub version: http::Version,
    /// In order; names as sent. HTTP/2 has `:scheme` and `:authority` here too.
    pub headers: Vec<(String, String)>,
    /// Without transfer coding.
    pub body: Vec<u8>,
    /// When all of it was read.
    pub at: Instant,
    /// Which connection, counted from 1 in the order of their acceptance.
    pub connection: u64,
    /// The name in the TLS client hello (SNI), if any.
    pub server_name: Option<Arc<str>>,
}

impl Recorded {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// Collects [`Recorded`]s and counts, for all connections.
#[derive(Debug)]
pub(super) struct Recorder {
    recorded_max: usize,
    seen: Mutex<Seen>,
    /// Told at each request.
    more: Condvar,
}

/// All that was counted so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: Vec<Recorded>,
    pub(super) count: u64,
    pub(super) by_target: BTreeMap<String, u64>,
    pub(super) connections: u64,
    in_flight: usize,
    pub(super) in_flight_max: usize,
}

impl Recorder {
    pub(super) fn new(recorded_max: usize) -> Self {
        let recorded_max = recorded_max.min(RECORDED_MAX);
        Self { recorded_max, seen: Mutex::default(), more: Condvar::new() }
    }

    /// What was counted so far. A panic elsewhere does not hide it.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection; its number.
    pub(super) fn connection(&self) -> u64 {
        let mut seen = self.seen();
        seen.connections += 1;
        seen.connections
    }

    /// Counts and keeps `request`, which is in flight until the result is dropped.
    pub(super) fn request(&self, request: Recorded) -> InFlight<'_> {
        let mut seen = self.seen();
        seen.count += 1;
        seen.in_flight += 1;
        seen.in_flight_max = seen.in_flight_max.max(seen.in_flight);
        if let Some(count) = seen.by_target.get_mut(&request.target) {
            *count += 1;
        } else {
            let room = seen.by_target.len() < TARGETS_MAX;
            let name = if room { &request.target } else { OTHER_TARGETS };
            *seen.by_target.entry(name.to_owned()).or_default() += 1;
        }
        if seen.requests.len() < self.recorded_max {
            seen.requests.push(request);
        }
        drop(seen);
        self.more.notify_all();
        InFlight { recorder: self }
    }

    /// Waits until `count` requests came in, `patience` at most; whether they did.
    pub(super) fn wait_for(&self, count: u64, patience: Duration) -> bool {
        let (seen, _) = self
            .more
            .wait_timeout_while(self.seen(), patience, |seen| seen.count < count)
            .unwrap_or_else(PoisonError::into_inner);
        seen.count >= count
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct InFlight<'a> {
    recorder: &'a Recorder,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.recorder.seen().in_flight -= 1;
    }
}

//! What one worker counts between two ticks.

use std::collections::HashMap;
use std::time::Duration;

use stats::LatencyHistogram;

use crate::failure::{Failure, FailureKind};
use crate::results::{ERROR_GROUPS_MAX, ErrorGroup, Phases, RequestStats};
use crate::scenario::OTHER_NAME;

/// One finished request. Times are offsets since the start of the run.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) endpoint: usize,
    /// When it should have started.
    pub(crate) intended: Duration,
    /// When it did.
    pub(crate) started: Duration,
    pub(crate) ended: Duration,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) body_bytes: u64,
    pub(crate) rate_limited: bool,
    pub(crate) failure: Option<Failure>,
}

/// Counts of one worker since the last tick. Everything in it is cleared and used again, so that
/// recording allocates only for errors never seen before.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) endpoints: Vec<RequestStats>,
    /// Endpoints that have a count, so that merging does not visit all of them.
    touched: Vec<usize>,
    pub(crate) phases: Phases,
    pub(crate) errors: ErrorTable,
    /// How late timers fired.
    pub(crate) lag: LatencyHistogram,
    /// Requests that the schedule asked for.
    pub(crate) offered: u64,
    pub(crate) out_of_descriptors: u64,
    pub(crate) out_of_ports: u64,
    pub(crate) connections_opened: u64,
}

impl Recorder {
    pub(crate) fn new(endpoints: usize) -> Recorder {
        let mut recorder = Recorder::default();
        recorder.endpoints.resize_with(endpoints, RequestStats::default);
        recorder
    }

    /// Counts one request.
    pub(crate) fn record(&mut self, sample: Sample) {
        let stats = touch(&mut self.endpoints, &mut self.touched, sample.endpoint);
        stats.requests += 1;
        stats.bytes_received += sample.bytes_received;
        stats.bytes_sent += sample.bytes_sent;
        stats.body_bytes += sample.body_bytes;
        stats.rate_limited += u64::from(sample.rate_limited);
        stats.response.record(micros(sample.ended.saturating_sub(sample.intended)));
        stats.service.record(micros(sample.ended.saturating_sub(sample.started)));
        stats.delay.record(micros(sample.started.saturating_sub(sample.intended)));
        if let Some(failure) = sample.failure {
            stats.failures += 1;
            stats.timeouts += u64::from(failure.kind.is_timeout());
            self.out_of_descriptors += u64::from(failure.kind == FailureKind::Descriptors);
            self.out_of_ports += u64::from(failure.kind == FailureKind::Ports);
            self.errors.add(sample.endpoint, failure, 1, sample.ended, sample.ended);
        }
    }

    /// Counts an arrival that was due and will not be sent; `waited` is how long ago.
    pub(crate) fn unsent(&mut self, endpoint: usize, waited: Duration) {
        let stats = touch(&mut self.endpoints, &mut self.touched, endpoint);
        stats.unsent += 1;
        stats.response.record(micros(waited));
    }

    /// Whether an endpoint has a count since the last clearing.
    pub(crate) fn touched(&self) -> &[usize] {
        &self.touched
    }

    /// Adds the counts of a later interval.
    pub(crate) fn merge(&mut self, other: &Recorder) {
        for &endpoint in &other.touched {
            touch(&mut self.endpoints, &mut self.touched, endpoint)
                .merge(&other.endpoints[endpoint]);
        }
        self.phases.dns.merge(&other.phases.dns);
        self.phases.connect.merge(&other.phases.connect);
        self.phases.tls.merge(&other.phases.tls);
        self.phases.first_byte.merge(&other.phases.first_byte);
        self.phases.body.merge(&other.phases.body);
        self.errors.merge(&other.errors);
        self.lag.merge(&other.lag);
        self.offered += other.offered;
        self.out_of_descriptors += other.out_of_descriptors;
        self.out_of_ports += other.out_of_ports;
        self.connections_opened += other.connections_opened;
    }

    /// Back to zero, keeping memory.
    pub(crate) fn clear(&mut self) {
        for endpoint in self.touched.drain(..) {
            self.endpoints[endpoint].clear();
        }
        self.phases.dns.clear();
        self.phases.connect.clear();
        self.phases.tls.clear();
        self.phases.first_byte.clear();
        self.phases.body.clear();
        self.errors.groups.clear();
        self.lag.clear();
        self.offered = 0;
        self.out_of_descriptors = 0;
        self.out_of_ports = 0;
        self.connections_opened = 0;
    }
}

fn touch<'a>(
    endpoints: &'a mut [RequestStats],
    touched: &mut Vec<usize>,
    endpoint: usize,
) -> &'a mut RequestStats {
    let stats = &mut endpoints[endpoint];
    if stats.is_empty() {
        touched.push(endpoint);
    }
    stats
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Failures grouped by endpoint, kind and detail; at most [`ERROR_GROUPS_MAX`] of them.
#[derive(Debug, Default)]
pub(crate) struct ErrorTable {
    groups: HashMap<(usize, Failure), (u64, Duration, Duration)>,
}

impl ErrorTable {
    fn add(&mut self, endpoint: usize, failure: Failure, n: u64, first: Duration, last: Duration) {
        let mut key = (endpoint, failure);
        // A further group per endpoint and kind is allowed, so that no failure goes uncounted.
        if self.groups.len() >= ERROR_GROUPS_MAX && !self.groups.contains_key(&key) {
            OTHER_NAME.clone_into(&mut key.1.detail);
        }
        let group = self.groups.entry(key).or_insert((0, first, last));
        group.0 += n;
        group.1 = group.1.min(first);
        group.2 = group.2.max(last);
    }

    fn merge(&mut self, other: &ErrorTable) {
        for ((endpoint, failure), &(count, first, last)) in &other.groups {
            self.add(*endpoint, failure.clone(), count, first, last);
        }
    }

    /// The groups, most frequent first.
    pub(crate) fn sorted(&self) -> Vec<ErrorGroup> {
        let mut groups: Vec<ErrorGroup> = self
            .groups
            .iter()
            .map(|((endpoint, failure), &(count, first, last))| ErrorGroup {
                endpoint: *endpoint,
                kind: failure.kind,
                detail: failure.detail.clone(),
                count,
                first,
                last,
            })
            .collect();
        groups.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then_with(|| (a.endpoint, a.kind, &a.detail).cmp(&(b.endpoint, b.kind, &b.detail)))
        });
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(failure: Option<Failure>) -> Sample {
        Sample {
            endpoint: 1,
            intended: Duration::from_millis(100),
            started: Duration::from_millis(130),
            ended: Duration::from_millis(180),
            bytes_received: 10,
            bytes_sent: 5,
            body_bytes: 4,
            rate_limited: false,
            failure,
        }
    }

    #[test]
    fn three_clocks_are_kept_apart() {
        let mut recorder = Recorder::new(2);
        recorder.record(sample(None));
        recorder.unsent(1, Duration::from_millis(500));
        let stats = &recorder.endpoints[1];
        assert_eq!((stats.requests, stats.unsent), (1, 1));
        assert_eq!(stats.response.min_us(), Some(80_000));
        assert_eq!(stats.response.max_us(), Some(500_000));
        assert_eq!(stats.service.max_us(), Some(50_000));
        assert_eq!(stats.delay.max_us(), Some(30_000));
    }

    #[test]
    fn merging_and_clearing_leave_nothing_behind() {
        let mut recorder = Recorder::new(2);
        let mut sum = Recorder::new(2);
        for _ in 0..3 {
            recorder.record(sample(Some(Failure::new(FailureKind::TotalTimeout, ""))));
            sum.merge(&recorder);
            recorder.clear();
        }
        assert!(recorder.endpoints[1].is_empty() && recorder.touched().is_empty());
        assert_eq!((sum.endpoints[1].failures, sum.endpoints[1].timeouts), (3, 3));
        assert_eq!(sum.errors.sorted()[0].count, 3);
    }

    #[test]
    fn distinct_errors_are_bounded_but_all_counted() {
        let mut recorder = Recorder::new(2);
        for n in 0..ERROR_GROUPS_MAX + 50 {
            recorder.record(sample(Some(Failure::new(FailureKind::Check, n.to_string()))));
        }
        let groups = recorder.errors.sorted();
        assert_eq!(groups.len(), ERROR_GROUPS_MAX + 1);
        assert_eq!((groups[0].detail.as_str(), groups[0].count), (OTHER_NAME, 50));
    }
}

//! A limit on requests in flight that finds itself: the gradient of round-trip times.
//!
//! The limit follows `limit × gradient + √limit`, where the gradient is the ratio of the round-trip
//! time without load to the one now, allowed a tolerance and kept between ½ and 1 (Netflix
//! concurrency-limits, `Gradient2Limit`). Netflix takes a long average for the time without load;
//! it creeps up with the very queue that it should notice, and the limit with it. So the time
//! without load is measured as Envoy's adaptive concurrency filter does it: now and then only a
//! part of the limit is used for a moment. Both times are interquartile means of many samples, so
//! that like is compared with like: against a minimum, a server with quick and slow answers would
//! always seem overloaded.

use std::time::Duration;

/// Bounds of an adaptive limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveParams {
    /// Lowest limit, at least one.
    pub min: u32,
    /// Highest limit.
    pub max: u32,
    /// First limit.
    pub initial: u32,
}

/// How much longer than without load a round trip may take before the limit shrinks.
pub const TOLERANCE: f64 = 1.5;
/// Share of the new estimate that is taken over at each step.
const SMOOTHING: f64 = 0.2;
/// Fewest samples that make a step.
const STEP_SAMPLES: u32 = 50;
/// Samples of a step that are kept: the last ones.
const STEP_SAMPLES_MAX: usize = 200;
/// Shortest time between two steps.
const STEP: Duration = Duration::from_millis(100);
/// How long the time without load is believed …
const BASE_FOR: Duration = Duration::from_secs(30);
/// … but at least for so many round trips.
const BASE_FOR_ROUND_TRIPS: f64 = 100.0;
/// A step of less than this share of the time without load shows that it was none.
const QUICKER: f64 = 0.75;
/// Samples that measure the time without load.
const PROBE_SAMPLES: u32 = 25;
/// Share of the limit that is used meanwhile …
const PROBE_SHARE: f64 = 0.25;
/// … but no fewer than so many requests, if the limit is not lower.
const PROBE_MIN: f64 = 3.0;
/// Failures among the samples of a step from which on the limit shrinks …
const FAILURES_MAX: f64 = 0.1;
/// … to this share of itself.
const BACKOFF: f64 = 0.9;

/// An adaptive limit.
#[derive(Debug, Clone)]
pub struct AdaptiveLimit {
    params: AdaptiveParams,
    limit: f64,
    base: Option<Base>,
    /// While the base is measured anew: from when on requests find few others.
    probing_from: Option<Duration>,
    samples: Samples,
    step_began: Duration,
}

/// The round-trip time without load.
#[derive(Debug, Clone, Copy)]
struct Base {
    /// In seconds.
    rtt: f64,
    measured: Duration,
    /// The highest limit since.
    limit: f64,
}

impl AdaptiveLimit {
    /// A limit that begins at `initial`.
    pub fn new(params: AdaptiveParams) -> AdaptiveLimit {
        let min = params.min.max(1);
        let params = AdaptiveParams { min, max: params.max.max(min), ..params };
        AdaptiveLimit {
            params,
            limit: f64::from(params.initial.clamp(params.min, params.max)),
            base: None,
            probing_from: None,
            samples: Samples::default(),
            step_began: Duration::ZERO,
        }
    }

    /// How many requests may be in flight.
    pub fn limit(&self) -> u32 {
        let limit = match self.probing_from {
            Some(_) => (self.limit * PROBE_SHARE).max(PROBE_MIN).min(self.limit),
            None => self.limit,
        };
        (limit as u32).clamp(self.params.min, self.params.max)
    }

    /// Takes note of a request that ended.
    ///
    /// * `rtt`: how long it took
    /// * `in_flight`: requests in flight when it ended, itself included
    /// * `ok`: whether it was answered as it should; failures often are fast and say nothing
    ///   about the round-trip time. Timeouts are failures too
    pub fn on_sample(&mut self, now: Duration, rtt: Duration, in_flight: u32, ok: bool) {
        // Requests that began before met a longer queue.
        if self.probing_from.is_some_and(|from| now.saturating_sub(rtt) < from) {
            return;
        }
        self.samples.add(rtt, in_flight, ok);
        let count = self.samples.count;
        let done = match self.probing_from {
            Some(_) => count >= PROBE_SAMPLES,
            None => count >= STEP_SAMPLES && now >= self.step_began.saturating_add(STEP),
        };
        if done {
            let samples = std::mem::take(&mut self.samples);
            self.step_began = now;
            match self.probing_from.take() {
                Some(_) => self.set_base(now, &samples),
                None => self.step(now, &samples),
            }
        }
    }

    fn set_base(&mut self, now: Duration, samples: &Samples) {
        let old = self.base.map(|base| base.rtt);
        // What fails does not tell how long it would have taken.
        let new = if samples.are_bad() { old } else { samples.typical().or(old) };
        self.base = new.map(|rtt| Base { rtt, measured: now, limit: self.limit });
    }

    fn step(&mut self, now: Duration, samples: &Samples) {
        if samples.are_bad() {
            self.set(self.limit * BACKOFF);
            return;
        }
        let Some(rtt) = samples.typical() else { return };
        let base = match &mut self.base {
            Some(base) => base,
            None => self.base.insert(Base { rtt, measured: now, limit: self.limit }),
        };
        base.limit = base.limit.max(self.limit);
        // A limit that nobody reaches says nothing.
        if f64::from(samples.busiest) < self.limit / 2.0 {
            return;
        }
        let believed = (base.rtt * BASE_FOR_ROUND_TRIPS).max(BASE_FOR.as_secs_f64());
        let old = now.saturating_sub(base.measured).as_secs_f64() >= believed;
        // When the limit sinks far, perhaps not a queue grew but the server became slower.
        let sunk = self.limit <= base.limit / 2.0;
        if old || sunk || rtt < base.rtt * QUICKER {
            // Long enough that what is in flight now has left before.
            let from = Duration::try_from_secs_f64(2.0 * rtt).unwrap_or(Duration::MAX);
            self.probing_from = Some(now.saturating_add(from));
            return;
        }
        let gradient = (TOLERANCE * base.rtt / rtt.max(1e-9)).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        self.set(self.limit * (1.0 - SMOOTHING) + wanted * SMOOTHING);
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.params.min), f64::from(self.params.max));
    }
}

/// What is known of the requests of one step.
#[derive(Debug, Clone, Default)]
struct Samples {
    count: u32,
    failures: u32,
    busiest: u32,
    /// Round-trip times of the last successes, in seconds.
    rtts: Vec<f64>,
}

impl Samples {
    fn add(&mut self, rtt: Duration, in_flight: u32, ok: bool) {
        self.busiest = self.busiest.max(in_flight);
        if !ok {
            self.failures = self.failures.saturating_add(1);
        } else if self.rtts.len() < STEP_SAMPLES_MAX {
            self.rtts.push(rtt.as_secs_f64());
        } else if let Some(oldest) = self.rtts.get_mut(self.count as usize % STEP_SAMPLES_MAX) {
            *oldest = rtt.as_secs_f64();
        }
        self.count = self.count.saturating_add(1);
    }

    /// Whether too many failed.
    fn are_bad(&self) -> bool {
        f64::from(self.failures) > FAILURES_MAX * f64::from(self.count)
    }

    /// The mean round-trip time without the quickest and the slowest quarter, in seconds.
    fn typical(&self) -> Option<f64> {
        let mut rtts = self.rtts.clone();
        rtts.sort_by(f64::total_cmp);
        let quarter = rtts.len() / 4;
        let middle = rtts.get(quarter..rtts.len() - quarter)?;
        (!middle.is_empty()).then(|| middle.iter().sum::<f64>() / middle.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_shrink_it_to_its_least() {
        let mut limit = AdaptiveLimit::new(AdaptiveParams { min: 4, max: 1_000, initial: 100 });
        for ms in 0..60_000 {
            limit.on_sample(Duration::from_millis(ms), Duration::from_millis(1), 100, false);
        }
        assert_eq!(limit.limit(), 4);
    }

    #[test]
    fn an_unused_limit_does_not_grow() {
        let mut limit = AdaptiveLimit::new(AdaptiveParams { min: 4, max: 1_000, initial: 100 });
        for ms in 0..20_000 {
            limit.on_sample(Duration::from_millis(ms), Duration::from_millis(5), 3, true);
        }
        assert_eq!(limit.limit(), 100);
    }

    #[test]
    fn the_typical_time_leaves_out_both_ends() {
        let mut samples = Samples::default();
        assert_eq!(samples.typical(), None);
        for ms in [1, 20, 22, 900] {
            samples.add(Duration::from_millis(ms), 1, true);
        }
        assert!((samples.typical().unwrap() - 0.021).abs() < 1e-12);
        for _ in 0..10_000 {
            samples.add(Duration::from_millis(40), 1, true);
        }
        assert_eq!(samples.rtts.len(), STEP_SAMPLES_MAX);
    }

    #[test]
    fn a_probe_uses_part_of_the_limit() {
        let mut limit = AdaptiveLimit::new(AdaptiveParams { min: 1, max: 100, initial: 100 });
        let rtt = Duration::from_millis(10);
        for ms in 0..30_120 {
            limit.on_sample(Duration::from_millis(ms), rtt, 100, true);
        }
        assert_eq!(limit.limit(), 25);
        for ms in 30_120..30_200 {
            limit.on_sample(Duration::from_millis(ms), rtt, 25, true);
        }
        assert_eq!(limit.limit(), 100);
    }
}

//! A limit on requests in flight that finds itself: the gradient of round-trip times.
//!
//! The limit follows `limit × gradient + √limit`, where the gradient is the ratio of the
//! round-trip time without load to the one now, allowed a tolerance and kept between ½ and 1
//! (Netflix concurrency-limits, Gradient2). The time without load is the minimum over a sliding
//! window of samples taken with few requests in flight or, where there are none, of all: an average
//! over all would creep up with the very queue it should notice (the reason why Envoy probes with
//! a small limit now and then; here the window's end makes the limit sink for a moment instead).

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
/// Samples that make a step.
const SAMPLES_PER_STEP: u32 = 10;
/// Shortest time between two steps.
const STEP: Duration = Duration::from_millis(100);
/// How long the round-trip time without load is believed.
const BASE_WINDOW: Duration = Duration::from_secs(30);
/// Share of the limit that is used while the time without load is measured anew.
const PROBE_SHARE: f64 = 0.25;
/// Failures among the samples of a step from which on the limit shrinks.
const FAILURES_MAX: f64 = 0.1;

/// An adaptive limit.
#[derive(Debug, Clone)]
pub struct AdaptiveLimit {
    params: AdaptiveParams,
    limit: f64,
    /// Round-trip time without load, in seconds, and when it was measured.
    base: Option<(f64, Duration)>,
    /// While the base is measured anew: until when.
    probing_until: Option<Duration>,
    step: Samples,
    step_began: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
struct Samples {
    count: u32,
    failures: u32,
    sum: f64,
    min: f64,
    busiest: u32,
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
            probing_until: None,
            step: Samples::default(),
            step_began: Duration::ZERO,
        }
    }

    /// How many requests may be in flight.
    pub fn limit(&self) -> u32 {
        let limit = match self.probing_until {
            Some(_) => self.limit * PROBE_SHARE,
            None => self.limit,
        };
        (limit as u32).clamp(self.params.min, self.params.max)
    }

    /// Takes note of a request that ended.
    ///
    /// * `rtt`: how long it took
    /// * `in_flight`: requests in flight when it ended, itself included
    /// * `ok`: whether it was answered as it should; failures often are fast and say nothing
    ///   about the round-trip time
    pub fn on_sample(&mut self, now: Duration, rtt: Duration, in_flight: u32, ok: bool) {
        let step = &mut self.step;
        step.busiest = step.busiest.max(in_flight);
        if ok {
            let rtt = rtt.as_secs_f64();
            step.min = if step.count == step.failures { rtt } else { step.min.min(rtt) };
            step.sum += rtt;
        } else {
            step.failures += 1;
        }
        step.count += 1;
        if step.count >= SAMPLES_PER_STEP && now >= self.step_began + STEP {
            let step = std::mem::take(&mut self.step);
            self.step_began = now;
            self.update(now, step);
        }
    }

    fn update(&mut self, now: Duration, step: Samples) {
        let good = step.count - step.failures;
        if f64::from(step.failures) > FAILURES_MAX * f64::from(step.count) {
            self.set(self.limit * 0.9);
            return;
        }
        if good == 0 {
            return;
        }
        if let Some(until) = self.probing_until {
            if now >= until {
                self.probing_until = None;
                self.base = Some((step.min, now));
            }
            return;
        }
        match &mut self.base {
            None => self.base = Some((step.min, now)),
            Some((base, _)) if step.min < *base => *base = step.min,
            Some((base, measured)) if now >= *measured + BASE_WINDOW => {
                // Long enough that what is in flight now has left before.
                let mean = step.sum / f64::from(good);
                self.probing_until = Some(now + Duration::from_secs_f64(2.0 * mean.max(*base)));
                return;
            }
            Some(_) => {}
        }
        let Some((base, _)) = self.base else { return };
        let mean = step.sum / f64::from(good);
        let gradient = (TOLERANCE * base / mean.max(1e-9)).clamp(0.5, 1.0);
        // A limit that nobody reaches says nothing: it must not grow.
        if gradient >= 1.0 && f64::from(step.busiest) < self.limit / 2.0 {
            return;
        }
        let wanted = self.limit * gradient + self.limit.sqrt();
        self.set(self.limit * (1.0 - SMOOTHING) + wanted * SMOOTHING);
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.params.min), f64::from(self.params.max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server of `knee` places: beyond them requests wait, so the round-trip time grows.
    fn run(limit: &mut AdaptiveLimit, knee: f64, base_ms: f64, from_s: u64, seconds: u64) {
        let mut now = Duration::from_secs(from_s);
        let end = now + Duration::from_secs(seconds);
        while now < end {
            // Demand is always above the limit.
            let in_flight = f64::from(limit.limit());
            let rtt = base_ms * (in_flight / knee).max(1.0);
            let spacing = rtt / in_flight;
            now += Duration::from_secs_f64(spacing / 1e3);
            limit.on_sample(now, Duration::from_secs_f64(rtt / 1e3), in_flight as u32, true);
        }
    }

    #[test]
    fn finds_the_knee_and_follows_it() {
        let mut limit = AdaptiveLimit::new(AdaptiveParams { min: 4, max: 1_000, initial: 20 });
        run(&mut limit, 100.0, 20.0, 0, 25);
        assert!((100..=260).contains(&limit.limit()), "{}", limit.limit());
        run(&mut limit, 25.0, 20.0, 25, 25);
        assert!((25..=80).contains(&limit.limit()), "{}", limit.limit());
    }

    #[test]
    fn a_slower_server_is_learnt() {
        let mut limit = AdaptiveLimit::new(AdaptiveParams { min: 4, max: 1_000, initial: 20 });
        run(&mut limit, 100.0, 20.0, 0, 20);
        run(&mut limit, 100.0, 80.0, 20, 120);
        assert!((70..=300).contains(&limit.limit()), "{}", limit.limit());
    }

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
}

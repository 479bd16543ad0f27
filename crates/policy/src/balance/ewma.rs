//! Latency estimates for balancing.

use std::time::Duration;

/// Time constant of the decay.
pub const DECAY: Duration = Duration::from_secs(10);

/// The estimate before the first observation.
pub const INITIAL: Duration = Duration::from_millis(30);

/// A peak-sensitive moving average of one server's latencies.
///
/// Higher observations count at once and in full; lower ones pull the average down with the weight
/// 1 − e^(−t/[`DECAY`]), t being the time since the last observation. Without observations the
/// estimate sinks towards zero, so a server that was slow is tried again after a while. This is the
/// load metric of Finagle (`PeakEwma`) and linkerd (`tower::load::PeakEwma`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakEwma {
    /// The estimate, in seconds, at `updated`.
    seconds: f64,
    updated: Duration,
}

impl PeakEwma {
    /// A server that was first seen at `now`, with the latency [`INITIAL`].
    #[must_use]
    pub fn new(now: Duration) -> PeakEwma {
        PeakEwma { seconds: INITIAL.as_secs_f64(), updated: now }
    }

    /// Takes in the latency of a request that ended at `now`. Times count from any common start; an
    /// earlier one than the last counts as the last.
    pub fn observe(&mut self, now: Duration, rtt: Duration) {
        let rtt = rtt.as_secs_f64();
        let kept = self.kept(now);
        self.seconds = rtt.max(self.seconds * kept + rtt * (1.0 - kept));
        self.updated = self.updated.max(now);
    }

    /// The estimate at `now`, in seconds.
    #[must_use]
    pub fn get(&self, now: Duration) -> f64 {
        self.seconds * self.kept(now)
    }

    /// How much of the old estimate is left at `now`, 0..=1.
    fn kept(&self, now: Duration) -> f64 {
        let elapsed = now.saturating_sub(self.updated);
        (-elapsed.as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// An estimate of `rtt` made at 100 × [`DECAY`], when the initial one has faded.
    fn after(rtt: Duration) -> PeakEwma {
        let mut ewma = PeakEwma::new(Duration::ZERO);
        ewma.observe(DECAY * 100, rtt);
        ewma
    }

    fn assert_close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9 * expected, "{value} instead of {expected}");
    }

    #[test]
    fn starts_at_30_ms() {
        assert_eq!(PeakEwma::new(ms(500)).get(ms(500)), 0.03);
    }

    #[test]
    fn a_peak_counts_at_once() {
        let mut ewma = after(ms(10));
        ewma.observe(DECAY * 100, ms(700));
        assert_eq!(ewma.get(DECAY * 100), 0.7);
    }

    #[test]
    fn a_lower_value_counts_by_the_time_since_the_last() {
        let mut ewma = after(ms(700));
        ewma.observe(DECAY * 101, ms(100));
        assert_close(ewma.get(DECAY * 101), 0.1 + 0.6 / std::f64::consts::E);
        // No time has passed: it does not count.
        let mut ewma = after(ms(700));
        ewma.observe(DECAY * 100, ms(100));
        assert_eq!(ewma.get(DECAY * 100), 0.7);
    }

    #[test]
    fn sinks_by_a_factor_of_e_per_10_s_when_nothing_is_observed() {
        let ewma = after(ms(700));
        assert_close(ewma.get(DECAY * 101), 0.7 / std::f64::consts::E);
        assert_close(ewma.get(DECAY * 103), 0.7 / std::f64::consts::E.powi(3));
        assert_eq!(ewma.get(DECAY * 101), ewma.get(DECAY * 101), "reading changes nothing");
    }

    #[test]
    fn time_that_runs_backwards_counts_as_none() {
        let mut ewma = after(ms(700));
        ewma.observe(DECAY, ms(100));
        assert_eq!(ewma.get(DECAY), 0.7);
        assert_eq!(ewma.get(DECAY * 100), 0.7);
    }
}

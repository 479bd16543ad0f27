//! The generic cell rate algorithm (ITU-T I.371): a leaky bucket in one number per key, the
//! *theoretical arrival time* (TAT) of the next request, in nanoseconds.

use std::time::Duration;

/// Up to this rate, in units per second, a unit is a whole number of nanoseconds, rounded up: the
/// long-run rate is at most 0.1 % too low, and a burst passes in full however it is divided. Above
/// it (rates of bytes) every check and charge is rounded up by itself, by less than a nanosecond.
const WHOLE_RATE_MAX: f64 = 1e6;
/// Units that share one whole number of nanoseconds above [`WHOLE_RATE_MAX`].
const BUNDLE: u64 = 1_000_000;
/// Longest time that a burst takes to come back: 146 years.
const TOLERANCE_MAX: u64 = u64::MAX / 4;

/// A limit of `burst` units at once and `rate` units per second on the long run. In every span of
/// time at most burst + rate × span units pass. All is counted in whole nanoseconds, rounded to
/// the safe side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    /// This many nanoseconds …
    nanos: u64,
    /// … for so many units.
    units: u64,
    /// How far the TAT may be ahead of now after a request, in nanoseconds.
    tolerance: u64,
}

/// A request that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Units that would pass right now.
    pub remaining: u64,
    /// When the whole burst is there again.
    pub reset_after: Duration,
}

/// A request that did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// When it would.
    pub retry_after: Duration,
}

impl Gcra {
    /// A limit. A `burst` below one counts as one; with a `rate` of zero nothing passes after the
    /// burst.
    pub fn new(rate: f64, burst: u64) -> Gcra {
        let burst = burst.max(1);
        let rate = rate.max(f64::MIN_POSITIVE);
        let units = if rate <= WHOLE_RATE_MAX { 1 } else { BUNDLE };
        // The cast saturates.
        let nanos = (1e9 * units as f64 / rate).ceil() as u64;
        let nanos = nanos.clamp(1, (TOLERANCE_MAX / burst).max(1));
        let tolerance = u128::from(nanos) * u128::from(burst) / u128::from(units);
        Gcra { nanos, units, tolerance: saturate(tolerance).clamp(1, TOLERANCE_MAX) }
    }

    /// Lets `cost` units pass, or says when they may. A cost of zero passes while less than the
    /// whole burst is used up; one above the burst never does.
    ///
    /// * `tat`: the state of the key; 0 for a new one
    ///
    /// # Errors
    /// When there is no room. The state stays as it was.
    pub fn check(&self, tat: &mut u64, now: Duration, cost: u64) -> Result<Allowed, Limited> {
        let now = saturate(now.as_nanos());
        let from = (*tat).max(now);
        let next = from.saturating_add(self.nanos_of(cost));
        let limit = now.saturating_add(self.tolerance);
        let needed = next.saturating_add(u64::from(cost == 0));
        if needed > limit {
            return Err(Limited { retry_after: Duration::from_nanos(needed - limit) });
        }
        *tat = next;
        let remaining = u128::from(limit - next) * u128::from(self.units) / u128::from(self.nanos);
        Ok(Allowed {
            remaining: saturate(remaining),
            reset_after: Duration::from_nanos(next - now),
        })
    }

    /// Charges what was used without asking. Later requests wait until it is paid.
    pub fn charge(&self, tat: &mut u64, now: Duration, cost: u64) {
        let from = (*tat).max(saturate(now.as_nanos()));
        *tat = from.saturating_add(self.nanos_of(cost));
    }

    fn nanos_of(&self, cost: u64) -> u64 {
        saturate((u128::from(self.nanos) * u128::from(cost)).div_ceil(u128::from(self.units)))
    }
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_then_the_rate() {
        let gcra = Gcra::new(10.0, 3);
        let mut tat = 0;
        let mut check = |ms| gcra.check(&mut tat, Duration::from_millis(ms), 1);
        let first = check(1_000).unwrap();
        assert_eq!((first.remaining, first.reset_after), (2, Duration::from_millis(100)));
        assert_eq!(check(1_000).unwrap().remaining, 1);
        assert_eq!(check(1_000).unwrap().remaining, 0);
        assert_eq!(check(1_000), Err(Limited { retry_after: Duration::from_millis(100) }));
        assert_eq!(check(1_040), Err(Limited { retry_after: Duration::from_millis(60) }));
        assert!(check(1_100).is_ok());
        assert!(check(1_100).is_err());
    }

    #[test]
    fn charges_are_paid_before_the_next_request() {
        let gcra = Gcra::new(100.0, 50);
        let mut tat = 0;
        let at = Duration::from_secs;
        assert!(gcra.check(&mut tat, at(1), 0).is_ok());
        gcra.charge(&mut tat, at(1), 250);
        let limited = gcra.check(&mut tat, at(2), 0).unwrap_err();
        assert_eq!(limited.retry_after, Duration::from_nanos(1_000_000_001));
        assert!(gcra.check(&mut tat, at(4), 0).is_ok());
    }

    #[test]
    fn a_burst_passes_in_full_at_rates_that_do_not_divide_a_second() {
        for rate in [3.0, 7.0, 0.3, 12_345.6, 999_999.0] {
            let gcra = Gcra::new(rate, 50);
            let mut tat = 0;
            let passed = (0..100).filter(|_| gcra.check(&mut tat, Duration::ZERO, 1).is_ok());
            assert_eq!(passed.count(), 50, "{rate}");
        }
    }

    #[test]
    fn rates_out_of_reason_are_kept_to_the_burst() {
        for rate in [0.0, -1.0, 1e-300, f64::NAN] {
            let gcra = Gcra::new(rate, 2);
            let mut tat = 0;
            let year = Duration::from_secs(31_536_000);
            let passed = (0..10).filter(|year_n| gcra.check(&mut tat, year * *year_n, 1).is_ok());
            assert_eq!(passed.count(), 2, "{rate}");
        }
        let gcra = Gcra::new(f64::INFINITY, u64::MAX);
        assert!(gcra.check(&mut 0, Duration::ZERO, u64::MAX / 2).is_ok());
    }
}

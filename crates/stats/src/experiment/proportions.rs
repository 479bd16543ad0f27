//! Two proportions from four counts.

use std::f64::consts::PI;

use super::tails::{bisect, normal_critical, normal_sf, p_value};
use super::{Alternative, Error, Level};
use crate::interval::{Interval, wilson};

/// Successes among units of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proportion {
    successes: u64,
    units: u64,
}

impl Proportion {
    /// `successes` among `units`.
    ///
    /// # Errors
    /// [`Error::TooFewUnits`] without units, [`Error::Argument`] with more successes than units.
    pub fn new(successes: u64, units: u64) -> Result<Self, Error> {
        if units == 0 {
            return Err(Error::TooFewUnits { units, needed: 1 });
        }
        if successes > units {
            return Err(Error::argument("successes", "at most the number of units"));
        }
        Ok(Self { successes, units })
    }

    /// The share, 0..=1.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.successes as f64 / self.n()
    }

    fn n(&self) -> f64 {
        self.units as f64
    }

    fn variance(&self, rate: f64) -> f64 {
        rate * (1.0 - rate) / self.n()
    }
}

/// Outcome of the two-proportion z test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZTest {
    /// (p_T − p_C) in standard errors under equal proportions; 0 when both are all or nothing.
    pub statistic: f64,
    /// Its p-value.
    pub p_value: f64,
}

/// Pooled z test of equal proportions: z = (p_T − p_C)/√(p(1 − p)(1/n_T + 1/n_C)) with the share p
/// of all. [`score_interval`] never disagrees with it; [`wald_interval`] and [`newcombe_interval`]
/// may near the critical value.
#[must_use]
pub fn pooled_test(treatment: Proportion, control: Proportion, alternative: Alternative) -> ZTest {
    let statistic = score(treatment, control, 0.0);
    ZTest { statistic, p_value: p_value(statistic, alternative, normal_sf) }
}

/// Unpooled (Wald) interval of p_T − p_C: ± z·√(Σ p(1 − p)/n). For large counts.
#[must_use]
pub fn wald_interval(treatment: Proportion, control: Proportion, level: Level) -> Interval {
    let variance = treatment.variance(treatment.rate()) + control.variance(control.rate());
    let half = normal_critical(level.tail()) * variance.sqrt();
    let difference = treatment.rate() - control.rate();
    sided(difference - half, difference + half, level)
}

/// Newcombe's hybrid score interval of p_T − p_C from two Wilson intervals (Newcombe, 1998, method
/// 10). Good from small counts on.
#[must_use]
pub fn newcombe_interval(treatment: Proportion, control: Proportion, level: Level) -> Interval {
    let (p_t, p_c) = (treatment.rate(), control.rate());
    let confidence = 1.0 - 2.0 * level.tail();
    let whole = Interval { low: 0.0, high: 1.0 };
    let of = |arm: Proportion| wilson(arm.successes, arm.units, confidence).unwrap_or(whole);
    let (t, c) = (of(treatment), of(control));
    let low = p_t - p_c - (p_t - t.low).hypot(c.high - p_c);
    let high = p_t - p_c + (t.high - p_t).hypot(p_c - c.low);
    sided(low, high, level)
}

/// Score interval of p_T − p_C (Mee, 1984): the differences that the score test does not reject.
/// It holds 0 exactly when [`pooled_test`] does not reject.
#[must_use]
pub fn score_interval(treatment: Proportion, control: Proportion, level: Level) -> Interval {
    let critical = normal_critical(level.tail());
    let difference = treatment.rate() - control.rate();
    // The score falls as the difference that is tested rises.
    let low = -bisect(-difference, 1.0, |negative| score(treatment, control, -negative) > critical);
    let high = bisect(difference, 1.0, |tested| score(treatment, control, tested) < -critical);
    sided(low, high, level)
}

fn sided(low: f64, high: f64, level: Level) -> Interval {
    let alternative = level.alternative();
    Interval {
        low: if alternative == Alternative::Less { -1.0 } else { low.max(-1.0) },
        high: if alternative == Alternative::Greater { 1.0 } else { high.min(1.0) },
    }
}

/// (p_T − p_C − δ) in standard errors under p_T = p_C + δ, at the most likely such proportions.
fn score(treatment: Proportion, control: Proportion, delta: f64) -> f64 {
    let distance = treatment.rate() - control.rate() - delta;
    let p_c = constrained(treatment, control, delta);
    let p_t = (p_c + delta).clamp(0.0, 1.0);
    let error = (treatment.variance(p_t) + control.variance(p_c)).sqrt();
    if distance == 0.0 { 0.0 } else { distance / error }
}

/// The most likely p_C under p_T = p_C + δ: the root of a cubic (Miettinen & Nurminen, 1985).
fn constrained(treatment: Proportion, control: Proportion, delta: f64) -> f64 {
    let (n_t, n_c) = (treatment.n(), control.n());
    let (x_c, cases) = (control.successes as f64, (treatment.successes + control.successes) as f64);
    let n = n_t + n_c;
    if delta == 0.0 {
        return cases / n;
    }
    let l2 = (n_t + 2.0 * n_c) * delta - n - cases;
    let l1 = (n_c * delta - n - 2.0 * x_c) * delta + cases;
    let l0 = x_c * delta * (1.0 - delta);
    let third = l2 / (3.0 * n);
    let q = third.powi(3) - l1 * l2 / (6.0 * n * n) + l0 / (2.0 * n);
    let p = (third * third - l1 / (3.0 * n)).max(0.0).sqrt().copysign(q);
    let ratio = if p == 0.0 { 0.0 } else { (q / p.powi(3)).clamp(-1.0, 1.0) };
    let angle = (PI + ratio.acos()) / 3.0;
    (2.0 * p * angle.cos() - third).clamp((-delta).max(0.0), (1.0 - delta).min(1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_and_everything_have_no_evidence() {
        let none = Proportion::new(0, 50).unwrap();
        assert_eq!(pooled_test(none, none, Alternative::TwoSided).p_value, 1.0);
        assert!(Proportion::new(0, 0).is_err() && Proportion::new(2, 1).is_err());
    }

    proptest! {
        #[test]
        fn score_interval_and_pooled_test_never_disagree(
            n in [1..400_u64, 1..400_u64], shares in [0.0..=1.0_f64, 0.0..=1.0_f64],
            alpha in 0.001..0.4_f64, side in 0..3_usize,
        ) {
            let arm = |i: usize| Proportion::new((shares[i] * n[i] as f64) as u64, n[i]).unwrap();
            let alternative =
                [Alternative::TwoSided, Alternative::Greater, Alternative::Less][side];
            let p = pooled_test(arm(0), arm(1), alternative).p_value;
            prop_assume!((p - alpha).abs() > 1e-9);
            let level = Level::new(alpha, alternative).unwrap();
            let interval = score_interval(arm(0), arm(1), level);
            prop_assert_eq!(interval.contains(0.0), p > alpha, "{:?} {}", interval, p);
            prop_assert!(interval.contains(arm(0).rate() - arm(1).rate()));
        }

        #[test]
        fn intervals_mirror_when_arms_are_exchanged(
            n in [1..400_u64, 1..400_u64], shares in [0.0..=1.0_f64, 0.0..=1.0_f64],
        ) {
            let arm = |i: usize| Proportion::new((shares[i] * n[i] as f64) as u64, n[i]).unwrap();
            let level = Level::new(0.05, Alternative::TwoSided).unwrap();
            for interval in [wald_interval, newcombe_interval, score_interval] {
                let (one, other) = (interval(arm(0), arm(1), level), interval(arm(1), arm(0), level));
                prop_assert!((one.low + other.high).abs() < 1e-9, "{:?} {:?}", one, other);
                prop_assert!((one.high + other.low).abs() < 1e-9, "{:?} {:?}", one, other);
            }
        }
    }
}

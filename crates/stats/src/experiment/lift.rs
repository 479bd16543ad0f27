//! Confidence sets of a relative lift by Fieller's theorem.

use super::{Alternative, Comparison};
use crate::interval::Interval;

/// The relative lifts (T − C)/|C| that the data do not exclude. When the control may be zero, the
/// set is not an interval around the estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LiftSet {
    /// All lifts within, ends included; an end is infinite on a side that is not tested.
    Within(Interval),
    /// All lifts but those strictly between the ends: the control may be zero, but the difference
    /// is not.
    Outside(Interval),
    /// Nothing is excluded.
    Everything,
}

impl LiftSet {
    /// True when `lift` (0.1 for +10 %) is not excluded.
    #[must_use]
    pub fn contains(&self, lift: f64) -> bool {
        match self {
            Self::Within(interval) => interval.contains(lift),
            Self::Outside(interval) => !(interval.low < lift && lift < interval.high),
            Self::Everything => true,
        }
    }

    /// The interval, when the set is one.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        match self {
            Self::Within(interval) => Some(*interval),
            Self::Outside(_) | Self::Everything => None,
        }
    }
}

/// Fieller's set (Fieller, 1954): the lifts whose factor c = T/C is not rejected, which is where
/// (T − c·C)² ≤ z²·Var(T − c·C), for a critical value z in standard errors.
///
/// At c = 1 that is the test of T = C itself, so the set holds 0 exactly when the interval of the
/// difference with the same critical value does. One-sided alternatives reject on one side of
/// T − c·C only.
#[must_use]
pub fn fieller(comparison: &Comparison, critical: f64, alternative: Alternative) -> LiftSet {
    let Comparison { treatment, control, covariance, .. } = *comparison;
    let z2 = critical * critical;
    // Rejected where a·c² − 2b·c + d > 0.
    let a = control * control - z2 * comparison.control_variance;
    let b = treatment * control - z2 * covariance;
    let d = treatment * treatment - z2 * comparison.treatment_variance;
    let discriminant = b * b - a * d;
    let bounded = a > 0.0;
    if !a.is_finite() || !d.is_finite() || (!bounded && discriminant <= 0.0) {
        return LiftSet::Everything;
    }
    // A bounded set holds T/C, so its discriminant is negative by rounding only. At a = 0 the
    // other root is infinite, on the side to which it goes as a rises to 0.
    let a = if a == 0.0 { -0.0 } else { a };
    let q = b + discriminant.max(0.0).sqrt().copysign(b);
    let (first, second) = (q / a, if q == 0.0 { 0.0 } else { d / q });
    if bounded {
        let lift = |factor: f64| (factor - 1.0) * 1.0_f64.copysign(control);
        let (low, high) = (lift(first).min(lift(second)), lift(first).max(lift(second)));
        return LiftSet::Within(match alternative {
            Alternative::TwoSided => Interval { low, high },
            Alternative::Greater => Interval { low, high: f64::INFINITY },
            Alternative::Less => Interval { low: f64::NEG_INFINITY, high },
        });
    }
    // T − c·C has one sign where factors are rejected, the one it has at a finite end.
    let treatment_is_greater = treatment - second * control > 0.0;
    let rejects = match alternative {
        Alternative::TwoSided => true,
        Alternative::Greater => treatment_is_greater,
        Alternative::Less => !treatment_is_greater,
    };
    // The sign of the control is unknown, so a lift δ is excluded only with both of its factors,
    // 1 + δ for a positive control and 1 − δ for a negative one.
    let reach = (first.max(second) - 1.0).min(1.0 - first.min(second));
    if rejects && reach > 0.0 {
        LiftSet::Outside(Interval { low: -reach, high: reach })
    } else {
        LiftSet::Everything
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn comparison(treatment: f64, control: f64, spreads: [f64; 2], correlation: f64) -> Comparison {
        Comparison {
            treatment,
            control,
            treatment_variance: spreads[0] * spreads[0],
            control_variance: spreads[1] * spreads[1],
            covariance: correlation * spreads[0] * spreads[1],
            degrees: f64::INFINITY,
            units: [100, 100],
        }
    }

    #[test]
    fn shapes_of_the_set() {
        let two = Alternative::TwoSided;
        let clear = fieller(&comparison(11.0, 10.0, [0.1, 0.1], 0.0), 2.0, two);
        assert!(matches!(clear, LiftSet::Within(i) if i.low > 0.0 && i.high < 0.2));
        let small_control = fieller(&comparison(11.0, 0.1, [0.1, 0.1], 0.0), 2.0, two);
        assert!(matches!(small_control, LiftSet::Outside(i) if i.contains(0.0)));
        let nothing = fieller(&comparison(0.1, 0.1, [0.1, 0.1], 0.0), 2.0, two);
        assert_eq!(nothing, LiftSet::Everything);
        let too_early = fieller(&comparison(11.0, 10.0, [0.1, 0.1], 0.0), f64::INFINITY, two);
        assert_eq!(too_early, LiftSet::Everything);
        assert_eq!(
            clear.interval().map(|i| i.high),
            Some(match clear {
                LiftSet::Within(interval) => interval.high,
                _ => f64::NAN,
            })
        );
    }

    proptest! {
        /// The law: a lift is in the set exactly when its own test does not reject it.
        #[test]
        fn set_and_tests_never_disagree(
            treatment in -10.0..10.0_f64, control in -10.0..10.0_f64,
            spreads in [0.01..5.0_f64, 0.01..5.0_f64], correlation in -0.9..0.9_f64,
            critical in 0.5..5.0_f64, lift in -3.0..3.0_f64,
            side in 0..3_usize, at_zero: bool,
        ) {
            let alternative =
                [Alternative::TwoSided, Alternative::Greater, Alternative::Less][side];
            let comparison = comparison(treatment, control, spreads, correlation);
            let lift = if at_zero { 0.0 } else { lift };
            let sign = 1.0_f64.copysign(control);
            let statistics = [1.0 + lift * sign, 1.0 - lift * sign].map(|factor| {
                let (value, variance) = comparison.contrast(factor);
                value / variance.sqrt()
            });
            prop_assume!(statistics.iter().all(|z| (z.abs() - critical).abs() > 1e-7));
            let [rejected, other_rejected] = statistics.map(|statistic| match alternative {
                Alternative::TwoSided => statistic.abs() > critical,
                Alternative::Greater => statistic > critical,
                Alternative::Less => statistic < -critical,
            });
            // With a control of unknown sign, both signs must be rejected.
            let sign_is_known = control.abs() > critical * spreads[1];
            let rejected = rejected && (sign_is_known || other_rejected);
            let set = fieller(&comparison, critical, alternative);
            prop_assert_eq!(set.contains(lift), !rejected, "{:?}", set);
        }
    }
}

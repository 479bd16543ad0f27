//! Asymptotic confidence sequences: intervals and p-values that hold at all times at once.

use super::{Alternative, Comparison, Effect, Error, Level};

/// Asymptotic confidence sequence for the difference of two arms (Waudby-Smith, Arbour, Sinha,
/// Kennedy & Ramdas, Time-uniform central limit theory, arXiv 2103.06476), for means, proportions,
/// ratios and everything else that has a [`Comparison`].
///
/// With N units of both arms and m = N·ρ², the critical value in standard errors is
/// √(2(m + 1)/m · ln(√(m + 1)/α)) two-sided, and √(2(m + 1)/m · ln(1 + √(m + 1)/2α)) one-sided.
/// ρ makes it tightest at the planned N*: ρ² = (−2 ln α + ln(−2 ln α + 1))/N*, with 2α for α when
/// one-sided. N* must be chosen before the data and kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceSequence {
    level: Level,
    rho_squared: f64,
    least: u64,
}

impl ConfidenceSequence {
    /// A sequence that is tightest when both arms together have `planned` units. It says nothing
    /// before each arm has `least` units (at least 2), because its guarantee is asymptotic: 100 for
    /// well-behaved metrics, more for rare conversions and heavy tails.
    ///
    /// # Errors
    /// [`Error::Argument`] without planned units.
    pub fn new(level: Level, planned: u64, least: u64) -> Result<Self, Error> {
        if planned == 0 {
            return Err(Error::argument("planned", "at least one unit"));
        }
        // Twice the share per tail: α two-sided, 2α one-sided.
        let log = -2.0 * (2.0 * level.tail()).ln();
        let rho_squared = (log + log.ln_1p()) / planned as f64;
        Ok(Self { level, rho_squared, least: least.max(2) })
    }

    /// Critical value, in standard errors, for `units` in both arms together.
    #[must_use]
    pub fn critical(&self, units: u64) -> f64 {
        let m = units as f64 * self.rho_squared;
        let root = (m + 1.0).sqrt();
        let log = match self.level.alternative() {
            Alternative::TwoSided => (root / self.level.alpha()).ln(),
            Alternative::Greater | Alternative::Less => (root / (2.0 * self.level.alpha())).ln_1p(),
        };
        (2.0 * (m + 1.0) / m * log).sqrt()
    }

    /// Logarithm of the evidence against no difference: of an e-value, whose mean is at most 1 when
    /// nothing differs, at any time. For [`super::multiple::e_benjamini_hochberg`].
    ///
    /// One-sided it is the same for differences on the tested side, and −∞ … 0 on the other.
    #[must_use]
    pub fn ln_e_value(&self, comparison: &Comparison) -> f64 {
        if !self.is_ready(comparison) {
            return 0.0;
        }
        -self.ln_p(comparison)
    }

    /// The effect now. Its p-value and interval hold whenever they are looked at, so the smallest
    /// p-value so far may be kept.
    #[must_use]
    pub fn effect(&self, comparison: &Comparison) -> Effect {
        let alternative = self.level.alternative();
        if !self.is_ready(comparison) {
            return comparison.effect(f64::INFINITY, 1.0, alternative);
        }
        let units = comparison.units[0].saturating_add(comparison.units[1]);
        let p_value = self.ln_p(comparison).exp().min(1.0);
        comparison.effect(self.critical(units), p_value, alternative)
    }

    fn is_ready(&self, comparison: &Comparison) -> bool {
        comparison.units.iter().all(|&units| units >= self.least)
    }

    /// ln of the level at which the sequence would just exclude no difference, with this ρ.
    fn ln_p(&self, comparison: &Comparison) -> f64 {
        let units = comparison.units[0] as f64 + comparison.units[1] as f64;
        let m = units * self.rho_squared;
        let z = comparison.difference() / comparison.standard_error();
        let evidence = z * z * m / (2.0 * (m + 1.0));
        let ln_root = 0.5 * m.ln_1p();
        let on_side = match self.level.alternative() {
            Alternative::TwoSided => return ln_root - evidence,
            Alternative::Greater => z > 0.0,
            Alternative::Less => z < 0.0,
        };
        if on_side {
            // ln(e^x − 1), without overflow.
            ln_root - 2.0_f64.ln() - evidence - (-(-evidence).exp()).ln_1p()
        } else {
            f64::INFINITY
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::experiment::{LiftSet, Moments};

    fn comparison(difference: f64, units: u64) -> Comparison {
        let arm = |mean| Moments { units, mean: [mean], covariance: [[1.0]] };
        Comparison::new(&arm(1.0 + difference), &arm(1.0)).unwrap()
    }

    #[test]
    fn says_nothing_before_the_least_units() {
        let level = Level::new(0.05, Alternative::TwoSided).unwrap();
        let sequence = ConfidenceSequence::new(level, 5000, 100).unwrap();
        let early = sequence.effect(&comparison(9.0, 99));
        assert_eq!((early.p_value, early.lift_set), (1.0, LiftSet::Everything));
        assert!(early.interval.contains(-1e300) && early.interval.contains(1e300));
        assert!(sequence.effect(&comparison(9.0, 100)).p_value < 1e-6);
        assert_eq!(sequence.ln_e_value(&comparison(9.0, 99)), 0.0);
        assert!(ConfidenceSequence::new(level, 0, 100).is_err());
    }

    #[test]
    fn tightest_about_the_planned_units() {
        let level = Level::new(0.05, Alternative::TwoSided).unwrap();
        let planned = ConfidenceSequence::new(level, 5000, 2).unwrap().critical(5000);
        for other in [50, 1000, 25_000, 1_000_000] {
            let sequence = ConfidenceSequence::new(level, other, 2).unwrap();
            assert!(sequence.critical(5000) > planned, "{other}");
        }
    }

    proptest! {
        #[test]
        fn interval_lift_and_p_value_never_disagree(
            difference in -2.0..2.0_f64, units in 2..100_000_u64, alpha in 0.001..0.4_f64,
            planned in 1..100_000_u64, side in 0..3_usize,
        ) {
            let alternative =
                [Alternative::TwoSided, Alternative::Greater, Alternative::Less][side];
            let level = Level::new(alpha, alternative).unwrap();
            let sequence = ConfidenceSequence::new(level, planned, 2).unwrap();
            let effect = sequence.effect(&comparison(difference, units));
            prop_assume!((effect.p_value / alpha - 1.0).abs() > 1e-6);
            prop_assert_eq!(effect.interval.contains(0.0), effect.p_value > alpha);
            prop_assert_eq!(effect.lift_set.contains(0.0), effect.p_value > alpha);
        }
    }
}

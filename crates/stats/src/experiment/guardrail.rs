//! Guardrails: what must not get worse by more than a margin.

use super::tails::student_sf;
use super::{Better, Comparison, Error};

/// A metric that may get worse by less than `margin`, relative to the control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guardrail {
    margin: f64,
    better: Better,
}

/// What a guardrail says. Airbnb's three rules (Designing experimentation guardrails, 2021) and
/// non-inferiority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Impact: the estimate is worse than the margin, significant or not.
    pub exceeded: bool,
    /// Power: the standard error of the lift is not below 0.8 times the margin, so nothing can be
    /// concluded yet; unless it is shown to be no worse than the margin all the same, as when all
    /// that failed with the control works.
    pub underpowered: bool,
    /// Significance: worse than the control beyond the critical value.
    pub harmful: bool,
    /// Shown to be no worse than the margin, beyond the critical value.
    pub non_inferior: bool,
}

impl Guardrail {
    /// A relative margin (0.02 for 2 %) > 0.
    ///
    /// # Errors
    /// [`Error::Argument`] for other margins.
    pub fn new(margin: f64, better: Better) -> Result<Self, Error> {
        super::check_positive("margin", margin)?;
        Ok(Self { margin, better })
    }

    /// The verdict at a one-sided `critical` value, in standard errors: of a fixed horizon or, when
    /// watched, of a one-sided [`super::ConfidenceSequence`].
    #[must_use]
    pub fn judge(&self, comparison: &Comparison, critical: f64) -> Verdict {
        let sign = self.better.sign();
        let (value, error) = self.against_margin(comparison);
        // A control that may be zero has no relative error: underpowered.
        let powered =
            comparison.lift_standard_error().is_some_and(|error| error < 0.8 * self.margin);
        let non_inferior = value > critical * error;
        Verdict {
            exceeded: value < 0.0,
            underpowered: !powered && !non_inferior,
            harmful: sign * comparison.difference() < -critical * comparison.standard_error(),
            non_inferior,
        }
    }

    /// p-value of the one-sided Welch test against "worse by the margin or more", at a fixed
    /// horizon.
    #[must_use]
    pub fn non_inferiority_p_value(&self, comparison: &Comparison) -> f64 {
        let (value, error) = self.against_margin(comparison);
        student_sf(value / error, comparison.degrees)
    }

    /// Distance of the treatment from the margin, positive when on the good side, and its standard
    /// error. The margin is of the true control, so its chance is included.
    fn against_margin(&self, comparison: &Comparison) -> (f64, f64) {
        let sign = self.better.sign();
        // The treatment that just misses the margin is this many times the control.
        let factor = 1.0 - sign * self.margin * 1.0_f64.copysign(comparison.control);
        let (value, variance) = comparison.contrast(factor);
        (sign * value, variance.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Moments;

    fn judge(treatment: f64, control: f64, better: Better, units: u64) -> Verdict {
        let arm = |mean| Moments { units, mean: [mean], covariance: [[1.0]] };
        let comparison = Comparison::new(&arm(treatment), &arm(control)).unwrap();
        Guardrail::new(0.05, better).unwrap().judge(&comparison, 1.645)
    }

    #[test]
    fn each_rule_alone() {
        // Standard error of the lift 0.014·10/√…: 0.0014 with 20 000 units, 0.14 with 2.
        let same = judge(10.0, 10.0, Better::Higher, 20_000);
        let all_good =
            Verdict { exceeded: false, underpowered: false, harmful: false, non_inferior: true };
        assert_eq!(same, all_good);
        let unsure = judge(10.0, 10.0, Better::Higher, 4);
        assert!(unsure.underpowered && !unsure.non_inferior && !unsure.exceeded);
        let slightly_worse = judge(9.8, 10.0, Better::Higher, 20_000);
        assert!(slightly_worse.harmful && slightly_worse.non_inferior && !slightly_worse.exceeded);
        let worse = judge(9.0, 10.0, Better::Higher, 20_000);
        assert!(worse.harmful && worse.exceeded && !worse.non_inferior);
        let early = judge(9.0, 10.0, Better::Higher, 2);
        assert!(early.exceeded && !early.harmful);
    }

    #[test]
    fn direction_and_sign_of_the_metric() {
        assert!(judge(11.0, 10.0, Better::Lower, 20_000).exceeded);
        assert!(judge(9.0, 10.0, Better::Lower, 20_000).non_inferior);
        // −11 is worse than −10 by 10 % when more is better.
        assert!(judge(-11.0, -10.0, Better::Higher, 20_000).exceeded);
        assert!(!judge(-11.0, -10.0, Better::Lower, 20_000).exceeded);
        assert!(Guardrail::new(0.0, Better::Higher).is_err());
    }

    #[test]
    fn p_value_agrees_with_the_verdict() {
        let arm = |mean| Moments { units: 1000, mean: [mean], covariance: [[1.0]] };
        let guardrail = Guardrail::new(0.05, Better::Higher).unwrap();
        for step in 0..40 {
            let comparison =
                Comparison::new(&arm(9.3 + f64::from(step) / 50.0), &arm(10.0)).unwrap();
            let critical = crate::experiment::tails::student_critical(0.05, comparison.degrees);
            let p = guardrail.non_inferiority_p_value(&comparison);
            assert_eq!(guardrail.judge(&comparison, critical).non_inferior, p < 0.05, "{p}");
        }
    }
}

//! Two arms side by side, and the effect that a method finds between them.

use super::lift::{LiftSet, fieller};
use super::{Alternative, Error, Moments};
use crate::interval::Interval;

/// The estimates of two arms with their joint covariance: what every method starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Estimate T for the treatment, in the unit of the metric.
    pub treatment: f64,
    /// Estimate C for the control.
    pub control: f64,
    /// Variance of T (its squared standard error).
    pub treatment_variance: f64,
    /// Variance of C.
    pub control_variance: f64,
    /// Covariance of T and C: 0 for arms without adjustment.
    pub covariance: f64,
    /// Degrees of freedom of the variance of T − C (Welch & Satterthwaite), may be infinite.
    pub degrees: f64,
    /// Units in treatment and control.
    pub units: [u64; 2],
}

impl Comparison {
    /// Compares two independent arms.
    ///
    /// # Errors
    /// [`Error::TooFewUnits`] below two units in an arm, [`Error::NoVariance`] when the difference
    /// has none.
    pub fn new(treatment: &Moments<1>, control: &Moments<1>) -> Result<Self, Error> {
        let parts = [treatment, control].map(|arm| (arm.variance(), arm.units));
        Self {
            treatment: treatment.value(),
            control: control.value(),
            treatment_variance: treatment.variance() / treatment.units as f64,
            control_variance: control.variance() / control.units as f64,
            covariance: 0.0,
            degrees: welch_degrees(parts),
            units: [treatment.units, control.units],
        }
        .checked()
    }

    /// Itself when it can be compared.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let units = self.units[0].min(self.units[1]);
        if units < 2 {
            return Err(Error::TooFewUnits { units, needed: 2 });
        }
        let variance = self.contrast(1.0).1;
        if !(self.treatment.is_finite() && self.control.is_finite() && variance.is_finite()) {
            return Err(Error::argument("moments", "finite"));
        }
        if variance <= 0.0 {
            return Err(Error::NoVariance);
        }
        Ok(self)
    }

    /// T − C, in the unit of the metric.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.treatment - self.control
    }

    /// Standard error of T − C.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        self.contrast(1.0).1.sqrt()
    }

    /// (T − C)/|C|; `None` when C is zero.
    #[must_use]
    pub fn lift(&self) -> Option<f64> {
        (self.control != 0.0).then(|| self.difference() / self.control.abs())
    }

    /// Standard error of [`Comparison::lift`] by the delta method; `None` when C is zero, or when T
    /// is zero in all units, where the method has none.
    #[must_use]
    pub fn lift_standard_error(&self) -> Option<f64> {
        let ratio = self.treatment / self.control;
        let error = self.contrast(ratio).1.sqrt() / self.control.abs();
        (error.is_finite() && error > 0.0).then_some(error)
    }

    /// T − `factor`·C and its variance.
    #[must_use]
    pub fn contrast(&self, factor: f64) -> (f64, f64) {
        let variance = self.treatment_variance - 2.0 * factor * self.covariance
            + factor * factor * self.control_variance;
        (self.treatment - factor * self.control, variance.max(0.0))
    }

    /// The effect with a given critical value, in standard errors, and p-value of a method.
    /// An infinite critical value gives intervals that contain everything.
    #[must_use]
    pub fn effect(&self, critical: f64, p_value: f64, alternative: Alternative) -> Effect {
        let (difference, standard_error) = (self.difference(), self.standard_error());
        Effect {
            difference,
            standard_error,
            interval: one_or_two_sided(difference, critical * standard_error, alternative),
            lift: self.lift(),
            lift_set: fieller(self, critical, alternative),
            p_value,
            critical,
        }
    }
}

/// What a method says about treatment − control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Estimate, in the unit of the metric.
    pub difference: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Confidence interval of the difference; ends are infinite on sides that are not tested.
    pub interval: Interval,
    /// Estimated relative lift (T − C)/|C|; `None` when the control is zero.
    pub lift: Option<f64>,
    /// Confidence set of the lift, by Fieller.
    pub lift_set: LiftSet,
    /// Probability of at least this evidence when nothing differs.
    pub p_value: f64,
    /// Critical value of the method, in standard errors.
    pub critical: f64,
}

/// `centre` ± `half`, with an infinite end on a side that is not tested.
pub(crate) fn one_or_two_sided(centre: f64, half: f64, alternative: Alternative) -> Interval {
    let low = if alternative == Alternative::Less { f64::NEG_INFINITY } else { centre - half };
    let high = if alternative == Alternative::Greater { f64::INFINITY } else { centre + half };
    Interval { low, high }
}

/// Degrees of freedom (Σ sᵢ²/nᵢ)² / Σ (sᵢ²/nᵢ)²/(nᵢ − 1) of variances per unit and numbers of units
/// (Satterthwaite, 1946; Welch, 1947).
pub(crate) fn welch_degrees(parts: [(f64, u64); 2]) -> f64 {
    let shares = parts.map(|(variance, units)| variance / units as f64);
    let total = shares[0] + shares[1];
    let squares: f64 = parts
        .iter()
        .zip(shares)
        .map(|((_, units), share)| (share / total).powi(2) / (*units as f64 - 1.0))
        .sum();
    1.0 / squares
}

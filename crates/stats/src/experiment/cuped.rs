//! CUPED: less variance through a covariate from before the exposure.

use super::comparison::welch_degrees;
use super::{Comparison, Error, Moments};

/// A comparison adjusted by a covariate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjusted {
    /// The adjusted arms.
    pub comparison: Comparison,
    /// θ, in units of the outcome per unit of the covariate; 0 when there is nothing to adjust by.
    pub theta: f64,
    /// Share of the variance of the difference that the adjustment removed, at most 1. Negative
    /// when it added some, as it may with few units.
    pub variance_reduction: f64,
}

/// Adjusts the outcome Y by a covariate X that the treatment cannot have changed (Deng, Xu, Kohavi
/// & Walker, 2013): Y − θ(X − X̄), with the moments `[Y, X]` of each arm.
///
/// θ is pooled: Σ(n − 1)cov(Y, X)/Σ(n − 1)var(X) over both arms. X̄ is the mean of both arms, which
/// keeps the adjusted means in place, so that a relative lift has the right denominator; what X̄
/// makes the arms share is in their covariance. For a ratio metric start from
/// [`Moments::ratios`]. A covariate without variance leaves the outcome as it is.
///
/// # Errors
/// As [`Comparison::new`].
pub fn adjust(treatment: &Moments<2>, control: &Moments<2>) -> Result<Adjusted, Error> {
    let pooled = |i: usize, j: usize| {
        (treatment.units as f64 - 1.0) * treatment.covariance[i][j]
            + (control.units as f64 - 1.0) * control.covariance[i][j]
    };
    let theta = if pooled(1, 1) > 0.0 { pooled(0, 1) / pooled(1, 1) } else { 0.0 };

    let total = treatment.units as f64 + control.units as f64;
    let treatment_share = treatment.units as f64 / total;
    let control_share = 1.0 - treatment_share;
    // X_T − X̄ = control_share·(X_T − X_C), and X_C − X̄ = −treatment_share·(X_T − X_C).
    let shift = theta * (treatment.mean[1] - control.mean[1]);
    // Weights of [Y, X] of both arms in the adjusted means of both arms.
    let from_treatment = treatment
        .propagate([0.0; 2], [[1.0, -theta * control_share], [0.0, theta * treatment_share]]);
    let from_control = control
        .propagate([0.0; 2], [[0.0, theta * control_share], [1.0, -theta * treatment_share]]);
    let variance = |i: usize, j: usize| {
        from_treatment.covariance[i][j] / treatment.units as f64
            + from_control.covariance[i][j] / control.units as f64
    };
    let residual = |arm: &Moments<2>| arm.propagate([0.0], [[1.0, -theta]]).variance();
    let comparison = Comparison {
        treatment: treatment.mean[0] - control_share * shift,
        control: control.mean[0] + treatment_share * shift,
        treatment_variance: variance(0, 0),
        control_variance: variance(1, 1),
        covariance: variance(0, 1),
        degrees: welch_degrees([
            (residual(treatment), treatment.units),
            (residual(control), control.units),
        ]),
        units: [treatment.units, control.units],
    }
    .checked()?;

    let raw = treatment.covariance[0][0] / treatment.units as f64
        + control.covariance[0][0] / control.units as f64;
    let variance_reduction = 1.0 - comparison.contrast(1.0).1 / raw;
    Ok(Adjusted { comparison, theta, variance_reduction })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(units: u64, mean: [f64; 2], covariance: f64) -> Moments<2> {
        Moments { units, mean, covariance: [[4.0, covariance], [covariance, 1.0]] }
    }

    #[test]
    fn variance_falls_by_the_squared_correlation() {
        let adjusted = adjust(&arm(1000, [5.0, 1.1], 1.6), &arm(1000, [4.9, 1.0], 1.6)).unwrap();
        assert!((adjusted.theta - 1.6).abs() < 1e-12);
        // Correlation 0.8.
        assert!((adjusted.variance_reduction - 0.64).abs() < 1e-12);
        assert!((adjusted.comparison.difference() - (0.1 - 1.6 * 0.1)).abs() < 1e-12);
        let sum = adjusted.comparison.treatment + adjusted.comparison.control;
        assert!((sum - 9.9).abs() < 1e-12, "centred");
    }

    #[test]
    fn a_covariate_that_says_nothing_changes_nothing() {
        let plain = |units, mean: f64| Moments { units, mean: [mean], covariance: [[4.0]] };
        let flat = |units, mean| Moments {
            units,
            mean: [mean, 3.0],
            covariance: [[4.0, 0.0], [0.0, 0.0]],
        };
        let adjusted = adjust(&flat(50, 1.0), &flat(70, 2.0)).unwrap();
        let raw = Comparison::new(&plain(50, 1.0), &plain(70, 2.0)).unwrap();
        assert_eq!((adjusted.comparison, adjusted.theta), (raw, 0.0));
        assert_eq!(adjusted.variance_reduction, 0.0);
    }
}

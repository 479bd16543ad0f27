//! Sample-ratio mismatch: do the arms have the shares of units that they should?

use super::Error;
use super::counts::MultinomialProcess;
use crate::goodness::{ChiSquare, chi_square_gof};

/// Concentration of the mixture of [`sequential`]: finds shares that are off by about 1 % of the
/// units within some ten thousands of them (Lindon & Malek, 2022).
pub const CONCENTRATION: f64 = 10_000.0;

/// The test that may be looked at after every unit: p-values of its counts hold at all times at
/// once. Alarm at p < 0.001.
///
/// # Errors
/// As [`MultinomialProcess::new`].
pub fn sequential(weights: &[f64]) -> Result<MultinomialProcess, Error> {
    MultinomialProcess::new(weights, CONCENTRATION)
}

/// Pearson's chi-square test of the final counts, to be looked at once. Arms of weight 0 do not
/// count among the degrees of freedom; a unit in one is a mismatch for certain (p = 0).
///
/// # Errors
/// [`Error::Argument`] when counts and weights do not fit, or with fewer than two positive weights;
/// [`Error::TooFewUnits`] without units.
pub fn chi_square(counts: &[u64], weights: &[f64]) -> Result<ChiSquare, Error> {
    if counts.len() != weights.len() || !weights.iter().all(|&weight| weight >= 0.0) {
        return Err(Error::argument("weights", "one per count, none negative"));
    }
    if counts.iter().all(|&count| count == 0) {
        return Err(Error::TooFewUnits { units: 0, needed: 1 });
    }
    let (used, unused): (Vec<_>, Vec<_>) =
        counts.iter().copied().zip(weights.iter().copied()).partition(|(_, weight)| *weight > 0.0);
    let (observed, expected): (Vec<u64>, Vec<f64>) = used.into_iter().unzip();
    if unused.iter().any(|(count, _)| *count > 0) {
        return Ok(ChiSquare {
            statistic: f64::INFINITY,
            degrees: (observed.len() as u64).saturating_sub(1),
            p_value: 0.0,
            smallest_expected: 0.0,
        });
    }
    chi_square_gof(&observed, &expected)
        .ok_or(Error::argument("weights", "finite, at least two above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_without_weight_do_not_count() {
        let two = chi_square(&[5200, 4800], &[0.5, 0.5]).unwrap();
        assert_eq!(chi_square(&[5200, 4800, 0], &[0.5, 0.5, 0.0]), Ok(two));
        assert!((two.p_value - 6.334e-5).abs() < 1e-8, "{}", two.p_value);
        assert_eq!(chi_square(&[5200, 4800, 1], &[0.5, 0.5, 0.0]).unwrap().p_value, 0.0);
    }

    #[test]
    fn what_cannot_be_tested_is_refused() {
        assert!(chi_square(&[1, 2], &[1.0]).is_err());
        assert!(chi_square(&[0, 0], &[1.0, 1.0]).is_err());
        assert!(chi_square(&[1, 0], &[1.0, 0.0]).is_err());
        assert!(chi_square(&[1, 1], &[1.0, f64::NAN]).is_err());
    }
}

//! Sample-ratio mismatch: do the arms have the shares of units that they should?

use super::Error;
use super::counts::MultinomialProcess;
use crate::goodness::{ChiSquare, chi_square_gof};

/// Concentrations of the mixtures of [`SampleRatio`]: with 100, a split of 60 to 40 instead of halves is
/// found within some hundreds of units; with 10,000, shares that are off by 1 % within some ten
/// thousands (Lindon & Malek, 2022).
pub const CONCENTRATIONS: [f64; 2] = [100.0, 10_000.0];

/// The test that may be looked at after every unit: p-values of its counts hold at all times at
/// once. Alarm at p < 0.001.
///
/// Its evidence is the mean of those of a [`MultinomialProcess`] for each of [`CONCENTRATIONS`]; a mean
/// of e-values is one, too.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRatio {
    processes: [MultinomialProcess; 2],
}

impl SampleRatio {
    /// Expected shares from `weights`.
    ///
    /// # Errors
    /// As [`MultinomialProcess::new`].
    pub fn new(weights: &[f64]) -> Result<Self, Error> {
        let [coarse, fine] = CONCENTRATIONS;
        let process = |concentration| MultinomialProcess::new(weights, concentration);
        Ok(Self { processes: [process(coarse)?, process(fine)?] })
    }

    /// Logarithm of the e-value of the counts so far; of independent groups of units, such as
    /// phases, logarithms may be added.
    ///
    /// # Errors
    /// As [`MultinomialProcess::ln_e_value`].
    pub fn ln_e_value(&self, counts: &[u64]) -> Result<f64, Error> {
        let [coarse, fine] = &self.processes;
        let (a, b) = (coarse.ln_e_value(counts)?, fine.ln_e_value(counts)?);
        let high = a.max(b);
        if high.is_infinite() {
            return Ok(high);
        }
        Ok(high + (((a - high).exp() + (b - high).exp()) / 2.0).ln())
    }

    /// p-value of the counts so far, valid at any time: min(1, 1/e-value). The smallest so far may be
    /// kept.
    ///
    /// # Errors
    /// As [`MultinomialProcess::ln_e_value`].
    pub fn p_value(&self, counts: &[u64]) -> Result<f64, Error> {
        Ok((-self.ln_e_value(counts)?).exp().min(1.0))
    }
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
    fn gross_and_slight_mismatches_are_found() {
        let test = SampleRatio::new(&[0.5, 0.5]).unwrap();
        let p = |counts: [u64; 2]| test.p_value(&counts).unwrap();
        assert!(p([260, 140]) < 0.001 && p([215, 185]) > 0.1);
        assert!(p([50_900, 49_100]) < 0.001 && p([50_200, 49_800]) > 0.1);
        assert_eq!(p([0, 0]), 1.0);
        let none = SampleRatio::new(&[0.5, 0.5, 0.0]).unwrap();
        assert_eq!(none.p_value(&[5, 5, 1]), Ok(0.0));
    }

    #[test]
    fn what_cannot_be_tested_is_refused() {
        assert!(chi_square(&[1, 2], &[1.0]).is_err());
        assert!(chi_square(&[0, 0], &[1.0, 1.0]).is_err());
        assert!(chi_square(&[1, 0], &[1.0, 0.0]).is_err());
        assert!(chi_square(&[1, 1], &[1.0, f64::NAN]).is_err());
    }
}

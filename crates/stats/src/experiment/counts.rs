//! Exact tests from counts alone, at all times: events per arm against the shares they should have.

use statrs::function::gamma::ln_gamma;

use super::tails::bisect;
use super::{Error, Level};
use crate::interval::Interval;

/// Most categories of a [`MultinomialProcess`].
pub const CATEGORIES_MAX: usize = 10_000;

/// Evidence against given shares of categories, at any time (Lindon & Malek, Anytime-valid
/// inference for multinomial count data, 2022, arXiv 2011.03567).
///
/// The e-value is the Bayes factor of a Dirichlet(k·θ₀) mixture against the shares θ₀:
/// B(k·θ₀ + n)/B(k·θ₀)/Π θ₀ᵢ^nᵢ, with the multivariate beta function B. Its mean is at most 1 at any
/// time when the shares are right, exactly and for all counts, even when the rate of events changes
/// over time. The concentration k says how near to θ₀ deviations are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct MultinomialProcess {
    shares: Vec<f64>,
    concentration: f64,
    /// ln Γ of the concentration of each share and of all, which all evidence needs.
    ln_gammas: Vec<f64>,
    ln_gamma_total: f64,
}

impl MultinomialProcess {
    /// Expected shares from `weights`, which need not sum to 1; weights of 0 are allowed, and any
    /// count there is certain evidence.
    ///
    /// # Errors
    /// [`Error::Argument`] with fewer than two positive weights, with negative or infinite ones, with
    /// more than [`CATEGORIES_MAX`], or for a concentration that is not positive.
    pub fn new(weights: &[f64], concentration: f64) -> Result<Self, Error> {
        super::check_positive("concentration", concentration)?;
        let positive = weights.iter().filter(|&&weight| weight > 0.0).count();
        let total: f64 = weights.iter().sum();
        let valid = weights.iter().all(|&weight| weight >= 0.0) && total.is_finite();
        if !valid || positive < 2 || weights.len() > CATEGORIES_MAX {
            return Err(Error::argument("weights", "2 to 10000, none negative, two above 0"));
        }
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let ln_gammas = shares.iter().map(|share| ln_gamma(concentration * share)).collect();
        Ok(Self { shares, concentration, ln_gammas, ln_gamma_total: ln_gamma(concentration) })
    }

    /// Logarithm of the e-value of the counts so far.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is not one count per weight.
    pub fn ln_e_value(&self, counts: &[u64]) -> Result<f64, Error> {
        self.check(counts)?;
        Ok(self.ln_marginal(counts)
            - self
                .shares
                .iter()
                .zip(counts)
                .filter(|(_, count)| **count > 0)
                .map(|(share, &count)| count as f64 * share.ln())
                .sum::<f64>())
    }

    /// p-value of the counts so far, valid at any time: min(1, 1/e-value). The smallest so far may
    /// be kept.
    ///
    /// # Errors
    /// As [`MultinomialProcess::ln_e_value`].
    pub fn p_value(&self, counts: &[u64]) -> Result<f64, Error> {
        Ok((-self.ln_e_value(counts)?).exp().min(1.0))
    }

    fn check(&self, counts: &[u64]) -> Result<(), Error> {
        if counts.len() == self.shares.len() {
            Ok(())
        } else {
            Err(Error::argument("counts", "one per weight"))
        }
    }

    /// ln B(α₀ + n) − ln B(α₀).
    fn ln_marginal(&self, counts: &[u64]) -> f64 {
        let mut sum = 0.0;
        let mut total = 0.0;
        for ((share, before), &count) in self.shares.iter().zip(&self.ln_gammas).zip(counts) {
            let (prior, count) = (self.concentration * share, count as f64);
            if count > 0.0 && prior == 0.0 {
                return f64::INFINITY;
            }
            if count > 0.0 {
                sum += ln_gamma(prior + count) - before;
            }
            total += count;
        }
        sum + self.ln_gamma_total - ln_gamma(self.concentration + total)
    }
}

/// What counts of events in two arms say about their rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountEffect {
    /// Rate of the treatment divided by that of the control; `None` without events in the control.
    pub rate_ratio: Option<f64>,
    /// Confidence sequence of that ratio; ends may be 0 and infinite.
    pub interval: Interval,
    /// p-value of equal rates, valid at any time.
    pub p_value: f64,
    /// Logarithm of the e-value.
    pub ln_e_value: f64,
}

/// Exact two-arm comparison of event counts at any time: errors, conversions (of units that arrive
/// in fixed shares) or any Poisson events.
///
/// When both arms have the same rate per unit, an event falls on the treatment with the share of the
/// units it gets, whatever the rate does over time; so the counts are a [`MultinomialProcess`] of
/// two categories (Lindon & Malek, 2022, §4 and §5). Two-sided. The interval inverts the test.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoArmCounts {
    process: MultinomialProcess,
    alpha: f64,
}

impl TwoArmCounts {
    /// `treatment_share`: share of the units of both arms that the treatment gets, 0..1.
    ///
    /// # Errors
    /// [`Error::Argument`] for a share outside or a concentration that is not positive. 100 is a
    /// fair concentration for doubled rates, 10 000 for changes by some percent.
    pub fn new(level: Level, treatment_share: f64, concentration: f64) -> Result<Self, Error> {
        super::check_share("treatment share", treatment_share)?;
        let weights = [treatment_share, 1.0 - treatment_share];
        let process = MultinomialProcess::new(&weights, concentration)?;
        Ok(Self { process, alpha: level.alpha() })
    }

    /// The effect by these numbers of events.
    #[must_use]
    pub fn effect(&self, treatment: u64, control: u64) -> CountEffect {
        let share = self.process.shares.first().copied().unwrap_or(0.5);
        let (t, c) = (treatment as f64, control as f64);
        let marginal = self.process.ln_marginal(&[treatment, control]);
        let ln_e = |theta: f64| {
            let ln = |count: f64, theta: f64| if count > 0.0 { count * theta.ln() } else { 0.0 };
            marginal - ln(t, theta) - ln(c, 1.0 - theta)
        };
        // The evidence against a share is least at the observed one and rises on either side.
        let limit = -self.alpha.ln();
        let observed = if t + c > 0.0 { t / (t + c) } else { share };
        let low = if treatment == 0 {
            0.0
        } else {
            -bisect(-observed, 0.0, |negative| ln_e(-negative) >= limit)
        };
        let high =
            if control == 0 { 1.0 } else { bisect(observed, 1.0, |theta| ln_e(theta) >= limit) };
        let ratio = |theta: f64| theta / (1.0 - theta) * (1.0 - share) / share;
        let ln_e_value = ln_e(share);
        CountEffect {
            rate_ratio: (control > 0).then(|| ratio(observed)),
            interval: Interval { low: ratio(low), high: ratio(high) },
            p_value: (-ln_e_value).exp().min(1.0),
            ln_e_value,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::experiment::Alternative;

    #[test]
    fn evidence_of_the_first_event_is_none() {
        let process = MultinomialProcess::new(&[0.2, 0.8], 100.0).unwrap();
        for counts in [[0, 0], [1, 0], [0, 1]] {
            assert!(process.ln_e_value(&counts).unwrap().abs() < 1e-9);
        }
    }

    #[test]
    fn a_count_where_none_may_be_is_certain() {
        let process = MultinomialProcess::new(&[0.5, 0.5, 0.0], 100.0).unwrap();
        assert_eq!(process.p_value(&[50, 50, 1]).unwrap(), 0.0);
        let two = MultinomialProcess::new(&[1.0, 1.0], 100.0).unwrap();
        let same = process.ln_e_value(&[60, 40, 0]).unwrap() - two.ln_e_value(&[60, 40]).unwrap();
        assert!(same.abs() < 1e-12);
    }

    #[test]
    fn wrong_weights_are_refused() {
        for weights in [&[][..], &[1.0], &[1.0, 0.0], &[1.0, -1.0], &[1.0, f64::NAN]] {
            assert!(MultinomialProcess::new(weights, 1.0).is_err(), "{weights:?}");
        }
        assert!(MultinomialProcess::new(&[1.0, 1.0], 0.0).is_err());
        let two = MultinomialProcess::new(&[1.0, 1.0], 1.0).unwrap();
        assert!(two.p_value(&[1, 2, 3]).is_err());
    }

    proptest! {
        /// The mean of the next e-value is the one now: a martingale.
        #[test]
        fn e_value_is_a_martingale(
            counts in [0..500_u64, 0..500_u64, 0..500_u64],
            weights in [0.1..1.0_f64, 0.1..1.0_f64, 0.1..1.0_f64], k in 1.0..10_000.0_f64,
        ) {
            let process = MultinomialProcess::new(&weights, k).unwrap();
            let now = process.ln_e_value(&counts).unwrap();
            let total: f64 = weights.iter().sum();
            let next: f64 = (0..3).map(|i| {
                let mut more = counts;
                more[i] += 1;
                weights[i] / total * (process.ln_e_value(&more).unwrap() - now).exp()
            }).sum();
            prop_assert!((next - 1.0).abs() < 1e-9, "{}", next);
        }

        #[test]
        fn interval_and_p_value_never_disagree(
            treatment in 0..2000_u64, control in 0..2000_u64, share in 0.05..0.95_f64,
            alpha in 0.001..0.4_f64,
        ) {
            let level = Level::new(alpha, Alternative::TwoSided).unwrap();
            let effect =
                TwoArmCounts::new(level, share, 200.0).unwrap().effect(treatment, control);
            prop_assume!((effect.p_value / alpha - 1.0).abs() > 1e-6);
            prop_assert_eq!(effect.interval.contains(1.0), effect.p_value > alpha);
            if let Some(ratio) = effect.rate_ratio {
                prop_assert!(effect.interval.low <= ratio * (1.0 + 1e-9));
                prop_assert!(effect.interval.high >= ratio * (1.0 - 1e-9));
            }
        }
    }
}

//! The Bayesian view: posterior of an effect, chance to win, expected loss.

use super::quadrature::{Density, Table};
use super::tails::{normal_cdf, normal_critical, normal_pdf};
use super::{Better, Comparison, Error, Moments};
use crate::interval::Interval;

/// A normal prior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalPrior {
    mean: f64,
    variance: f64,
}

impl NormalPrior {
    /// No opinion: the posterior is what the data say.
    pub const FLAT: Self = Self { mean: 0.0, variance: f64::INFINITY };

    /// A prior with this mean and standard deviation; for effects as a relative lift (0 and 0.3 is
    /// sceptical of effects above 60 %).
    ///
    /// # Errors
    /// [`Error::Argument`] when the mean is not finite or the deviation not positive.
    pub fn new(mean: f64, standard_deviation: f64) -> Result<Self, Error> {
        super::check_positive("standard deviation", standard_deviation)?;
        if !mean.is_finite() {
            return Err(Error::argument("mean", "finite"));
        }
        Ok(Self { mean, variance: standard_deviation * standard_deviation })
    }

    /// The same prior in units that are `factor` > 0 smaller.
    fn scaled(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, variance: self.variance * factor * factor }
    }
}

/// A normal posterior of one quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// Its mean, in the unit of the quantity.
    pub mean: f64,
    /// Its standard deviation.
    pub standard_deviation: f64,
}

impl Posterior {
    /// Posterior of a quantity with this estimate and standard error (> 0): precisions 1/V add up,
    /// means are weighted by them.
    #[must_use]
    pub fn new(estimate: f64, standard_error: f64, prior: NormalPrior) -> Self {
        let (data, before) = (1.0 / (standard_error * standard_error), 1.0 / prior.variance);
        let mean = (data * estimate + before * prior.mean) / (data + before);
        Self { mean, standard_deviation: (data + before).sqrt().recip() }
    }

    /// Posterior of the difference T − C, the prior on the relative lift being scaled by |C|.
    #[must_use]
    pub fn difference(comparison: &Comparison, prior: NormalPrior) -> Self {
        let prior = if prior == NormalPrior::FLAT {
            prior
        } else {
            prior.scaled(comparison.control.abs().max(f64::MIN_POSITIVE))
        };
        Self::new(comparison.difference(), comparison.standard_error(), prior)
    }

    /// Posterior of the relative lift (T − C)/|C| with its standard error by the delta method, to be
    /// used when the control is many standard errors from zero. `None` when it is zero.
    #[must_use]
    pub fn lift(comparison: &Comparison, prior: NormalPrior) -> Option<Self> {
        Some(Self::new(comparison.lift()?, comparison.lift_standard_error()?, prior))
    }

    /// Posterior of the value of one arm, for [`super::bandit`].
    ///
    /// # Errors
    /// [`Error::NoVariance`] when all units have the same value.
    pub fn arm(moments: &Moments<1>, prior: NormalPrior) -> Result<Self, Error> {
        let error = (moments.variance() / moments.units as f64).sqrt();
        if !(error > 0.0 && error.is_finite()) {
            return Err(Error::NoVariance);
        }
        Ok(Self::new(moments.value(), error, prior))
    }

    /// Probability that the quantity is good: above 0, or below 0 when less is better.
    #[must_use]
    pub fn chance_to_win(&self, better: Better) -> f64 {
        normal_cdf(better.sign() * self.mean / self.standard_deviation)
    }

    /// What choosing the treatment is expected to lose against the better choice, in the unit of the
    /// effect: E[max(−Δ, 0)] = σφ(μ/σ) − μΦ(−μ/σ), for Δ counted in the good direction.
    #[must_use]
    pub fn loss_of_treatment(&self, better: Better) -> f64 {
        self.loss(better.sign())
    }

    /// What keeping the control is expected to lose: E[max(Δ, 0)] = σφ(μ/σ) + μΦ(μ/σ).
    #[must_use]
    pub fn loss_of_control(&self, better: Better) -> f64 {
        self.loss(-better.sign())
    }

    fn loss(&self, sign: f64) -> f64 {
        let z = sign * self.mean / self.standard_deviation;
        (self.standard_deviation * (normal_pdf(z) - z * normal_cdf(-z))).max(0.0)
    }

    /// The interval that holds the quantity with probability `share`, equal tails.
    ///
    /// # Errors
    /// [`Error::Argument`] when `share` is not strictly between 0 and 1.
    pub fn credible(&self, share: f64) -> Result<Interval, Error> {
        super::check_share("share", share)?;
        let half = normal_critical((1.0 - share) / 2.0) * self.standard_deviation;
        Ok(Interval { low: self.mean - half, high: self.mean + half })
    }

    pub(crate) fn density(self) -> Density<'static> {
        let Self { mean, standard_deviation } = self;
        Density {
            pdf: Box::new(move |x| normal_pdf((x - mean) / standard_deviation)),
            breaks: Density::breaks(mean, standard_deviation, [0.0; 2]),
        }
    }
}

/// A Beta posterior of a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetaPosterior {
    a: f64,
    b: f64,
}

impl BetaPosterior {
    /// Beta(a, b) of a rate after `successes` among `units`, from the prior Beta(`prior.0`,
    /// `prior.1`): (1, 1) is uniform, (0.5, 0.5) Jeffreys'. Each must be at least 0.1.
    ///
    /// # Errors
    /// [`Error::Argument`] for more successes than units or other priors.
    pub fn new(successes: u64, units: u64, prior: (f64, f64)) -> Result<Self, Error> {
        let failures = units
            .checked_sub(successes)
            .ok_or(Error::argument("successes", "at most the number of units"))?;
        let (a, b) = prior;
        if !(a >= 0.1 && b >= 0.1 && a.is_finite() && b.is_finite()) {
            return Err(Error::argument("prior", "finite, at least 0.1 each"));
        }
        Ok(Self { a: a + successes as f64, b: b + failures as f64 })
    }

    /// Mean of the rate.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.a / (self.a + self.b)
    }

    /// The density of u = ln(x/(1 − x)), which is smooth with tails e^(a·u) and e^(−b·u) for any a
    /// and b, relative to its mode.
    pub(crate) fn density(self) -> Density<'static> {
        let Self { a, b } = self;
        let mode = (a / b).ln();
        let deviation = (1.0 / a + 1.0 / b).sqrt();
        // a·ln(x) + b·ln(1 − x) with one exponential, on the side where it is at most 1.
        let ln_kernel = move |u: f64| {
            let outer = if u > 0.0 { -b * u } else { a * u };
            outer - (a + b) * (-u.abs()).exp().ln_1p()
        };
        let top = ln_kernel(mode);
        Density {
            pdf: Box::new(move |u| (ln_kernel(u) - top).exp()),
            breaks: Density::breaks(mode, deviation, [5.0 / a, 5.0 / b]),
        }
    }
}

/// Chance and expected loss of two arms with Beta posteriors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetaComparison {
    /// Probability that the rate of the treatment is the better one.
    pub chance_to_win: f64,
    /// What choosing the treatment is expected to lose, as a rate.
    pub loss_of_treatment: f64,
    /// What keeping the control is expected to lose, as a rate.
    pub loss_of_control: f64,
}

/// Compares two rates by quadrature, so that the result is reproducible: P(T > C) = ∫ f_T·F_C and
/// E[max(C − T, 0)] = ∫ F_T·(1 − F_C). For small counts, where normal posteriors are wrong.
#[must_use]
pub fn beta_comparison(
    treatment: BetaPosterior,
    control: BetaPosterior,
    better: Better,
) -> BetaComparison {
    let table = Table::new(&[treatment.density(), control.density()]);
    let above = table.greatest().first().copied().unwrap_or(0.5);
    let integral = |low: &[f64], high: &[f64]| -> f64 {
        let places = table.nodes.iter().zip(low.iter().zip(high));
        // dx = x(1 − x)·du.
        places
            .map(|(&(u, weight), (below, above))| {
                let slope = 1.0 / ((1.0 + u.exp()) * (1.0 + (-u).exp()));
                weight * slope * below * (1.0 - above)
            })
            .sum()
    };
    let [t, c] = [&table.cdf[0], &table.cdf[1]];
    let (falls_short, exceeds) = (integral(t, c), integral(c, t));
    match better {
        Better::Higher => BetaComparison {
            chance_to_win: above,
            loss_of_treatment: falls_short,
            loss_of_control: exceeds,
        },
        Better::Lower => BetaComparison {
            chance_to_win: 1.0 - above,
            loss_of_treatment: exceeds,
            loss_of_control: falls_short,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flat_prior_leaves_the_data() {
        let posterior = Posterior::new(3.0, 2.0, NormalPrior::FLAT);
        assert_eq!((posterior.mean, posterior.standard_deviation), (3.0, 2.0));
        let even = Posterior::new(3.0, 2.0, NormalPrior::new(1.0, 2.0).unwrap());
        assert!((even.mean - 2.0).abs() < 1e-12);
        assert!((even.standard_deviation - 2.0_f64.sqrt()).abs() < 1e-12);
        assert!(NormalPrior::new(0.0, 0.0).is_err());
    }

    #[test]
    fn uniform_rates_by_hand() {
        // P(Beta(2, 1) > Beta(1, 1)) = ∫ 2x·x = 2/3; E[max(C − T, 0)] = ∫ x²(1 − x) = 1/12.
        let one = BetaPosterior::new(1, 1, (1.0, 1.0)).unwrap();
        let none = BetaPosterior::new(0, 0, (1.0, 1.0)).unwrap();
        let result = beta_comparison(one, none, Better::Higher);
        assert!((result.chance_to_win - 2.0 / 3.0).abs() < 1e-10);
        assert!((result.loss_of_treatment - 1.0 / 12.0).abs() < 1e-10);
        assert!((result.loss_of_control - (1.0 / 12.0 + 1.0 / 6.0)).abs() < 1e-10);
        assert!(BetaPosterior::new(2, 1, (1.0, 1.0)).is_err());
        assert!(BetaPosterior::new(1, 2, (0.0, 1.0)).is_err());
    }

    proptest! {
        #[test]
        fn losses_differ_by_the_effect(mean in -5.0..5.0_f64, deviation in 0.01..5.0_f64) {
            let posterior = Posterior { mean, standard_deviation: deviation };
            for better in [Better::Higher, Better::Lower] {
                let gain =
                    posterior.loss_of_control(better) - posterior.loss_of_treatment(better);
                prop_assert!((gain - better.sign() * mean).abs() < 1e-9);
            }
            let chances = posterior.chance_to_win(Better::Higher)
                + posterior.chance_to_win(Better::Lower);
            prop_assert!((chances - 1.0).abs() < 1e-12);
        }

        #[test]
        fn beta_losses_differ_by_the_means(
            successes in [0..100_000_u64, 0..50_u64], failures in [0..1_000_000_u64, 0..50_u64],
        ) {
            let arm = |i: usize| {
                BetaPosterior::new(successes[i], successes[i] + failures[i], (1.0, 1.0)).unwrap()
            };
            let result = beta_comparison(arm(0), arm(1), Better::Higher);
            let gain = result.loss_of_control - result.loss_of_treatment;
            prop_assert!((gain - (arm(0).mean() - arm(1).mean())).abs() < 1e-9, "{}", gain);
        }
    }
}

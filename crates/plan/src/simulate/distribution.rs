//! Distributions of times: of service, of starting an instance.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Most points of [`Distribution::Quantiles`].
pub const QUANTILES_MAX: usize = 10_000;

/// A distribution of times that are not negative, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Always the same.
    Constant(f64),
    /// Exponential.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// Lognormal.
    Lognormal {
        /// Mean.
        mean: f64,
        /// Coefficient of variation: standard deviation over mean.
        cv: f64,
    },
    /// Measured values at evenly spaced probabilities, rising; straight lines between them. The
    /// first [`QUANTILES_MAX`] count.
    Quantiles(Vec<f64>),
}

impl Distribution {
    /// The mean, in seconds.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Exponential { mean } | Self::Lognormal { mean, .. } => *mean,
            Self::Quantiles(values) => {
                let values = &values[..values.len().min(QUANTILES_MAX)];
                match values {
                    [] => 0.0,
                    [only] => *only,
                    // The area under straight lines.
                    _ => {
                        let lines = values.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
                        lines.sum::<f64>() / (values.len() - 1) as f64
                    }
                }
            }
        }
    }

    /// The same distribution of times `factor` times as long.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(value * factor),
            Self::Exponential { mean } => Self::Exponential { mean: mean * factor },
            Self::Lognormal { mean, cv } => Self::Lognormal { mean: mean * factor, cv: *cv },
            Self::Quantiles(values) => {
                Self::Quantiles(values.iter().map(|value| value * factor).collect())
            }
        }
    }

    /// A draw, in seconds, never negative.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        let time = match self {
            Self::Constant(value) => *value,
            Self::Exponential { mean } => mean * exponential(rng),
            Self::Lognormal { mean, cv } => {
                // ln X is normal with variance ln(1+cv²) and mean ln(mean) − variance/2.
                let variance = cv.mul_add(*cv, 1.0).ln();
                mean * (variance.sqrt() * normal(rng) - variance / 2.0).exp()
            }
            Self::Quantiles(values) => {
                let values = &values[..values.len().min(QUANTILES_MAX)];
                stats::quantile::type7(values, rng.random::<f64>()).unwrap_or(0.0)
            }
        };
        time.max(0.0)
    }
}

/// A draw from the exponential distribution of mean 1 (inverse transform; never infinite).
pub(super) fn exponential(rng: &mut impl Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

/// A draw from the standard normal distribution (Box & Muller, 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (2.0 * exponential(rng)).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn draws_have_the_mean_and_the_variation() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let quantiles = vec![0.0, 1.0, 1.0, 6.0];
        for (distribution, cv) in [
            (Distribution::Constant(0.3), 0.0),
            (Distribution::Exponential { mean: 2.0 }, 1.0),
            (Distribution::Lognormal { mean: 0.5, cv: 1.5 }, 1.5),
            (Distribution::Quantiles(quantiles).scaled(2.0), f64::NAN),
        ] {
            let n = 400_000;
            let draws: Vec<f64> = (0..n).map(|_| distribution.draw(&mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let square = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / f64::from(n);
            assert!((mean / distribution.mean() - 1.0).abs() < 0.01, "{distribution:?}: {mean}");
            if cv.is_finite() {
                assert!((square.sqrt() / mean - cv).abs() < 0.05, "{distribution:?}");
            }
        }
    }

    #[test]
    fn measured_values_by_hand() {
        assert!(
            (Distribution::Quantiles(vec![0.0, 1.0, 1.0, 6.0]).mean() - 5.0 / 3.0).abs() < 1e-12
        );
        assert_eq!(Distribution::Quantiles(Vec::new()).mean(), 0.0);
        assert_eq!(Distribution::Quantiles(vec![3.0]).mean(), 3.0);
    }
}

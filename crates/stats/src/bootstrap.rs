//! Circular block bootstrap (Politis & Romano, 1992): resampling of time series that keeps the
//! dependence between neighbours.

use rand::{Rng, RngExt};

use crate::interval::{Interval, is_confidence};
use crate::quantile::type7;

/// Most replicates that are drawn; more are not worth their time.
pub const MAX_REPLICATES: usize = 100_000;

/// Draws bootstrap replicates of a statistic of a series of `n` values, sorted.
///
/// Each replicate joins blocks of `block_length` successive indices (clamped to 1..=n) from random
/// starts, wrapping from the end to the start, into `n` indices and hands them to `statistic`. To
/// compare two independent series, resample each and subtract replicates before sorting; to compare
/// paired ones, let `statistic` return the difference for the same indices.
///
/// `replicates` is cut to [`MAX_REPLICATES`]. Replicates whose statistic is NaN are left out.
/// Empty when `n` is 0.
pub fn circular_block_bootstrap(
    n: usize,
    block_length: usize,
    replicates: usize,
    rng: &mut impl Rng,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Vec<f64> {
    if n == 0 {
        return Vec::new();
    }
    let block_length = block_length.clamp(1, n);
    let mut indices = Vec::with_capacity(n + block_length);
    let mut values: Vec<f64> = (0..replicates.min(MAX_REPLICATES))
        .map(|_| {
            indices.clear();
            while indices.len() < n {
                let start = rng.random_range(0..n);
                indices.extend((start..start + block_length).map(|index| index % n));
            }
            statistic(&indices[..n])
        })
        .filter(|value| !value.is_nan())
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Percentile interval (Efron, 1979) of sorted replicates.
///
/// `None` without replicates or when `confidence` is not strictly between 0 and 1.
#[must_use]
pub fn percentile_interval(sorted_replicates: &[f64], confidence: f64) -> Option<Interval> {
    if !is_confidence(confidence) {
        return None;
    }
    let tail = (1.0 - confidence) / 2.0;
    Some(Interval {
        low: type7(sorted_replicates, tail)?,
        high: type7(sorted_replicates, 1.0 - tail)?,
    })
}

/// Two-sided p-value of "the difference is zero" from sorted replicates of the difference: twice
/// the smaller share on either side of zero, counting the sample itself once (Davison & Hinkley,
/// 1997, §4.2), so never below 2/(replicates+1). `None` without replicates.
#[must_use]
pub fn two_sided_p_value(sorted_replicates: &[f64]) -> Option<f64> {
    if sorted_replicates.is_empty() {
        return None;
    }
    let at_most = sorted_replicates.partition_point(|&value| value <= 0.0);
    let at_least = sorted_replicates.len() - sorted_replicates.partition_point(|&v| v < 0.0);
    let share = (1 + at_most.min(at_least)) as f64 / (1 + sorted_replicates.len()) as f64;
    Some((2.0 * share).min(1.0))
}

/// Block length n^(1/3), rounded, at least 1: the order that is optimal for a mean when nothing is
/// known of the dependence (Hall, Horowitz & Jing, 1995).
#[must_use]
pub fn block_length(n: usize) -> usize {
    ((n as f64).cbrt().round() as usize).max(1)
}

/// Block length fitted to the lag-1 autocorrelation ρ of the series: the rule of Politis & White
/// (2004) for the circular bootstrap of a mean, (6ρ²/(1−ρ²)²)^(1/3) · n^(1/3), with an AR(1) process
/// in place of its spectral estimates. At least 1, at most their cap min(3√n, n/3).
#[must_use]
pub fn block_length_of(series: &[f64]) -> usize {
    let n = series.len() as f64;
    let rho = lag1_autocorrelation(series).unwrap_or(0.0);
    // The estimate can reach neither 1 nor, for a rule on persistence, matter below 0.
    let rho = rho.clamp(0.0, 0.999);
    let length = (6.0 * (rho / (1.0 - rho * rho)).powi(2) * n).cbrt().ceil();
    let cap = (3.0 * n.sqrt()).min(n / 3.0).floor();
    (length.min(cap) as usize).max(1)
}

/// Lag-1 autocorrelation of a series, −1..=1; `None` when it has fewer than two values, does not
/// vary or is not finite.
#[must_use]
pub fn lag1_autocorrelation(series: &[f64]) -> Option<f64> {
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    let variance: f64 = series.iter().map(|value| (value - mean).powi(2)).sum();
    let covariance: f64 = series.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum();
    let rho = covariance / variance;
    rho.is_finite().then_some(rho)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    use super::*;

    fn rng(seed: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(seed)
    }

    /// AR(1) series of mean 0: x ← ρ·x + noise.
    fn autoregressive(n: usize, rho: f64, rng: &mut impl Rng) -> Vec<f64> {
        let mut level = 0.0;
        let mut step = || {
            level = rho * level + rng.random_range(-1.0..1.0);
            level
        };
        (0..n + 100).map(|_| step()).skip(100).collect()
    }

    #[test]
    fn degenerate_input() {
        assert_eq!(circular_block_bootstrap(0, 1, 10, &mut rng(1), |_| 1.0), []);
        assert_eq!(circular_block_bootstrap(5, 1, 3, &mut rng(1), |_| f64::NAN), []);
        assert_eq!(percentile_interval(&[], 0.9), None);
        assert_eq!(percentile_interval(&[1.0], 1.0), None);
        assert_eq!(two_sided_p_value(&[]), None);
        assert_eq!((block_length(0), block_length(27), block_length(1000)), (1, 3, 10));
        assert_eq!(block_length_of(&[]), 1);
        assert_eq!(block_length_of(&[1.0; 100]), 1);
        assert_eq!(lag1_autocorrelation(&[2.0; 3]), None);
    }

    #[test]
    fn replicates_are_limited() {
        let drawn = circular_block_bootstrap(1, 1, usize::MAX, &mut rng(1), |_| 0.0);
        assert_eq!(drawn.len(), MAX_REPLICATES);
    }

    #[test]
    fn p_value_counts_both_sides() {
        assert_eq!(two_sided_p_value(&[1.0; 99]), Some(0.02));
        assert_eq!(two_sided_p_value(&[0.0; 99]), Some(1.0));
        assert_eq!(two_sided_p_value(&[-1.0, 1.0, 2.0]), Some(1.0));
    }

    #[test]
    fn block_length_follows_the_dependence() {
        let mut rng = rng(3);
        let independent = block_length_of(&autoregressive(1000, 0.0, &mut rng));
        let dependent = block_length_of(&autoregressive(1000, 0.9, &mut rng));
        assert!(independent <= 4, "{independent}");
        // (6·0.81/0.19²)^(1/3) · 10 = 51 at ρ = 0.9.
        assert!((40..=65).contains(&dependent), "{dependent}");
    }

    #[test]
    fn intervals_of_dependent_series_cover_the_mean() {
        let mut rng = rng(11);
        let mut mean_covered = |length: fn(&[f64]) -> usize| {
            (0..200)
                .filter(|_| {
                    let series = autoregressive(400, 0.7, &mut rng);
                    let mean = |indices: &[usize]| {
                        indices.iter().map(|&i| series[i]).sum::<f64>() / indices.len() as f64
                    };
                    let replicates = circular_block_bootstrap(
                        series.len(),
                        length(&series),
                        300,
                        &mut rng,
                        mean,
                    );
                    percentile_interval(&replicates, 0.9).unwrap().contains(0.0)
                })
                .count()
        };
        let (blocks, single) = (mean_covered(block_length_of), mean_covered(|_| 1));
        // Nominal 180; blocks fall a little short on finite series, single values by far.
        assert!((160..=195).contains(&blocks), "{blocks}");
        assert!(single < 130, "{single}");
    }

    proptest! {
        #[test]
        fn indices_come_in_circular_blocks(
            n in 1_usize..50, block in 0_usize..60, seed in any::<u64>(),
        ) {
            let mut seen = Vec::new();
            circular_block_bootstrap(n, block, 3, &mut rng(seed), |indices| {
                seen.push(indices.to_vec());
                0.0
            });
            let block = block.clamp(1, n);
            prop_assert_eq!(seen.len(), 3);
            for indices in seen {
                prop_assert_eq!(indices.len(), n);
                for run in indices.chunks(block) {
                    prop_assert!(run.iter().all(|&index| index < n));
                    prop_assert!(run.windows(2).all(|w| w[1] == (w[0] + 1) % n));
                }
            }
        }

        #[test]
        fn same_seed_gives_same_replicates(n in 1_usize..30, seed in any::<u64>()) {
            let draw = || {
                circular_block_bootstrap(n, 3, 20, &mut rng(seed), |indices| indices[0] as f64)
            };
            prop_assert_eq!(draw(), draw());
            prop_assert!(draw().is_sorted());
        }
    }
}

//! Exact quantiles of sorted samples, and distribution-free intervals for them.

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

use crate::interval::{Interval, is_confidence};

/// Nearest-rank quantile: the ⌈q·n⌉-th smallest value, so always one of the values.
///
/// `sorted` must rise. `None` when it is empty or `q` is not within 0..=1.
#[must_use]
pub fn nearest_rank<T: Copy>(sorted: &[T], q: f64) -> Option<T> {
    if sorted.is_empty() || !(0.0..=1.0).contains(&q) {
        return None;
    }
    sorted.get(rank(q, sorted.len() as u64) as usize - 1).copied()
}

/// Quantile by linear interpolation at h = (n−1)·q: R-7 of Hyndman & Fan (1996), the default of R
/// and `NumPy`.
///
/// `sorted` must rise. `None` when it is empty or `q` is not within 0..=1.
#[must_use]
pub fn type7(sorted: &[f64], q: f64) -> Option<f64> {
    if sorted.is_empty() || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let h = (sorted.len() - 1) as f64 * q;
    let below = h.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high) = (sorted[below], sorted[above]);
    // Equal neighbours are returned as they are, which also covers infinite ones.
    Some(if low == high { low } else { low + (h - h.floor()) * (high - low) })
}

/// Confidence interval of the `q` quantile of the distribution that `sorted` was drawn from:
/// the order statistics of [`quantile_interval_ranks`].
///
/// `sorted` must rise. `None` where the ranks do not exist.
#[must_use]
pub fn quantile_interval(sorted: &[f64], q: f64, confidence: f64) -> Option<Interval> {
    let (low, high) = quantile_interval_ranks(sorted.len() as u64, q, confidence)?;
    Some(Interval { low: sorted[low as usize - 1], high: sorted[high as usize - 1] })
}

/// Ranks (1-based) of the order statistics that enclose the `q` quantile with at least the given
/// confidence, leaving at most half of the rest on either side (binomial method; David & Nagaraja,
/// Order Statistics, §7.1). Holds for independent values of any distribution.
///
/// `None` when `n` values are too few for such an interval (0.99 at 95 % needs 368 values), when
/// `q` or `confidence` is not strictly between 0 and 1.
#[must_use]
pub fn quantile_interval_ranks(n: u64, q: f64, confidence: f64) -> Option<(u64, u64)> {
    if n == 0 || !(q > 0.0 && q < 1.0) || !is_confidence(confidence) {
        return None;
    }
    let tail = (1.0 - confidence) / 2.0;
    let low = binomial_quantile(n, q, tail)?;
    let high = binomial_quantile(n, q, 1.0 - tail)? + 1;
    (low >= 1 && high <= n).then_some((low, high))
}

/// Variance above which a binomial distribution is taken as normal with a correction for skew.
const MAX_EXACT_VARIANCE: f64 = 10_000.0;

/// Quantile `p` of the number of successes in `n` trials of probability `q`: the smallest count
/// whose distribution function reaches `p`; above [`MAX_EXACT_VARIANCE`], where the library's
/// distribution function loses its accuracy, the first terms of the expansion of Cornish & Fisher
/// (1938), which are then off by at most one.
fn binomial_quantile(n: u64, q: f64, p: f64) -> Option<u64> {
    let variance = n as f64 * q * (1.0 - q);
    if variance > MAX_EXACT_VARIANCE {
        let z = Normal::standard().inverse_cdf(p);
        let skew = (z * z - 1.0) * (1.0 - 2.0 * q) / 6.0;
        return Some((n as f64 * q + z * variance.sqrt() + skew).round() as u64);
    }
    // Bisection of our own, because the library's inverse panics for some sizes.
    let successes = Binomial::new(q, n).ok()?;
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        // Of two complementary probabilities the smaller one is accurate.
        let reached =
            if p < 0.5 { successes.cdf(middle) >= p } else { successes.sf(middle) <= 1.0 - p };
        if reached {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// Rank (1-based) of the nearest-rank quantile: ⌈q·n⌉, at least 1 and at most `n`.
///
/// A product within rounding error of a whole number counts as that number, so that
/// `q = 0.07, n = 100` has rank 7 although `0.07 * 100.0 > 7.0` in floating point.
/// Expects `q` in 0..=1 and `n ≥ 1`.
pub(crate) fn rank(q: f64, n: u64) -> u64 {
    let product = q * n as f64;
    let whole = product.round();
    let is_whole = (product - whole).abs() <= 2.0 * f64::EPSILON * whole;
    let rank = if is_whole { whole } else { product.ceil() };
    (rank as u64).clamp(1, n.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_ignore_rounding_error() {
        for percent in 1..=100 {
            assert_eq!(rank(f64::from(percent) / 100.0, 100), percent as u64);
            assert_eq!(rank(f64::from(percent) / 100.0, 100_000_000), percent as u64 * 1_000_000);
        }
        assert_eq!(rank(0.0, 5), 1);
        assert_eq!(rank(0.2001, 5), 2);
        assert_eq!(rank(1.0, 5), 5);
    }

    #[test]
    fn invalid_input_has_no_quantile() {
        assert_eq!(nearest_rank::<u64>(&[], 0.5), None);
        assert_eq!(type7(&[], 0.5), None);
        for q in [-0.1, 1.1, f64::NAN] {
            assert_eq!(nearest_rank(&[1], q), None);
            assert_eq!(type7(&[1.0], q), None);
            assert_eq!(quantile_interval(&[1.0, 2.0], q, 0.9), None);
        }
    }

    #[test]
    fn interval_needs_enough_values() {
        assert_eq!(quantile_interval_ranks(367, 0.99, 0.95), None);
        assert_eq!(quantile_interval_ranks(368, 0.99, 0.95).map(|ranks| ranks.1), Some(368));
        assert_eq!(quantile_interval_ranks(5, 0.5, 0.95), None);
        assert_eq!(quantile_interval_ranks(6, 0.5, 0.95), Some((1, 6)));
    }

    proptest! {
        #[test]
        fn nearest_rank_leaves_at_most_the_share_above(
            mut values in proptest::collection::vec(any::<u32>(), 1..200), q in 0.0..=1.0_f64,
        ) {
            values.sort_unstable();
            let quantile = nearest_rank(&values, q).unwrap();
            let n = values.len() as f64;
            let at_or_below = values.iter().filter(|&&value| value <= quantile).count() as f64;
            let below = values.iter().filter(|&&value| value < quantile).count() as f64;
            prop_assert!(at_or_below >= q * n - 1e-9);
            prop_assert!(below <= q * n);
        }

        #[test]
        fn interval_covers_with_at_least_the_confidence(
            n in 2_u64..5000, q in 0.01..0.99_f64, confidence in 0.5..0.99_f64,
        ) {
            if let Some((low, high)) = quantile_interval_ranks(n, q, confidence) {
                let below = Binomial::new(q, n).unwrap();
                let coverage = below.cdf(high - 1) - below.cdf(low - 1);
                prop_assert!(coverage >= confidence - 1e-9);
                prop_assert!(low < high && high <= n);
            }
        }
    }
}

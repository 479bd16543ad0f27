//! Latency histogram: bounded memory, mergeable, exact count, mean, deviation and extremes.

use std::fmt;

use crate::buckets::Buckets;
use crate::hdr_codec::{self, DecodeError};
use crate::quantile::{quantile_interval_ranks, rank};

/// Longest latency that is told apart: one hour. Longer ones count as one hour.
pub const MAX_US: u64 = 3_600_000_000;

/// A histogram of latencies in whole microseconds, 0 to [`MAX_US`].
///
/// Quantiles come from HDR buckets of 3 significant digits (G. Tene, HdrHistogram) and are off by
/// at most 0.1 % + 1 µs, upwards. Count, sum, sum of squares, minimum and maximum are kept beside
/// the buckets and are exact.
///
/// Memory is at most 1 KB up to 64 distinct values; beyond, it grows with the largest value
/// recorded, from 16 KB to at most about 190 KB, and never with the number of values. Recording
/// allocates only when it outgrows what it had, which [`clear`](Self::clear) keeps.
#[derive(Clone)]
pub struct LatencyHistogram {
    buckets: Buckets,
    count: u64,
    sum_us: u128,
    sum_squares: u128,
    min_us: u64,
    max_us: u64,
}

impl LatencyHistogram {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        let buckets = Buckets::new();
        Self { buckets, count: 0, sum_us: 0, sum_squares: 0, min_us: u64::MAX, max_us: 0 }
    }

    /// Records one latency in µs.
    #[inline]
    pub fn record(&mut self, us: u64) {
        self.record_n(us, 1);
    }

    /// Records `n` equal latencies in µs.
    #[inline]
    pub fn record_n(&mut self, us: u64, n: u64) {
        let us = us.min(MAX_US);
        // Fails only where `usize` cannot index 24,000 buckets; then nothing is recorded.
        if n == 0 || !self.buckets.record(us, n) {
            return;
        }
        self.count += n;
        self.sum_us += u128::from(us) * u128::from(n);
        self.sum_squares += u128::from(us * us) * u128::from(n);
        self.min_us = self.min_us.min(us);
        self.max_us = self.max_us.max(us);
    }

    /// Adds all values of `other`; the result is as if both had been recorded into one histogram.
    pub fn merge(&mut self, other: &Self) {
        // Fails as in `record_n`.
        if !self.buckets.add(&other.buckets) {
            return;
        }
        self.count += other.count;
        self.sum_us += other.sum_us;
        self.sum_squares += other.sum_squares;
        self.min_us = self.min_us.min(other.min_us);
        self.max_us = self.max_us.max(other.max_us);
    }

    /// Forgets all values but keeps the memory, so that recording stays free of allocation.
    pub fn clear(&mut self) {
        self.buckets.reset();
        self.count = 0;
        (self.sum_us, self.sum_squares, self.min_us, self.max_us) = (0, 0, u64::MAX, 0);
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// True when nothing has been recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Sum of all values in µs, exact.
    #[must_use]
    pub fn sum_us(&self) -> u128 {
        self.sum_us
    }

    /// Smallest value in µs, exact; `None` when empty.
    #[must_use]
    pub fn min_us(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min_us)
    }

    /// Largest value in µs, exact; `None` when empty.
    #[must_use]
    pub fn max_us(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max_us)
    }

    /// Arithmetic mean in µs, exact up to rounding; `None` when empty.
    #[must_use]
    pub fn mean_us(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum_us as f64 / self.count() as f64)
    }

    /// Sample standard deviation in µs (divisor n−1), exact up to rounding; 0 for one value,
    /// `None` when empty.
    #[must_use]
    pub fn stdev_us(&self) -> Option<f64> {
        let n = match self.count() {
            0 => return None,
            1 => return Some(0.0),
            n => n,
        };
        // Squares are summed around the whole part of the mean in integers, so that nothing
        // cancels; the fraction of the mean then takes off remainder²/n.
        let (whole, remainder) = (self.sum_us / u128::from(n), self.sum_us % u128::from(n));
        let around_whole = self.sum_squares - whole * self.sum_us - whole * remainder;
        let remainder = remainder as f64;
        let squares = around_whole as f64 - remainder * (remainder / n as f64);
        Some((squares.max(0.0) / (n - 1) as f64).sqrt())
    }

    /// Quantile `q` in µs by the nearest-rank estimator: the ⌈q·n⌉-th smallest value, read as the
    /// highest value of its HDR bucket and clamped to the exact minimum and maximum.
    ///
    /// Never below the exact nearest-rank quantile and above it by at most 0.1 % + 1 µs.
    /// `None` when empty or when `q` is not within 0..=1.
    #[must_use]
    pub fn quantile_us(&self, q: f64) -> Option<u64> {
        if self.is_empty() || !(0.0..=1.0).contains(&q) {
            return None;
        }
        if q == 0.0 {
            return self.min_us();
        }
        Some(self.value_at_rank(rank(q, self.count())))
    }

    /// Confidence interval (low, high) in µs of quantile `q` of the distribution that the latencies
    /// were drawn from, by [`quantile_interval_ranks`]: it assumes independent values, so it is too
    /// narrow where slow answers come in bursts. `None` when there are too few values.
    #[must_use]
    pub fn quantile_interval_us(&self, q: f64, confidence: f64) -> Option<(u64, u64)> {
        let (low, high) = quantile_interval_ranks(self.count(), q, confidence)?;
        Some((self.value_at_rank(low), self.value_at_rank(high)))
    }

    /// The value of 1-based `rank`, at most the count, as described at `quantile_us`.
    fn value_at_rank(&self, rank: u64) -> u64 {
        // The library rounds up; the middle of the step below the rank is safe from rounding error.
        let middle = (rank as f64 - 0.5) / self.count() as f64;
        self.buckets.read().value_at_quantile(middle).clamp(self.min_us, self.max_us)
    }

    /// Number of values above `us`. Values in the same HDR bucket as `us` count as not above, so
    /// the result is exact for some threshold within 0.1 % + 1 µs above `us`.
    #[must_use]
    pub fn count_above_us(&self, us: u64) -> u64 {
        if us >= self.max_us {
            0
        } else if us < self.min_us {
            self.count()
        } else {
            self.count() - self.buckets.read().count_between(0, us)
        }
    }

    /// Share of the values at or below `us`, 0..=1, with the resolution of
    /// [`count_above_us`](Self::count_above_us). 1 when empty: no value exceeds `us`.
    #[must_use]
    pub fn share_at_or_below(&self, us: u64) -> f64 {
        if self.is_empty() {
            return 1.0;
        }
        (self.count() - self.count_above_us(us)) as f64 / self.count() as f64
    }

    /// The non-empty buckets in rising order as (value in µs, count). The value is the highest of
    /// its bucket, clamped to the exact minimum and maximum, as in [`quantile_us`](Self::quantile_us).
    pub fn iter_buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let recorded: Vec<(u64, u64)> = self
            .buckets
            .read()
            .iter_recorded()
            .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
            .collect();
        recorded.into_iter().map(|(us, n)| (us.clamp(self.min_us, self.max_us), n))
    }

    /// HdrHistogram's "V2 deflate" format in base64, readable by the HDR tools of any language.
    /// It carries the buckets but neither the exact sums nor the exact extremes.
    #[must_use]
    pub fn encode(&self) -> String {
        hdr_codec::encode(&self.buckets.read())
    }

    /// Reads the "V2 deflate" base64 form of a histogram with 3 significant digits and lowest
    /// value 1, whichever tool wrote it.
    ///
    /// Bucket counts are exact, so quantiles equal those of the original, save for the clamping to
    /// exact extremes. Minimum, maximum, mean and standard deviation are rebuilt from the buckets:
    /// the minimum is the lowest value of the first bucket, the maximum the highest of the last,
    /// and each value counts as the middle of its bucket, so they are within 0.1 % + 1 µs (the
    /// deviation: within 0.1 % of the maximum + 1 µs).
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the text is not such a histogram or exceeds a named limit of size
    /// or count. No input makes it panic.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        let mut histogram = Self::new();
        let equivalents = histogram.buckets.read().into_owned();
        for (lowest, count) in hdr_codec::decode(text)? {
            histogram.record_n(equivalents.median_equivalent(lowest), count);
        }
        if !histogram.is_empty() {
            let buckets = histogram.buckets.read();
            let min_us = buckets.lowest_equivalent(histogram.min_us);
            let max_us = buckets.highest_equivalent(histogram.max_us).min(MAX_US);
            drop(buckets);
            (histogram.min_us, histogram.max_us) = (min_us, max_us);
        }
        Ok(histogram)
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for LatencyHistogram {
    /// Equal when they hold the same values, whatever memory they have grown to.
    fn eq(&self, other: &Self) -> bool {
        let sums = |h: &Self| (h.sum_us, h.sum_squares, h.min_us, h.max_us);
        sums(self) == sums(other) && self.iter_buckets().eq(other.iter_buckets())
    }
}

impl fmt::Debug for LatencyHistogram {
    /// A summary; thousands of buckets help nobody.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LatencyHistogram")
            .field("count", &self.count())
            .field("min_us", &self.min_us())
            .field("mean_us", &self.mean_us())
            .field("p50_us", &self.quantile_us(0.5))
            .field("p99_us", &self.quantile_us(0.99))
            .field("max_us", &self.max_us())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(values: &[u64]) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::new();
        values.iter().for_each(|&us| histogram.record(us));
        histogram
    }

    /// Latencies of every magnitude, some beyond the limit.
    fn latencies(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u64>> {
        let latency = (0_u32..34, any::<u64>()).prop_map(|(bits, noise)| noise % (1 << bits));
        proptest::collection::vec(latency, len)
    }

    #[test]
    fn empty_has_no_statistics() {
        let empty = LatencyHistogram::default();
        assert!(empty.is_empty());
        assert_eq!(empty.count(), 0);
        assert_eq!(empty.min_us(), None);
        assert_eq!(empty.max_us(), None);
        assert_eq!(empty.mean_us(), None);
        assert_eq!(empty.stdev_us(), None);
        assert_eq!(empty.quantile_us(0.5), None);
        assert_eq!(empty.count_above_us(0), 0);
        assert_eq!(empty.share_at_or_below(0), 1.0);
        assert_eq!(empty.iter_buckets().count(), 0);
        assert_eq!(LatencyHistogram::decode(&empty.encode()).unwrap(), empty);
    }

    #[test]
    fn one_to_hundred_is_exact() {
        let h = histogram(&(1..=100).collect::<Vec<_>>());
        assert_eq!(h.quantile_us(0.07), Some(7));
        assert_eq!(h.quantile_us(0.5), Some(50));
        assert_eq!(h.quantile_us(0.99), Some(99));
        assert_eq!(h.quantile_us(0.991), Some(100));
        assert_eq!(h.quantile_us(0.0), Some(1));
        assert_eq!(h.quantile_us(1.0), Some(100));
        assert_eq!(h.mean_us(), Some(50.5));
        assert!((h.stdev_us().unwrap() - 29.011_491_975_882_016).abs() < 1e-12);
        assert_eq!(h.count_above_us(95), 5);
        assert_eq!(h.share_at_or_below(95), 0.95);
        // Binomial(100, 0.5): P(B < 40) = 0.0176, P(B ≤ 60) = 0.9824.
        assert_eq!(h.quantile_interval_us(0.5, 0.95), Some((40, 61)));
        assert_eq!(h.quantile_interval_us(0.99, 0.95), None);
        for q in [-0.1, 1.1, f64::NAN] {
            assert_eq!(h.quantile_us(q), None);
        }
    }

    #[test]
    fn deviation_of_large_close_values_does_not_cancel() {
        let mut h = LatencyHistogram::new();
        h.record_n(MAX_US - 1, 500_000_000);
        h.record_n(MAX_US, 500_000_000);
        assert!((h.stdev_us().unwrap() - 0.5).abs() < 1e-8);
        assert_eq!(histogram(&[MAX_US]).stdev_us(), Some(0.0));
    }

    #[test]
    fn longer_than_an_hour_counts_as_an_hour() {
        let h = histogram(&[u64::MAX, MAX_US + 1, 0]);
        assert_eq!(h.max_us(), Some(MAX_US));
        assert_eq!(h.quantile_us(1.0), Some(MAX_US));
        assert_eq!(h.min_us(), Some(0));
        assert_eq!(h.sum_us(), 2 * u128::from(MAX_US));
    }

    #[test]
    fn clear_forgets_everything() {
        let mut h = histogram(&[3, 1_000_000]);
        h.clear();
        assert_eq!(h, LatencyHistogram::new());
        h.record(5);
        assert_eq!((h.min_us(), h.max_us(), h.quantile_us(0.5)), (Some(5), Some(5), Some(5)));
    }

    #[test]
    fn debug_is_short() {
        assert!(format!("{:?}", histogram(&[1, 1_000_000])).len() < 200);
    }

    proptest! {
        #[test]
        fn quantiles_keep_the_error_bound(mut values in latencies(1..300), q in 0.0..=1.0_f64) {
            let h = histogram(&values);
            values.iter_mut().for_each(|us| *us = (*us).min(MAX_US));
            values.sort_unstable();
            let exact = values[rank(q, values.len() as u64) as usize - 1];
            let read = h.quantile_us(q).unwrap();
            prop_assert!(read >= exact);
            prop_assert!((read - exact) as f64 <= exact as f64 / 1000.0 + 1.0, "{read} vs {exact}");
        }

        #[test]
        fn moments_and_extremes_are_exact(values in latencies(1..300)) {
            let h = histogram(&values);
            let values: Vec<u64> = values.iter().map(|&us| us.min(MAX_US)).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<u64>() as f64 / n;
            let squares: f64 = values.iter().map(|&us| (us as f64 - mean).powi(2)).sum();
            let stdev = (squares / (n - 1.0).max(1.0)).sqrt();
            prop_assert_eq!(h.count(), values.len() as u64);
            prop_assert_eq!(h.min_us(), values.iter().min().copied());
            prop_assert_eq!(h.max_us(), values.iter().max().copied());
            prop_assert!((h.mean_us().unwrap() - mean).abs() <= 1e-12 * mean);
            prop_assert!((h.stdev_us().unwrap() - stdev).abs() <= 1e-9 * stdev.max(1.0));
        }

        #[test]
        fn merge_equals_concatenation(left in latencies(0..100), right in latencies(0..100)) {
            let mut merged = histogram(&left);
            merged.merge(&histogram(&right));
            prop_assert_eq!(merged, histogram(&[left, right].concat()));
        }

        #[test]
        fn counts_above_agree_with_the_values(values in latencies(1..300), us in 0_u64..1 << 33) {
            let h = histogram(&values);
            let above = |limit: u64| {
                values.iter().filter(|&&v| v.min(MAX_US) > limit).count() as u64
            };
            let count = h.count_above_us(us);
            prop_assert!(count <= above(us));
            prop_assert!(count >= above(us + us / 1000 + 1));
            let share = 1.0 - count as f64 / values.len() as f64;
            prop_assert!((h.share_at_or_below(us) - share).abs() < 1e-12);
        }

        #[test]
        fn buckets_rise_and_add_up(values in latencies(0..300)) {
            let h = histogram(&values);
            let buckets: Vec<_> = h.iter_buckets().collect();
            prop_assert!(buckets.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert_eq!(buckets.iter().map(|b| b.1).sum::<u64>(), h.count());
            prop_assert_eq!(buckets.last().map(|b| b.0), h.max_us());
        }

        #[test]
        fn text_form_keeps_the_buckets(values in latencies(1..300), q in 0.0..=1.0_f64) {
            let h = histogram(&values);
            let copy = LatencyHistogram::decode(&h.encode()).unwrap();
            prop_assert_eq!(copy.count(), h.count());
            prop_assert_eq!(copy.encode(), h.encode());
            let near = |a: f64, b: f64| (a - b).abs() <= b / 1000.0 + 1.0;
            let pairs = [
                (copy.quantile_us(q), h.quantile_us(q)),
                (copy.min_us(), h.min_us()),
                (copy.max_us(), h.max_us()),
            ];
            for (copied, original) in pairs {
                prop_assert!(near(copied.unwrap() as f64, original.unwrap() as f64));
            }
            prop_assert!(near(copy.mean_us().unwrap(), h.mean_us().unwrap()));
        }
    }
}

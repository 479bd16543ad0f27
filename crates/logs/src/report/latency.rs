//! Latencies in buckets of equal relative width.

use serde::Serialize;

/// Bits of a value that a bucket keeps: 32 buckets per doubling, at most 3.1 % wide.
const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;
/// Longest latency that is told apart, in µs: 38 hours. Longer ones count as this.
pub(crate) const LATENCY_MAX_US: u64 = (1 << 37) - 1;
/// Buckets from 0 to [`LATENCY_MAX_US`].
const BUCKETS: usize = ((37 - SUB_BITS as usize) + 1) * SUB as usize;
/// Buckets in use that the short form holds.
const FEW_MAX: usize = 48;

/// A histogram of latencies in µs. Merging is exact: the order of recording and merging does not matter.
///
/// Buckets are log-linear as in HdrHistogram (G. Tene) with 5 significant bits, so that a quantile is
/// within 1.6 % of the exact one. Memory is at most 1 KB while few buckets are in use, 8.5 KB beyond.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    counts: Counts,
    count: u64,
    sum_us: u64,
    max_us: u64,
}

#[derive(Debug, Clone)]
enum Counts {
    /// (bucket, count), in no order.
    Few(Vec<(u16, u64)>),
    /// By bucket.
    Many(Box<[u64; BUCKETS]>),
}

impl Default for Counts {
    fn default() -> Self {
        Counts::Few(Vec::new())
    }
}

/// Selected quantiles of a [`Latency`], in µs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quantiles {
    /// Requests whose latency was logged.
    pub count: u64,
    /// Mean.
    pub mean_us: u64,
    /// Median, within 1.6 %.
    pub p50_us: u64,
    /// 95th percentile, within 1.6 %.
    pub p95_us: u64,
    /// 99th percentile, within 1.6 %.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
}

impl Latency {
    /// Counts `n` requests that took `us` each.
    #[inline]
    pub fn record(&mut self, us: u64, n: u64) {
        let us = us.min(LATENCY_MAX_US);
        self.count += n;
        self.sum_us = self.sum_us.saturating_add(us.saturating_mul(n));
        self.max_us = self.max_us.max(us);
        self.counts.add(bucket(us), n);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
        other.counts.for_each(|bucket, n| self.counts.add(bucket, n));
    }

    /// Requests counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of all latencies, in µs.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Latencies and how often they occurred, rising; each stands for its bucket's middle.
    #[must_use]
    pub fn values(&self) -> Vec<(u64, u64)> {
        let mut used = Vec::new();
        self.counts.for_each(|bucket, n| used.push((bucket, n)));
        used.sort_unstable();
        used.into_iter().map(|(bucket, n)| (middle(bucket).min(self.max_us), n)).collect()
    }

    /// Quantile `q` of 0..=1, in µs: the value that ⌈q·n⌉ requests do not exceed, to 1.6 %.
    /// `None` when empty.
    #[must_use]
    pub fn quantile_us(&self, q: f64) -> Option<u64> {
        at_rank(&self.values(), self.count, q)
    }

    /// The usual quantiles; `None` when empty.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let values = self.values();
        Some(Quantiles {
            count: self.count,
            mean_us: self.sum_us.checked_div(self.count)?,
            p50_us: at_rank(&values, self.count, 0.50)?,
            p95_us: at_rank(&values, self.count, 0.95)?,
            p99_us: at_rank(&values, self.count, 0.99)?,
            max_us: self.max_us,
        })
    }
}

impl PartialEq for Latency {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sum_us, self.max_us) == (other.count, other.sum_us, other.max_us)
            && self.values() == other.values()
    }
}

fn at_rank(values: &[(u64, u64)], count: u64, q: f64) -> Option<u64> {
    let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
    let mut below = 0;
    values
        .iter()
        .find(|(_, n)| {
            below += n;
            below >= rank
        })
        .or(values.last())
        .map(|(us, _)| *us)
}

impl Counts {
    #[inline]
    fn add(&mut self, bucket: u16, n: u64) {
        match self {
            Counts::Many(counts) => {
                if let Some(count) = counts.get_mut(usize::from(bucket)) {
                    *count += n;
                }
            }
            Counts::Few(used) => {
                if let Some((_, count)) = used.iter_mut().find(|(other, _)| *other == bucket) {
                    *count += n;
                } else if used.len() < FEW_MAX {
                    used.push((bucket, n));
                } else {
                    self.widen();
                    self.add(bucket, n);
                }
            }
        }
    }

    #[cold]
    fn widen(&mut self) {
        let mut counts = Box::new([0; BUCKETS]);
        self.for_each(|bucket, n| counts[usize::from(bucket)] += n);
        *self = Counts::Many(counts);
    }

    fn for_each(&self, mut each: impl FnMut(u16, u64)) {
        match self {
            Counts::Few(used) => used.iter().for_each(|&(bucket, n)| each(bucket, n)),
            Counts::Many(counts) => {
                for (bucket, &n) in (0..).zip(counts.iter()).filter(|(_, n)| **n > 0) {
                    each(bucket, n);
                }
            }
        }
    }
}

/// The bucket of `us`, which is at most [`LATENCY_MAX_US`].
#[inline]
fn bucket(us: u64) -> u16 {
    if us < SUB {
        return us as u16;
    }
    let shift = us.ilog2() - SUB_BITS;
    ((u64::from(shift) << SUB_BITS) + (us >> shift)) as u16
}

/// The middle of a bucket.
fn middle(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < 2 * SUB {
        return bucket;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    let low = ((bucket & (SUB - 1)) + SUB) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_values_are_exact_and_the_largest_has_a_bucket() {
        for us in 0..64 {
            assert_eq!(middle(bucket(us)), us);
        }
        assert_eq!(usize::from(bucket(LATENCY_MAX_US)), BUCKETS - 1);
    }

    #[test]
    fn empty_has_no_quantiles() {
        assert_eq!(Latency::default().quantiles(), None);
        assert_eq!(Latency::default().quantile_us(0.5), None);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_their_error(
            mut values in prop::collection::vec(0..10_000_000_000_u64, 1..400), q in 0.0..=1.0_f64,
        ) {
            let mut latency = Latency::default();
            values.iter().for_each(|&us| latency.record(us, 1));
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let (exact, found) = (values[rank - 1] as f64, latency.quantile_us(q).unwrap() as f64);
            prop_assert!((found - exact).abs() <= exact / 62.0, "{found} for {exact}");
            prop_assert_eq!(latency.quantiles().unwrap().max_us, values[values.len() - 1]);
        }

        #[test]
        fn a_merge_is_as_if_recorded_at_once(
            values in prop::collection::vec(0..100_000_000_u64, 0..300), cut in 0..300_usize,
        ) {
            let cut = cut.min(values.len());
            let record = |values: &[u64]| {
                let mut latency = Latency::default();
                values.iter().for_each(|&us| latency.record(us, 1));
                latency
            };
            let mut merged = record(&values[cut..]);
            merged.merge(&record(&values[..cut]));
            prop_assert_eq!(merged, record(&values));
        }
    }
}

//! Buckets of values: exact below 128, then 64 to each power of two, so that a bucket is at most 1.6 %
//! wide. The same for either sign. Buckets make quantiles independent of the order of arrival, and
//! the memory of a unit bounded whatever it sends.

const BITS: u32 = 6;
const EXACT: u64 = 1 << BITS;

/// The greatest bucket.
pub const BUCKET_MAX: i16 = 57 * 64 + 64;

/// The bucket of a value; greater values have greater buckets.
#[must_use]
pub fn bucket(value: i64) -> i16 {
    let magnitude = value.unsigned_abs();
    let octave = magnitude.checked_ilog2().unwrap_or(0).saturating_sub(BITS);
    // Up to 64 + 57·64, so it fits.
    let index = (u64::from(octave) << BITS) + (magnitude >> octave);
    if value < 0 { -(index as i16) } else { index as i16 }
}

/// The middle of a bucket, for buckets that [`bucket`] gives; others are the last one's.
#[must_use]
pub fn bucket_value(bucket: i16) -> f64 {
    let index = u64::from(bucket.unsigned_abs());
    let octave = (index >> BITS).saturating_sub(1).min(u64::from(63 - BITS));
    let low = (index - (octave << BITS)).min(2 * EXACT - 1) as f64;
    let width = 2_f64.powi(octave as i32);
    let magnitude = low * width + (width - 1.0) / 2.0;
    if bucket < 0 { -magnitude } else { magnitude }
}

/// Counts by bucket, of one unit: few, so they are in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Histogram(pub(super) Vec<(i16, u32)>);

impl Histogram {
    pub(super) fn add(&mut self, value: i64) {
        let bucket = bucket(value);
        match self.0.binary_search_by_key(&bucket, |entry| entry.0) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = entry.1.saturating_add(1);
                }
            }
            Err(at) => self.0.insert(at, (bucket, 1)),
        }
    }

    pub(super) fn remove(&mut self, value: i64) {
        let Ok(at) = self.0.binary_search_by_key(&bucket(value), |entry| entry.0) else { return };
        let Some(entry) = self.0.get_mut(at) else { return };
        entry.1 -= 1;
        if entry.1 == 0 {
            self.0.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_values_are_exact_and_the_greatest_have_buckets() {
        for value in -63..=63_i64 {
            assert_eq!(bucket_value(bucket(value)), value as f64);
        }
        assert!(bucket(i64::MAX) > bucket(i64::MAX / 2));
        assert_eq!(bucket(i64::MIN), -BUCKET_MAX);
        assert!(bucket_value(i16::MAX).is_finite() && bucket_value(i16::MIN).is_finite());
    }

    proptest! {
        #[test]
        fn buckets_keep_order_and_are_narrow(one: i64, other: i64, shift in 0..60_u32) {
            let (one, other) = (one >> shift, other >> shift);
            prop_assert!(one > other || bucket(one) <= bucket(other));
            let middle = bucket_value(bucket(one));
            prop_assert!((middle - one as f64).abs() <= one.unsigned_abs() as f64 / 127.0, "{one} {middle}");
        }

        #[test]
        fn removing_undoes_adding(values in proptest::collection::vec(-1000..1000_i64, 0..50), value: i64) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|&value| histogram.add(value));
            let before = histogram.clone();
            histogram.add(value);
            histogram.remove(value);
            prop_assert_eq!(histogram, before);
        }
    }
}

//! Bucket storage of a latency histogram: a short list while there are few distinct values, the
//! full HDR array from then on. A report of a thousand endpoints, most of which were asked for a
//! few times, then takes kilobytes for each instead of a hundred.

use std::borrow::Cow;

use hdrhistogram::Histogram;

use crate::hdr_codec::SIGNIFICANT_DIGITS;

/// Distinct values that the list holds.
const FEW_MAX: usize = 64;

/// Counts by value. Both forms give the same answers: the list is turned into buckets to be read.
#[derive(Clone)]
pub(crate) enum Buckets {
    /// (value in µs, count), rising.
    Few(Vec<(u64, u64)>),
    Many(Box<Histogram<u64>>),
}

impl Buckets {
    pub(crate) fn new() -> Buckets {
        Buckets::Few(Vec::new())
    }

    /// Counts `n` values of `us`; false when that is not possible and nothing was counted.
    #[inline]
    pub(crate) fn record(&mut self, us: u64, n: u64) -> bool {
        match self {
            Buckets::Many(buckets) => buckets.record_n(us, n).is_ok(),
            Buckets::Few(values) => match values.binary_search_by_key(&us, |&(value, _)| value) {
                Ok(at) => {
                    values[at].1 += n;
                    true
                }
                Err(at) if values.len() < FEW_MAX => {
                    values.insert(at, (us, n));
                    true
                }
                Err(_) => self.many().record_n(us, n).is_ok(),
            },
        }
    }

    /// Adds all counts of `other`; false when that is not possible and nothing was added.
    pub(crate) fn add(&mut self, other: &Buckets) -> bool {
        match other {
            Buckets::Few(values) => values.iter().all(|&(us, n)| self.record(us, n)),
            Buckets::Many(buckets) => self.many().add(buckets.as_ref()).is_ok(),
        }
    }

    /// Forgets all counts but keeps the memory.
    pub(crate) fn reset(&mut self) {
        match self {
            Buckets::Few(values) => values.clear(),
            Buckets::Many(buckets) => buckets.reset(),
        }
    }

    /// The buckets, to be read.
    pub(crate) fn read(&self) -> Cow<'_, Histogram<u64>> {
        match self {
            Buckets::Many(buckets) => Cow::Borrowed(buckets),
            Buckets::Few(values) => Cow::Owned(buckets_of(values)),
        }
    }

    fn many(&mut self) -> &mut Histogram<u64> {
        if let Buckets::Few(values) = self {
            *self = Buckets::Many(Box::new(buckets_of(values)));
        }
        match self {
            Buckets::Many(buckets) => buckets,
            Buckets::Few(_) => unreachable!("turned into buckets above"),
        }
    }
}

fn buckets_of(values: &[(u64, u64)]) -> Histogram<u64> {
    let mut buckets =
        Histogram::new(SIGNIFICANT_DIGITS).expect("3 digits are within the library's 0..=5");
    for &(us, n) in values {
        // Fails only where `usize` cannot index 24,000 buckets.
        let _ = buckets.record_n(us, n);
    }
    buckets
}

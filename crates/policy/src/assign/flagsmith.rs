//! Flagsmith's percentage of a list of ids.

use super::intervals::{Intervals, shares};
use super::{Assignment, BUCKETS, Spec};
use md5::{Digest, Md5};

/// Times that the ids are repeated at most in search of a percentage below 100.
const ITERATIONS_MAX: usize = 16;

/// 0 to below 100: MD5 of the ids joined by commas, modulo 9,999, in steps of 1/9,998. The last
/// step would be 100; the ids are then hashed once more often.
#[must_use]
pub fn percentage(ids: &[&str]) -> f64 {
    for iterations in 1..=ITERATIONS_MAX {
        let repeated: Vec<&str> = ids.repeat(iterations);
        let digest = Md5::digest(repeated.join(",").as_bytes());
        let rest = digest.iter().fold(0, |rest, &byte| (rest << 8 | u32::from(byte)) % 9_999);
        let value = f64::from(rest) / 9_998.0 * 100.0;
        if value < 100.0 {
            return value;
        }
    }
    // Reached by one id in 9,999¹⁶.
    0.0
}

/// `variant_salt` is the key of the feature, `coverage_salt` that of the segment with the
/// percentage split.
#[derive(Debug, Clone)]
pub(super) struct Split {
    segment: String,
    percent: f64,
    feature: String,
    intervals: Intervals,
}

impl Split {
    pub(super) fn new(spec: &Spec<'_>) -> Split {
        let intervals = if spec.ranges.is_empty() {
            Intervals::stacked(shares(spec.weights, 100.0))
        } else {
            Intervals::given(spec.ranges, 100.0)
        };
        Split {
            segment: spec.coverage_salt.to_owned(),
            percent: f64::from(spec.coverage) / f64::from(BUCKETS / 100),
            feature: spec.variant_salt.to_owned(),
            intervals,
        }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let point = percentage(&[&self.feature, unit]);
        let covered = self.percent >= 100.0 || percentage(&[&self.segment, unit]) <= self.percent;
        let variant = covered.then(|| self.intervals.get(point)).flatten();
        Assignment::at(Assignment::millionths(point / 100.0), variant)
    }
}

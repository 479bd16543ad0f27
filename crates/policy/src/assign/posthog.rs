//! PostHog's hash of a flag and a person.

use super::intervals::{Intervals, shares};
use super::planout::{fraction, sha1_60};
use super::{Assignment, BUCKETS, Spec};

/// 0 to 1: the first fifteen hexadecimal digits of SHA-1 of `key.id` and a salt: empty for the
/// rollout, `variant` for the variants.
#[must_use]
pub fn hash(key: &str, distinct_id: &str, salt: &str) -> f64 {
    fraction(sha1_60(&format!("{key}.{distinct_id}{salt}")))
}

/// `variant_salt` is the key of the flag, for both.
#[derive(Debug, Clone)]
pub(super) struct Split {
    key: String,
    rollout: f64,
    intervals: Intervals,
}

impl Split {
    pub(super) fn new(spec: &Spec<'_>) -> Split {
        let intervals = if spec.ranges.is_empty() {
            Intervals::stacked(shares(spec.weights, 100.0).map(|percent| percent / 100.0))
        } else {
            Intervals::given(spec.ranges, 1.0)
        };
        let percent = f64::from(spec.coverage) / f64::from(BUCKETS / 100);
        Split { key: spec.variant_salt.to_owned(), rollout: percent / 100.0, intervals }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let point = hash(&self.key, unit, "variant");
        let covered = self.rollout >= 1.0 || hash(&self.key, unit, "") <= self.rollout;
        let variant = covered.then(|| self.intervals.get(point)).flatten();
        Assignment::at(Assignment::millionths(point), variant)
    }
}

//! Unleash's normalised MurmurHash3 (Unleash client specification; Yggdrasil).

use super::murmur3::murmur3_x86_32;
use super::{Assignment, BUCKETS, Spec};

/// The seed of variants; rollouts have 0.
pub const VARIANT_SEED: u32 = 86_028_157;

/// 1 to `normalizer`: the hash of `group:id`.
#[must_use]
pub fn normalized(id: &str, group: &str, normalizer: u32, seed: u32) -> u32 {
    murmur3_x86_32(format!("{group}:{id}").as_bytes(), seed) % normalizer.max(1) + 1
}

/// `coverage_salt` is the group of the rollout, `variant_salt` that of the variants; coverage has
/// steps of one percent.
#[derive(Debug, Clone)]
pub(super) struct Split {
    rollout_group: String,
    percent: u32,
    group: String,
    weights: Vec<u32>,
    total: u32,
}

impl Split {
    /// `total` is the sum of the weights.
    pub(super) fn new(spec: &Spec<'_>, total: u32) -> Split {
        Split {
            rollout_group: spec.coverage_salt.to_owned(),
            percent: spec.coverage / (BUCKETS / 100),
            group: spec.variant_salt.to_owned(),
            weights: spec.weights.to_vec(),
            total,
        }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let target = normalized(unit, &self.group, self.total, VARIANT_SEED);
        let covered =
            self.percent >= 100 || normalized(unit, &self.rollout_group, 100, 0) <= self.percent;
        let mut sum = 0;
        let reached = |weight: &u32| {
            sum += weight;
            *weight > 0 && target <= sum
        };
        let variant = self.weights.iter().position(reached);
        let bucket = u64::from(target - 1) * u64::from(BUCKETS) / u64::from(self.total);
        // Below BUCKETS; no more variants than u16.
        Assignment::at(bucket as u32, variant.filter(|_| covered).map(|index| index as u16))
    }
}

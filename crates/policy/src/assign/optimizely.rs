//! Optimizely's bucketing id.

use super::murmur3::murmur3_x86_32;
use super::table::Table;
use super::{Assignment, BUCKETS, Spec};

/// Buckets of Optimizely: hundredths of a percent, the unit of `endOfRange`.
pub const TRAFFIC: u32 = 10_000;

/// The bucket of a bucketing id under a parent (the id of an experiment, a rule or a group).
#[must_use]
pub fn bucket(bucketing_id: &str, parent: &str) -> u32 {
    let hash = murmur3_x86_32([bucketing_id, parent].concat().as_bytes(), 1);
    // Dividing by 2³² is exact in the floating-point original, and so is this.
    ((u64::from(hash) * u64::from(TRAFFIC)) >> 32) as u32
}

/// `variant_salt` is the id of the experiment. Partial traffic is told by ranges.
#[derive(Debug, Clone)]
pub(super) struct Split {
    parent: String,
    table: Table,
}

impl Split {
    pub(super) fn new(spec: &Spec<'_>, table: Table) -> Split {
        Split { parent: spec.variant_salt.to_owned(), table }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let at = bucket(unit, &self.parent);
        Assignment::at(at * (BUCKETS / TRAFFIC), self.table.get(at))
    }
}

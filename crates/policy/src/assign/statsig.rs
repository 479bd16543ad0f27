//! Statsig's SHA-256.

use super::table::Table;
use super::{Assignment, BUCKETS, Spec};
use sha2::{Digest, Sha256};

/// Buckets of pass percentages.
pub const PASS: u64 = 10_000;
/// Buckets of groups and layers (`USER_BUCKET`).
pub const USER: u32 = 1_000;

/// The first eight bytes of SHA-256, big-endian.
#[must_use]
pub fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// The bucket of a group or a layer: hash of `salt.unit`.
#[must_use]
pub fn user_bucket(salt: &str, unit: &str) -> u32 {
    // Below USER.
    (hash(&format!("{salt}.{unit}")) % u64::from(USER)) as u32
}

/// The bucket of a pass percentage: hash of `salt.rule.unit`; passes when below a hundred times the
/// percentage. `salts` are both, joined by a dot.
#[must_use]
pub fn pass_bucket(salts: &str, unit: &str) -> u64 {
    hash(&format!("{salts}.{unit}")) % PASS
}

/// `variant_salt` is the salt of the groups, `coverage_salt` those of the rule that lets units
/// pass (`config.rule`).
#[derive(Debug, Clone)]
pub(super) struct Split {
    rule: String,
    pass: u64,
    salt: String,
    table: Table,
}

impl Split {
    pub(super) fn new(spec: &Spec<'_>, table: Table) -> Split {
        Split {
            rule: spec.coverage_salt.to_owned(),
            pass: u64::from(spec.coverage) * PASS / u64::from(BUCKETS),
            salt: spec.variant_salt.to_owned(),
            table,
        }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let at = user_bucket(&self.salt, unit);
        let covered = self.pass >= PASS || pass_bucket(&self.rule, unit) < self.pass;
        Assignment::at(at * (BUCKETS / USER), covered.then(|| self.table.get(at)).flatten())
    }
}

//! Eppo's shards.

use super::table::Table;
use super::{Assignment, BUCKETS, Spec};
use md5::{Digest, Md5};

/// Shards that Eppo's flags have (`totalShards`).
pub const SHARDS: u32 = 10_000;

/// The shard of a subject: the first four bytes of MD5 of `salt-subject`, big-endian, modulo
/// `total`.
#[must_use]
pub fn shard(salt: &str, subject: &str, total: u32) -> u32 {
    let digest = Md5::digest(format!("{salt}-{subject}").as_bytes());
    digest.iter().take(4).fold(0, |hash, &byte| hash << 8 | u32::from(byte)) % total.max(1)
}

/// `variant_salt` is the salt of the shards of the variations, `coverage_salt` that of the shards
/// of the traffic.
#[derive(Debug, Clone)]
pub(super) struct Split {
    traffic: String,
    covered: u32,
    salt: String,
    table: Table,
}

impl Split {
    pub(super) fn new(spec: &Spec<'_>, table: Table) -> Split {
        Split {
            traffic: spec.coverage_salt.to_owned(),
            covered: spec.coverage / (BUCKETS / SHARDS),
            salt: spec.variant_salt.to_owned(),
            table,
        }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let at = shard(&self.salt, unit, SHARDS);
        let covered = self.covered >= SHARDS || shard(&self.traffic, unit, SHARDS) < self.covered;
        Assignment::at(at * (BUCKETS / SHARDS), covered.then(|| self.table.get(at)).flatten())
    }
}

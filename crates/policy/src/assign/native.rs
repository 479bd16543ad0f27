//! The native hash: XXH3 (Collet: xxHash fast digest algorithm, 64 bits, seeded).

use super::table::Table;
use super::{Assignment, BUCKETS};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What a hash decides. Hashes for different purposes are independent, even with one salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Which experiments of a layer.
    Layer,
    /// Whether the unit takes part.
    Coverage,
    /// Which variant.
    Variant,
    /// Whether the unit is kept out of experiments.
    Holdout,
}

impl Purpose {
    /// The word that goes before the salt.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Layer => "layer",
            Purpose::Coverage => "coverage",
            Purpose::Variant => "variant",
            Purpose::Holdout => "holdout",
        }
    }
}

/// The seed of one hash: XXH3 of `purpose:salt`, computed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The seed of a purpose and a salt.
    #[must_use]
    pub fn new(purpose: Purpose, salt: &str) -> Seed {
        Seed(xxh3_64(format!("{}:{salt}", purpose.name()).as_bytes()))
    }

    /// The seed as a number, as the test vectors show it.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

/// The bucket of a unit, 0 to [`BUCKETS`] − 1: the 64-bit hash of the id's UTF-8 bytes, as a
/// fraction of 2⁶⁴, times [`BUCKETS`], rounded down.
#[must_use]
pub fn bucket(seed: Seed, unit: &str) -> u32 {
    let hash = xxh3_64_with_seed(unit.as_bytes(), seed.0);
    // Below BUCKETS, which fits.
    ((u128::from(hash) * u128::from(BUCKETS)) >> 64) as u32
}

/// Coverage and variant, each with a hash of its own: more coverage never moves whom it had.
#[derive(Debug, Clone)]
pub(super) struct Split {
    coverage: Option<(Seed, u32)>,
    seed: Seed,
    table: Table,
}

impl Split {
    pub(super) fn new(spec: &super::Spec<'_>, table: Table) -> Split {
        let coverage = (spec.coverage < BUCKETS)
            .then(|| (Seed::new(Purpose::Coverage, spec.coverage_salt), spec.coverage));
        Split { coverage, seed: Seed::new(Purpose::Variant, spec.variant_salt), table }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let at = bucket(self.seed, unit);
        let covered = self.coverage.is_none_or(|(seed, share)| bucket(seed, unit) < share);
        Assignment::at(at, covered.then(|| self.table.get(at)).flatten())
    }
}

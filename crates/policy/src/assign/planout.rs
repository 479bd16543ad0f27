//! PlanOut's random operators.

use super::intervals::shares;
use super::{Assignment, BUCKETS, Spec};
use sha1::{Digest, Sha1};

/// Largest 60-bit number, as the double that PlanOut divides by.
const LONG_SCALE: f64 = 0xFFF_FFFF_FFFF_FFFF_u64 as f64;

/// The first fifteen hexadecimal digits (60 bits) of SHA-1.
pub(super) fn sha1_60(text: &str) -> u64 {
    let digest = Sha1::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte)) >> 4
}

/// The fraction of the scale, as Python divides an integer by the scale.
pub(super) fn fraction(hash: u64) -> f64 {
    hash as f64 / LONG_SCALE
}

/// `RandomFloat` of 0 to 1, both included. `salts` is `experiment.parameter`.
#[must_use]
pub fn uniform(salts: &str, unit: &str) -> f64 {
    fraction(sha1_60(&format!("{salts}.{unit}")))
}

/// `RandomInteger` of 0 to `max`, both included: the index of `UniformChoice`, and the segment of
/// a namespace.
#[must_use]
pub fn integer(salts: &str, unit: &str, max: u64) -> u64 {
    sha1_60(&format!("{salts}.{unit}")) % max.saturating_add(1)
}

/// `WeightedChoice` for the variants and `BernoulliTrial` for the coverage; the salts are
/// `experiment.parameter`.
#[derive(Debug, Clone)]
pub(super) struct Split {
    trial: String,
    probability: f64,
    choice: String,
    ends: Vec<f64>,
    total: f64,
}

impl Split {
    pub(super) fn new(spec: &Spec<'_>) -> Split {
        let mut total = 0.0;
        let end = |share| {
            total += share;
            total
        };
        let ends = shares(spec.weights, 1.0).map(end).collect();
        Split {
            trial: spec.coverage_salt.to_owned(),
            probability: f64::from(spec.coverage) / f64::from(BUCKETS),
            choice: spec.variant_salt.to_owned(),
            ends,
            total,
        }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let point = uniform(&self.choice, unit);
        let covered = self.probability >= 1.0 || uniform(&self.trial, unit) <= self.probability;
        let variant = self.ends.iter().position(|end| point * self.total <= *end);
        // No more variants than u16.
        let variant = variant.filter(|_| covered).map(|index| index as u16);
        Assignment::at(Assignment::millionths(point), variant)
    }
}

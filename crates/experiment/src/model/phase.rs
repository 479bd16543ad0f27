//! Periods of constant weights.

use super::{Experiment, UnixMillis};
use policy::assign::Spec;
use serde::{Deserialize, Serialize};

/// The salts of an experiment; never changed while it lives. What they are for other systems'
/// hashes is told in `docs/reference/assignment.md`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Salts {
    /// Of the hash that says who takes part; the key of the experiment when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
    /// Of the hash that says which variant; the key of the experiment when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A period of constant weights: the stratum of the analysis. Other weights are another phase;
/// results of two phases are never added up. Its number is its index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Phase {
    /// When it begins; it ends when the next begins.
    pub since: UnixMillis,
    /// The weight of each variant, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<u32>,
    /// Instead of weights, the half-open ranges of each variant as fractions of all buckets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Vec<[f64; 2]>>,
    /// A new salt of the variants, which deals all units anew so that nothing of the phase before
    /// carries over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

impl Phase {
    /// The share of each variant, for the test of the sample ratio.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let lengths: Vec<f64> = if self.ranges.is_empty() {
            self.weights.iter().map(|&weight| f64::from(weight)).collect()
        } else {
            let length =
                |ranges: &Vec<[f64; 2]>| ranges.iter().map(|[start, end]| end - start).sum();
            self.ranges.iter().map(length).collect()
        };
        let total: f64 = lengths.iter().sum();
        lengths.iter().map(|length| if total > 0.0 { length / total } else { 0.0 }).collect()
    }
}

impl Experiment {
    /// The number of the phase at a time; the first one before it begins.
    #[must_use]
    pub fn phase_at(&self, now: UnixMillis) -> usize {
        self.phases.partition_point(|phase| phase.since <= now).saturating_sub(1)
    }

    /// The index of a variant.
    #[must_use]
    pub fn variant_index(&self, key: &str) -> Option<u16> {
        let index = self.variants.iter().position(|variant| variant.key == key)?;
        u16::try_from(index).ok()
    }

    /// Begins a new phase with other weights. Units keep their variant as far as the new weights
    /// let them; sticky ones keep it anyway.
    pub fn begin_phase(&mut self, weights: Vec<u32>, now: UnixMillis) {
        self.phases.push(Phase { since: now, weights, ranges: Vec::new(), salt: None });
    }
}

/// What the assigner of a phase is made from.
pub(crate) fn spec_of<'a>(experiment: &'a Experiment, phase: &'a Phase) -> Spec<'a> {
    let or_key = |salt: &'a Option<String>| salt.as_deref().unwrap_or(&experiment.key);
    let salt = phase.salt.as_deref();
    Spec {
        hash: experiment.hash,
        coverage_salt: or_key(&experiment.salts.coverage),
        variant_salt: salt.unwrap_or_else(|| or_key(&experiment.salts.variant)),
        coverage: experiment.coverage.ppm(),
        weights: &phase.weights,
        ranges: &phase.ranges,
    }
}

//! Experiments that exclude each other, and units that are in none.

use super::{Share, hash_name};
use policy::assign::HashVersion;
use serde::{Deserialize, Serialize};

/// Buckets that experiments share out among themselves: a unit falls on one of them, whatever
/// the experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layer {
    /// Its name.
    pub key: String,
    /// The hash. Other systems' where an experiment that is exclusive there goes on here.
    #[serde(with = "hash_name", default = "hash_name::native")]
    pub hash: HashVersion,
    /// The salt; the key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

/// The part of a layer that belongs to an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LayerSlot {
    /// Key of the layer.
    pub layer: String,
    /// Half-open ranges, `[start, end]`; a unit must fall into one.
    pub ranges: Vec<[Share; 2]>,
}

/// A part of all units that takes part in no experiment, to measure what all of them did together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Holdout {
    /// Its name.
    pub key: String,
    /// The salt; the key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// How many units are held out. Raising it holds out more; lowering it lets some go.
    pub share: Share,
    /// The experiments that it holds them out of; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<String>,
}

//! An experiment, and the set of all.

use super::{
    Action, Holdout, Layer, LayerSlot, Phase, Salts, Share, UnitSource, UnixMillis, hash_name,
};
use crate::targeting::Condition;
use policy::assign::HashVersion;
use serde::{Deserialize, Serialize};

/// Everything that is needed to decide: experiments and what they share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExperimentSet {
    /// The experiments.
    #[serde(default)]
    pub experiments: Vec<Experiment>,
    /// What makes experiments exclude each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// Units that take part in nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holdouts: Vec<Holdout>,
}

/// Where an experiment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Being written; nobody takes part.
    #[default]
    Draft,
    /// Units are assigned within the schedule.
    Running,
    /// Nobody takes part for now.
    Paused,
    /// Over; nobody takes part any more.
    Stopped,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Variant {
    /// Its name.
    pub key: String,
    /// What it does; nothing for the site as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
}

/// When units are assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schedule {
    /// From this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<UnixMillis>,
    /// Until before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<UnixMillis>,
}

/// Assignments that are kept: the first one written for a unit wins, whatever happens to weights,
/// coverage and layers later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sticky {
    /// Raised to forget the assignments of before.
    #[serde(default)]
    pub version: u32,
    /// Units with an assignment of a version below this one are excluded.
    #[serde(default)]
    pub min_version: u32,
    /// Keeps a unit that the targeting and the prerequisites no longer admit.
    #[serde(default)]
    pub ignore_targeting: bool,
}

/// A unit that always gets one variant, for quality assurance; it is never counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Override {
    /// Its id.
    pub unit: String,
    /// Key of the variant.
    pub variant: String,
}

/// Only units that have one of some variants of another experiment take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prerequisite {
    /// Key of the other experiment.
    pub experiment: String,
    /// Keys of its variants.
    pub variants: Vec<String>,
}

/// What happens when there is evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionAction {
    /// Somebody is told.
    #[default]
    Notify,
    /// The harmful variant is rolled back, the winner rolled out.
    Auto,
}

/// When and how an experiment is decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DecisionPolicy {
    /// Days before a winner may be named; whole weeks, so that every weekday counts alike.
    pub min_days: u32,
    /// Units that every variant must have seen.
    pub min_units: u64,
    /// Error rate of the family of tests.
    pub alpha: f64,
    /// Coverage of the winner, step by step.
    pub ramp: Vec<Share>,
    /// Units that stay with the control after the roll-out.
    pub hold_back: Share,
    /// Notify or act.
    pub action: DecisionAction,
}

impl Default for DecisionPolicy {
    /// Two weeks, a hundred units, 5 %, the ramp 1, 5, 25, 50, 100 %, no hold-back, notify.
    fn default() -> DecisionPolicy {
        let ramp = [10_000, 50_000, 250_000, 500_000, 1_000_000];
        DecisionPolicy {
            min_days: 14,
            min_units: 100,
            alpha: 0.05,
            ramp: ramp.into_iter().filter_map(Share::from_ppm).collect(),
            hold_back: Share::NONE,
            action: DecisionAction::Notify,
        }
    }
}

/// A comparison of versions. The first variant is the control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Experiment {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub key: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it is in its life.
    #[serde(default)]
    pub status: Status,
    /// Who is randomised.
    pub unit: UnitSource,
    /// The hash; never changed.
    #[serde(with = "hash_name", default = "hash_name::native")]
    pub hash: HashVersion,
    /// The salts; never changed.
    #[serde(default)]
    pub salts: Salts,
    /// The versions, control first.
    pub variants: Vec<Variant>,
    /// Weights over time.
    pub phases: Vec<Phase>,
    /// How many of the units take part. Raising it moves nobody who does.
    #[serde(default = "Share::all")]
    pub coverage: Share,
    /// Its parts of layers; a unit must be in every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerSlot>,
    /// Whom it is for; everybody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targeting: Option<Condition>,
    /// Other experiments that decide who takes part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prerequisites: Vec<Prerequisite>,
    /// When it runs.
    #[serde(default)]
    pub schedule: Schedule,
    /// Whether assignments are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Units with a fixed variant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// The metric that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Further metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// Metrics that may stop it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<String>,
    /// When and how it is decided.
    #[serde(default)]
    pub policy: DecisionPolicy,
}

//! How much of everything there may be.

pub use policy::assign::{RANGES_MAX, VARIANTS_MAX};

/// Experiments of a set.
pub const EXPERIMENTS_MAX: usize = 1_000;
/// Layers of a set.
pub const LAYERS_MAX: usize = 256;
/// Holdouts of a set.
pub const HOLDOUTS_MAX: usize = 64;
/// Layers that one experiment is in.
pub const SLOTS_MAX: usize = 8;
/// Bytes of a key, a name or a salt.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of a description.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Actions of one variant.
pub const ACTIONS_MAX: usize = 16;
/// Bytes of the JSON value of a variant.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Phases of one experiment.
pub const PHASES_MAX: usize = 256;
/// Units with a fixed variant, per experiment.
pub const OVERRIDES_MAX: usize = 1_000;
/// Experiments that one experiment depends on.
pub const PREREQUISITES_MAX: usize = 16;
/// Decisions that one decision needs because of prerequisites, itself included.
pub const DECISIONS_MAX: usize = 64;
/// Bytes of the id of a unit; a longer one is no unit.
pub const UNIT_BYTES_MAX: usize = 1_024;
/// Metrics and guardrails of one experiment, each.
pub const METRICS_MAX: usize = 64;
/// Steps of a ramp.
pub const RAMP_MAX: usize = 32;
/// How deep conditions nest.
pub const CONDITION_DEPTH_MAX: usize = 16;
/// Parts of a condition.
pub const CONDITION_PARTS_MAX: usize = 1_000;
/// Values in a list of a condition.
pub const LIST_MAX: usize = 10_000;
/// Bytes of a regular expression.
pub const REGEX_BYTES_MAX: usize = 1_000;
/// Memory of a compiled regular expression.
pub const REGEX_SIZE_MAX: usize = 256 * 1024;
/// Problems that are reported at once.
pub const PROBLEMS_MAX: usize = 200;
/// Features of a GrowthBook payload.
pub const FEATURES_MAX: usize = 5_000;
/// Rules of one feature.
pub const RULES_MAX: usize = 200;
/// Features that one evaluation looks at because of prerequisites; more count as a circle.
pub const EVALUATIONS_MAX: usize = 200;

//! What an experiment is: the types of the API and of storage, and their validation.
//!
//! Shares are fractions of 0 to 1 in JSON and whole parts per million in memory ([`Share`]); times
//! are milliseconds since 1970 ([`UnixMillis`]). Unknown fields are refused.

mod action;
mod change;
mod experiment;
mod layer;
pub mod limits;
mod phase;
mod problem;
mod share;
mod unit;
mod validate;

pub use action::Action;
pub use change::{changes, shared_changes};
pub use experiment::{
    DecisionAction, DecisionPolicy, Experiment, ExperimentSet, Override, Prerequisite, Schedule,
    Status, Sticky, Variant,
};
pub use layer::{Holdout, Layer, LayerSlot};
pub use phase::{Phase, Salts};
pub use problem::Problem;
pub use share::Share;
pub use unit::{Identity, Source, UnitSource};
pub use validate::validate;

pub(crate) use phase::spec_of;

/// Milliseconds since 1970-01-01, UTC, without leap seconds.
pub type UnixMillis = u64;

/// Names of hash versions in JSON.
mod hash_name {
    use policy::assign::HashVersion;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(hash: &HashVersion, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(hash.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HashVersion, D::Error> {
        let name = String::deserialize(from)?;
        HashVersion::from_name(&name).ok_or_else(|| {
            let names: Vec<_> = HashVersion::ALL.iter().map(|hash| hash.name()).collect();
            D::Error::custom(format!("unknown hash \"{name}\"; there are {}", names.join(", ")))
        })
    }

    /// The hash of new experiments.
    pub(super) fn native() -> HashVersion {
        HashVersion::Native1
    }
}

//! Experiments while they run: what is decided now, who was served what, and what is on its way to
//! the journal.
//!
//! [`Live`] is shared by the cores of the gateway and by the API. Nothing that the gateway calls
//! waits: exposures and kept assignments go through a bounded queue to a thread of their own, and
//! what does not fit is counted. What the API records is acknowledged when it is durable.

mod current;
pub mod growthbook;
mod kept;
pub mod params;
mod recorder;
mod seen;
mod service;
mod sign;
mod storage;
mod traffic;
mod units;

pub use current::{Concern, Current, GatewayExperiment, Uncountable};
pub use kept::Kept;
pub use recorder::Served;
pub use service::{Decided, Live, Numbers, ReplaceError, StartError};
pub use sign::{Choices, LINK_CHOICES_MAX, LINK_MAX_MS, LINK_NAME, Signer, secret_of};
pub use storage::Keeper;
pub use traffic::Request;
pub use units::{Named, ids};

#[cfg(test)]
mod tests;

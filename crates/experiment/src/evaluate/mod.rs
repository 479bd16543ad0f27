//! Who gets which variant: pure, the same answer to the same question.
//!
//! [`Set::new`] makes a set of experiments ready, [`Set::decide`] decides. [`growthbook`] evaluates
//! features as GrowthBook's SDKs do.
//!
//! # Examples
//! ```
//! use experiment::evaluate::{Context, Set, Unit};
//! use experiment::model::ExperimentSet;
//!
//! let set: ExperimentSet = serde_json::from_str(r#"{"experiments": [{
//!     "key": "checkout", "status": "running", "unit": {"device": {"cookie": "uid"}},
//!     "variants": [{"key": "control"}, {"key": "new"}],
//!     "phases": [{"since": 0, "weights": [1, 1]}]
//! }]}"#).unwrap();
//! let set = Set::new(&set).unwrap();
//! let unit = Unit { device: Some("user-1"), ..Unit::default() };
//! let decision = set.decide("checkout", &unit, &Context::default(), None, 1_000).unwrap();
//! assert!(decision.counted());
//! ```

mod decide;
mod decision;
pub mod growthbook;
mod set;
mod unit;

pub use decision::{Context, Decision, Reason, StickyRecord, StickyView, Uncounted};
pub use set::Set;
pub use unit::Unit;

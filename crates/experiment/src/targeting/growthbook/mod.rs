//! GrowthBook's targeting conditions, a language like MongoDB's queries, with the semantics of its
//! JavaScript SDK 1.8.0: comparisons convert types as JavaScript does.
//!
//! Two differences, both for safety: a condition that the SDK would throw on is refused when it is
//! read, and regular expressions are matched in linear time, so that look-around and
//! back-references are refused too.

mod condition;
mod groups;
pub(crate) mod js;
mod pattern;
mod version;

pub use condition::{Condition, ConditionError};
pub use groups::SavedGroups;
pub use js::hashed_text;

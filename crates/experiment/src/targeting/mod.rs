//! Whom an experiment is for: conditions on what is known about a request and its unit.

mod bot;
mod condition;
mod facts;
pub mod growthbook;
mod matcher;
mod version;

pub use bot::{is_bot, is_prefetch};
pub use condition::{Condition, Field, Order, Test};
pub use facts::{Facts, PlainFacts};
pub use matcher::Matcher;
pub use version::{compare_versions, parse_version};

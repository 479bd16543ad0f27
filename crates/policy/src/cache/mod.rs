//! HTTP cache rules (RFC 9111) as decisions: fields and times in, what to do out.

mod rules;

pub use rules::{Negative, Rules};

//! What is wrong with an experiment.

use super::limits::PROBLEMS_MAX;
use std::fmt;

/// One thing that is wrong: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a path: `experiments[2].variants[0].key`.
    pub place: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.message)
    }
}

/// All problems, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem { place: place.into(), message: message.into() });
        }
    }

    /// Reports more of something than may be.
    pub(crate) fn at_most(&mut self, place: &str, what: &str, count: usize, max: usize) {
        if count > max {
            self.add(place, format!("{count} {what} are too many; at most {max} are allowed"));
        }
    }
}

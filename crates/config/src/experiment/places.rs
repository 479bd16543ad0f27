//! Where in the file the parts of an experiment stand, so that what the engine finds wrong is
//! underlined.

use std::collections::HashMap;

use experiment::model;
use miette::SourceSpan;

use crate::errors::{Code, Problem, Sink};

/// Places by path: `experiments[0].unit`.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<String, SourceSpan>);

impl Places {
    pub(super) fn add(&mut self, place: String, at: Option<SourceSpan>) {
        if let Some(at) = at {
            self.0.insert(place, at);
        }
    }

    /// Reports a problem at the nearest place that is known.
    pub(super) fn report(&self, sink: &Sink, problem: &model::Problem) {
        let mut place = problem.place.as_str();
        let at = loop {
            if let Some(at) = self.0.get(place) {
                break Some(*at);
            }
            // Without its last part: `.key` or `[3]`.
            match place.rfind(['.', '[']) {
                Some(end) => place = &place[..end],
                None => break None,
            }
        };
        sink.add(Problem::new(Code::BadExperiment, problem.message.clone()).at(at, ""));
    }
}

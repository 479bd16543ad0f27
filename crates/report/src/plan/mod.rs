//! A plan out: terminal text, JSON, and manifests that can be pasted.

mod demand;
mod emit;
mod instances;
mod json;
mod terminal;
mod week;

#[cfg(test)]
mod fixture;

use logs::report::Service;
use plan::Series;
use plan::choose::{Answer, Params};
use plan::demand::Demand;
use plan::forecast::Forecast;
use plan::instances::Instances;

pub use emit::{EmitError, Format, Names, emit};
pub use json::plan_json;
pub use terminal::plan_text;

/// Everything there is to say: what was asked for, and what to do about it.
#[derive(Debug)]
pub struct Sizing {
    /// Demand as it was read.
    pub series: Series,
    /// What it looks like.
    pub demand: Demand,
    /// The week to come, in hours; `None` where too little is known.
    pub forecast: Option<Forecast>,
    /// What was asked for, from a log; most hits first, empty without.
    pub routes: Vec<Service>,
    /// Who served it, from a log; most hits first, empty where the log does not say.
    pub upstreams: Vec<Service>,
    /// What upstream servers did over time; `None` where no log names them.
    pub instances: Option<Instances>,
    /// What must be known about the input, in plain words.
    pub findings: Vec<String>,
    /// The system, as far as it was given.
    pub params: Option<Params>,
    /// What to do, or in plain words why nothing is recommended.
    pub outcome: Result<Answer, String>,
}

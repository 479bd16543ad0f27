//! The verbs, one file each.

mod capacity;
mod compare;
mod config;
mod experiment;
mod flags;
mod load;
mod logs;
mod plan;
mod replay;
mod up;

use clap::Subcommand;

use crate::demo;
use crate::exit::{Exit, Failed};

pub(crate) use self::capacity::search_for;
pub(crate) use self::experiment::{ask, post_json};
pub(crate) use self::load::{execute, execute_with};

/// What tidegate can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// See it work: a sample shop, a compressed day of users, how many it holds, an experiment
    Demo(demo::DemoArgs),
    /// Run a gateway: balance, cache, limit and fail over, as one file says
    Up(up::UpArgs),
    /// Send load to a target and measure it
    Load(Box<load::LoadArgs>),
    /// Find how many users, or requests per second, a target holds
    Capacity(Box<capacity::CapacityArgs>),
    /// Read access logs: who came, what was slow, who abuses us
    Logs(Box<logs::LogsArgs>),
    /// Find a scaling policy for recorded traffic, and tell it to autoscalers
    Plan(Box<plan::PlanArgs>),
    /// Compare two runs saved with `load --save`
    Compare(compare::CompareArgs),
    /// Compare versions of a site: who sees which, what they do, which is better
    Experiment(Box<experiment::ExperimentArgs>),
    /// Check a gateway's configuration, or ask what it does with a request
    Config(config::ConfigArgs),
}

impl Verb {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        match self {
            Verb::Demo(args) => demo::run(&args),
            Verb::Up(args) => up::run(&args),
            Verb::Load(args) => load::run(&args),
            Verb::Capacity(args) => capacity::run(&args),
            Verb::Logs(args) => logs::run(&args),
            Verb::Plan(args) => plan::run(&args),
            Verb::Compare(args) => compare::run(&args),
            Verb::Experiment(args) => experiment::run(&args),
            Verb::Config(args) => config::run(args),
        }
    }
}

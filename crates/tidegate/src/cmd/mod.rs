//! The verbs, one file each.

mod capacity;
mod compare;
mod flags;
mod load;
mod replay;

use clap::Subcommand;

use crate::demo;
use crate::exit::{Exit, Failed};

pub(crate) use self::capacity::search_for;
pub(crate) use self::load::execute;

/// What tidegate can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// See it work: a sample shop, a compressed day of users, and how many it holds
    Demo(demo::DemoArgs),
    /// Send load to a target and measure it
    Load(Box<load::LoadArgs>),
    /// Find how many users, or requests per second, a target holds
    Capacity(Box<capacity::CapacityArgs>),
    /// Compare two runs saved with `load --save`
    Compare(compare::CompareArgs),
}

impl Verb {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        match self {
            Verb::Demo(args) => demo::run(&args),
            Verb::Load(args) => load::run(&args),
            Verb::Capacity(args) => capacity::run(&args),
            Verb::Compare(args) => compare::run(&args),
        }
    }
}

//! tidegate: generates, routes, splits, measures and sizes web traffic.

mod admin;
mod cmd;
mod demo;
mod exit;
mod keys;
mod metrics;
mod output;
mod signals;
mod upgrade;

use std::process::ExitCode;

use clap::Parser;

use crate::cmd::Verb;

/// Generates, routes, measures and sizes web traffic.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, max_term_width = 100)]
#[command(after_help = "Start with:  tidegate demo\n\n\
    Exit codes: 0 yes, or done · 1 the answer is no (an objective was missed, a regression found) · \
    2 usage or configuration · 3 environment (file, port) · 4 the result must not be believed · \
    70 a bug")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    let result = Cli::parse().verb.run();
    match result {
        Ok(exit) => exit.into(),
        Err(failed) => {
            eprintln!("{}", failed.message.trim_end());
            failed.exit.into()
        }
    }
}

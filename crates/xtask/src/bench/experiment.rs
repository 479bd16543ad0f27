//! `cargo xtask bench experiment`: decisions, durable events, analysis, memory. Each is measured by
//! an example of the crate that does it; this runs them one after the other and keeps what they
//! print.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{machine, publish};
use crate::process;

/// Events that are made durable.
const EVENTS: &str = "1000000";
/// Units of the two analyses.
const UNITS: [&str; 2] = ["1000000", "10000000"];

/// Runs the benchmark and writes its part of `docs/benchmarks.md`.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    ensure!(args.is_empty(), "usage: cargo xtask bench experiment");
    let folder = process::target();
    let folder = folder.to_str().context("the target folder's name is no text")?;
    let mut page = String::from("## Experiments\n\n");
    let _ = writeln!(page, "Machine: {}.\n", machine());
    let parts: [(&str, &str, &str, &[&str]); 3] = [
        ("Decisions (target ≤ 100 ns)", "experiment", "assignment_speed", &[]),
        (
            "Durable events (target ≥ 100,000 events per CPU second)",
            "store",
            "event_path",
            &[EVENTS, folder],
        ),
        (
            "Analysis: of sums, as automation does it, and of units, as `status` does it",
            "experiment",
            "analysis_speed",
            &UNITS,
        ),
    ];
    for (title, package, example, arguments) in parts {
        eprintln!("{example}");
        let text = example_output(package, example, arguments)?;
        let _ = writeln!(page, "### {title}\n\n```text\n{}\n```\n", text.trim_end());
    }
    publish("cargo xtask bench experiment", &page)
}

fn example_output(package: &str, example: &str, arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["run", "--release", "--quiet", "-p", package, "--example", example, "--"])
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{example} failed");
    Ok(String::from_utf8(output.stdout)?)
}

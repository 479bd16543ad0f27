//! `cargo xtask conformance`: third-party suites against the gateway, and against other proxies,
//! which shows that what is asked for is possible; vendors' schemas against what plans write.

mod cache;
mod experiments;
mod h2;
mod manifests;
mod registry;
mod slow;
mod subject;
mod websocket;

use anyhow::{Result, bail};

/// Runs one suite or all of them.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    match args {
        ["cache", rest @ ..] => cache::run(rest),
        ["experiments"] => experiments::run(),
        ["manifests"] => manifests::run(),
        ["websocket", rest @ ..] => websocket::run(subject::named(rest)?),
        ["slow", rest @ ..] => slow::run(subject::named(rest)?),
        ["h2", rest @ ..] => h2::run(subject::named(rest)?),
        ["all"] => all(),
        _ => bail!(
            "usage: cargo xtask conformance cache | experiments | manifests | websocket | slow | h2 | all"
        ),
    }
}

/// All suites against tidegate's debug binary.
pub(crate) fn all() -> Result<()> {
    for suite in ["cache", "experiments", "manifests", "websocket", "slow", "h2"] {
        eprintln!("== conformance {suite}");
        run(&[suite])?;
    }
    Ok(())
}

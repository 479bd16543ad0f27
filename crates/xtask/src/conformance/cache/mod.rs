//! `cargo xtask conformance cache`: RFC 9111 by the npm suite `http-cache-tests`.

mod peers;
mod suite;
mod table;

use anyhow::{Context, Result, bail, ensure};

use crate::tidegate::{self, Settings};
use suite::{Outcome, Suite};
use table::{Results, is_passed};

/// Runs the suite against tidegate, or against others.
pub(super) fn run(args: &[&str]) -> Result<()> {
    let (mut against, mut origin) = (None, None);
    for (name, value) in crate::options(args, &["--against", "--origin"])? {
        match name {
            "--against" => against = Some(value),
            _ => origin = Some(value.parse().context("`--origin` is a port")?),
        }
    }
    match against {
        None => ours(),
        Some(url) if url.contains("://") => {
            let origin = origin.context("`--against URL` needs `--origin PORT`")?;
            let folder = tempfile::tempdir()?;
            let suite = Suite::install()?;
            let _origin = suite.origin(Some(origin), folder.path())?;
            let outcomes = suite.run(url)?;
            tell(url, &outcomes);
            compare(&Results::read()?, &outcomes)
        }
        Some(names) => names.split(',').try_for_each(theirs),
    }
}

/// Measures a peer and stores its figures.
fn theirs(name: &str) -> Result<()> {
    let version = peers::version(name)?;
    let suite = Suite::install()?;
    let folder = tempfile::tempdir()?;
    let origin = suite.origin(None, folder.path())?;
    let peer = peers::start(name, origin.port, folder.path())?;
    let outcomes = suite.run(&format!("http://127.0.0.1:{}", peer.port))?;
    tell(&format!("{name} {version}"), &outcomes);
    let mut results = Results::read()?;
    results.set(name, &version, &outcomes);
    results.write()
}

/// Measures tidegate and compares with what is stored, or stores it when told.
fn ours() -> Result<()> {
    let binary = tidegate::debug_binary();
    let suite = Suite::install()?;
    let folder = tempfile::tempdir()?;
    let origin = suite.origin(None, folder.path())?;
    let settings = Settings {
        upstream: "retry = { attempts = 0 }",
        route: tidegate::CACHE,
        ..Settings::default()
    };
    let gateway = tidegate::start(&binary, &settings, origin.port, None, folder.path())?;
    let outcomes = suite.run(&format!("http://127.0.0.1:{}", gateway.port))?;
    tell("tidegate", &outcomes);
    let mut results = Results::read()?;
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        results.set("tidegate", &tidegate::version(&binary)?, &outcomes);
        return results.write();
    }
    compare(&results, &outcomes)
}

/// Fails when a required or optimal test that passed does not any more.
fn compare(stored: &Results, outcomes: &[Outcome]) -> Result<()> {
    let before = |outcome: &Outcome| stored.result(&outcome.id, "tidegate").is_some_and(is_passed);
    let judged = || outcomes.iter().filter(|outcome| outcome.kind != "check");
    let lost: Vec<String> = judged()
        .filter(|outcome| before(outcome) && !is_passed(&outcome.result))
        .map(|outcome| format!("{}: {} ({})", outcome.id, outcome.result, outcome.said))
        .collect();
    for won in judged().filter(|outcome| !before(outcome) && is_passed(&outcome.result)) {
        eprintln!("{} passes and did not before: UPDATE_CONFORMANCE=1 stores it", won.id);
    }
    if !lost.is_empty() {
        bail!("{} cache tests passed before and do not now:\n{}", lost.len(), lost.join("\n"));
    }
    ensure!(!outcomes.is_empty(), "the suite ran no test");
    Ok(())
}

fn tell(name: &str, outcomes: &[Outcome]) {
    let count = |kind: &str| {
        let of_kind = || outcomes.iter().filter(|outcome| outcome.kind == kind);
        let passed = of_kind().filter(|outcome| is_passed(&outcome.result)).count();
        format!("{passed} of {} {kind}", of_kind().count())
    };
    eprintln!("{name}: {}, {}, {}", count("required"), count("optimal"), count("check"));
}

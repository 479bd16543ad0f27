//! `cargo xtask conformance websocket`: Autobahn's cases, driven by PyPI `kosoku`, through a tunnel to
//! an echo server. A case that passes directly must pass through the proxy.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::registry;
use super::subject::{Protocol, Subject};
use crate::process::{Server, free_port};

/// The client and the echo server, as pip names them.
const WHEELS: [&str; 2] = ["kosoku==0.1.0", "websockets==15.0.1"];
/// Left out: speed of large messages (9), and compression (12, 13), which a tunnel does not see.
const EXCLUDED: [&str; 3] = ["9.*", "12.*", "13.*"];
/// Longest run, in seconds: one takes about ten.
const RUN_MAX_S: &str = "90";

/// Runs the cases without and with the proxy.
pub(super) fn run(subject: Subject) -> Result<()> {
    let python = registry::wheels("websocket", &WHEELS)?;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("echo.py");
    fs::write(&script, include_str!("echo.py"))?;
    let port = free_port()?;
    let mut command = Command::new(&python);
    let echo =
        Server::start("echo", command.arg(&script).arg(port.to_string()), port, folder.path())?;
    let direct = cases(&python, port, &folder.path().join("direct"))?;
    let proxy = subject.start(Protocol::Http1, echo.port, folder.path())?;
    let through = cases(&python, proxy.port, &folder.path().join("through"))?;
    let passed = direct.iter().filter(|(_, result)| is_passed(result));
    let lost: Vec<String> = passed
        .clone()
        .filter_map(|(case, _)| match through.get(case) {
            Some(result) if is_passed(result) => None,
            Some(result) => Some(format!("{case}: {}, close {}", result.0, result.1)),
            None => Some(format!("{case}: did not run")),
        })
        .collect();
    ensure!(lost.is_empty(), "WebSocket cases that only pass directly:\n{}", lost.join("\n"));
    eprintln!("websocket: {} of {} cases pass, as they do directly", passed.count(), direct.len());
    Ok(())
}

/// What a case found: behaviour, and behaviour while closing.
type CaseResult = (String, String);

fn is_passed((behavior, close): &CaseResult) -> bool {
    let fine = |word: &str| matches!(word, "OK" | "NON-STRICT" | "INFORMATIONAL");
    fine(behavior) && fine(close)
}

fn cases(python: &Path, port: u16, reports: &Path) -> Result<BTreeMap<String, CaseResult>> {
    let excluded = EXCLUDED.iter().flat_map(|case| ["-x", case]);
    // It ends with 1 when a case failed; the report says which.
    let output = Command::new("timeout")
        .arg(RUN_MAX_S)
        .arg(python.with_file_name("kosoku"))
        .args(["-m", "fuzzingclient"])
        .args(excluded)
        .arg("-o")
        .arg(reports)
        .arg(format!("127.0.0.1:{port}"))
        .output()?;
    let index = fs::read_to_string(reports.join("index.json")).with_context(|| {
        format!("kosoku wrote no report: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    let json: serde_json::Value = serde_json::from_str(&index)?;
    let agents = json.as_object().context("kosoku's report is no object")?;
    let mut cases = BTreeMap::new();
    for (case, result) in agents.values().filter_map(|agent| agent.as_object()).flatten() {
        let word = |key: &str| result[key].as_str().unwrap_or("missing").to_owned();
        cases.insert(case.clone(), (word("behavior"), word("behaviorClose")));
    }
    ensure!(!cases.is_empty(), "kosoku ran no case");
    Ok(cases)
}

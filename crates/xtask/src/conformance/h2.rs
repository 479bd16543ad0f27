//! `cargo xtask conformance h2`: h2load (nghttp2) with many streams; every request is answered, and
//! the origin saw each of them once.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::subject::{Protocol, Subject};
use crate::packages::{self, Needed};
use crate::{origin, process};

const NEEDED: [Needed; 3] =
    [Needed { program: "h2load", package: "nghttp2-client" }, origin::NEEDED[0], origin::NEEDED[1]];
/// Path, requests, connections, streams at once per connection.
const RUNS: [(&str, usize, usize, usize); 3] =
    [("/small", 20_000, 8, 100), ("/large", 5_000, 4, 50), ("/small", 2_000, 200, 1)];
/// How long the origin's log may lag behind its answers.
const LOG_LAG_MAX: Duration = Duration::from_secs(5);

/// Runs all of [`RUNS`].
pub(super) fn run(subject: Subject) -> Result<()> {
    packages::ensure(&NEEDED)?;
    let folder = tempfile::tempdir()?;
    let origin = origin::start(folder.path(), true)?;
    let proxy = subject.start(Protocol::Http2, origin.port, folder.path())?;
    let log = origin::log(folder.path());
    let seen = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    for (path, requests, connections, streams) in RUNS {
        let before = seen();
        let (text, counts) = load(&proxy, path, requests, connections, streams)?;
        // Total, started, done, succeeded, failed, errored, timeout.
        ensure!(
            counts == [requests, requests, requests, requests, 0, 0, 0],
            "not every request of {path} succeeded:\n{text}"
        );
        let waited = Instant::now();
        while seen() - before < requests && waited.elapsed() < LOG_LAG_MAX {
            std::thread::sleep(Duration::from_millis(20));
        }
        let reached = seen() - before;
        ensure!(reached == requests, "the origin saw {reached} of {requests} requests of {path}");
        eprintln!(
            "h2: {requests} requests of {path}, {connections} connections, {streams} streams each: all succeeded"
        );
    }
    Ok(())
}

fn load(
    proxy: &process::Server,
    path: &str,
    requests: usize,
    connections: usize,
    streams: usize,
) -> Result<(String, Vec<usize>)> {
    let url = format!("http://127.0.0.1:{}{path}", proxy.port);
    let output = Command::new("timeout")
        .args(["60", "h2load", "-n", &requests.to_string(), "-c", &connections.to_string()])
        .args(["-m", &streams.to_string(), &url])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))
        .with_context(|| format!("h2load printed no counts: {text}"))?;
    let counts = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    Ok((text, counts))
}

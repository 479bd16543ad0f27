//! `cargo xtask bench load`: the load engine against wrk (and oha, when it is there).
//!
//! All of them drive the same nginx on loopback, one after the other in each round, pinned to the
//! same core while nginx has the other. What is compared is CPU time per request, which shared and
//! noisy machines disturb less than requests per second; ratios are medians over the rounds.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Wrk, machine, median, publish};
use crate::packages::{self, Needed};
use crate::process::{Server, free_port, pinned, status_kb};
use crate::tidegate;

const NEEDED: [Needed; 3] = [
    Needed { program: "nginx", package: "nginx-light" },
    Needed { program: "wrk", package: "wrk" },
    Needed { program: "taskset", package: "util-linux" },
];
const ROUNDS: usize = 7;
const SECONDS: u32 = 4;
const CONNECTIONS: u32 = 50;
/// Users of the memory test: each holds a connection and waits.
const IDLE_USERS: u32 = 20_000;
const BODY: &str = "{\"ok\": true, \"text\": \"hello\"}";

const JOURNEY: &str = r#"
[[task]]
name = "main"
weight = 3
get = "/"
expect = { status = 200, body-contains = "hello" }

[[task]]
name = "item"
weight = 2
get = "/item"
expect = { status = 200, json = { "/ok" = true } }

[[task]]
name = "search"
weight = 1
get = "/search?q=lamp"
expect = { status = 200, header = { content-type = "application/json" } }
"#;

/// One measurement: requests and the CPU time spent on them.
#[derive(Debug, Clone, Copy)]
struct Sample {
    requests: f64,
    cpu_s: f64,
    wall_s: f64,
}

impl Sample {
    fn us_per_request(self) -> f64 {
        self.cpu_s * 1e6 / self.requests
    }

    fn per_s(self) -> f64 {
        self.requests / self.wall_s
    }
}

/// Runs the benchmark and writes its part of `docs/benchmarks.md`.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    ensure!(args.is_empty(), "usage: cargo xtask bench load");
    packages::ensure(&NEEDED)?;
    let binary = tidegate::release_binary()?;
    let folder = tempfile::tempdir()?;
    let nginx = start_nginx(folder.path())?;
    let url = format!("http://127.0.0.1:{}/", nginx.port);
    let scenario = folder.path().join("journey.toml");
    fs::write(&scenario, JOURNEY)?;
    let oha = packages::find("oha");
    let mut one = Vec::new();
    let mut journey = Vec::new();
    let mut wrk = Vec::new();
    let mut others = Vec::new();
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}", round + 1);
        // The order turns, so that no tool always runs on a warmer machine.
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => wrk.push(run_wrk(&url)?),
                1 => one.push(run_tidegate(&binary, &url, None, folder.path())?),
                _ => journey.push(run_tidegate(&binary, &url, Some(&scenario), folder.path())?),
            }
        }
        if let Some(oha) = &oha {
            others.push(run_oha(oha, &url)?);
        }
    }
    let memory = idle_memory(&binary, &url, folder.path())?;
    publish("cargo xtask bench load", &page(&wrk, &one, &journey, &others, &memory))
}

/// An nginx on core 1 that answers from its configuration.
fn start_nginx(folder: &Path) -> Result<Server> {
    let port = free_port()?;
    let dir = folder.display();
    let body = BODY.replace('"', "\\\"");
    let config = format!(
        "daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;\n\
         worker_rlimit_nofile 65536; events {{ worker_connections 40000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         server {{ listen 127.0.0.1:{port} backlog=8192;\n\
         location / {{ default_type application/json; return 200 \"{body}\"; }} }} }}\n"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config)?;
    let nginx = packages::find("nginx").context("nginx is missing")?;
    Server::start("nginx", pinned(1, &nginx).arg("-c").arg(&path), port, folder)
}

/// Runs a command line pinned to core 0 and returns its stdout, CPU seconds and wall seconds.
fn timed(command: &str) -> Result<(String, f64, f64)> {
    let script = format!("TIMEFORMAT='cpu %U %S %R'; time taskset -c 0 {command}");
    let output = Command::new("bash").args(["-c", &script]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let times: Vec<f64> = stderr
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("cpu "))
        .context("bash printed no times")?
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [user, system, wall] = times[..] else { bail!("unexpected times: {stderr}") };
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), user + system, wall))
}

fn run_wrk(url: &str) -> Result<Sample> {
    let (text, cpu_s, _) = timed(&format!("wrk -t1 -c{CONNECTIONS} -d{SECONDS}s {url}"))?;
    let Wrk { requests, wall_s, .. } = Wrk::parse(&text)?;
    Ok(Sample { requests, cpu_s, wall_s })
}

fn run_oha(oha: &Path, url: &str) -> Result<Sample> {
    let command = format!(
        "{} --no-tui --output-format json -c {CONNECTIONS} -z {SECONDS}s {url}",
        oha.display()
    );
    let (text, cpu_s, wall_s) = timed(&command)?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let rate = json["summary"]["requestsPerSec"].as_f64().context("oha printed no rate")?;
    Ok(Sample { requests: rate * wall_s, cpu_s, wall_s })
}

fn run_tidegate(
    binary: &Path,
    url: &str,
    scenario: Option<&Path>,
    folder: &Path,
) -> Result<Sample> {
    let json = folder.join("run.json");
    let what = match scenario {
        Some(path) => format!("{} -H {url}", path.display()),
        None => url.to_owned(),
    };
    let command = format!(
        "{} load {what} -u {CONNECTIONS} -t {SECONDS}s --workers 1 --quiet --json {}",
        binary.display(),
        json.display()
    );
    let (_, cpu_s, _) = timed(&command)?;
    let run = read_run(&json)?;
    let totals = &run["totals"];
    ensure!(totals["failures"] == 0, "requests failed: {}", run["errors"]);
    let number =
        |key: &str| totals[key].as_f64().with_context(|| format!("no {key} in the result"));
    Ok(Sample { requests: number("requests")?, cpu_s, wall_s: number("duration-s")? })
}

fn read_run(path: &Path) -> Result<serde_json::Value> {
    let text = fs::read_to_string(path).context("tidegate wrote no result")?;
    Ok(serde_json::from_str(&text)?)
}

/// Resident memory of the generator with many connected users that wait.
struct Memory {
    users: u32,
    peak_kb: f64,
    idle_kb: f64,
    base_kb: f64,
}

fn idle_memory(binary: &Path, url: &str, folder: &Path) -> Result<Memory> {
    let limit = std::process::Command::new("bash").args(["-c", "ulimit -Hn"]).output()?;
    let limit: u32 = String::from_utf8_lossy(&limit.stdout).trim().parse().unwrap_or(u32::MAX);
    // Some descriptors are not connections.
    let users = IDLE_USERS.min(limit.saturating_sub(200));
    let measure = |users: u32| -> Result<(f64, f64)> {
        let json = folder.join("idle.json");
        let _ = fs::remove_file(&json);
        let mut child = Command::new(binary)
            .args(["load", url, "--quiet", "--wait", "1h", "-t", "12s", "-s", "0s"])
            .args(["-u", &users.to_string(), "-r", "4000/s", "--json"])
            .arg(&json)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let (mut peak, mut idle) = (0.0, 0.0);
        while child.try_wait()?.is_none() {
            peak = status_kb(child.id(), "VmHWM:").unwrap_or(peak);
            idle = status_kb(child.id(), "VmRSS:").unwrap_or(idle);
            std::thread::sleep(Duration::from_millis(200));
        }
        let run = read_run(&json)?;
        ensure!(
            run["totals"]["requests"] == users,
            "not every user sent its request: {}",
            run["totals"]["requests"]
        );
        Ok((peak, idle))
    };
    let (base_kb, _) = measure(1)?;
    let (peak_kb, idle_kb) = measure(users)?;
    Ok(Memory { users, peak_kb, idle_kb, base_kb })
}

fn page(
    wrk: &[Sample],
    one: &[Sample],
    journey: &[Sample],
    oha: &[Sample],
    memory: &Memory,
) -> String {
    let us =
        |samples: &[Sample]| median(samples.iter().map(|sample| sample.us_per_request()).collect());
    let per_s = |samples: &[Sample]| median(samples.iter().map(|sample| sample.per_s()).collect());
    let wrk_us = us(wrk);
    let mut page = String::from(
        "## Load generator\n\nThe ratio is requests per CPU second relative to wrk's, so above 1.00 is better than wrk.\n\n",
    );
    let _ = writeln!(
        page,
        "Machine: {}. Target: nginx, one worker on core 1, `return 200` with {} bytes, loopback.",
        machine(),
        BODY.len()
    );
    let _ = writeln!(
        page,
        "Generators: one thread on core 0, {CONNECTIONS} keep-alive connections, {ROUNDS} rounds of {SECONDS} s each.\n"
    );
    page.push_str("| generator | CPU µs per request | requests/s | requests per CPU second, relative to wrk | target |\n|---|---|---|---|---|\n");
    let mut row = |name: &str, samples: &[Sample], target: &str| {
        if !samples.is_empty() {
            let _ = writeln!(
                page,
                "| {name} | {:.2} | {:.0} | {:.2} | {target} |",
                us(samples),
                per_s(samples),
                wrk_us / us(samples)
            );
        }
    };
    row("wrk 4.1, one URL", wrk, "");
    row("tidegate, one task", one, "≥ 0.95");
    row("tidegate, journey of three weighted tasks with checks", journey, "≥ 0.85");
    row("oha, one URL", oha, "");
    if oha.is_empty() {
        page.push_str("\noha was not installed.\n");
    }
    let per_user = |kb: f64| (kb - memory.base_kb).max(0.0) / f64::from(memory.users);
    let _ = writeln!(page, "\n### Memory of connected users\n");
    let _ = writeln!(
        page,
        "{} users, each with its own connection, one request and then a wait; resident memory above that of one user.\n",
        memory.users
    );
    page.push_str("| | KB per user | target |\n|---|---|---|\n");
    let _ =
        writeln!(page, "| peak (while they connect) | {:.1} | ≤ 20 |", per_user(memory.peak_kb));
    let _ = writeln!(page, "| idle | {:.1} | ≤ 20 |", per_user(memory.idle_kb));
    page.push_str(
        "\n### Commands\n\n```sh\ncargo xtask bench load\n# which runs, pinned with taskset:\n",
    );
    let _ = writeln!(
        page,
        "wrk -t1 -c{CONNECTIONS} -d{SECONDS}s URL\ntidegate load URL -u {CONNECTIONS} -t {SECONDS}s --workers 1 --quiet --json run.json\ntidegate load journey.toml -H URL -u {CONNECTIONS} -t {SECONDS}s --workers 1 --quiet --json run.json\ntidegate load URL --quiet --wait 1h -t 12s -s 0s -u {} -r 4000/s --json idle.json\n```",
        memory.users
    );
    page.push_str("\nThe journey:\n\n```toml");
    page.push_str(JOURNEY);
    page.push_str("```\n\nCPU time is that of the whole process (user and system) as bash's `time` reports it, start-up and report\nincluded. Most of it is the kernel's: one `write` and one `read` per request, and a share of an `epoll_wait`.\nwrk pays two `epoll_ctl` calls per request on top; tidegate pays for its clocks and three histograms.\n");
    page
}

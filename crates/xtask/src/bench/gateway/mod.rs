//! `cargo xtask bench gateway`: tidegate against nginx and HAProxy, and for cache hits against
//! nginx's and Varnish's.
//!
//! A proxy has core 0 to itself; the origin and wrk share core 1. What is compared is the CPU time of
//! the proxy per request (all its processes and threads), which does not depend on who waits for whom.

mod page;
mod proxies;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use self::page::Scenario;
use self::proxies::{Job, Proxy};
use super::{Wrk, publish};
use crate::origin;
use crate::packages::{self, Needed};
use crate::process::Server;

const NEEDED: [Needed; 3] =
    [origin::NEEDED[0], origin::NEEDED[1], Needed { program: "wrk", package: "wrk" }];
/// Keep-alive connections.
const CONNECTIONS: u32 = 64;

/// What is measured: title, job, path.
const SCENARIOS: [(&str, Job, &str); 4] = [
    ("proxied, 100 bytes", Job::Forward, "/small"),
    ("proxied, 16 KiB", Job::Forward, "/large"),
    ("cache hit, 100 bytes", Job::Hit, "/small"),
    ("cache hit, 16 KiB", Job::Hit, "/large"),
];

/// How long and who.
struct Plan {
    rounds: usize,
    seconds: u32,
    /// All when empty. Results of some are shown, not written.
    proxies: Vec<String>,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    us_per_request: f64,
    /// The part of it that a process of its own spends on the access log.
    log_us: f64,
    per_s: f64,
    p99_ms: f64,
}

/// Runs the benchmark and writes its part of `docs/benchmarks.md`.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let plan = plan(args)?;
    packages::ensure(&NEEDED)?;
    let mut scenarios = Vec::new();
    let mut versions = Vec::new();
    for job in [Job::Forward, Job::Hit] {
        let chosen: Vec<Proxy> = Proxy::all(job)
            .iter()
            .copied()
            .filter(|proxy| {
                plan.proxies.is_empty() || plan.proxies.iter().any(|name| name == proxy.name())
            })
            .collect();
        let folder = tempfile::tempdir()?;
        let origin = origin::start(folder.path(), false)?;
        let mut servers = Vec::new();
        for proxy in chosen {
            proxy.prepare()?;
            let version = proxy.version()?;
            if !versions.contains(&version) {
                versions.push(version);
            }
            let own = folder.path().join(proxy.name());
            servers.push((proxy, proxy.start(job, origin.port, &own)?));
        }
        for (title, _, path) in SCENARIOS.iter().filter(|scenario| scenario.1 == job) {
            scenarios.push(measure(&plan, title, path, &servers)?);
        }
    }
    let text = page::page(&scenarios, &versions, plan.rounds, plan.seconds);
    if plan.proxies.is_empty() {
        return publish("cargo xtask bench gateway", &text);
    }
    println!("{text}");
    Ok(())
}

/// nginx with its cache, for other benchmarks to be tried with.
pub(super) fn nginx_with_cache(origin: u16, folder: &Path) -> Result<Server> {
    Proxy::Nginx.prepare()?;
    Proxy::Nginx.start(Job::Hit, origin, folder)?.pop().context("no process")
}

fn plan(args: &[&str]) -> Result<Plan> {
    let mut plan = Plan { rounds: 7, seconds: 4, proxies: Vec::new() };
    for (name, value) in crate::options(args, &["--rounds", "--seconds", "--proxies"])? {
        match name {
            "--rounds" => plan.rounds = value.parse().context("`--rounds` is a number")?,
            "--seconds" => plan.seconds = value.parse().context("`--seconds` is a number")?,
            _ => plan.proxies = value.split(',').map(str::to_owned).collect(),
        }
    }
    ensure!((1..=100).contains(&plan.rounds), "`--rounds` is 1 to 100");
    ensure!((1..=60).contains(&plan.seconds), "`--seconds` is 1 to 60");
    let known = [Proxy::Tidegate, Proxy::Nginx, Proxy::Haproxy, Proxy::Varnish];
    for name in &plan.proxies {
        if !known.iter().any(|proxy| proxy.name() == name) {
            bail!("no proxy `{name}`; there are tidegate, nginx, haproxy, varnish");
        }
    }
    Ok(plan)
}

fn measure(
    plan: &Plan,
    title: &'static str,
    path: &str,
    servers: &[(Proxy, Vec<Server>)],
) -> Result<Scenario> {
    let mut samples = vec![Vec::new(); servers.len()];
    // Connections are made and caches filled before the first round.
    for (_, processes) in servers {
        sample(processes, path, 1)?;
    }
    for round in 0..plan.rounds {
        eprintln!("{title}: round {} of {}", round + 1, plan.rounds);
        for turn in 0..servers.len() {
            // The order turns, so that none always runs on a warmer machine.
            let which = (round + turn) % servers.len();
            let (proxy, processes) = &servers[which];
            let sample = sample(processes, path, plan.seconds)
                .with_context(|| format!("{title}: {}", proxy.name()))?;
            samples[which].push(sample);
        }
    }
    let names = servers.iter().map(|(proxy, _)| *proxy);
    Ok(Scenario { title, rows: names.zip(samples).collect() })
}

fn sample(processes: &[Server], path: &str, seconds: u32) -> Result<Sample> {
    let proxy = processes.first().context("no process")?;
    let cpu_s = || processes.iter().map(Server::cpu_s).collect::<Vec<f64>>();
    let before = cpu_s();
    let output = Command::new("taskset")
        .args(["-c", "1", "wrk", "--latency", "-t1"])
        .args([format!("-c{CONNECTIONS}"), format!("-d{seconds}s")])
        .arg(format!("http://127.0.0.1:{}{path}", proxy.port))
        .output()?;
    let used: Vec<f64> = cpu_s().iter().zip(before).map(|(after, before)| after - before).collect();
    let wrk = Wrk::parse(&String::from_utf8_lossy(&output.stdout))?;
    let us = |cpu_s: &[f64]| cpu_s.iter().sum::<f64>() * 1e6 / wrk.requests;
    Ok(Sample {
        us_per_request: us(&used),
        log_us: us(used.get(1..).unwrap_or_default()),
        per_s: wrk.requests / wrk.wall_s,
        p99_ms: wrk.p99_ms.context("wrk printed no latencies")?,
    })
}

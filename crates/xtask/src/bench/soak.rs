//! `cargo xtask bench soak`: memory under random traffic, with cache and limits on. It must not grow
//! once the cache is full.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::gateway::nginx_with_cache;
use super::{machine, publish};
use crate::origin;
use crate::packages::{self, Needed};
use crate::process::Server;
use crate::tidegate::{self, Settings};

const NEEDED: [Needed; 3] =
    [origin::NEEDED[0], origin::NEEDED[1], Needed { program: "wrk", package: "wrk" }];
const CONNECTIONS: u32 = 200;
/// Between two looks at the memory.
const EVERY: Duration = Duration::from_secs(5);
/// Growth is counted from here on: by then buffers, pools and the cache are full.
const SETTLED: Duration = Duration::from_secs(60);
/// A small cache and small tables, so that they fill, and evict, within the first minute.
const ROUTE: &str = r#"cache = { max-bytes = "64MiB", default-ttl = "5s", stale-while-revalidate = "5s" }
rate-limit = { key = { header = "x-user" }, rate = "100/s", burst = 200 }"#;

/// Runs the traffic and writes the soak's part of `docs/benchmarks.md`.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let (mut minutes, mut proxy) = (10_u64, "tidegate");
    for (name, value) in crate::options(args, &["--minutes", "--proxy"])? {
        match name {
            "--minutes" => minutes = value.parse().context("`--minutes` is a whole number")?,
            _ => proxy = value,
        }
    }
    ensure!((2..=600).contains(&minutes), "`--minutes` is 2 to 600");
    packages::ensure(&NEEDED)?;
    let folder = tempfile::tempdir()?;
    let origin = origin::start(folder.path(), false)?;
    let mut server = match proxy {
        "tidegate" => {
            let binary = tidegate::release_binary()?;
            let settings = Settings { route: ROUTE, ..Settings::default() };
            tidegate::start(&binary, &settings, origin.port, None, folder.path())?
        }
        "nginx" => nginx_with_cache(origin.port, &folder.path().join("nginx"))?,
        other => bail!("no proxy `{other}`; there are tidegate, nginx"),
    };
    let script = folder.path().join("soak.lua");
    fs::write(&script, include_str!("soak.lua"))?;
    let mut wrk = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{minutes}m"), "-s"])
        .arg(&script)
        .arg(format!("http://127.0.0.1:{}/", server.port))
        .stdin(Stdio::null())
        .stdout(fs::File::create(folder.path().join("wrk.out"))?)
        .spawn()?;
    let watched = watch(&mut wrk, &mut server, Duration::from_secs(60 * minutes));
    let _ = wrk.kill();
    let _ = wrk.wait();
    let samples = watched?;
    let said = fs::read_to_string(folder.path().join("wrk.out"))?;
    let text = page(proxy, minutes, &samples, &said)?;
    if proxy == "tidegate" {
        return publish("cargo xtask bench soak", &text);
    }
    println!("{text}");
    Ok(())
}

/// Resident KiB by time since the start, until wrk ends.
fn watch(
    wrk: &mut std::process::Child,
    server: &mut Server,
    length: Duration,
) -> Result<Vec<(Duration, f64)>> {
    let started = Instant::now();
    let mut samples = Vec::new();
    while wrk.try_wait()?.is_none() {
        ensure!(started.elapsed() < length + Duration::from_secs(30), "wrk did not end");
        ensure!(server.is_running(), "the proxy ended after {:?}", started.elapsed());
        samples.push((started.elapsed(), server.rss_kb()));
        std::thread::sleep(EVERY);
    }
    Ok(samples)
}

fn page(proxy: &str, minutes: u64, samples: &[(Duration, f64)], wrk: &str) -> Result<String> {
    let (_, settled) = samples
        .iter()
        .find(|(time, _)| *time >= SETTLED)
        .context("the run ended before the first minute did")?;
    let (_, last) = samples.last().context("no samples")?;
    let peak = samples.iter().map(|sample| sample.1).fold(0.0, f64::max);
    let total = wrk.lines().find(|line| line.contains("requests in")).unwrap_or("").trim();
    let mib = |kb: f64| kb / 1024.0;
    let mut page = format!(
        "## Memory under random traffic\n\nMachine: {}. {proxy}, {minutes} minutes, {CONNECTIONS} connections: popular and rare paths, queries, ranges,\n\
         conditions, bodies, closed connections; a cache of 64 MiB and a rate limit by user are on. wrk: {total}.\n\n\
         | resident memory | MiB |\n|---|---|\n",
        machine()
    );
    let _ = writeln!(page, "| after one minute | {:.1} |", mib(*settled));
    let _ = writeln!(page, "| at the end | {:.1} |", mib(*last));
    let _ = writeln!(page, "| peak | {:.1} |", mib(peak));
    let _ = writeln!(
        page,
        "| growth after the first minute | {:.1} % |",
        (last / settled - 1.0) * 100.0
    );
    Ok(page)
}

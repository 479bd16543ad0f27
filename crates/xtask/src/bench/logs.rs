//! `cargo xtask bench logs`: reading a large access log, against GoAccess; and memory when nearly
//! everything in a log is distinct.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{machine, median, publish};
use crate::packages::{self, Needed};
use crate::{process, tidegate};

const NEEDED: [Needed; 1] = [Needed { program: "goaccess", package: "goaccess" }];
/// Real lines that the large log is drawn from, and a real day's course.
const LINES: &str = "../shared/data/logs/elastic-examples/apache_logs.combined.log";
const ARRIVALS: &str = "../shared/data/traces/nasa/nasa_per_minute.csv";
/// Size of the large log.
const BYTES: u64 = 1 << 30;
/// Distinct addresses and URLs of the other log.
const DISTINCT: u64 = 10_000_000;
const ROUNDS: usize = 3;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a program may take for the log of distinct things; whoever has not ended then is stopped.
const DISTINCT_MAX: Duration = Duration::from_secs(180);
/// Between two looks at a process.
const EVERY: Duration = Duration::from_millis(20);

/// Builds the logs, runs everybody and writes the part of `docs/benchmarks.md`.
pub(crate) fn run() -> Result<()> {
    packages::ensure(&NEEDED)?;
    let binary = tidegate::release_binary()?;
    let folder = tempfile::tempdir_in(process::target())?;
    let log = folder.path().join("access.log");
    let lines = build(&log)?;
    let tidegate = |jobs: usize, log: &Path| {
        let mut command = Command::new(&binary);
        command.args(["logs", "--quiet", "--jobs", &jobs.to_string(), "--json"]);
        command.arg(folder.path().join("tidegate.json")).arg(log);
        command
    };
    let goaccess = |log: &Path| {
        let mut command = Command::new("goaccess");
        command.args(["--no-global-config", "--no-progress", "--log-format=COMBINED"]);
        // So that both count the same, see docs/reference/logs.md.
        command.args(["--no-query-string", "--http-method=no", "--http-protocol=no", "-o"]);
        command.arg(folder.path().join("goaccess.json")).arg(log);
        command
    };
    // The file is in the page cache from here on, for everybody.
    let mut samples: [Vec<Sample>; 3] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        samples[0].push(watched(&mut tidegate(1, &log), PATIENCE)?);
        samples[1].push(watched(&mut tidegate(2, &log), PATIENCE)?);
        samples[2].push(watched(&mut goaccess(&log), PATIENCE)?);
    }
    same_totals(folder.path(), lines)?;
    fs::remove_file(&log)?;
    let distinct = folder.path().join("distinct.log");
    build_distinct(&distinct)?;
    eprintln!("{DISTINCT} distinct addresses and URLs");
    let many = [
        watched(&mut tidegate(1, &distinct), DISTINCT_MAX)?,
        watched(&mut goaccess(&distinct), DISTINCT_MAX)?,
    ];
    publish("cargo xtask bench logs", &page(lines, &samples, &many)?)
}

/// What a program took.
#[derive(Debug, Clone, Copy)]
struct Sample {
    wall_s: f64,
    cpu_s: f64,
    peak_kb: f64,
    /// Whether it ended by itself.
    is_done: bool,
}

/// Runs a program to its end, or for so long, and watches it.
fn watched(command: &mut Command, longest: Duration) -> Result<Sample> {
    let started = std::time::Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let mut sample = Sample { wall_s: 0.0, cpu_s: 0.0, peak_kb: 0.0, is_done: true };
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "{command:?} ended with {status}");
            sample.wall_s = started.elapsed().as_secs_f64();
            return Ok(sample);
        }
        if started.elapsed() > longest {
            child.kill()?;
            child.wait()?;
            return Ok(Sample { wall_s: longest.as_secs_f64(), is_done: false, ..sample });
        }
        sample.cpu_s = process::cpu_s(child.id()).max(sample.cpu_s);
        let peak = process::status_kb(child.id(), "VmHWM:").unwrap_or(0.0);
        sample.peak_kb = sample.peak_kb.max(peak);
        std::thread::sleep(EVERY);
    }
}

/// A generator of numbers, the same in every run (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// The parts of a line that are drawn on their own: client, `"request" status bytes`, the rest.
fn parts(line: &str) -> Option<[&str; 3]> {
    let (client, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once("] ")?;
    let end = rest.match_indices('"').nth(1)?.0;
    let tail = rest.get(end..)?.match_indices(' ').nth(2)?.0 + end;
    Some([client, &rest[..tail], &rest[tail + 1..]])
}

/// Writes [`BYTES`] of lines whose parts are drawn from real ones, minute after minute as a real
/// server had them, and says how many.
fn build(path: &Path) -> Result<u64> {
    let text = String::from_utf8_lossy(&fs::read(LINES).context(LINES)?).into_owned();
    let parts: Vec<[&str; 3]> = text.lines().filter_map(parts).collect();
    let course = fs::read_to_string(ARRIVALS).context(ARRIVALS)?;
    let minutes: Vec<(String, u64)> = course.lines().skip(1).filter_map(minute).collect();
    ensure!(!parts.is_empty() && !minutes.is_empty(), "no lines to draw from");
    let all: u64 = minutes.iter().map(|minute| minute.1).sum();
    // Lines of about 230 bytes.
    let scale = (BYTES / 230).div_ceil(all).max(1);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut draw, mut written, mut lines) = (Draw(1), 0_u64, 0_u64);
    let mut line = String::new();
    for (time, count) in minutes.iter().cycle() {
        let count = *count;
        for index in 0..count * scale {
            // A client has one agent mostly; what it asks for is another matter.
            let [client, _, agent] = parts[draw.below(parts.len())];
            let [_, request, _] = parts[draw.below(parts.len())];
            line.clear();
            let second = index * 60 / (count * scale);
            writeln!(line, "{client} - - [{time}:{second:02} -0400] {request} {agent}")?;
            out.write_all(line.as_bytes())?;
            written += line.len() as u64;
            lines += 1;
        }
        if written >= BYTES {
            break;
        }
    }
    out.flush()?;
    Ok(lines)
}

/// `1995-07-01T00:00:00,42` as the beginning of a log's time, `01/Jul/1995:00:00`, and the count.
fn minute(line: &str) -> Option<(String, u64)> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (time, count) = line.split_once(',')?;
    let (date, clock) = time.split_once('T')?;
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some((format!("{day}/{month}/{year}:{}", clock.get(..5)?), count.parse().ok()?))
}

/// Lines of which each has an address and a URL of its own.
fn build_distinct(path: &Path) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for n in 0..DISTINCT {
        writeln!(
            out,
            "10.{}.{}.{} - - [17/May/2015:{:02}:{:02}:{:02} +0000] \"GET /page-{n:x}/of/a/shop.html HTTP/1.1\" 200 2326 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\"",
            n >> 16 & 255,
            n >> 8 & 255,
            n & 255,
            n * 24 / DISTINCT,
            n * 1440 / DISTINCT % 60,
            n * 86_400 / DISTINCT % 60,
        )?;
    }
    out.flush()?;
    Ok(())
}

/// Both must have read the same.
fn same_totals(folder: &Path, lines: u64) -> Result<()> {
    let read = |name: &str| -> Result<serde_json::Value> {
        let path: PathBuf = folder.join(name);
        Ok(serde_json::from_slice(&fs::read(&path).with_context(|| path.display().to_string())?)?)
    };
    let (ours, theirs) = (read("tidegate.json")?, read("goaccess.json")?);
    let pairs = [
        (&ours["totals"]["read"], &theirs["general"]["total_requests"]),
        (&ours["totals"]["rejected"], &theirs["general"]["failed_requests"]),
        (&ours["totals"]["unique-visitors"], &theirs["general"]["unique_visitors"]),
        (&ours["totals"]["bytes"], &theirs["general"]["bandwidth"]),
    ];
    for (ours, theirs) in pairs {
        ensure!(ours == theirs, "tidegate counted {ours}, GoAccess {theirs}");
    }
    if ours["totals"]["read"].as_u64() != Some(lines) {
        bail!("the log has {lines} lines, tidegate read {}", ours["totals"]["read"]);
    }
    Ok(())
}

fn page(lines: u64, samples: &[Vec<Sample>; 3], many: &[Sample; 2]) -> Result<String> {
    let names = ["tidegate, 1 thread", "tidegate, 2 threads", "GoAccess"];
    let version = packages::version("goaccess", "--version")?;
    let mut page = format!(
        "## Reading access logs\n\nMachine: {}. A log of {} MiB, {lines} lines in the combined format: clients with their\n\
         agents, and requests, drawn from 10,000 real lines; minutes as busy as those of a real server; in the page cache. All\n\
         panels, JSON written. Medians of {ROUNDS} paired rounds. GoAccess {version} has one thread.\n\n\
         | program | lines/s | seconds | CPU s | lines per CPU second | peak memory MiB |\n|---|---|---|---|---|---|\n",
        machine(),
        BYTES >> 20,
    );
    let of =
        |samples: &[Sample], get: fn(&Sample) -> f64| median(samples.iter().map(get).collect());
    for (name, samples) in names.iter().zip(samples) {
        let (wall, cpu) = (of(samples, |s| s.wall_s), of(samples, |s| s.cpu_s));
        let _ = writeln!(
            page,
            "| {name} | {:.0} | {wall:.1} | {cpu:.1} | {:.0} | {:.0} |",
            lines as f64 / wall,
            lines as f64 / cpu,
            of(samples, |s| s.peak_kb) / 1024.0
        );
    }
    // Of the same round, so that what else the machine did disturbs both.
    let times = |index: usize, of: fn(&Sample) -> f64| {
        let pairs = samples[2].iter().zip(&samples[index]);
        median(pairs.map(|(theirs, ours)| of(theirs) / of(ours)).collect())
    };
    let speedup = samples[0].iter().zip(&samples[1]).map(|(one, two)| one.wall_s / two.wall_s);
    let _ = writeln!(
        page,
        "\nTargets: 1,000,000 lines per CPU second, and 8 times GoAccess with one thread. By CPU time one thread is {:.1} times as \
         fast,\nby the clock {:.1} times, two threads {:.1} times. Two threads are {:.2} times as fast as one. Lines, rejected \
         lines,\nvisitors and bytes are the same in both reports.",
        times(0, |s| s.cpu_s),
        times(0, |s| s.wall_s),
        times(1, |s| s.wall_s),
        median(speedup.collect())
    );
    let _ = writeln!(
        page,
        "\n### {DISTINCT} distinct addresses and URLs\n\n| program | seconds | peak memory MiB |\n|---|---|---|"
    );
    for (name, sample) in [names[0], names[2]].iter().zip(many) {
        let (seconds, peak) = (sample.wall_s, sample.peak_kb / 1024.0);
        let _ = match sample.is_done {
            true => writeln!(page, "| {name} | {seconds:.1} | {peak:.0} |"),
            false => writeln!(page, "| {name} | stopped after {seconds:.0} | {peak:.0} by then |"),
        };
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::{minute, parts};

    #[test]
    fn a_line_falls_into_its_parts() {
        let line =
            r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12 "-" "x y""#;
        assert_eq!(parts(line), Some(["192.0.2.7", r#""GET /a HTTP/1.1" 200 12"#, r#""-" "x y""#]));
        assert_eq!(parts("torn"), None);
        let begin = Some(("01/Jul/1995:00:07".to_owned(), 42));
        assert_eq!(minute("1995-07-01T00:07:00,42"), begin);
    }
}

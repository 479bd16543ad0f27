//! `cargo xtask bench plan`: what a plan costs and how many requests are late under it, on recorded
//! traces, on days that it was not made from.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{machine, publish};
use crate::{process, tidegate};

const TRACES: &str = "../shared/data/traces";
/// Every trace is scaled to this mean, so that figures can be compared.
const MEAN_PER_S: f64 = 500.0;
/// What one instance serves: ten are busy at the mean.
const CAPACITY: &str = "50/s";
const BOOT: &str = "2m";
const LATE_AFTER: &str = "1s";
const SLO: &str = "late<0.1%";
const SEED: &str = "1";

/// A recorded trace.
struct Trace {
    name: &'static str,
    file: &'static str,
    /// The first and the last date that count; all when there are none.
    dates: Option<(&'static str, &'static str)>,
    step_s: f64,
    zone: &'static str,
}

const fn trace(name: &'static str, file: &'static str, step_s: f64, zone: &'static str) -> Trace {
    Trace { name, file, dates: None, step_s, zone }
}

/// Minutes of the web server of NASA.
const fn nasa(name: &'static str, first: &'static str, last: &'static str) -> Trace {
    let whole = trace(name, "nasa/nasa_per_minute.csv", 60.0, "America/New_York");
    Trace { dates: Some((first, last)), ..whole }
}

fn traces() -> Vec<Trace> {
    vec![
        nasa("NASA, July 1995", "1995-07-01", "1995-07-31"),
        // The server was down until the third.
        nasa("NASA, August 1995", "1995-08-04", "1995-08-31"),
        trace("WorldCup 98", "worldcup98/worldcup98_per_minute.csv", 60.0, "Europe/Paris"),
        trace("Wikipedia, hours", "wikipedia/wikipedia_hourly_requests.csv", 3600.0, "UTC"),
        trace("NAB load balancer", "nab/elb_request_count_8c0756.csv", 300.0, "UTC"),
        trace("NAB taxis", "nab/nyc_taxi.csv", 1800.0, "America/New_York"),
        trace("Crane 0", "gocrane/input0.csv", 60.0, "UTC"),
        trace("Crane 1", "gocrane/input1.csv", 60.0, "UTC"),
        trace("Crane 4", "gocrane/input4.csv", 60.0, "UTC"),
        trace("Crane 8", "gocrane/input8.csv", 60.0, "UTC"),
        trace("Crane 9", "gocrane/input9.csv", 60.0, "UTC"),
        trace("Crane 13", "gocrane/input13.csv", 60.0, "UTC"),
        trace("Crane 14", "gocrane/input14.csv", 60.0, "UTC"),
        trace("Crane 15", "gocrane/input15.csv", 15.0, "UTC"),
    ]
}

/// A plan, and how long it took.
struct Planned {
    trace: Trace,
    json: Value,
    seconds: f64,
}

/// Plans every trace and writes the part of `docs/benchmarks.md`.
pub(crate) fn run() -> Result<()> {
    ensure!(Path::new(TRACES).is_dir(), "no traces at {TRACES}");
    let binary = tidegate::release_binary()?;
    let folder = tempfile::tempdir_in(process::target())?;
    let mut planned = Vec::new();
    for trace in traces() {
        let counts = folder.path().join("counts.csv");
        let text = fs::read_to_string(Path::new(TRACES).join(trace.file)).context(trace.file)?;
        fs::write(&counts, scaled(&text, &trace)?)?;
        planned.push(plan(&binary, trace, &counts)?);
    }
    publish("cargo xtask bench plan", &page(&planned)?)
}

/// The rows that count, with a mean of [`MEAN_PER_S`].
fn scaled(text: &str, trace: &Trace) -> Result<String> {
    let mut lines = text.lines();
    let header = lines.next().context("an empty trace")?;
    let time_name = header.split(',').next().unwrap_or("timestamp");
    let wanted = |time: &str| {
        let date = time.get(..10).unwrap_or_default();
        trace.dates.is_none_or(|(first, last)| (first..=last).contains(&date))
    };
    let row = |line: &str| -> Option<(String, f64)> {
        let mut fields = line.split(',');
        let (time, count) = (fields.next()?, fields.next()?);
        Some((time.to_owned(), count.parse().ok()?))
    };
    let rows: Vec<(String, f64)> = lines.filter_map(row).filter(|(time, _)| wanted(time)).collect();
    let mean = rows.iter().map(|(_, count)| count).sum::<f64>() / rows.len() as f64 / trace.step_s;
    ensure!(mean > 0.0, "{}: no requests", trace.name);
    let factor = MEAN_PER_S / mean;
    let mut out = format!("{time_name},requests\n");
    for (time, count) in rows {
        let _ = writeln!(out, "{time},{:.3}", count * factor);
    }
    Ok(out)
}

fn plan(binary: &Path, trace: Trace, counts: &Path) -> Result<Planned> {
    let json = counts.with_extension("json");
    let started = Instant::now();
    let status = Command::new(binary)
        .arg("plan")
        .arg(counts)
        .args(["--capacity", CAPACITY, "--boot", BOOT, "--late-after", LATE_AFTER, "--slo", SLO])
        .args(["--timezone", trace.zone, "--seed", SEED, "--json"])
        .arg(&json)
        .stdout(std::process::Stdio::null())
        .status()?;
    let seconds = started.elapsed().as_secs_f64();
    // 1 is a plan that misses the objective.
    ensure!(matches!(status.code(), Some(0 | 1)), "{}: the plan ended with {status}", trace.name);
    let json: Value = serde_json::from_str(&fs::read_to_string(&json)?)?;
    eprintln!("{}: {} in {seconds:.1} s", trace.name, json["gain"]);
    Ok(Planned { trace, json, seconds })
}

fn page(planned: &[Planned]) -> Result<String> {
    let mut page = format!(
        "## Scaling policies on recorded traces\n\nMachine: {}. Each trace is scaled to a mean of {MEAN_PER_S:.0} requests/s; an \
         instance serves {CAPACITY} and is ready {BOOT} after it\nwas asked for; a response is late after {LATE_AFTER}; the objective \
         is {SLO}. The policy is found on the first part of a trace and judged on\nthe rest, which it has not seen: the last quarter \
         in whole weeks, or the last 30 % in days where there are less than four weeks.\nSeed {SEED}.\n\nEach cell: instance-hours \
         relative to plain HPA at 70 % / share of late requests, on the held-out days.\n\n\
         | trace | held-out days | fixed peak | HPA 70 % | schedule only | best of the search | recommended | gain over HPA | regret | seconds |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        machine(),
    );
    for Planned { trace, json, seconds } in planned {
        let number = |value: &Value| value.as_f64().context("a number is missing");
        let baseline = |name: &str| -> Result<(f64, f64)> {
            let rows = json["baselines"].as_array().context("no baselines")?;
            let row = rows.iter().find(|row| row["name"] == name).context("no such baseline")?;
            Ok((number(&row["instance-hours"])?, number(&row["late-ratio"])?))
        };
        let of = |value: &Value| -> Result<(f64, f64)> {
            Ok((number(&value["instance-hours"])?, number(&value["late-ratio"])?))
        };
        let (plain, _) = baseline("hpa-70")?;
        let cell =
            |(hours, late): (f64, f64)| format!("{:.2} / {:.3} %", hours / plain, late * 100.0);
        let recommended = json["recommended"]["controller"].as_str().unwrap_or_default();
        let windows = json["recommended"]["parameters"]["windows"].as_array().map_or(0, Vec::len);
        let _ = writeln!(
            page,
            "| {} | {:.1} | {} | {} | {} | {} | {}: {recommended}, {windows} windows | {} | {:.2} | {seconds:.1} |",
            trace.name,
            number(&json["held-out"]["days"])?,
            cell(baseline("fixed-peak")?),
            cell(baseline("hpa-70")?),
            cell(baseline("schedule-only")?),
            cell(of(&json["best"])?),
            cell(of(&json["held-out"])?),
            json["gain"].as_str().unwrap_or_default(),
            number(&json["held-out"]["regret"])?,
        );
    }
    let count = |gain: &str| planned.iter().filter(|one| one.json["gain"] == gain).count();
    let met = planned.iter().filter(|one| one.json["held-out"]["meets-objective"] == true).count();
    let _ = writeln!(
        page,
        "\nOf {} traces the gain over plain HPA is significant on {}; on the others plain HPA is recommended. The recommended policy\n\
         meets the objective on {met}. A schedule alone is never recommended; regret is the cost above a lower bound with perfect foresight.\n\
         Late shares are those of the fluid model; a gain also needs the queue of single requests to meet the objective.\n\n\
         ```sh\ncargo xtask bench plan\n# which runs, for each trace:\n\
         tidegate plan counts.csv --capacity {CAPACITY} --boot {BOOT} --late-after {LATE_AFTER} --slo '{SLO}' --timezone ZONE --seed {SEED} --json plan.json\n```",
        planned.len(),
        count("significant"),
    );
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::{nasa, scaled, trace};

    #[test]
    fn rows_are_chosen_and_scaled() {
        let text = "timestamp_local_edt,requests\n1995-07-31T23:59:00,9\n1995-08-01T00:00:00,0\n\
                    1995-08-04T00:00:00,10\n1995-08-04T00:01:00,30\n";
        let august = scaled(text, &nasa("", "1995-08-04", "1995-08-31")).unwrap();
        assert_eq!(
            august,
            "timestamp_local_edt,requests\n1995-08-04T00:00:00,15000.000\n1995-08-04T00:01:00,45000.000\n"
        );
        let all = scaled("ts,value\n60,1\n120,1\n", &trace("", "", 60.0, "UTC")).unwrap();
        assert_eq!(all, "ts,requests\n60,30000.000\n120,30000.000\n");
        assert!(scaled("ts,value\n60,0\n", &trace("", "", 60.0, "UTC")).is_err());
    }
}

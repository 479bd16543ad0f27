//! Benchmarks: paired rounds, ratios of medians, never a limit on wall-clock time.

pub(crate) mod experiment;
pub(crate) mod gateway;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod plan;
pub(crate) mod soak;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::section;

/// Where results are written, each benchmark in a part of its own.
const PAGE: &str = "docs/benchmarks.md";

fn publish(command: &str, text: &str) -> Result<()> {
    section::replace(Path::new(PAGE), command, text)?;
    println!("{text}");
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The machine, as a page says it.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown CPU", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores")
}

/// What wrk printed.
#[derive(Debug, Clone, Copy)]
struct Wrk {
    requests: f64,
    wall_s: f64,
    /// 99th percentile in milliseconds; with `--latency` only.
    p99_ms: Option<f64>,
}

impl Wrk {
    /// Reads wrk's report.
    ///
    /// # Errors
    /// Fails when there is no total, or when requests failed.
    fn parse(text: &str) -> Result<Wrk> {
        let line = |key: &str| text.lines().find(|line| line.contains(key));
        let total = line("requests in").context("wrk printed no total")?;
        ensure!(line("Non-2xx").is_none(), "requests failed: {text}");
        ensure!(line("Socket errors").is_none(), "connections failed: {text}");
        let words: Vec<&str> = total.split_whitespace().collect();
        let [requests, _, _, wall, ..] = words[..] else { anyhow::bail!("odd total: {total}") };
        Ok(Wrk {
            requests: requests.parse()?,
            wall_s: milliseconds(wall.trim_end_matches(',')).context("odd duration")? / 1e3,
            p99_ms: text
                .lines()
                .find_map(|line| milliseconds(line.trim().strip_prefix("99%")?.trim())),
        })
    }
}

/// wrk's times: `850.00us`, `1.20ms`, `4.00s`, `1.50m`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::{Wrk, median};

    const REPORT: &str = "Running 1s test @ http://127.0.0.1:80/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.20ms  100.00us   2.00ms   85.99%
  Latency Distribution
     50%    1.20ms
     99%  850.00us
  40521 requests in 1.10s, 9.97MB read
Requests/sec:  36837.30
";

    #[test]
    fn the_report_of_wrk_is_read() {
        let wrk = Wrk::parse(REPORT).unwrap();
        assert_eq!((wrk.requests, wrk.wall_s, wrk.p99_ms), (40_521.0, 1.1, Some(0.85)));
    }

    #[test]
    fn failed_requests_make_a_run_void() {
        assert!(Wrk::parse(&format!("{REPORT}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(Wrk::parse(&format!("{REPORT}  Socket errors: connect 0, read 1\n")).is_err());
        assert!(Wrk::parse("").is_err());
    }

    #[test]
    fn the_median_does_not_depend_on_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
    }
}

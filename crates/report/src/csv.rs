//! Locust's CSV files: `_stats.csv`, `_stats_history.csv` and `_failures.csv`, with its columns, so
//! that existing scripts keep working.
//!
//! Times are milliseconds; where Locust rounds to whole milliseconds or two digits, these keep
//! microseconds.

use std::io::Write;

use ::csv::Writer;
use jiff::Timestamp;
use load::results::{RequestStats, RunResult, Tick, per_second};

use crate::json::{ms, rounded};

/// Ends of the file names, to be put after the prefix that the user gave.
pub const STATS_SUFFIX: &str = "_stats.csv";
/// See [`STATS_SUFFIX`].
pub const HISTORY_SUFFIX: &str = "_stats_history.csv";
/// See [`STATS_SUFFIX`].
pub const FAILURES_SUFFIX: &str = "_failures.csv";

/// Locust's name for the row of all requests.
const AGGREGATED: &str = "Aggregated";
/// What Locust writes where there is no sample.
const NO_SAMPLES: &str = "N/A";

const PERCENTILE_COLUMNS: [(&str, f64); 11] = [
    ("50%", 0.50),
    ("66%", 0.66),
    ("75%", 0.75),
    ("80%", 0.80),
    ("90%", 0.90),
    ("95%", 0.95),
    ("98%", 0.98),
    ("99%", 0.99),
    ("99.9%", 0.999),
    ("99.99%", 0.9999),
    ("100%", 1.0),
];

/// Writes `_stats.csv`: a row per endpoint and one for all.
///
/// # Errors
/// When `out` fails.
pub fn write_stats(out: impl Write, run: &RunResult) -> Result<(), ::csv::Error> {
    let mut csv = Writer::from_writer(out);
    let columns = [
        "Type",
        "Name",
        "Request Count",
        "Failure Count",
        "Median Response Time",
        "Average Response Time",
        "Min Response Time",
        "Max Response Time",
        "Average Content Size",
        "Requests/s",
        "Failures/s",
    ];
    csv.write_record(columns.into_iter().chain(percentile_names()))?;
    let tasks = run
        .tasks
        .iter()
        .map(|(endpoint, stats)| (endpoint.method.as_str(), endpoint.name.as_str(), stats));
    for (method, name, stats) in tasks.chain([("", AGGREGATED, &run.totals)]) {
        let rates =
            [stats.requests, stats.failures].map(|count| number(per_second(count, run.duration)));
        csv.write_record(
            [method.to_owned(), name.to_owned()]
                .into_iter()
                .chain(summary(stats))
                .chain(rates)
                .chain(percentiles(stats)),
        )?;
    }
    Ok(csv.flush()?)
}

/// Writes `_failures.csv`: a row per endpoint, kind and detail. First and last seen are UTC, as
/// RFC 3339 writes it.
///
/// # Errors
/// When `out` fails.
pub fn write_failures(out: impl Write, run: &RunResult) -> Result<(), ::csv::Error> {
    let mut csv = Writer::from_writer(out);
    csv.write_record(["Method", "Name", "Error", "Occurrences", "First Seen", "Last Seen"])?;
    for error in &run.errors {
        let endpoint = run.endpoints.get(error.endpoint);
        let text = if error.detail.is_empty() {
            error.kind.to_string()
        } else {
            format!("{}: {}", error.kind, error.detail)
        };
        let seen = |after: std::time::Duration| {
            let unix_ms = run.started_unix_ms.saturating_add(after.as_millis() as i64);
            Timestamp::from_millisecond(unix_ms)
                .map_or_else(|_| String::new(), |time| time.to_string())
        };
        csv.write_record([
            endpoint.map_or("", |endpoint| endpoint.method.as_str()),
            endpoint.map_or("", |endpoint| endpoint.name.as_str()),
            &text,
            &error.count.to_string(),
            &seen(error.first),
            &seen(error.last),
        ])?;
    }
    Ok(csv.flush()?)
}

/// Writes `_stats_history.csv` while the run goes on: a row per tick, whose rates and percentiles
/// are those of the interval that ended, and whose totals count from the start.
pub struct HistoryCsv<W: Write> {
    csv: Writer<W>,
    started_unix_ms: i64,
}

impl<W: Write> HistoryCsv<W> {
    /// Writes the header. `started_unix_ms`: wall-clock start of the run.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn new(out: W, started_unix_ms: i64) -> Result<HistoryCsv<W>, ::csv::Error> {
        let mut csv = Writer::from_writer(out);
        let columns = ["Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s"];
        let totals = [
            "Total Request Count",
            "Total Failure Count",
            "Total Median Response Time",
            "Total Average Response Time",
            "Total Min Response Time",
            "Total Max Response Time",
            "Total Average Content Size",
        ];
        csv.write_record(columns.into_iter().chain(percentile_names()).chain(totals))?;
        csv.flush()?;
        Ok(HistoryCsv { csv, started_unix_ms })
    }

    /// Appends the row of a tick and flushes it, so that it survives a killed run.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn tick(&mut self, tick: &Tick<'_>) -> Result<(), ::csv::Error> {
        let mut interval = RequestStats::default();
        for stats in tick.interval.iter().filter(|stats| !stats.is_empty()) {
            interval.merge(stats);
        }
        let unix_ms = self.started_unix_ms.saturating_add(tick.at.as_millis() as i64);
        let first = [
            unix_ms.div_euclid(1000).to_string(),
            tick.point.users.to_string(),
            String::new(),
            AGGREGATED.to_owned(),
            number(tick.point.requests_per_s),
            number(tick.point.failures_per_s),
        ];
        self.csv.write_record(
            first.into_iter().chain(percentiles(&interval)).chain(summary(tick.totals)),
        )?;
        Ok(self.csv.flush()?)
    }
}

fn percentile_names() -> impl Iterator<Item = &'static str> {
    PERCENTILE_COLUMNS.iter().map(|(name, _)| *name)
}

fn percentiles(stats: &RequestStats) -> impl Iterator<Item = String> {
    PERCENTILE_COLUMNS.into_iter().map(|(_, q)| {
        let us = stats.response.quantile_us(q);
        us.map_or_else(|| NO_SAMPLES.to_owned(), |us| number(us as f64 / 1e3))
    })
}

/// Requests, failures, median, mean, minimum and maximum, and mean body size.
fn summary(stats: &RequestStats) -> [String; 7] {
    let whole = |us: Option<u64>| number(ms(us.map(|us| us as f64)));
    [
        stats.requests.to_string(),
        stats.failures.to_string(),
        whole(stats.response.quantile_us(0.5)),
        number(ms(stats.response.mean_us())),
        whole(stats.response.min_us()),
        whole(stats.response.max_us()),
        number(stats.body_bytes as f64 / stats.requests.max(1) as f64),
    ]
}

fn number(value: f64) -> String {
    rounded(value, 3).to_string()
}

//! The tables of a run's report.

use load::results::{BurstResult, Phases, RequestStats, RunResult, per_second};
use stats::LatencyHistogram;

use crate::figures::{PERCENTILES, quantile, watched_summary};
use crate::format;
use crate::table::Table;

/// Endpoints among the slowest; the table appears when there are more endpoints than that.
const SLOWEST: usize = 5;
/// Widest name beside ten percentiles.
const NAME_WIDTH_MAX: usize = 28;
/// Errors shown.
const ERRORS_MAX: usize = 50;
/// Endpoints shown; the files have all of them.
const ENDPOINTS_MAX: usize = 200;
/// Bursts shown.
const BURSTS_MAX: usize = 100;

/// A line that says what a table leaves out; empty when it leaves out nothing.
fn left_out(total: usize, shown: usize, what: &str) -> String {
    if total > shown { format!("  … and {} more {what}\n", total - shown) } else { String::new() }
}

/// Name, method and statistics of each endpoint shown, and of all together.
fn rows(run: &RunResult) -> impl Iterator<Item = ([String; 2], &RequestStats)> {
    let tasks = run
        .tasks
        .iter()
        .take(ENDPOINTS_MAX)
        .map(|(endpoint, stats)| ([endpoint.name.clone(), endpoint.method.to_string()], stats));
    tasks.chain([(["Total".to_owned(), String::new()], &run.totals)])
}

fn whole(us: Option<u64>) -> String {
    format::time_or_dash(us.map(|us| us as f64))
}

pub(super) fn counts(run: &RunResult) -> String {
    let columns = ["requests", "failures", "rate", "min", "mean", "max", "stdev"];
    let mut table = Table::new(&["name", "method"], &columns);
    for (names, stats) in rows(run) {
        let failures = format!(
            "{} ({})",
            format::count(stats.failures),
            format::percent(format::share(stats.failures, stats.requests))
        );
        let cells = [
            format::count(stats.requests),
            failures,
            format::rate(per_second(stats.requests, run.duration)),
            whole(stats.response.min_us()),
            format::time_or_dash(stats.response.mean_us()),
            whole(stats.response.max_us()),
            format::time_or_dash(stats.response.stdev_us()),
        ];
        table.row(names.into_iter().chain(cells));
    }
    table.render() + &left_out(run.tasks.len(), ENDPOINTS_MAX, "endpoints")
}

fn percentile_cells(histogram: &LatencyHistogram) -> impl Iterator<Item = String> {
    PERCENTILES.map(|(_, q)| format::time_or_dash(quantile(histogram, q))).into_iter()
}

/// A table of percentiles under `left` columns of text.
fn percentile_table(left: &[&str]) -> Table {
    Table::new(left, &PERCENTILES.map(|(name, _)| name)).narrow(NAME_WIDTH_MAX)
}

pub(super) fn percentiles(run: &RunResult) -> String {
    let mut table = percentile_table(&["name"]);
    for ([name, method], stats) in rows(run) {
        // The method tells endpoints of one name apart.
        let same_name = run.tasks.iter().filter(|(endpoint, _)| endpoint.name == name).count() > 1;
        let name = if same_name { format!("{method} {name}") } else { name };
        table.row([name].into_iter().chain(percentile_cells(&stats.response)));
    }
    table.render() + &left_out(run.tasks.len(), ENDPOINTS_MAX, "endpoints")
}

/// The three clocks side by side.
pub(super) fn clocks(totals: &RequestStats) -> String {
    let mut table = percentile_table(&["clock"]);
    let clocks = [
        ("response (intended start)", &totals.response),
        ("service (actual start)", &totals.service),
        ("send delay", &totals.delay),
    ];
    for (name, histogram) in clocks {
        table.row([name.to_owned()].into_iter().chain(percentile_cells(histogram)));
    }
    table.render()
}

pub(super) fn phases(phases: &Phases) -> String {
    let mut table = Table::new(&["phase"], &["count", "mean", "p50", "p95", "p99", "max"]);
    for (name, histogram) in phases.named().into_iter().filter(|(_, h)| !h.is_empty()) {
        table.row([
            name.to_owned(),
            format::count(histogram.count()),
            format::time_or_dash(histogram.mean_us()),
            format::time_or_dash(quantile(histogram, 0.50)),
            format::time_or_dash(quantile(histogram, 0.95)),
            format::time_or_dash(quantile(histogram, 0.99)),
            whole(histogram.max_us()),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}

/// Errors, those of the most frequent kind first.
pub(super) fn errors(run: &RunResult) -> String {
    if run.errors.is_empty() {
        return String::new();
    }
    let of_kind = |kind| -> u64 {
        run.errors.iter().filter(|error| error.kind == kind).map(|error| error.count).sum()
    };
    let mut errors: Vec<_> = run.errors.iter().collect();
    errors.sort_by_key(|error| {
        (std::cmp::Reverse(of_kind(error.kind)), error.kind, std::cmp::Reverse(error.count))
    });
    let mut table =
        Table::new(&["kind", "detail", "endpoint"], &["count", "share", "first seen", "last seen"]);
    for error in errors.iter().take(ERRORS_MAX) {
        let endpoint = run.endpoints.get(error.endpoint);
        table.row([
            error.kind.to_string(),
            error.detail.clone(),
            endpoint.map_or_else(String::new, |it| format!("{} {}", it.method, it.name)),
            format::count(error.count),
            format::percent(format::share(error.count, run.totals.requests)),
            format::length(error.first.as_secs_f64()),
            format::length(error.last.as_secs_f64()),
        ]);
    }
    table.render() + &left_out(errors.len(), ERRORS_MAX, "groups of errors")
}

pub(super) fn slowest(run: &RunResult) -> String {
    if run.tasks.len() <= SLOWEST {
        return String::new();
    }
    let mut tasks: Vec<_> = run.tasks.iter().collect();
    tasks.sort_by_key(|(_, stats)| std::cmp::Reverse(stats.response.quantile_us(0.95)));
    let mut table = Table::new(&["name", "method"], &["requests", "p50", "p95", "p99", "max"]);
    for (endpoint, stats) in tasks.into_iter().take(SLOWEST) {
        table.row([
            endpoint.name.clone(),
            endpoint.method.to_string(),
            format::count(stats.requests),
            format::time_or_dash(quantile(&stats.response, 0.50)),
            format::time_or_dash(quantile(&stats.response, 0.95)),
            format::time_or_dash(quantile(&stats.response, 0.99)),
            whole(stats.response.max_us()),
        ]);
    }
    table.render()
}

pub(super) fn bursts(bursts: &[BurstResult]) -> String {
    if bursts.is_empty() {
        return String::new();
    }
    let columns = ["burst", "started", "took", "requests", "rate", "successes", "rate-limited"];
    let mut table = Table::new(&[], &columns);
    for (index, burst) in bursts.iter().take(BURSTS_MAX).enumerate() {
        table.row([
            (index + 1).to_string(),
            format::length(burst.at.as_secs_f64()),
            format::time(crate::figures::micros(burst.duration)),
            format::count(burst.requests),
            format::rate(burst.requests_per_s),
            format::count(burst.successes),
            format::count(burst.rate_limited),
        ]);
    }
    table.render() + &left_out(bursts.len(), BURSTS_MAX, "bursts")
}

pub(super) fn watched(run: &RunResult) -> String {
    if run.watched.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["series"], &["mean", "max"]);
    for (index, watched) in run.watched.iter().enumerate() {
        let value = |value: f64| match watched.unit.as_str() {
            "bytes" => format::bytes(value),
            "s" => format::time(value * 1e6),
            "" => format::amount(value),
            unit => format!("{} {unit}", format::amount(value)),
        };
        let (mean, max) = match watched_summary(&run.series, index) {
            Some((mean, max)) => (value(mean), value(max)),
            None => ("never seen".to_owned(), "-".to_owned()),
        };
        table.row([watched.name.clone(), mean, max]);
    }
    table.render()
}

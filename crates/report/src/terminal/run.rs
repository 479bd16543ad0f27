//! The report of a run: the verdict first, then what it rests on.

use load::results::{RunResult, SloResult};
use load::slo::SloTarget;
use load::verdict::{BoundBy, SloVerdict};

use super::tables;
use crate::figures::{ESTIMATOR, Unsent, watched_summary};
use crate::format;
use crate::table::{Style, Table, shortened};

/// Longest line of free text.
const TEXT_WIDTH_MAX: usize = 300;
/// Values shown in the line over time.
const SPARKLINE_WIDTH: usize = 60;

/// The report of a run.
pub fn run_text(run: &RunResult, style: Style) -> String {
    let sections = [
        verdict(run, style),
        titled("Objectives", style, &slo(&run.slo)),
        facts(run),
        titled("Requests", style, &tables::counts(run)),
        titled("Response times", style, &tables::percentiles(run)),
        titled("Response time, service time and send delay", style, &tables::clocks(&run.totals)),
        titled("Where the time went", style, &tables::phases(&run.phases)),
        titled("Errors", style, &tables::errors(run)),
        titled("Slowest endpoints", style, &tables::slowest(run)),
        titled("Bursts", style, &tables::bursts(&run.bursts)),
        titled("Replay", style, &replay(run)),
        titled("Watched", style, &tables::watched(run)),
        titled("Generator", style, &generator(run)),
        titled("Findings", style, &findings(run, style)),
        format!("{}\n", style.dim(&format!("Percentiles: {ESTIMATOR}."))),
    ];
    let sections: Vec<String> =
        sections.into_iter().filter(|section| !section.is_empty()).collect();
    sections.join("\n")
}

/// `body` under a title; empty when the body is.
fn titled(title: &str, style: Style, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("{}\n{body}", style.bold(title)) }
}

/// What bound the run, whether the objectives held, whether to believe it: one sentence.
fn verdict(run: &RunResult, style: Style) -> String {
    let verdict = &run.verdict;
    let bound = match verdict.bound_by {
        BoundBy::Target => "the target was the limit",
        BoundBy::Generator => "the generator, not the target, was the limit",
        BoundBy::Network => "the network was the limit",
        BoundBy::Nothing => "nothing was at its limit, the target could have taken more",
        BoundBy::Unstable => "there was no steady state, the figures depend on when one looks",
    };
    let missed = run.slo.iter().filter(|result| !result.met).count();
    let objectives = match (verdict.slo, run.slo.len()) {
        (SloVerdict::None, _) => "no objectives were set".to_owned(),
        (SloVerdict::Met, 1) => "the objective was met".to_owned(),
        (SloVerdict::Met, n) => format!("all {n} objectives were met"),
        (SloVerdict::Missed, 1) => "the objective was missed".to_owned(),
        (SloVerdict::Missed, n) => format!("{missed} of {n} objectives were missed"),
    };
    let believe = if verdict.valid {
        "the figures are valid"
    } else {
        "the figures are not valid and must not be believed"
    };
    let early = if run.interrupted { " The run was ended early." } else { "" };
    let sentence = format!("Verdict: {bound}; {objectives}; {believe}.{early}");
    let good = verdict.valid && verdict.slo != SloVerdict::Missed;
    let mut text = format!("{}\n", style.verdict(good, &sentence));
    for reason in &verdict.reasons {
        text.push_str(&format!("  because {}\n", shortened(reason, TEXT_WIDTH_MAX)));
    }
    text
}

fn slo(results: &[SloResult]) -> String {
    if results.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["objective"], &["measured"]).text_column("result");
    for result in results {
        let measured = result.measured.map_or_else(
            || "nothing".to_owned(),
            |measured| match result.objective.target {
                SloTarget::Quantile(..) | SloTarget::Mean(_) | SloTarget::Max(_) => {
                    format::time(measured * 1e6)
                }
                SloTarget::Failures(_) => format::percent(measured),
                SloTarget::Throughput(_) => format::rate(measured),
            },
        );
        let met = if result.met { "met" } else { "MISSED" };
        table.row([result.objective.to_string(), measured, met.to_owned()]);
    }
    table.render()
}

/// The size of the run, what the target used, and the run over time, in sentences.
fn facts(run: &RunResult) -> String {
    let totals = &run.totals;
    let length = format::length(run.duration.as_secs_f64());
    let mut text = format!(
        "{} against {}: {} model, {}, {length}.\n",
        format::plural(totals.requests, "request"),
        shortened(&run.host, TEXT_WIDTH_MAX),
        run.model,
        format::plural(run.users_max, "user"),
    );
    text.push_str(&format!(
        "{} requests/s, {} failed ({}), {} unsent, {} received.\n",
        format::amount(run.requests_per_s()),
        format::count(totals.failures),
        format::percent(format::share(totals.failures, totals.requests)),
        format::count(Unsent::of(run).total()),
        format::bytes(totals.bytes_received as f64),
    ));
    if let Some(used) = target_usage(run) {
        text.push_str(&format!("Target: {} on {used}.\n", format::plural(run.users_max, "user")));
    }
    if run.series.len() > 1 {
        let line = |of: &dyn Fn(&load::results::SeriesPoint) -> Option<f64>| {
            let values: Vec<Option<f64>> = run.series.iter().map(of).collect();
            format::sparkline(&format::thinned(&values, SPARKLINE_WIDTH))
        };
        let highest = run.series.iter().map(|point| point.requests_per_s).fold(0.0, f64::max);
        let slowest = run.series.iter().filter_map(|point| point.p95).max();
        let rates = line(&|point| Some(point.requests_per_s));
        let p95 = line(&|point| point.p95.map(|p95| p95.as_secs_f64()));
        text.push_str(&format!("  requests/s  {rates}  up to {}\n", format::rate(highest)));
        let slowest = format::time_or_dash(slowest.map(crate::figures::micros));
        text.push_str(&format!("  p95         {p95}  up to {slowest}\n"));
    }
    text
}

/// `1.3 cores (mean) and 620 MB (peak)` of the watched processes, or of the first metrics page.
fn target_usage(run: &RunResult) -> Option<String> {
    let of_unit = |unit: &str| -> Vec<(f64, f64)> {
        let series: Vec<(usize, bool)> = run
            .watched
            .iter()
            .enumerate()
            .filter(|(_, watched)| watched.unit == unit)
            .map(|(index, watched)| (index, watched.name.starts_with("pid ")))
            .collect();
        // Processes add up. A metrics page may be of the same process, so it counts only alone.
        let processes = series.iter().any(|(_, process)| *process);
        let counted = series.iter().filter(|(_, process)| *process == processes);
        let limit = if processes { usize::MAX } else { 1 };
        counted.take(limit).filter_map(|(index, _)| watched_summary(&run.series, *index)).collect()
    };
    let (cpu, memory) = (of_unit("cores"), of_unit("bytes"));
    let cores: f64 = cpu.iter().map(|(mean, _)| mean).sum();
    let peak: f64 = memory.iter().map(|(_, max)| max).sum();
    let parts = [
        (!cpu.is_empty()).then(|| format!("{} cores (mean)", format::amount(cores))),
        (!memory.is_empty()).then(|| format!("{} (peak)", format::bytes(peak))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

fn replay(run: &RunResult) -> String {
    let Some(replay) = &run.replay else { return String::new() };
    let unsent = Unsent::of(run);
    let mut text = format!(
        "  {} lines = {} parsed + {} rejected\n  {} sent, {} unsent: {} late, {} skipped, {} not reached before the end\n",
        format::count(replay.lines),
        format::count(replay.parsed),
        format::count(replay.rejected_total()),
        format::count(run.totals.requests),
        format::count(unsent.total()),
        format::count(unsent.late),
        format::count(unsent.skipped),
        format::count(unsent.not_reached),
    );
    for (reason, count) in &replay.rejected {
        let reason = shortened(reason, TEXT_WIDTH_MAX);
        text.push_str(&format!("  rejected {}: {reason}\n", format::count(*count)));
    }
    for (method, count) in &replay.skipped {
        let method = shortened(method, TEXT_WIDTH_MAX);
        text.push_str(&format!(
            "  skipped {} {method}: may change the target, sent only with --unsafe-methods\n",
            format::count(*count)
        ));
    }
    text
}

fn generator(run: &RunResult) -> String {
    let health = &run.generator;
    let busiest = health.worker_cpu.iter().copied().fold(0.0, f64::max);
    let lag = |q| format::time_or_dash(crate::figures::quantile(&health.lag, q));
    let limit = health.descriptor_limit.map_or_else(|| "unknown".to_owned(), format::count);
    let retransmitted =
        health.retransmit_ratio.map_or_else(|| "unknown".to_owned(), format::percent);
    format!(
        "  {}, the busiest at {} CPU; timers late by {} (p50), {} (p99)\n  {} opened, at most {} at once, descriptor limit {limit}; TCP retransmitted {retransmitted}\n",
        format::plural(health.workers as u64, "worker"),
        format::percent(busiest),
        lag(0.5),
        lag(0.99),
        format::plural(health.connections_opened, "connection"),
        format::count(health.connections_max),
    )
}

fn findings(run: &RunResult, style: Style) -> String {
    let mut text = String::new();
    for finding in &run.findings {
        let found = shortened(&finding.text, TEXT_WIDTH_MAX);
        let severity = style.bold(&format!("{}:", finding.severity.name()));
        text.push_str(&format!("  {severity} {found}\n"));
        text.push_str(&format!("    {}\n", shortened(&finding.advice, TEXT_WIDTH_MAX)));
    }
    text
}

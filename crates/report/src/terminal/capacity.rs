//! The report of a capacity search: the answer in one sentence, then the trials.

use load::capacity::{CapacityResult, SearchBy, Trial};
use load::slo::SloTarget;
use load::verdict::BoundBy;

use crate::format;
use crate::json::{answer_trial, slo_text};
use crate::table::{Style, Table, shortened};

/// Longest line of free text.
const TEXT_WIDTH_MAX: usize = 300;

/// The report of a capacity search.
pub fn capacity_text(result: &CapacityResult, style: Style) -> String {
    let good = result.load > 0.0 && result.bound_by != BoundBy::Generator;
    let mut text = format!("{}\n", style.verdict(good, &answer(result)));
    if result.bound_by == BoundBy::Generator {
        text.push_str("The generator was the limit, not the target: do not believe this answer.\n");
    }
    for doubt in &result.doubts {
        text.push_str(&format!("  doubt: {}\n", shortened(doubt, TEXT_WIDTH_MAX)));
    }
    text.push_str(&format!("\n{}\n{}", style.bold("Trials"), trials(result)));
    let scaling = scaling(result);
    if !scaling.is_empty() {
        text.push_str(&format!("\n{}\n{scaling}", style.bold("Scaling")));
    }
    text
}

/// `420 users` or `3,140 requests/s`.
fn load(result: &CapacityResult, load: f64) -> String {
    match result.by {
        SearchBy::Users if load == 1.0 => "1 user".to_owned(),
        by => format!("{} {}", format::amount(load), by.unit()),
    }
}

/// The answer, its confidence interval, and what failed first.
fn answer(result: &CapacityResult) -> String {
    let slo = slo_text(&result.slo);
    let mut text = if result.load > 0.0 {
        let also = match result.by {
            SearchBy::Users => format!(", {} requests/s", format::amount(result.requests_per_s)),
            SearchBy::Rate => answer_trial(result).map_or_else(String::new, |trial| {
                format!(", {} in flight", format::amount(trial.in_flight))
            }),
        };
        let (low, high) = result.ci;
        let ci = format!("95 % CI {}–{}", format::amount(low), format::amount(high));
        format!("{} ({ci}){also}, meet {slo}", load(result, result.load))
    } else {
        format!("No load that was tried meets {slo}")
    };
    match result.failed_load {
        Some(failed) => {
            let failure = failure(result, failed_trial(result, failed));
            text.push_str(&format!("; at {} {failure}", load(result, failed)));
        }
        None if result.load > 0.0 => text.push_str("; no higher load was tried"),
        None => {}
    }
    if let Some(signal) = &result.signal {
        text.push_str(&format!("; signal: {}", signal.text()));
    }
    text.push('.');
    text
}

/// The longest trial at the lowest load that failed, of those that failed as the result says.
fn failed_trial(result: &CapacityResult, failed_load: f64) -> Option<&Trial> {
    let failed = result.trials.iter().filter(|trial| trial.load == failed_load && !trial.met);
    failed.max_by_key(|trial| (trial.failed == result.failed_first, trial.duration))
}

/// What went wrong at the lowest load that failed: `p95 was 1.21 s (missed p95<1s)`.
fn failure(result: &CapacityResult, trial: Option<&Trial>) -> String {
    let Some(first) = result.failed_first.as_deref() else { return "it failed".to_owned() };
    let objective = result.slo.iter().find(|objective| objective.to_string() == first);
    let first = shortened(first, TEXT_WIDTH_MAX);
    let Some(objective) = objective else { return first };
    match trial.filter(|_| objective.scope.is_none()).and_then(|it| measured(objective.target, it))
    {
        Some(measured) => format!("{measured} (missed {first})"),
        None => format!("it missed {first}"),
    }
}

/// The figure of a trial that an objective is about, where trials keep it.
fn measured(target: SloTarget, trial: &Trial) -> Option<String> {
    let was = |name: &str, ms: f64| Some(format!("{name} was {}", format::time(ms * 1e3)));
    match target {
        SloTarget::Quantile(0.5, _) => was("p50", trial.p50_ms),
        SloTarget::Quantile(0.95, _) => was("p95", trial.p95_ms),
        SloTarget::Quantile(0.99, _) => was("p99", trial.p99_ms),
        SloTarget::Mean(_) => was("the mean", trial.mean_ms),
        SloTarget::Failures(_) => Some(format!("{} failed", format::percent(trial.failures))),
        SloTarget::Throughput(_) => {
            Some(format!("{} requests/s succeeded", format::amount(trial.requests_per_s)))
        }
        SloTarget::Quantile(..) | SloTarget::Max(_) => None,
    }
}

fn trials(result: &CapacityResult) -> String {
    let load = match result.by {
        SearchBy::Users => "users",
        SearchBy::Rate => "arrivals/s",
    };
    let columns = [load, "measured", "requests/s", "in flight", "p50", "p95", "p99", "failures"];
    let mut table = Table::new(&["purpose"], &columns).text_column("result");
    for trial in &result.trials {
        let outcome = match (&trial.generator_limited, &trial.failed) {
            (Some(why), _) => format!("GENERATOR: {why}"),
            (None, Some(failed)) => format!("MISSED: {failed}"),
            (None, None) => if trial.met { "met" } else { "MISSED" }.to_owned(),
        };
        table.row([
            trial.purpose.name().to_owned(),
            format::amount(trial.load),
            format::length(trial.duration.as_secs_f64()),
            format::amount(trial.requests_per_s),
            format::amount(trial.in_flight),
            format::time(trial.p50_ms * 1e3),
            format::time(trial.p95_ms * 1e3),
            format::time(trial.p99_ms * 1e3),
            format::percent(trial.failures),
            outcome,
        ]);
    }
    table.render()
}

/// The Universal Scalability Law, and the knee.
fn scaling(result: &CapacityResult) -> String {
    let mut text = String::new();
    if let Some(usl) = &result.usl {
        let peak = usl.n_star().map_or_else(
            || "throughput never turns down".to_owned(),
            |n| {
                let most = format::amount(usl.throughput(n));
                format!("throughput turns down at {} in flight, at {most}/s", format::amount(n))
            },
        );
        text.push_str(&format!(
            "  Universal Scalability Law: γ = {}/s, σ = {:.4}, κ = {:.2e}, R² = {:.3}; {peak}\n",
            format::amount(usl.gamma),
            usl.sigma,
            usl.kappa,
            usl.r_squared
        ));
    }
    if let Some(knee) = result.knee {
        text.push_str(&format!("  Knee of the latency curve: {}\n", load(result, knee)));
    }
    text
}

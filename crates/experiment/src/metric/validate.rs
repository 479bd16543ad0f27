//! What can be wrong with metrics.

use super::{Measure, MetricSpec};
use crate::event::NAME_BYTES_MAX;
use crate::ledger::{HORIZON_US, MetricKind, TOTAL_MAX, Term, WINDOW_US_MAX};
use crate::model::Problem;
use std::collections::HashSet;

/// Metrics of one service.
pub(super) const METRICS_MAX: usize = 1_000;

/// All problems of declared metrics; empty when they can be used. Places are `metrics[2].kind`.
#[must_use]
pub fn validate(metrics: &[MetricSpec]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    if metrics.len() > METRICS_MAX {
        let message = format!("{} metrics are too many; at most {METRICS_MAX}", metrics.len());
        return vec![Problem { place: "metrics".to_owned(), message }];
    }
    for (index, metric) in metrics.iter().enumerate() {
        let mut add = |field: &str, message: String| {
            problems.push(Problem { place: format!("metrics[{index}].{field}"), message });
        };
        if let Some(message) = name_problem(&metric.name) {
            add("name", message);
        } else if !seen.insert(&metric.name) {
            add("name", format!("\"{}\" is there twice", metric.name));
        }
        if !(metric.margin > 0.0 && metric.margin <= 10.0) {
            add("margin", "a margin must be above 0 and at most 1000%".to_owned());
        }
        match &metric.measure {
            Measure::ErrorRate => {}
            Measure::Latency { ppm } => {
                quantile_problem(*ppm).into_iter().for_each(|it| add("measure", it));
            }
            Measure::Events { kind, delay_us, window_us, lookback_us } => {
                kind_problem(kind).into_iter().for_each(|it| add("kind", it));
                if !(0..=WINDOW_US_MAX).contains(delay_us) {
                    add("delay", "the delay must be 0 to 400 days".to_owned());
                }
                if !(1..=WINDOW_US_MAX).contains(window_us) {
                    add("window", "the window must be above 0 and at most 400 days".to_owned());
                }
                if !(0..=HORIZON_US).contains(lookback_us) {
                    add("lookback", "the lookback must be at most 72 hours".to_owned());
                }
                if *lookback_us > 0 && matches!(kind, MetricKind::Quantile { .. }) {
                    add("lookback", "a quantile has no covariate: leave out the lookback".into());
                }
            }
        }
    }
    problems
}

/// A name ends up in the JSON of results, in metrics and in file names.
fn name_problem(name: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let good = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed);
    (!good).then(|| {
        let shown: String = name.chars().take(40).collect();
        format!("\"{shown}\" is no name; use 1 to {NAME_BYTES_MAX} letters, digits, '-', '_', '.'")
    })
}

fn quantile_problem(ppm: u32) -> Option<String> {
    let good = (1..1_000_000).contains(&ppm);
    (!good).then(|| "a quantile must be above 0 and below 1".to_owned())
}

fn event_of(term: &Term) -> &String {
    match term {
        Term::Count { event } | Term::Total { event } => event,
    }
}

fn kind_problem(kind: &MetricKind) -> Vec<String> {
    let events = match kind {
        MetricKind::Conversion { event }
        | MetricKind::Count { event }
        | MetricKind::Mean { event }
        | MetricKind::Revenue { event, .. }
        | MetricKind::Quantile { event, .. }
        | MetricKind::Retention { event } => vec![event],
        MetricKind::Ratio { numerator, denominator } => {
            [numerator, denominator].map(event_of).into()
        }
    };
    let names = events.into_iter().filter(|it| !(1..=NAME_BYTES_MAX).contains(&it.len()));
    let mut problems: Vec<String> =
        names.map(|_| format!("an event's name has 1 to {NAME_BYTES_MAX} bytes")).collect();
    match kind {
        MetricKind::Revenue { cap, .. } if !(1..=TOTAL_MAX).contains(cap) => {
            problems.push("the cap must be above 0 and at most a thousand million".to_owned());
        }
        MetricKind::Revenue { percentile: Some(ppm), .. } if !(1..1_000_000).contains(ppm) => {
            problems.push("the cap's percentile must be above 0% and below 100%".to_owned());
        }
        MetricKind::Quantile { ppm, .. } => problems.extend(quantile_problem(*ppm)),
        _ => {}
    }
    problems
}

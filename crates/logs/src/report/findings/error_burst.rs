//! Times when far more requests than usual failed with 5xx.

use stats::interval::wilson;

use super::rules;
use super::{Finding, FindingKind, Ranked, Severity};
use crate::report::aggregate::Aggregate;
use crate::report::model::timestamp;

/// Errors of a step, at least.
const ERRORS_MIN: u64 = 10;
/// The lower end of the share's interval must be above this …
const SHARE_MIN: f64 = 0.05;
/// … and above so many times the share of all other steps.
const TIMES_MIN: f64 = 3.0;
/// Confidence of the interval.
const CONFIDENCE: f64 = 0.999;
/// Share of errors that matters much.
const SHARE_HIGH: f64 = 0.25;
/// Steps without a burst that do not end it.
const GAP_STEPS: i64 = 2;

/// Steps that belong together.
struct Burst {
    begin_s: i64,
    end_s: i64,
    hits: u64,
    errors: u64,
}

pub(super) fn find(seen: &Aggregate) -> Vec<Ranked> {
    let step_s = seen.classes.step_s();
    let cells: Vec<(i64, u64, u64)> =
        seen.classes.cells().map(|(at_s, classes)| (at_s, classes[0], classes[5])).collect();
    let all: (u64, u64) =
        cells.iter().fold((0, 0), |(n, x), (_, hits, errors)| (n + hits, x + errors));
    let mut bursts: Vec<Burst> = Vec::new();
    for (at_s, hits, errors) in cells.iter().copied().filter(|cell| cell.2 >= ERRORS_MIN) {
        let rest = (all.1 - errors) as f64 / (all.0 - hits).max(1) as f64;
        let low = wilson(errors, hits, CONFIDENCE).map_or(0.0, |interval| interval.low);
        if low <= SHARE_MIN.max(TIMES_MIN * rest) {
            continue;
        }
        match bursts.last_mut() {
            Some(burst) if at_s - burst.end_s <= GAP_STEPS * step_s => {
                burst.end_s = at_s + step_s;
                burst.hits += hits;
                burst.errors += errors;
            }
            _ => bursts.push(Burst { begin_s: at_s, end_s: at_s + step_s, hits, errors }),
        }
    }
    bursts.into_iter().filter_map(|burst| ranked(&burst, all)).collect()
}

fn ranked(burst: &Burst, (hits, errors): (u64, u64)) -> Option<Ranked> {
    let share = burst.errors as f64 / burst.hits.max(1) as f64;
    let interval = wilson(burst.errors, burst.hits, CONFIDENCE)?;
    let rest = (errors - burst.errors) as f64 / (hits - burst.hits).max(1) as f64;
    let rule = rules::spare_servers();
    Some(Ranked {
        strength: burst.errors,
        finding: Finding {
            kind: FindingKind::ErrorBurst,
            severity: if share >= SHARE_HIGH { Severity::High } else { Severity::Medium },
            subject: timestamp(burst.begin_s * 1_000_000),
            evidence: format!(
                "{} of {} requests failed with 5xx for {} s: {:.1} % (99.9 % interval {:.1} to {:.1} %), \
                 {:.2} % at other times",
                burst.errors,
                burst.hits,
                burst.end_s - burst.begin_s,
                share * 100.0,
                interval.low * 100.0,
                interval.high * 100.0,
                rest * 100.0
            ),
            rule: rule.tidegate,
            nginx: rule.nginx,
        },
    })
}

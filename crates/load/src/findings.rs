//! Plain advice drawn from a run.

use std::time::Duration;

use crate::data::Exhausted;
use crate::failure::FailureKind;
use crate::judge::Evidence;
use crate::params::Model;
use crate::results::{Finding, Severity};
use crate::verdict::{BoundBy, Verdict};

/// Share of rate-limited requests that calls for action.
const RATE_LIMITED_MAX: f64 = 0.10;
/// Share of timeouts that calls for a look.
const TIMEOUTS_MAX: f64 = 0.05;
/// Mean response time that calls for a look.
const MEAN_MAX: Duration = Duration::from_millis(500);
/// Share of failures, of whatever kind, that calls for action.
const FAILURES_MAX: f64 = 0.01;
/// A tail this many times the median is worth a word.
const TAIL_FACTOR: u64 = 10;

/// What a person should know, most severe first.
pub(crate) fn findings(
    evidence: &Evidence<'_>,
    verdict: &Verdict,
    exhausted: Option<&Exhausted>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |severity, text: String, advice: &str| {
        found.push(Finding { severity, text, advice: advice.to_owned() });
    };
    let totals = evidence.totals;
    let share = |count: u64| count as f64 / totals.requests.max(1) as f64;
    if verdict.bound_by == BoundBy::Generator {
        for reason in &verdict.reasons {
            add(
                Severity::High,
                reason.clone(),
                "do not trust these figures; give the generator more CPU, descriptors or machines and run again",
            );
        }
    }
    if share(totals.rate_limited) > RATE_LIMITED_MAX {
        add(
            Severity::High,
            format!(
                "{:.1} % of the requests were rate-limited (429)",
                share(totals.rate_limited) * 100.0
            ),
            "stay below the target's limit, honour Retry-After, or ask for a higher limit",
        );
    }
    if totals.failure_ratio() > FAILURES_MAX {
        let most = evidence.errors.iter().find(|group| group.kind != FailureKind::RateLimited);
        let example = most.map_or(String::new(), |group| {
            format!(", most often {}: {}", group.kind, group.detail)
        });
        add(
            Severity::High,
            format!("{:.1} % of the requests failed{example}", totals.failure_ratio() * 100.0),
            "look at the table of errors: first seen tells at which load they began",
        );
    }
    if share(totals.timeouts) > TIMEOUTS_MAX {
        add(
            Severity::Medium,
            format!("{:.1} % of the requests timed out", share(totals.timeouts) * 100.0),
            "the target queues more than it can serve: lower the load, raise its concurrency, or let it refuse early",
        );
    }
    let mean = totals.response.mean_us().unwrap_or(0.0);
    if mean > MEAN_MAX.as_micros() as f64 {
        add(
            Severity::Medium,
            format!("the mean response time was {:.0} ms", mean / 1e3),
            "people notice half a second: look at the slowest endpoints first",
        );
    }
    let quantile = |q| totals.response.quantile_us(q).unwrap_or(0);
    let (median, p99) = (quantile(0.5), quantile(0.99));
    if totals.response.count() >= 1000 && p99 > 10_000 && p99 > TAIL_FACTOR * median.max(1) {
        add(
            Severity::Medium,
            format!("p99 is {} times the median", p99 / median.max(1)),
            "something stops the target now and then: look for pauses, locks, cold caches or a slow endpoint",
        );
    }
    let delay = Duration::from_micros(totals.delay.quantile_us(0.99).unwrap_or(0));
    if verdict.valid && matches!(evidence.params.model, Model::Open { .. }) && delay > MEAN_MAX / 5
    {
        add(
            Severity::Medium,
            format!(
                "requests waited up to {delay:.0?} (p99) for a free user before they were sent"
            ),
            "the cap on users in flight was reached; their wait is in the response time, not in the service time",
        );
    }
    if let Some(exhausted) = exhausted {
        add(
            Severity::Medium,
            format!("{exhausted}; the users that needed more stopped"),
            "give more rows, pick = \"sequential\", or per = \"user\" to keep one row per user",
        );
    }
    let starved = evidence.generator.worker_starved.iter().copied().fold(0.0, f64::max);
    if starved > 0.2 && verdict.valid {
        add(
            Severity::Medium,
            format!(
                "a worker of the generator waited {:.0} % of the time for a CPU",
                starved * 100.0
            ),
            "target and generator share this machine's cores: response times include that wait",
        );
    }
    if totals.requests < 100 {
        add(
            Severity::Low,
            format!("only {} requests were made", totals.requests),
            "high percentiles of so few requests are no more than the slowest ones",
        );
    }
    found.sort_by_key(|finding: &Finding| std::cmp::Reverse(finding.severity));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::judge;
    use crate::judge::tests::{Case, histogram};

    fn severities(case: &Case) -> Vec<(Severity, String)> {
        let evidence = case.evidence();
        let verdict = judge(&evidence);
        findings(&evidence, &verdict, None).into_iter().map(|f| (f.severity, f.text)).collect()
    }

    #[test]
    fn a_healthy_run_needs_no_advice() {
        assert_eq!(severities(&Case::healthy()), []);
    }

    #[test]
    fn limits_timeouts_and_slowness_are_told_in_order() {
        let mut case = Case::healthy();
        case.totals.rate_limited = 300;
        case.totals.timeouts = 150;
        case.totals.response = histogram(&[600; 2000]);
        let found = severities(&case);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].0 == Severity::High
                && found[0].1.contains("15.0 % of the requests were rate-limited")
        );
        assert!(found[1].1.contains("7.5 % of the requests timed out"));
        assert!(found[2].1.contains("mean response time was 600 ms"));
    }
}

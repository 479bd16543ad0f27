//! Which metrics an experiment has, and what the ledger counts for them.

use super::{Measure, MetricSpec};
use crate::ledger::{DAY_US, Definition, Metric, MetricKind};
use crate::model::Experiment;
use serde::{Deserialize, Serialize};

/// Days since exposure that are told apart for the primary metric, to show novelty.
pub const NOVELTY_DAYS: u16 = 7;

/// What a metric is to an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It decides.
    Primary,
    /// It is shown.
    Secondary,
    /// It may stop the experiment.
    Guardrail,
}

/// The metrics of an experiment, primary first; one that has two roles is there twice. Declared
/// ones go before built-in ones.
///
/// # Errors
/// A sentence for each that is neither declared nor built in.
pub fn resolve(
    experiment: &Experiment,
    declared: &[MetricSpec],
) -> Result<Vec<(Role, MetricSpec)>, Vec<String>> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let roles = [
        (Role::Primary, experiment.primary.as_slice()),
        (Role::Secondary, &experiment.metrics),
        (Role::Guardrail, &experiment.guardrails),
    ];
    for (role, name) in roles.iter().flat_map(|(role, all)| all.iter().map(move |it| (role, it))) {
        let own = declared.iter().find(|metric| metric.name == *name).cloned();
        match own.or_else(|| MetricSpec::built_in(name)) {
            Some(metric) => found.push((*role, metric)),
            None => problems.push(format!(
                "experiment \"{}\": there is no metric \"{name}\"; declare [metric.{name}], or use \
                 error-rate or p95-latency",
                experiment.key
            )),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// What the ledger must count. `old` is what it counts already: that stays, new metrics follow.
///
/// # Errors
/// When a metric that is being counted was changed.
pub fn definition(
    experiment: &Experiment,
    metrics: &[(Role, MetricSpec)],
    old: Option<&Definition>,
) -> Result<Definition, String> {
    let mut all: Vec<Metric> = old.map(|old| old.metrics.clone()).unwrap_or_default();
    for metric in metrics.iter().flat_map(|(role, spec)| wanted(*role, spec)) {
        match all.iter().find(|known| known.name == metric.name) {
            None => all.push(metric),
            // With the cap that was taken, if it has one.
            Some(known) if metric.is_or_becomes(known) => {}
            Some(_) => {
                return Err(format!(
                    "metric \"{}\" is being measured by experiment \"{}\" and cannot change: give \
                     the new one another name",
                    metric.name, experiment.key
                ));
            }
        }
    }
    Ok(Definition::new(experiment, all))
}

/// The metric itself and, of the primary one, its days.
fn wanted(role: Role, spec: &MetricSpec) -> Vec<Metric> {
    let Some(metric) = spec.counted() else { return Vec::new() };
    let days = if role == Role::Primary { novelty_days(spec) } else { 0 };
    // Days are compared without a covariate.
    let of_days = (0..days).map(|day| Metric { lookback_us: 0, ..metric.on_day(day) });
    let mut all: Vec<Metric> = of_days.collect();
    all.insert(0, metric);
    all
}

/// How many days since exposure of a metric are told apart; 0 when it has fewer than two.
#[must_use]
pub(crate) fn novelty_days(spec: &MetricSpec) -> u16 {
    let Measure::Events { kind, delay_us: 0, window_us, .. } = &spec.measure else { return 0 };
    if matches!(kind, MetricKind::Quantile { .. } | MetricKind::Retention { .. }) {
        return 0;
    }
    let days = u16::try_from(window_us / DAY_US).unwrap_or(u16::MAX).min(NOVELTY_DAYS);
    if days < 2 { 0 } else { days }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Better, WINDOW_US};

    fn experiment() -> Experiment {
        serde_json::from_value(serde_json::json!({
            "key": "checkout", "unit": {"device": {"cookie": "uid"}},
            "variants": [{"key": "control"}, {"key": "new"}],
            "phases": [{"since": 0, "weights": [1, 1]}],
            "primary": "buys", "guardrails": ["error-rate", "p95-latency"],
        }))
        .unwrap()
    }

    fn buys() -> MetricSpec {
        MetricSpec {
            name: "buys".into(),
            description: String::new(),
            measure: Measure::Events {
                kind: MetricKind::Conversion { event: "purchase".into() },
                delay_us: 0,
                window_us: WINDOW_US,
                lookback_us: 0,
            },
            better: Better::Higher,
            margin: 0.05,
        }
    }

    #[test]
    fn request_metrics_need_no_declaration_and_no_counting() {
        let metrics = resolve(&experiment(), &[buys()]).unwrap();
        assert_eq!(metrics.len(), 3);
        assert_eq!(metrics[2].1.measure, Measure::Latency { ppm: 950_000 });
        let definition = definition(&experiment(), &metrics, None).unwrap();
        let names: Vec<_> = definition.metrics.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[..2], ["buys", "buys.day-0"]);
        assert!(resolve(&experiment(), &[]).unwrap_err()[0].contains("\"buys\""));
        assert_eq!(
            MetricSpec::built_in("p99.9-latency").unwrap().measure,
            Measure::Latency { ppm: 999_000 }
        );
        for name in ["p0-latency", "p100-latency", "latency", "pNaN-latency", "p-1-latency"] {
            assert_eq!(MetricSpec::built_in(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_counted_stays_and_new_metrics_follow() {
        let experiment = experiment();
        let metrics = resolve(&experiment, &[buys()]).unwrap();
        let old = definition(&experiment, &metrics, None).unwrap();
        let mut more = metrics.clone();
        let visits = MetricSpec { name: "visits".into(), ..buys() };
        more.insert(0, (Role::Secondary, visits));
        let new = definition(&experiment, &more, Some(&old)).unwrap();
        assert_eq!(new.metrics[..old.metrics.len()], old.metrics);
        assert_eq!(new.metrics.last().unwrap().name, "visits");
        let mut changed = buys();
        changed.measure = Measure::Events {
            kind: MetricKind::Count { event: "purchase".into() },
            delay_us: 0,
            window_us: WINDOW_US,
            lookback_us: 0,
        };
        let changed = [(Role::Primary, changed)];
        assert!(
            definition(&experiment, &changed, Some(&old)).unwrap_err().contains("another name")
        );
    }
}

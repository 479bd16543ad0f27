//! Taking caps that are percentiles: once, of all variants together, then kept.

use super::{OperateError, Operator};
use crate::event::UnixMicros;
use crate::ledger::{Change, Definition, KIND_EXPERIMENT, TOTAL_MAX};
use crate::metric::CAP_UNITS_MIN;
use crate::model::UnixMillis;
use stats::experiment::cap;

/// A cap that can be taken now.
#[derive(Debug, Clone, PartialEq)]
struct Taken {
    metric: String,
    /// Millionths.
    cap: i64,
    percentile: f64,
    /// Units that have any.
    units: usize,
}

impl Operator {
    /// Sets the caps of an experiment whose percentiles can be taken now: enough units have any,
    /// and their windows are over, so that the cap does not depend on how long one has waited.
    pub(super) fn take_caps(&self, key: &str, now: UnixMillis) -> Result<(), OperateError> {
        let Some(summary) = self.results.summary(key) else { return Ok(()) };
        let totals = |name: &str, before_us| self.results.unit_totals(key, name, before_us);
        let (definition, taken) = take(summary.definition, now, totals);
        if taken.is_empty() {
            return Ok(());
        }
        let set = self.documents().set()?;
        self.serve(set, &[definition])?;
        let subject = format!("{KIND_EXPERIMENT}/{key}");
        for Taken { metric, cap, percentile, units } in taken {
            let (percent, cap) = (percentile * 100.0, cap as f64 / 1e6);
            let reason = format!("{metric}: {cap} is the {percent}% of {units} units with any");
            let change = Change { who: super::operate::SELF, reason: &reason, time_ms: now };
            self.control().note("cap", &subject, &change)?;
        }
        Ok(())
    }
}

/// The definition with the caps that can be taken now, and what they are. `totals` gives those of the
/// units that were first exposed before a time.
fn take(
    mut definition: Definition,
    now: UnixMillis,
    totals: impl Fn(&str, UnixMicros) -> Option<Vec<i64>>,
) -> (Definition, Vec<Taken>) {
    let now_us = i64::try_from(now).unwrap_or(0).saturating_mul(1_000);
    let mut taken = Vec::new();
    for metric in &definition.metrics {
        // Days of a metric have the cap of the whole.
        let is_day = definition.metrics.iter().any(|whole| is_day_of(&metric.name, &whole.name));
        let Some(ppm) = metric.open_cap().filter(|_| !is_day) else { continue };
        let before = now_us.saturating_sub(metric.delay_us).saturating_sub(metric.window_us);
        let Some(mut totals) = totals(&metric.name, before) else { continue };
        totals.retain(|&total| total != 0);
        let percentile = f64::from(ppm) / 1e6;
        let found = cap::percentile(&totals, percentile, true).ok().flatten();
        if let (Some(cap), true) = (found, totals.len() >= CAP_UNITS_MIN) {
            let (metric, units) = (metric.name.clone(), totals.len());
            // A cap below the largest possible total, or it would look as if none was taken.
            taken.push(Taken { metric, cap: cap.clamp(1, TOTAL_MAX - 1), percentile, units });
        }
    }
    for Taken { metric: whole, cap, .. } in &taken {
        for metric in &mut definition.metrics {
            if metric.name == *whole || is_day_of(&metric.name, whole) {
                *metric = metric.capped_at(*cap);
            }
        }
    }
    (definition, taken)
}

fn is_day_of(name: &str, whole: &str) -> bool {
    name.strip_prefix(whole).is_some_and(|rest| rest.starts_with(".day-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{DAY_US, Metric, MetricKind};

    #[test]
    fn a_cap_is_taken_once_for_a_metric_and_its_days() {
        let revenue = |name: &str| Metric {
            name: name.to_owned(),
            kind: MetricKind::Revenue {
                event: "buy".to_owned(),
                cap: TOTAL_MAX,
                percentile: Some(900_000),
            },
            delay_us: 0,
            window_us: 3 * DAY_US,
            lookback_us: 0,
        };
        let whole = revenue("spent");
        let metrics = vec![whole.on_day(0), whole.clone(), revenue("other")];
        let open = Definition { experiment: "x".into(), variants: 2, deals: vec![0], metrics };
        let now = 10 * DAY_US as u64 / 1_000;
        let units = |count: i64| {
            move |name: &str, before: i64| {
                assert_eq!(before, 7 * DAY_US, "windows are over");
                let zeros = std::iter::repeat_n(0, 5_000);
                (name == "spent").then(|| (1..=count).chain(zeros).collect())
            }
        };
        assert_eq!(take(open.clone(), now, units(199)), (open.clone(), Vec::new()));
        let (capped, taken) = take(open.clone(), now, units(200));
        let [found] = taken.as_slice() else { panic!("{taken:?}") };
        assert_eq!((found.metric.as_str(), found.cap, found.units), ("spent", 180, 200));
        assert_eq!(capped.metrics[0], open.metrics[0].capped_at(180));
        assert_eq!(capped.metrics[1], whole.capped_at(180));
        assert_eq!(capped.metrics[2].open_cap(), Some(900_000));
        // Later totals change nothing any more.
        assert_eq!(take(capped.clone(), now, units(900)), (capped, Vec::new()));
    }
}

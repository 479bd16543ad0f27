//! Taking caps that are percentiles: once, of all variants together, then kept.

use super::{OperateError, Operator};
use crate::ledger::{Change, Definition, KIND_EXPERIMENT, Results, TOTAL_MAX};
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
        let Some((definition, taken)) = open(&*self.results, key, now) else { return Ok(()) };
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

/// The definition with the caps that can be taken now; `None` when there are none.
fn open(results: &dyn Results, key: &str, now: UnixMillis) -> Option<(Definition, Vec<Taken>)> {
    let mut definition = results.summary(key)?.definition;
    let now_us = i64::try_from(now).ok()?.checked_mul(1_000)?;
    let mut taken = Vec::new();
    for metric in &definition.metrics {
        // Days of a metric have the cap of the whole.
        let is_day = definition.metrics.iter().any(|whole| is_day_of(&metric.name, &whole.name));
        let Some(ppm) = metric.open_cap().filter(|_| !is_day) else { continue };
        let before = now_us.saturating_sub(metric.delay_us).saturating_sub(metric.window_us);
        let Some(mut totals) = results.unit_totals(key, &metric.name, before) else { continue };
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
    (!taken.is_empty()).then_some((definition, taken))
}

fn is_day_of(name: &str, whole: &str) -> bool {
    name.strip_prefix(whole).is_some_and(|rest| rest.starts_with(".day-"))
}

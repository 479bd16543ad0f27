//! What analysis reads: gathered once, so that analysis itself is pure.

use super::Question;
use crate::event::UnixMicros;
use crate::ledger::{Arm, DAY_US, Dimension, MetricKind, QuantileSample, Results, Summary};
use crate::metric::{Measure, Role, novelty_days};
use std::collections::BTreeMap;

/// How much is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Sums only, however many units there are: what is looked at every second.
    Sums,
    /// Also what looks at every unit: segments, days since exposure, quantiles of events.
    Units,
}

/// Everything that was recorded about one experiment, as far as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// How much was gathered.
    pub depth: Depth,
    /// Sums and progress.
    pub summary: Summary,
    /// Events of quantile metrics by metric, phase and variant.
    pub quantiles: BTreeMap<(String, u16, u16), QuantileSample>,
    /// Sums by segment; empty unless they were asked for.
    pub segments: Vec<(Dimension, BTreeMap<String, Vec<Arm>>)>,
    /// Sums by what the plan stratifies by; absent unless all units were looked at.
    pub strata: Option<BTreeMap<String, Vec<Arm>>>,
    /// Sums of the units that were exposed at least so many days ago.
    pub cohort: Option<(u16, Vec<Arm>)>,
}

/// What shares of units are broken down by.
const DIMENSIONS: [Dimension; 5] =
    [Dimension::Day, Dimension::Browser, Dimension::Country, Dimension::Route, Dimension::Cache];
/// All times that a record can have.
const ALWAYS: std::ops::Range<UnixMicros> = UnixMicros::MIN..UnixMicros::MAX;

impl Data {
    /// Only sums.
    #[must_use]
    pub fn of_summary(summary: Summary) -> Data {
        let (quantiles, segments) = (BTreeMap::new(), Vec::new());
        let depth = Depth::Sums;
        Data { depth, summary, quantiles, segments, strata: None, cohort: None }
    }

    /// Reads what a question needs. `None` when the experiment is not measured.
    #[must_use]
    pub fn gather(results: &dyn Results, question: &Question<'_>, depth: Depth) -> Option<Data> {
        let key = &question.experiment.key;
        let mut data = Data::of_summary(results.summary(key)?);
        if depth == Depth::Sums {
            return Some(data);
        }
        data.depth = depth;
        let variants = question.experiment.variants.len();
        let (phases, variants) = (
            u16::try_from(question.phases.start).ok()?..u16::try_from(question.phases.end).ok()?,
            0..u16::try_from(variants).ok()?,
        );
        for (_, spec) in question.metrics {
            let Measure::Events { kind: MetricKind::Quantile { .. }, .. } = &spec.measure else {
                continue;
            };
            for (phase, variant) in
                phases.clone().flat_map(|p| variants.clone().map(move |v| (p, v)))
            {
                if let Some(sample) = results.quantile_sample(key, &spec.name, phase, variant) {
                    data.quantiles.insert((spec.name.clone(), phase, variant), sample);
                }
            }
        }
        // Where a mismatch comes from is asked when there is one.
        if super::health::ratio(question, &data.summary).alarm {
            data.segments = DIMENSIONS
                .into_iter()
                .filter_map(|by| Some((by, results.segments(key, by, ALWAYS)?)))
                .collect();
        }
        let by = question.plan.stratify;
        data.strata = by.and_then(|by| results.segments(key, by, ALWAYS));
        data.cohort = cohort(results, question);
        Some(data)
    }
}

/// The units that were seen for all days that can be told apart.
fn cohort(results: &dyn Results, question: &Question<'_>) -> Option<(u16, Vec<Arm>)> {
    let (_, primary) = question.metrics.iter().find(|(role, _)| *role == Role::Primary)?;
    let now_us = i64::try_from(question.now).ok()?.checked_mul(1_000)?;
    let first = question.experiment.phases.get(question.phases.start)?.since;
    let running = now_us - i64::try_from(first).ok()?.checked_mul(1_000)?;
    // At least half of the time brings units.
    let days = novelty_days(primary).min(u16::try_from(running / DAY_US / 2).unwrap_or(0));
    if days < 2 {
        return None;
    }
    let before = now_us - i64::from(days) * DAY_US;
    let arms = results.cohort(&question.experiment.key, UnixMicros::MIN..before)?;
    Some((days, arms))
}

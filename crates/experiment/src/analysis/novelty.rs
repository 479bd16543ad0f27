//! Does the effect on the primary metric change with the days since exposure?

use super::result::{DayEffect, ends, finite};
use super::{Data, Question, arms, effect};
use crate::metric::Role;
use stats::experiment::{Comparison, novelty};

/// Effects by day, of the units that were seen on all of these days. Empty while there are none,
/// or when the metric has no days.
pub(super) fn days(question: &Question<'_>, data: &Data) -> Vec<DayEffect> {
    let Some((days, cohort)) = &data.cohort else { return Vec::new() };
    let primary = question.metrics.iter().find(|(role, _)| *role == Role::Primary);
    let Some((_, spec)) = primary else { return Vec::new() };
    let Ok(level) = effect::two_sided(question) else { return Vec::new() };
    let metrics = &data.summary.definition.metrics;
    let mut found = Vec::new();
    for variant in question.treatments() {
        let of_days: Option<Vec<Comparison>> = (0..*days)
            .map(|day| {
                let name = format!("{}.day-{day}", spec.name);
                let index = metrics.iter().position(|metric| metric.name == name)?;
                let metric = metrics.get(index).filter(|metric| metric.open_cap().is_none());
                let metric = (index, metric?);
                let compared = arms::compare_sums(question, cohort, metric, variant).ok()?;
                let least = question.least_units();
                let enough = compared.comparison.units.iter().all(|&units| units >= least);
                enough.then_some(compared.comparison)
            })
            .collect();
        let effects = of_days.and_then(|all| novelty::by_day(&all, level).ok());
        found.extend((0..).zip(effects.unwrap_or_default()).map(|(day, effect)| DayEffect {
            variant: question.variant_key(variant),
            day,
            lift: effect.lift.and_then(finite),
            lift_interval: effect.lift_set.interval().map(ends),
        }));
    }
    found
}

//! Comparisons within strata of a phase: what units were at their first exposure.

use super::arms::{PHASE_UNITS_MIN, only_after, sums_of};
use crate::ledger::{Arm, MetricSums};
use crate::metric::{Measure, MetricSpec};
use stats::experiment::strata::post_stratify;
use stats::experiment::{Comparison, Error, Sums, cuped};
use std::collections::BTreeMap;

/// Arms by stratum.
pub(super) type Strata = BTreeMap<String, Vec<Arm>>;

/// A phase compared within strata, with the covariate if there is one. `None` for metrics of which
/// it would be something else, ratios and quantiles, and when nothing can be said.
pub(super) fn compare(
    strata: &Strata,
    spec: &MetricSpec,
    (index, scale): (usize, f64),
    phase: u16,
    variant: u16,
) -> Option<Comparison> {
    let covariate = matches!(spec.measure, Measure::Events { lookback_us: 1.., .. });
    let cells = strata.values().filter_map(|arms| {
        let single = |variant| match sums_of(arms, phase, variant, index) {
            Some(MetricSums::Single(sums)) => Some(*sums),
            _ => None,
        };
        Some([single(variant)?, single(0)?])
    });
    let cells: Vec<[Sums<2>; 2]> = cells.collect();
    let within =
        |treatment: &Sums<2>, control: &Sums<2>| single(covariate, scale, treatment, control);
    post_stratify(&cells, PHASE_UNITS_MIN, within).ok()
}

/// Two arms of a metric that is one total, with its covariate if it has one.
pub(super) fn single(
    covariate: bool,
    scale: f64,
    treatment: &Sums<2>,
    control: &Sums<2>,
) -> Result<Comparison, Error> {
    if covariate {
        let scales = [scale, scale];
        let adjusted = cuped::adjust(&treatment.moments(scales)?, &control.moments(scales)?)?;
        return Ok(adjusted.comparison);
    }
    let [treatment, control] = [treatment, control].map(only_after);
    Comparison::new(&treatment.moments([scale])?, &control.moments([scale])?)
}

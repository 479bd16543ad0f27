//! Two arms of one metric, compared within each phase and combined: never across phases.

use super::strata::{self, Strata, single};
use super::{Data, Depth, Question, requests};
use crate::ledger::{Arm, Metric, MetricKind, MetricSums, TrafficTotals};
use crate::metric::{CAP_UNITS_MIN, Measure, MetricSpec};
use stats::experiment::strata::{Sizes, combine};
use stats::experiment::{Comparison, Error, Moments, Sums, cuped, quantile};

/// Units that both arms need in a phase for it to count: fewer have no variance worth the name.
/// Their number does not depend on outcomes, so leaving them out does not bias anything.
pub(super) const PHASE_UNITS_MIN: u64 = 10;

/// A comparison over phases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    pub(super) comparison: Comparison,
    /// Share of the variance that covariates removed.
    pub(super) variance_reduction: Option<f64>,
    /// Phases that it rests on.
    pub(super) phases: usize,
}

/// Units of each variant in the phases that count.
pub(super) fn units_per_arm(question: &Question<'_>, data: &Data) -> Vec<u64> {
    let mut units = vec![0; question.experiment.variants.len()];
    for arm in arms_of(question, &data.summary.arms) {
        if let Some(own) = units.get_mut(usize::from(arm.variant)) {
            *own += arm.units;
        }
    }
    units
}

/// The arms in the phases that count.
pub(super) fn arms_of<'a>(
    question: &'a Question<'_>,
    arms: &'a [Arm],
) -> impl Iterator<Item = &'a Arm> {
    arms.iter().filter(|arm| question.phases.contains(&usize::from(arm.phase)))
}

/// The cap of a metric, in its own unit, if it has one that is known.
pub(super) fn cap(data: &Data, spec: &MetricSpec) -> Option<f64> {
    let known = data.summary.definition.metrics.iter().find(|known| known.name == spec.name)?;
    match known.kind {
        MetricKind::Revenue { cap, .. } if known.open_cap().is_none() => Some(cap as f64 / 1e6),
        _ => None,
    }
}

/// Why a metric cannot be compared yet, whatever the units did.
pub(super) fn not_yet(data: &Data, spec: &MetricSpec, stratified: bool) -> Option<String> {
    let metric = spec.counted()?;
    let metrics = &data.summary.definition.metrics;
    if metrics.iter().any(|known| known.name == spec.name && known.open_cap().is_some()) {
        return Some(format!(
            "its cap is taken once {CAP_UNITS_MIN} units whose window is over have any"
        ));
    }
    let is_quantile = matches!(metric.kind, MetricKind::Quantile { .. });
    let is_single = !is_quantile && !matches!(metric.kind, MetricKind::Ratio { .. });
    let units = is_quantile && data.depth == Depth::Sums;
    let strata = is_single && stratified && data.strata.is_none();
    (units || strata).then(|| "every unit has to be looked at, once a minute".to_owned())
}

/// Compares a variant with the control, within strata if there are any.
pub(super) fn compare(
    question: &Question<'_>,
    data: &Data,
    spec: &MetricSpec,
    variant: u16,
    strata: Option<&Strata>,
) -> Result<Compared, Error> {
    let metrics = &data.summary.definition.metrics;
    let known = metrics.iter().position(|metric| metric.name == spec.name);
    let metric = known.and_then(|index| Some((index, metrics.get(index)?.scales()[0])));
    let mut pairs = Vec::new();
    let mut undefined = None;
    for phase in question.phases.clone() {
        let Ok(phase) = u16::try_from(phase) else { break };
        match phase_pair(data, spec, phase, variant) {
            Ok(Some((adjusted, plain))) => {
                let within = strata
                    .zip(metric)
                    .and_then(|(strata, at)| strata::compare(strata, spec, at, phase, variant));
                pairs.push((within.unwrap_or(adjusted), plain));
            }
            Ok(None) => {}
            // Nobody did yet in this phase what the ratio is by.
            Err(error @ Error::ZeroDenominator) => undefined = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = undefined.filter(|_| pairs.is_empty()) {
        return Err(error);
    }
    if pairs.is_empty() {
        let units = units_per_arm(question, data);
        let of = |variant: u16| units.get(usize::from(variant)).copied().unwrap_or(0);
        let units = of(variant).min(of(0));
        let needed = question.least_units().max(requests::needed(&spec.measure));
        if units < needed {
            return Err(Error::TooFewUnits { units, needed });
        }
    }
    combined(&pairs)
}

/// Compares a variant with the control in sums of their own, such as those of a cohort.
pub(super) fn compare_sums(
    question: &Question<'_>,
    arms: &[Arm],
    (index, metric): (usize, &Metric),
    variant: u16,
) -> Result<Compared, Error> {
    let mut pairs = Vec::new();
    for phase in question.phases.clone() {
        let sums = |variant| sums_of(arms, phase as u16, variant, index);
        if let (Some(treatment), Some(control)) = (sums(variant), sums(0)) {
            pairs.extend(pair_of_sums(metric, treatment, control)?);
        }
    }
    combined(&pairs)
}

/// The comparison within a phase, and the one without its covariate.
type Pair = (Comparison, Comparison);

fn combined(pairs: &[Pair]) -> Result<Compared, Error> {
    let adjusted: Vec<Comparison> = pairs.iter().map(|pair| pair.0).collect();
    let comparison = combine(&adjusted, Sizes::Fixed)?;
    let plain: Vec<Comparison> = pairs.iter().map(|pair| pair.1).collect();
    let variance_reduction = combine(&plain, Sizes::Fixed).ok().and_then(|plain| {
        let ratio = (comparison.standard_error() / plain.standard_error()).powi(2);
        (ratio != 1.0).then_some(1.0 - ratio)
    });
    Ok(Compared { comparison, variance_reduction, phases: pairs.len() })
}

/// One phase; `None` when it is too small.
fn phase_pair(
    data: &Data,
    spec: &MetricSpec,
    phase: u16,
    variant: u16,
) -> Result<Option<Pair>, Error> {
    let Some(metric) = spec.counted() else {
        return request_pair(data, &spec.measure, phase, variant);
    };
    if let MetricKind::Quantile { ppm, .. } = &metric.kind {
        let estimate = |variant| {
            let sample = data.quantiles.get(&(spec.name.clone(), phase, variant))?;
            let values: Vec<f64> = sample.values.iter().map(|value| value / 1e6).collect();
            Some(quantile::estimate(&values, &sample.units, f64::from(*ppm) / 1e6))
        };
        let (Some(treatment), Some(control)) = (estimate(variant), estimate(0)) else {
            return Ok(None);
        };
        // A phase with too few events is left out as one with too few units is.
        return match (treatment, control) {
            (Ok(treatment), Ok(control)) => Ok(within(&treatment, &control, Values::Order)),
            (Err(Error::TooFewUnits { .. }), _) | (_, Err(Error::TooFewUnits { .. })) => Ok(None),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
    }
    let definition = &data.summary.definition;
    let known = |known: &Metric| known.name == spec.name && known.open_cap().is_none();
    let Some(index) = definition.metrics.iter().position(known) else { return Ok(None) };
    let arms = &data.summary.arms;
    let sums = |variant| sums_of(arms, phase, variant, index);
    match (sums(variant), sums(0)) {
        (Some(treatment), Some(control)) => pair_of_sums(&metric, treatment, control),
        _ => Ok(None),
    }
}

pub(super) fn sums_of(
    arms: &[Arm],
    phase: u16,
    variant: u16,
    metric: usize,
) -> Option<&MetricSums> {
    let arm = arms.iter().find(|arm| (arm.phase, arm.variant) == (phase, variant))?;
    arm.metrics.get(metric)
}

fn pair_of_sums(
    metric: &Metric,
    treatment: &MetricSums,
    control: &MetricSums,
) -> Result<Option<Pair>, Error> {
    let [first, second] = metric.scales();
    match (treatment, control) {
        (MetricSums::Single(treatment), MetricSums::Single(control)) => {
            if too_small(treatment.units, control.units) {
                return Ok(None);
            }
            let [after_t, after_c] = [treatment, control].map(only_after);
            let (after_t, after_c) = (after_t.moments([first])?, after_c.moments([first])?);
            let plain = within(&after_t, &after_c, Values::Units);
            if metric.lookback_us == 0 {
                return Ok(plain);
            }
            let adjusted = single(true, first, treatment, control);
            Ok(plain.map(|(_, plain)| (adjusted.unwrap_or(plain), plain)))
        }
        (MetricSums::Ratio(treatment), MetricSums::Ratio(control)) => {
            if too_small(treatment.units, control.units) {
                return Ok(None);
            }
            let scales = [first, second, first, second];
            let (treatment, control) = (treatment.moments(scales)?, control.moments(scales)?);
            let ratio = |moments: &Moments<4>| {
                let [m, d, ..] = moments.mean;
                let rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]];
                moments.propagate([m, d], rows).ratio()
            };
            let plain = within(&ratio(&treatment)?, &ratio(&control)?, Values::Units);
            if metric.lookback_us == 0 {
                return Ok(plain);
            }
            // Without anything before the exposure there is no covariate.
            let adjusted = treatment
                .ratios()
                .and_then(|treatment| cuped::adjust(&treatment, &control.ratios()?));
            Ok(plain.map(|(_, plain)| (adjusted.map_or(plain, |it| it.comparison), plain)))
        }
        _ => Ok(None),
    }
}

pub(super) fn only_after(sums: &Sums<2>) -> Sums<1> {
    Sums { units: sums.units, sums: [sums.sums[0]], products: [[sums.products[0][0]]] }
}

fn too_small(treatment: u64, control: u64) -> bool {
    treatment.min(control) < PHASE_UNITS_MIN
}

/// What an arm's moments are of.
#[derive(Clone, Copy, PartialEq)]
enum Values {
    /// The values of units.
    Units,
    /// An estimate that rests on order: nothing varies in it when many values are the same.
    Order,
}

/// Two arms of one phase. Units that are alike within each arm and not between them, such as when
/// every request of a variant fails, have no variance and differ all the same. They get that of
/// Jeffreys' estimate for the share of units with either value, (x + ½) / (n + 1). A phase in which
/// nothing varied yet counts with what it has: leaving it out would depend on outcomes.
fn within(treatment: &Moments<1>, control: &Moments<1>, values: Values) -> Option<Pair> {
    if too_small(treatment.units, control.units) {
        return None;
    }
    let is_constant = |arm: &Moments<1>| arm.covariance[0][0] <= 0.0;
    let apart = treatment.value() - control.value();
    let (mut treatment, mut control) = (*treatment, *control);
    if values == Values::Units && is_constant(&treatment) && is_constant(&control) {
        for arm in [&mut treatment, &mut control] {
            let n = arm.units as f64;
            let share = 0.5 / (n + 1.0);
            arm.covariance = [[apart * apart * share * (1.0 - share) * n / (n - 1.0)]];
        }
    }
    let (treatment, control) = (&treatment, &control);
    let comparison = Comparison::new(treatment, control).unwrap_or(Comparison {
        treatment: treatment.value(),
        control: control.value(),
        treatment_variance: 0.0,
        control_variance: 0.0,
        covariance: 0.0,
        degrees: 1.0,
        units: [treatment.units, control.units],
    });
    Some((comparison, comparison))
}

fn request_pair(
    data: &Data,
    measure: &Measure,
    phase: u16,
    variant: u16,
) -> Result<Option<Pair>, Error> {
    let of = |variant: u16| -> Result<Option<Moments<1>>, Error> {
        let same = |it: (u16, u16)| it == (phase, variant);
        let units = data.summary.arms.iter().find(|arm| same((arm.phase, arm.variant)));
        let traffic = data.summary.traffic.iter().find(|arm| same((arm.phase, arm.variant)));
        let none = TrafficTotals::default();
        let totals = traffic.map_or(&none, |arm| &arm.totals);
        requests::moments(measure, totals, units.map_or(0, |arm| arm.units))
    };
    Ok(match (of(variant)?, of(0)?) {
        (Some(treatment), Some(control)) => {
            let values = match measure {
                Measure::ErrorRate => Values::Units,
                _ => Values::Order,
            };
            within(&treatment, &control, values)
        }
        _ => None,
    })
}

/// Value and standard error of the arms of `variants` over phases, each phase with its share of all
/// units. `None` when an arm has no value, or nothing varies in any.
pub(super) fn values(
    question: &Question<'_>,
    data: &Data,
    spec: &MetricSpec,
    variants: &[u16],
) -> Option<Vec<(f64, f64)>> {
    let mut sums = vec![(0.0, 0.0); variants.len()];
    let mut total = 0.0;
    for phase in question.phases.clone() {
        let phase = u16::try_from(phase).ok()?;
        // Of comparisons with the control, the arms' own values.
        let mut arms = Vec::with_capacity(sums.len());
        for variant in variants {
            match phase_pair(data, spec, phase, *variant) {
                Ok(Some((_, plain))) => arms.push(plain),
                Ok(None) | Err(_) => break,
            }
        }
        if arms.len() < sums.len() {
            continue;
        }
        let units: f64 = arms.iter().map(|arm| arm.units[0] as f64).sum();
        // An arm in which nothing varies yet is no surer than the others are.
        let of_unit = |arm: &Comparison| arm.treatment_variance * arm.units[0] as f64;
        let most = arms.iter().map(of_unit).fold(0.0, f64::max);
        for ((value, variance), arm) in sums.iter_mut().zip(&arms) {
            let own = of_unit(arm);
            let of_unit = if own > 0.0 { own } else { most };
            *value += units * arm.treatment;
            *variance += units * units * of_unit / arm.units[0] as f64;
        }
        total += units;
    }
    let arm = |(value, variance): (f64, f64)| (value / total, variance.sqrt() / total);
    let arms: Vec<_> = sums.into_iter().map(arm).collect();
    arms.iter().all(|(_, error)| error.is_normal()).then_some(arms)
}

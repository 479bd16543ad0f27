//! One metric, each variant against the control.

use super::effect::find;
use super::plan::Look;
use super::result::{EffectView, MetricView, Outcome, ends, finite};
use super::{Data, Question, arms, posterior};
use crate::metric::{MetricSpec, Role};
use stats::experiment::guardrail::Guardrail;
use stats::experiment::shrinkage::conditional_estimate;
use stats::experiment::{Alternative, Comparison, ConfidenceSequence, Level};

/// Compares all variants in a metric.
pub(super) fn metric(
    question: &Question<'_>,
    data: &Data,
    role: Role,
    spec: &MetricSpec,
    look: &Look,
) -> MetricView {
    let effects = question.treatments();
    MetricView {
        name: spec.name.clone(),
        kind: spec.kind_name().to_owned(),
        role,
        better: spec.better,
        is_share: spec.is_share(),
        cap: arms::cap(data, spec),
        effects: effects.map(|variant| effect(question, data, spec, variant, look)).collect(),
    }
}

fn effect(
    question: &Question<'_>,
    data: &Data,
    spec: &MetricSpec,
    variant: u16,
    look: &Look,
) -> EffectView {
    let units = arms::units_per_arm(question, data);
    let units = [usize::from(variant), 0].map(|index| units.get(index).copied().unwrap_or(0));
    let mut view = EffectView {
        variant: question.variant_key(variant),
        note: None,
        units,
        value: None,
        control: None,
        difference: None,
        standard_error: None,
        interval: None,
        lift: None,
        lift_interval: None,
        p_value: None,
        adjusted_p: None,
        ln_e_value: None,
        outcome: Outcome::Unclear,
        shrunk_lift: None,
        non_inferior: false,
        chance_to_win: None,
        loss_of_shipping: None,
        loss_of_keeping: None,
        variance_reduction: None,
        phases: 0,
    };
    let stratified = question.plan.stratify.is_some();
    if let Some(why) = arms::not_yet(data, spec, stratified) {
        view.note = Some(why);
        return view;
    }
    let strata = data.strata.as_ref().filter(|_| stratified);
    let compared = match arms::compare(question, data, spec, variant, strata) {
        Ok(compared) => compared,
        Err(error) => {
            view.note = Some(error.to_string());
            return view;
        }
    };
    let comparison = compared.comparison;
    view.units = comparison.units;
    view.phases = compared.phases;
    view.variance_reduction = compared.variance_reduction;
    view.value = finite(comparison.treatment);
    view.control = finite(comparison.control);
    view.difference = finite(comparison.difference());
    view.standard_error = finite(comparison.standard_error());
    view.lift = comparison.lift().and_then(finite);
    let (effect, ln_e_value) = match find(question, look, &comparison) {
        Ok(found) => found,
        Err(why) => {
            // Whoever sees a standard error can compute what is hidden.
            view.standard_error = None;
            view.note = Some(why);
            return view;
        }
    };
    // Shares differ by one at most.
    let within = |end: f64| if spec.is_share() { end.clamp(-1.0, 1.0) } else { end };
    view.interval = Some(ends(effect.interval).map(|end| end.map(within)));
    view.lift_interval = effect.lift_set.interval().map(ends);
    view.p_value = finite(effect.p_value);
    view.ln_e_value = ln_e_value.and_then(finite);
    view.non_inferior = non_inferior(question, look, spec, &comparison, effect.critical);
    let shrunk = conditional_estimate(&effect, Alternative::TwoSided);
    let control = comparison.control.abs();
    view.shrunk_lift = shrunk.filter(|_| control > 0.0).and_then(|it| finite(it / control));
    let posterior = posterior::of(question, data, spec, variant, &comparison);
    view.chance_to_win = posterior.as_ref().map(|it| it.chance_to_win);
    view.loss_of_shipping = posterior.as_ref().and_then(|it| finite(it.loss_of_shipping));
    view.loss_of_keeping = posterior.as_ref().and_then(|it| finite(it.loss_of_keeping));
    view
}

/// Whether the variant is shown to be no worse than the margin: one-sided at the level of the
/// experiment, divided by the number of variants.
fn non_inferior(
    question: &Question<'_>,
    look: &Look,
    spec: &MetricSpec,
    comparison: &Comparison,
    two_sided: f64,
) -> bool {
    let critical = match look {
        Look::Sequence(_) => {
            let variants = question.treatments().count().max(1) as f64;
            let level =
                Level::new(question.experiment.policy.alpha / variants, Alternative::Greater);
            let sequence = level.and_then(|level| {
                ConfidenceSequence::new(level, question.plan.units, question.least_units())
            });
            sequence.map_or(f64::INFINITY, |it| {
                it.critical(comparison.units[0].saturating_add(comparison.units[1]))
            })
        }
        // The two-sided value is on the safe side.
        _ => two_sided,
    };
    Guardrail::new(spec.margin, spec.better.into())
        .is_ok_and(|guardrail| guardrail.judge(comparison, critical).non_inferior)
}

//! Guardrails, each with each variant: impact, power, significance.

use super::result::{GuardrailView, ends, finite};
use super::{Data, Question, arms};
use crate::metric::{MetricSpec, Role};
use stats::experiment::guardrail::Guardrail;
use stats::experiment::{Alternative, ConfidenceSequence, Error, Level};

/// Judges every guardrail, one-sided and at any time. The level is divided by their number times
/// that of the variants, so that a variant is taken back by chance with probability α at most; in
/// a roll-out also by the steps of the ramp, because each of them begins anew.
pub(super) fn judge(question: &Question<'_>, data: &Data) -> Vec<GuardrailView> {
    let specs = || question.metrics.iter().filter(|(role, _)| *role == Role::Guardrail);
    let policy = &question.experiment.policy;
    let steps = if question.phases.start > 0 { policy.ramp.len().max(1) } else { 1 };
    let tests = specs().count() * question.treatments().count() * steps;
    let level = Level::new(policy.alpha / tests.max(1) as f64, Alternative::Greater);
    let least = question.least_units();
    let sequence =
        level.and_then(|level| ConfidenceSequence::new(level, question.plan.units, least));
    specs()
        .flat_map(|(_, spec)| question.treatments().map(move |variant| (spec, variant)))
        .map(|(spec, variant)| one(question, data, spec, variant, &sequence))
        .collect()
}

fn one(
    question: &Question<'_>,
    data: &Data,
    spec: &MetricSpec,
    variant: u16,
    sequence: &Result<ConfidenceSequence, Error>,
) -> GuardrailView {
    let mut view = GuardrailView {
        name: spec.name.clone(),
        kind: spec.kind_name().to_owned(),
        variant: question.variant_key(variant),
        better: spec.better,
        margin: spec.margin,
        note: None,
        value: None,
        control: None,
        lift: None,
        lift_interval: None,
        exceeded: false,
        underpowered: true,
        harmful: false,
        non_inferior: false,
    };
    if let Some(why) = arms::not_yet(data, spec, false) {
        view.note = Some(why);
        return view;
    }
    // Not within strata: what protects users has to be seen at once.
    let comparison = match arms::compare(question, data, spec, variant, None) {
        Ok(compared) => compared.comparison,
        Err(Error::NoVariance) => {
            // Such as no error in either arm: nothing speaks against it.
            view.underpowered = false;
            view.note = Some("the same in all units of both".to_owned());
            return view;
        }
        Err(error) => {
            view.note = Some(match (spec.counted(), error) {
                (None, Error::TooFewUnits { .. }) => "the gateway saw too few requests".to_owned(),
                (_, error) => error.to_string(),
            });
            return view;
        }
    };
    view.value = finite(comparison.treatment);
    view.control = finite(comparison.control);
    view.lift = comparison.lift().and_then(finite);
    let least = question.least_units();
    let units = comparison.units[0].min(comparison.units[1]);
    if units < least {
        view.note = Some(format!("{units} units in an arm; {least} are needed"));
        return view;
    }
    let guardrail = Guardrail::new(spec.margin, spec.better.into());
    let (Ok(sequence), Ok(guardrail)) = (sequence, guardrail) else {
        view.note = Some("the level or the margin cannot be used".to_owned());
        return view;
    };
    let critical = sequence.critical(comparison.units[0].saturating_add(comparison.units[1]));
    let verdict = guardrail.judge(&comparison, critical);
    let effect = comparison.effect(critical, 1.0, Alternative::TwoSided);
    view.lift_interval = effect.lift_set.interval().map(ends);
    view.exceeded = verdict.exceeded;
    view.underpowered = verdict.underpowered;
    view.harmful = verdict.harmful;
    view.non_inferior = verdict.non_inferior;
    view
}

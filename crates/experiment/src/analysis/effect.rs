//! Effects by the method of the plan, and their correction over the declared family.

use super::plan::{Correction, Look, Method};
use super::{MetricView, Outcome, Question};
use crate::metric::{Better, Role};
use stats::experiment::multiple::{benjamini_hochberg, e_benjamini_hochberg, holm};
use stats::experiment::{Alternative, Comparison, Effect, Error, Level, welch};

/// The level of two-sided tests.
pub(super) fn two_sided(question: &Question<'_>) -> Result<Level, Error> {
    Level::new(question.experiment.policy.alpha, Alternative::TwoSided)
}

/// An effect and, of sequences, the logarithm of its e-value.
pub(super) type Found = (Effect, Option<f64>);

/// The effect by the method of the plan, or why it is hidden.
pub(super) fn find(
    question: &Question<'_>,
    look: &Look,
    comparison: &Comparison,
) -> Result<Found, String> {
    let least = question.least_units();
    let units = comparison.units[0].min(comparison.units[1]);
    if units < least {
        return Err(format!("{units} units in an arm; {least} are needed before anything is said"));
    }
    match look {
        Look::Hidden(why) => Err(why.clone()),
        Look::Sequence(sequence) => {
            Ok((sequence.effect(comparison), Some(sequence.ln_e_value(comparison))))
        }
        Look::Fixed(level) => Ok((welch::effect(comparison, *level), None)),
        Look::Group(test, fractions) => test
            .effect(comparison, fractions.len().saturating_sub(1))
            .map(|effect| (effect, None))
            .map_err(|error| error.to_string()),
    }
}

/// Corrects p-values over the declared families and says what follows: the primary metric over
/// all variants by Holm; secondary metrics over all variants as the plan says. Metrics that have
/// not been declared belong to none.
pub(super) fn correct(question: &Question<'_>, metrics: &mut [MetricView]) {
    let alpha = question.experiment.policy.alpha;
    for (role, correction) in
        [(Role::Primary, Correction::Holm), (Role::Secondary, question.plan.correction)]
    {
        let mut family: Vec<_> = metrics
            .iter_mut()
            .filter(|metric| metric.role == role)
            .flat_map(|metric| {
                let better = metric.better;
                metric.effects.iter_mut().map(move |effect| (better, effect))
            })
            .collect();
        // Those without a p-value belong to the family too: who has one depends on outcomes.
        let p_values: Vec<f64> =
            family.iter().map(|(_, effect)| effect.p_value.unwrap_or(1.0)).collect();
        let e_values: Vec<f64> =
            family.iter().map(|(_, effect)| effect.ln_e_value.unwrap_or(0.0)).collect();
        let sequence = question.plan.method == Method::Sequence;
        let adjusted = match correction {
            Correction::Holm => holm(&p_values),
            // A valid bound for what is rejected by e-BH would need all levels; the raw one stays.
            Correction::FalseDiscoveries if sequence => Ok(p_values.clone()),
            Correction::FalseDiscoveries => benjamini_hochberg(&p_values),
            Correction::None => Ok(p_values.clone()),
        };
        let adjusted = adjusted.unwrap_or_else(|_| vec![1.0; p_values.len()]);
        let found = if correction == Correction::FalseDiscoveries && sequence {
            e_benjamini_hochberg(&e_values, alpha).unwrap_or_else(|_| vec![false; e_values.len()])
        } else {
            adjusted.iter().map(|&p| p <= alpha).collect()
        };
        let results = family.iter_mut().zip(adjusted).zip(found);
        for (((better, effect), adjusted), found) in
            results.filter(|(((_, effect), _), _)| effect.p_value.is_some())
        {
            effect.adjusted_p = Some(adjusted);
            effect.outcome = outcome(*better, effect.difference.unwrap_or(0.0), found);
            if !found {
                effect.shrunk_lift = None;
            }
        }
    }
}

fn outcome(better: Better, difference: f64, found: bool) -> Outcome {
    let good = match better {
        Better::Higher => difference > 0.0,
        Better::Lower => difference < 0.0,
    };
    match (found, good) {
        (false, _) => Outcome::Unclear,
        (true, true) => Outcome::Better,
        (true, false) => Outcome::Worse,
    }
}

//! The Bayesian view, and the weights of a bandit.

use super::{Data, Mode, Question, arms};
use crate::ledger::{MetricKind, MetricSums};
use crate::metric::{Measure, MetricSpec, Role};
use stats::experiment::bayes::{BetaPosterior, NormalPrior, Posterior, beta_comparison};
use stats::experiment::{Comparison, bandit};

/// Units per arm below which conversions are compared exactly; a normal posterior does as well
/// above, in less time.
const EXACT_UNITS_MAX: u64 = 10_000;
/// Units that each arm needs before a bandit moves.
const BANDIT_UNITS_MIN: u64 = 100;

/// What a posterior says, losses relative to the control.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) chance_to_win: f64,
    pub(super) loss_of_shipping: f64,
    pub(super) loss_of_keeping: f64,
}

/// The posterior of a comparison: Beta for conversions of few units, else normal, both flat.
pub(super) fn of(
    question: &Question<'_>,
    data: &Data,
    spec: &MetricSpec,
    variant: u16,
    comparison: &Comparison,
) -> Option<View> {
    // Of a control that has none of it, relative to the variant.
    let scale = [comparison.control, comparison.treatment].map(f64::abs);
    let scale = scale.into_iter().find(|scale| *scale > 0.0);
    let relative = |loss: f64| scale.map_or(f64::INFINITY, |scale| loss / scale);
    let better = spec.better.into();
    if let Some([treatment, control]) = betas(question, data, spec, variant) {
        let found = beta_comparison(treatment, control, better);
        return Some(View {
            chance_to_win: found.chance_to_win,
            loss_of_shipping: relative(found.loss_of_treatment),
            loss_of_keeping: relative(found.loss_of_control),
        });
    }
    let posterior = Posterior::difference(comparison, NormalPrior::FLAT);
    Some(View {
        chance_to_win: posterior.chance_to_win(better),
        loss_of_shipping: relative(posterior.loss_of_treatment(better)),
        loss_of_keeping: relative(posterior.loss_of_control(better)),
    })
    .filter(|view| view.chance_to_win.is_finite())
}

/// Posteriors of a conversion rate, when all units are of one phase and few.
fn betas(
    question: &Question<'_>,
    data: &Data,
    spec: &MetricSpec,
    variant: u16,
) -> Option<[BetaPosterior; 2]> {
    let Measure::Events { kind, lookback_us: 0, .. } = &spec.measure else { return None };
    if !matches!(kind, MetricKind::Conversion { .. } | MetricKind::Retention { .. }) {
        return None;
    }
    let index = data.summary.definition.metrics.iter().position(|it| it.name == spec.name)?;
    let arms: Vec<_> =
        arms::arms_of(question, &data.summary.arms).filter(|arm| arm.units > 0).collect();
    let phase = arms.first()?.phase;
    if arms.iter().any(|arm| arm.phase != phase) {
        return None;
    }
    let beta = |variant: u16| {
        let arm = arms.iter().find(|arm| arm.variant == variant)?;
        let MetricSums::Single(sums) = arm.metrics.get(index)? else { return None };
        if sums.units > EXACT_UNITS_MAX {
            return None;
        }
        BetaPosterior::new(u64::try_from(sums.sums[0]).ok()?, sums.units, (1.0, 1.0)).ok()
    };
    Some([beta(variant)?, beta(0)?])
}

/// Weights that a bandit gives its variants now, in parts per million: Thompson sampling on the
/// primary metric with the floor of the plan. Means are taken over phases, each with its share of
/// all units, so that a change of the world between two phases favours nobody. What was rolled back
/// gets nothing. `None` while an arm has too few units, or when the plan is no bandit.
#[must_use]
pub fn bandit_weights(question: &Question<'_>, data: &Data) -> Option<Vec<u32>> {
    let Mode::Bandit { floor } = question.plan.mode else { return None };
    let (_, spec) = question.metrics.iter().find(|(role, _)| *role == Role::Primary)?;
    let units = arms::units_per_arm(question, data);
    let variants: Vec<u16> = std::iter::once(0).chain(question.treatments()).collect();
    let has_few =
        |variant: &u16| units.get(usize::from(*variant)).is_none_or(|&it| it < BANDIT_UNITS_MIN);
    if variants.iter().any(has_few) {
        return None;
    }
    let posteriors: Vec<Posterior> = arms::values(question, data, spec, &variants)?
        .into_iter()
        .map(|(mean, error)| Posterior::new(mean, error, NormalPrior::FLAT))
        .collect();
    let shares = bandit::weights(&posteriors, spec.better.into(), floor).ok()?;
    let mut weights = vec![0; units.len()];
    for (variant, share) in variants.into_iter().zip(shares) {
        *weights.get_mut(usize::from(variant))? = (share * 1e6).round() as u32;
    }
    Some(weights)
}

//! From the ledger's sums to an answer: is the experiment sound, what does it show, and what
//! follows. Pure: the same data, question and time give the same [`Analysis`].
//!
//! The order is fixed. Health comes first, and what is not sound cannot be decided. Then every
//! metric is compared, variant by variant with the control, within phases and never across them.
//! Guardrails are judged one-sided. The verdict follows from all of it, and so does the advice.

mod arms;
mod compare;
mod data;
mod effect;
mod guardrails;
mod health;
mod novelty;
mod plan;
mod posterior;
mod power;
mod requests;
mod result;
mod verdict;

pub use data::{Data, Depth};
pub use plan::{
    Correction, LOOKS_MAX, Method, Mode, Plan, PlanProblem, Rule, STEP_MS_MAX, STEP_MS_MIN,
    Spending,
};
pub use posterior::bandit_weights;
pub use power::{Size, SizeQuestion, Week, size};
pub use result::{
    Analysis, ArmCount, Cause, DayEffect, EffectView, GuardrailView, HealthReport, Issue,
    MetricView, MultipleExposure, Outcome, Ratio, SCHEMA, Severity, Standing, Verdict,
};
pub(crate) use verdict::change;

use crate::metric::{MetricSpec, Role};
use crate::model::{Experiment, UnixMillis};
use std::ops::Range;

/// What is asked of the data.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Its metrics, as [`crate::metric::resolve`] gives them.
    pub metrics: &'a [(Role, MetricSpec)],
    /// How it is analysed.
    pub plan: &'a Plan,
    /// Phases that count: all of a test, the current one of a roll-out, whose earlier phases lost
    /// units that were moved.
    pub phases: Range<usize>,
    /// Variants that were rolled back, by index: their units were moved, so their shares say
    /// nothing any more.
    pub left_out: &'a [u16],
    /// The variant that is being rolled out, or has been: the test is over, and only harm matters.
    pub rolled_out: Option<&'a str>,
    /// Information fractions of the looks that a group-sequential test has taken, rising.
    pub looks: &'a [f64],
    /// What the last of these looks showed: between looks, nothing newer may be seen.
    pub last_look: &'a [MetricView],
    /// Now.
    pub now: UnixMillis,
}

impl<'a> Question<'a> {
    /// About a test that nobody interfered with.
    #[must_use]
    pub fn new(
        experiment: &'a Experiment,
        metrics: &'a [(Role, MetricSpec)],
        plan: &'a Plan,
        now: UnixMillis,
    ) -> Question<'a> {
        let phases = 0..experiment.phases.len();
        let (left_out, rolled_out, looks, last_look) = (&[], None, &[], &[]);
        Question { experiment, metrics, plan, phases, left_out, rolled_out, looks, last_look, now }
    }

    /// Indices of the variants that are compared with the control.
    fn treatments(&self) -> impl Iterator<Item = u16> {
        (1..self.experiment.variants.len())
            .filter_map(|index| u16::try_from(index).ok())
            .filter(|index| !self.left_out.contains(index))
    }

    fn variant_key(&self, index: u16) -> String {
        let variant = self.experiment.variants.get(usize::from(index));
        variant.map_or_else(String::new, |variant| variant.key.clone())
    }

    /// Units that an arm needs before anything is said about it.
    fn least_units(&self) -> u64 {
        self.experiment.policy.min_units.max(plan::LEAST_UNITS)
    }
}

/// Primary and secondary metrics.
fn compared(question: &Question<'_>, data: &Data, look: &plan::Look) -> Vec<MetricView> {
    let shown = question.metrics.iter().filter(|(role, _)| *role != Role::Guardrail);
    let mut metrics: Vec<MetricView> =
        shown.map(|(role, spec)| compare::metric(question, data, *role, spec, look)).collect();
    effect::correct(question, &mut metrics);
    metrics
}

/// Answers a question from what was recorded.
#[must_use]
pub fn analyse(question: &Question<'_>, data: &Data) -> Analysis {
    let look = plan::look(question, arms::units_per_arm(question, data).iter().sum());
    let mut health = health::report(question, data);
    let metrics = if look.is_hidden() && !question.last_look.is_empty() {
        question.last_look.to_vec()
    } else {
        compared(question, data, &look)
    };
    health::judge_same(question, &mut health, &metrics);
    let guardrails = guardrails::judge(question, data);
    let novelty = novelty::days(question, data);
    let verdict = verdict::of(question, &health, &metrics, &guardrails);
    Analysis {
        schema: SCHEMA.to_owned(),
        experiment: question.experiment.key.clone(),
        time_ms: question.now,
        status: question.experiment.status,
        plan: question.plan.clone(),
        days: verdict::days(question),
        verdict,
        health,
        metrics,
        guardrails,
        novelty,
        look: look.taken(),
    }
}

//! What to do now.

use super::layout;
use super::state::{Stage, State};
use crate::analysis::{Analysis, GuardrailView, Mode, Plan, Standing, change, words};
use crate::model::{DecisionAction, Experiment, Share, Status, UnixMillis};
use serde::{Deserialize, Serialize};

/// A bandit moves its weights when one of them is off by as much, in parts per million: each move
/// is a new phase.
const REWEIGH_PPM: u32 = 50_000;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Nothing.
    None,
    /// The next step: of a test the coverage, of a roll-out the winner's share of all units.
    Ramp {
        /// That share.
        to: Share,
        /// Why.
        reason: String,
    },
    /// The next step has to wait.
    Hold {
        /// What it is about: the same is told once, whatever the numbers are by then.
        topic: String,
        /// Why.
        reason: String,
    },
    /// A variant is taken back: its units get the control.
    RollBack {
        /// Key of the variant.
        variant: String,
        /// Why.
        reason: String,
    },
    /// The winner is rolled out, beginning with the next step of the ramp.
    Ship {
        /// Key of the winner.
        variant: String,
        /// Units that stay with the control.
        hold_back: Share,
        /// Why.
        reason: String,
    },
    /// A bandit's new weights.
    Reweigh {
        /// Parts per million.
        weights: Vec<u32>,
    },
    /// Somebody should know.
    Notify {
        /// What it is about: the same is told once, whatever the numbers are by then.
        topic: String,
        /// What.
        reason: String,
    },
}

impl Action {
    /// The word in the audit log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Action::None => "none",
            Action::Ramp { .. } => "ramp",
            Action::Hold { .. } => "hold",
            Action::RollBack { .. } => "roll-back",
            Action::Ship { .. } => "ship",
            Action::Reweigh { .. } => "reweigh",
            Action::Notify { .. } => "notify",
        }
    }

    /// Whether it changes what units are served.
    #[must_use]
    pub fn changes(&self) -> bool {
        !matches!(self, Action::None | Action::Hold { .. } | Action::Notify { .. })
    }

    /// What it is done to.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Action::None | Action::Hold { .. } | Action::Notify { .. } => String::new(),
            Action::Ramp { to, .. } => format!("to {} %", to.fraction() * 100.0),
            Action::RollBack { variant, .. } => format!("\"{variant}\""),
            Action::Ship { variant, hold_back, .. } => {
                format!("\"{variant}\", {} % held back", hold_back.fraction() * 100.0)
            }
            Action::Reweigh { weights } => format!("weights {weights:?}"),
        }
    }

    /// Why, and of what.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Action::Ramp { reason, .. }
            | Action::RollBack { reason, .. }
            | Action::Ship { reason, .. } => format!("{}: {reason}", self.what()),
            Action::None | Action::Reweigh { .. } => self.what(),
            Action::Hold { reason, .. } | Action::Notify { reason, .. } => reason.clone(),
        }
    }

    /// What it is about, without numbers.
    #[must_use]
    pub fn topic(&self) -> String {
        let name = self.name();
        match self {
            Action::None | Action::Reweigh { .. } => name.to_owned(),
            Action::Ramp { to, .. } => format!("{name} {}", to.ppm()),
            Action::RollBack { variant, .. } | Action::Ship { variant, .. } => {
                format!("{name} {variant}")
            }
            Action::Hold { topic, .. } | Action::Notify { topic, .. } => topic.clone(),
        }
    }
}

/// What to do now. `bandit` are the weights that a bandit would like to have
/// ([`crate::analysis::bandit_weights`]).
///
/// In this order: what harms is taken back; what is not sound is held; the winner is shipped; ramps
/// go on when their step is over and nothing speaks against it. A policy that notifies never
/// changes anything by itself.
#[must_use]
pub fn step(
    analysis: &Analysis,
    now: UnixMillis,
    (experiment, plan): (&Experiment, &Plan),
    state: &State,
    bandit: Option<&[u32]>,
) -> Action {
    if experiment.status != Status::Running {
        return Action::None;
    }
    let wanted = wanted(analysis, now, (experiment, plan), state, bandit);
    let action = match experiment.policy.action {
        DecisionAction::Auto => wanted,
        DecisionAction::Notify if wanted.changes() => Action::Notify {
            topic: wanted.topic(),
            reason: format!("{} {}", wanted.name(), wanted.reason()),
        },
        DecisionAction::Notify => wanted,
    };
    match &action {
        Action::Hold { topic, .. } | Action::Notify { topic, .. } if *topic == state.told => {
            Action::None
        }
        _ => action,
    }
}

fn wanted(
    analysis: &Analysis,
    now: UnixMillis,
    (experiment, plan): (&Experiment, &Plan),
    state: &State,
    bandit: Option<&[u32]>,
) -> Action {
    // A guardrail protects users: it acts on unsound data, too, because the way back is safe.
    let harmful =
        analysis.guardrails.iter().find(|it| it.harmful && is_served(experiment, &it.variant));
    if let Some(guardrail) = harmful {
        return Action::RollBack { variant: guardrail.variant.clone(), reason: harm(guardrail) };
    }
    let verdict = &analysis.verdict;
    let because = || {
        let reasons = verdict.reasons.join("; ");
        if reasons.is_empty() { verdict.text.clone() } else { reasons }
    };
    match (verdict.standing, &verdict.variant) {
        (Standing::Invalid, _) => {
            let issues = analysis.health.issues.iter();
            let codes: Vec<&str> = issues.map(|issue| issue.code.as_str()).collect();
            let topic = format!("hold {}", codes.join(" "));
            return Action::Hold { topic, reason: because() };
        }
        (Standing::Harmful, Some(variant)) if is_served(experiment, variant) => {
            return Action::RollBack { variant: variant.clone(), reason: because() };
        }
        (Standing::Winner, Some(variant)) if state.stage == Stage::Testing => {
            let hold_back = experiment.policy.hold_back;
            return Action::Ship { variant: variant.clone(), hold_back, reason: because() };
        }
        _ => {}
    }
    let over = now.saturating_sub(state.since) >= plan.step_ms;
    match &state.stage {
        Stage::RollingOut { variant, hold_back } => {
            if let Some(guardrail) = analysis.guardrails.iter().find(|it| is_open(it, variant)) {
                return beyond(guardrail);
            }
            match layout::next_share(experiment, variant, *hold_back) {
                Some(to) if over => {
                    Action::Ramp { to, reason: "the step before did no harm".into() }
                }
                _ => Action::None,
            }
        }
        Stage::Testing => {
            if let (Mode::Bandit { .. }, Some(weights)) = (plan.mode, bandit)
                && over
                && is_other(experiment, weights)
            {
                return Action::Reweigh { weights: weights.to_vec() };
            }
            ramp_up(analysis, (experiment, plan), over)
        }
        Stage::Shipped { .. } => Action::None,
    }
}

/// The next step of a test's own coverage.
fn ramp_up(analysis: &Analysis, (experiment, plan): (&Experiment, &Plan), over: bool) -> Action {
    let next = experiment.policy.ramp.iter().find(|step| **step > experiment.coverage);
    let (true, true, Some(&to)) = (plan.ramp_up, over, next) else { return Action::None };
    match analysis.guardrails.iter().find(|it| it.exceeded) {
        Some(guardrail) => beyond(guardrail),
        None => Action::Ramp { to, reason: "the step before did no harm".into() },
    }
}

/// Whether units still get a variant.
fn is_served(experiment: &Experiment, variant: &str) -> bool {
    let index = experiment.variant_index(variant).map(usize::from);
    let shares = experiment.phases.last().map(crate::model::Phase::shares);
    index.zip(shares).is_some_and(|(index, shares)| shares.get(index).is_some_and(|&it| it > 0.0))
}

fn is_open(guardrail: &GuardrailView, variant: &str) -> bool {
    guardrail.variant == variant && guardrail.exceeded
}

fn harm(guardrail: &GuardrailView) -> String {
    format!("guardrail {} is worse beyond doubt: {}", guardrail.name, change(guardrail))
}

fn beyond(guardrail: &GuardrailView) -> Action {
    let GuardrailView { name, variant, margin, .. } = guardrail;
    let margin = words::share(*margin);
    Action::Hold {
        topic: format!("hold {name} {variant}"),
        reason: format!("guardrail {name} of \"{variant}\" is beyond its margin of {margin}"),
    }
}

fn is_other(experiment: &Experiment, weights: &[u32]) -> bool {
    let now = experiment.phases.last().map(crate::model::Phase::shares).unwrap_or_default();
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let off = |(now, &weight): (&f64, &u32)| {
        (now - f64::from(weight) / total).abs() * 1e6 >= f64::from(REWEIGH_PPM)
    };
    total > 0.0 && now.len() == weights.len() && now.iter().zip(weights).any(off)
}

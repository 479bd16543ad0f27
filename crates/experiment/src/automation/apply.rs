//! Doing what was decided, and taking it back.

use super::state::{Stage, State, UNDO_MAX, Undo};
use super::{Action, layout};
use crate::model::limits::PHASES_MAX;
use crate::model::{Experiment, Phase, Share, Status, UnixMillis};

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// No variant has this key.
    #[error("there is no variant \"{0}\"")]
    NoVariant(String),
    /// The control cannot be taken back or shipped as a winner.
    #[error("\"{0}\" is the control; stop the experiment instead")]
    Control(String),
    /// No unit gets it.
    #[error("no unit gets \"{0}\": there is nothing to take back")]
    NotServed(String),
    /// The hash of the experiment cannot express it.
    #[error("the hash of the experiment cannot be given these shares: begin a phase by hand")]
    Hash,
    /// There have been too many phases.
    #[error("an experiment has at most {PHASES_MAX} phases: stop it and begin another one")]
    Phases,
    /// There is nothing to take back.
    #[error(
        "there is no change of shares that could be taken back; what was started is stopped or \
         paused, and what was paused is started"
    )]
    Nothing,
    /// Nobody would get it.
    #[error("a roll-out of which 100% is held back reaches nobody: hold back less")]
    NoRollOut,
    /// It does not run.
    #[error("\"{0}\" is over or has not begun: everybody gets the site as it is")]
    NotRunning(String),
}

/// Changes an experiment, and notes how to take the change back. Nothing changes on an error, nor
/// for actions that only tell something.
///
/// # Errors
/// [`ApplyError`].
pub fn apply(
    action: &Action,
    experiment: &mut Experiment,
    state: &mut State,
    now: UnixMillis,
) -> Result<(), ApplyError> {
    if !action.changes() {
        if let Action::Hold { topic, .. } | Action::Notify { topic, .. } = action {
            state.told.clone_from(topic);
        }
        return Ok(());
    }
    let (mut changed, mut next) = (experiment.clone(), state.clone());
    if changed.phases.len() >= PHASES_MAX {
        return Err(ApplyError::Phases);
    }
    let before = undo(action, experiment, state).ok_or(ApplyError::Nothing)?;
    change(action, &mut changed, &mut next, now)?;
    next.since = now;
    next.told.clear();
    next.undo.push(before);
    if next.undo.len() > UNDO_MAX {
        next.undo.remove(0);
    }
    (*experiment, *state) = (changed, next);
    Ok(())
}

fn undo(action: &Action, experiment: &Experiment, state: &State) -> Option<Undo> {
    Some(Undo {
        action: action.name().to_owned(),
        phase: experiment.phases.last()?.clone(),
        coverage: experiment.coverage,
        stage: state.stage.clone(),
        rolled_back: state.rolled_back.clone(),
    })
}

fn change(
    action: &Action,
    experiment: &mut Experiment,
    state: &mut State,
    now: UnixMillis,
) -> Result<(), ApplyError> {
    match action {
        Action::None | Action::Hold { .. } | Action::Notify { .. } => {}
        Action::RollBack { variant, .. } => {
            let index = treatment(experiment, variant)?;
            if matches!(experiment.status, Status::Stopped | Status::Draft) {
                return Err(ApplyError::NotRunning(experiment.key.clone()));
            }
            if layout::share(experiment, index) == 0.0 {
                return Err(ApplyError::NotServed(variant.clone()));
            }
            layout::withdraw(experiment, index, now).ok_or(ApplyError::Hash)?;
            forget_kept(experiment);
            if state.stage.variant() == Some(variant.as_str()) {
                state.stage = Stage::Testing;
                state.valid_from = experiment.phases.len() - 1;
            }
            if !state.rolled_back.contains(variant) {
                state.rolled_back.push(variant.clone());
            }
        }
        Action::Ship { variant, hold_back, .. } => {
            let index = treatment(experiment, variant)?;
            if *hold_back == Share::ALL {
                return Err(ApplyError::NoRollOut);
            }
            state.rolled_back.retain(|key| key != variant);
            let (variant, hold_back) = (variant.clone(), *hold_back);
            state.stage = match layout::next_share(experiment, &variant, hold_back) {
                None => Stage::Shipped { variant, hold_back },
                Some(to) => {
                    layout::grow(experiment, index, to, now).ok_or(ApplyError::Hash)?;
                    forget_kept(experiment);
                    rolling(experiment, variant, hold_back)
                }
            };
        }
        Action::Ramp { to, .. } => match state.stage.clone() {
            Stage::Testing => experiment.coverage = experiment.coverage.max(*to),
            Stage::RollingOut { variant, hold_back } | Stage::Shipped { variant, hold_back } => {
                let index = treatment(experiment, &variant)?;
                layout::grow(experiment, index, *to, now).ok_or(ApplyError::Hash)?;
                forget_kept(experiment);
                state.stage = rolling(experiment, variant, hold_back);
            }
        },
        Action::Reweigh { weights } => {
            let salt = layout::salt(experiment);
            let (ranges, weights) = (Vec::new(), weights.clone());
            layout::push(experiment, Phase { since: now, weights, ranges, salt });
        }
    }
    Ok(())
}

fn rolling(experiment: &Experiment, variant: String, hold_back: Share) -> Stage {
    match layout::next_share(experiment, &variant, hold_back) {
        Some(_) => Stage::RollingOut { variant, hold_back },
        None => Stage::Shipped { variant, hold_back },
    }
}

/// A kept assignment is stronger than weights; so that weights change anything, kept ones have to
/// be forgotten. The hash gives most units the variant that they had.
fn forget_kept(experiment: &mut Experiment) {
    if let Some(sticky) = &mut experiment.sticky {
        sticky.version = sticky.version.saturating_add(1);
    }
}

fn treatment(experiment: &Experiment, key: &str) -> Result<u16, ApplyError> {
    match experiment.variant_index(key) {
        None => Err(ApplyError::NoVariant(key.to_owned())),
        Some(0) => Err(ApplyError::Control(key.to_owned())),
        Some(index) => Ok(index),
    }
}

/// Takes back the last change of shares: a new phase with the weights of before. Returns what was taken back,
/// in a word.
///
/// # Errors
/// [`ApplyError::Nothing`] and [`ApplyError::Phases`].
pub fn revert(
    experiment: &mut Experiment,
    state: &mut State,
    now: UnixMillis,
) -> Result<String, ApplyError> {
    if experiment.phases.len() >= PHASES_MAX {
        return Err(ApplyError::Phases);
    }
    let undo = state.undo.pop().ok_or(ApplyError::Nothing)?;
    let moved = undo.stage != Stage::Testing
        || state.stage != Stage::Testing
        || undo.rolled_back != state.rolled_back;
    layout::push(experiment, Phase { since: now, ..undo.phase });
    if moved {
        state.valid_from = experiment.phases.len() - 1;
    }
    experiment.coverage = undo.coverage;
    forget_kept(experiment);
    state.stage = undo.stage;
    state.rolled_back = undo.rolled_back;
    state.since = now;
    state.told.clear();
    Ok(undo.action)
}

//! What may change while an experiment lives.

use super::problem::Problems;
use super::{Experiment, ExperimentSet, Holdout, Layer, Problem, Status, UnixMillis};

/// Why `new` may not replace `old` at a time; empty when it may. A draft may become anything; after
/// that, whatever would deal units anew or falsify what was recorded needs a new experiment or a
/// new phase.
#[must_use]
pub fn changes(old: &Experiment, new: &Experiment, now: UnixMillis) -> Vec<Problem> {
    let mut problems = Problems::default();
    if old.status == Status::Draft {
        return problems.0;
    }
    let mut fixed = |place: &str, same: bool, message: &str| {
        if !same {
            problems.add(place, message);
        }
    };
    let another = "cannot change while the experiment lives; make another experiment";
    fixed("key", old.key == new.key, another);
    fixed("hash", old.hash == new.hash, another);
    fixed("salts", old.salts == new.salts, another);
    fixed("unit", old.unit == new.unit, another);
    let keys = |experiment: &Experiment| -> Vec<String> {
        experiment.variants.iter().map(|variant| variant.key.clone()).collect()
    };
    fixed("variants", keys(old) == keys(new), another);
    fixed("primary", old.primary == new.primary, "is declared before the experiment begins");
    fixed(
        "status",
        new.status != Status::Draft
            && (old.status != Status::Stopped || new.status == Status::Stopped),
        "cannot go back: what is stopped stays stopped, and what has run is no draft; make another \
         experiment",
    );
    let began = old.phases.iter().filter(|phase| phase.since <= now).count();
    fixed(
        "phases",
        new.phases.get(..began) == old.phases.get(..began),
        "a phase that has begun cannot change; begin a new one with other weights",
    );
    let later = new.phases.iter().skip(began).all(|phase| phase.since >= now);
    fixed("phases", later, "a new phase cannot begin in the past");
    let version = |experiment: &Experiment| experiment.sticky.map(|sticky| sticky.version);
    fixed(
        "sticky.version",
        version(new) >= version(old) || new.sticky.is_none(),
        "can only be raised",
    );
    problems.0
}

/// Why the layers and holdouts of `new` may not replace those of `old`; empty when they may. What
/// an experiment that is no draft is in deals its units, as its own hash and salts do.
#[must_use]
pub fn shared_changes(old: &ExperimentSet, new: &ExperimentSet) -> Vec<Problem> {
    let mut problems = Problems::default();
    let mut refuse = |kind: &str, key: &str, by: &Experiment| {
        let message = format!(
            "hash and salt cannot change while \"{}\" is in it; make another one of another key",
            by.key
        );
        problems.add(format!("{kind} {key}"), message);
    };
    let begun = || old.experiments.iter().filter(|each| each.status != Status::Draft);
    for layer in &new.layers {
        let before = old.layers.iter().find(|each| each.key == layer.key);
        let is_in = |each: &&Experiment| each.layers.iter().any(|slot| slot.layer == layer.key);
        if before.is_some_and(|before| !before.deals_as(layer))
            && let Some(by) = begun().find(is_in)
        {
            refuse("layer", &layer.key, by);
        }
    }
    let salt = |holdout: &Holdout| holdout.salt.clone().unwrap_or_else(|| holdout.key.clone());
    for holdout in &new.holdouts {
        let Some(before) = old.holdouts.iter().find(|each| each.key == holdout.key) else {
            continue;
        };
        let held = &before.experiments;
        let is_in = |each: &&Experiment| held.is_empty() || held.contains(&each.key);
        if salt(before) != salt(holdout)
            && let Some(by) = begun().find(is_in)
        {
            refuse("holdout", &holdout.key, by);
        }
    }
    problems.0
}

impl Layer {
    /// Whether another one puts every unit in the same place.
    #[must_use]
    pub fn deals_as(&self, other: &Layer) -> bool {
        fn salt(layer: &Layer) -> &str {
            layer.salt.as_deref().unwrap_or(&layer.key)
        }
        self.hash == other.hash && salt(self) == salt(other)
    }
}

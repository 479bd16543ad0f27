//! What may change while an experiment lives.

use super::problem::Problems;
use super::{Experiment, Problem, Status, UnixMillis};

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

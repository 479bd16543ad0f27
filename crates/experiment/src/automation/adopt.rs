//! Taking over what a file or an import declares.

use super::documents::{
    Declared, KIND_AUTOMATION, KIND_DECLARED, KIND_HOLDOUT, KIND_LAYER, KIND_METRIC, KIND_PLAN,
};
use super::{OperateError, Operator, State, layout};
use crate::ledger::{Change, KIND_EXPERIMENT};
use crate::metric::{self, MetricSpec};
use crate::model::{self, Experiment, Problem, Status, UnixMillis};
use std::sync::PoisonError;

impl Operator {
    /// Takes over what a file or an import declares. Of experiments that are there already, what
    /// happened to them stays: status, phases, coverage, and how often assignments were forgotten;
    /// unless the declaration says something else than it said before, which is then done.
    ///
    /// # Errors
    /// [`OperateError`]; nothing has changed then, unless the store failed half-way.
    pub fn adopt(&self, declared: &Declared, change: &Change<'_>) -> Result<(), OperateError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let documents = self.documents();
        let mut set = documents.set()?;
        let mut problems = metric::validate(&declared.metrics);
        problems.extend(model::shared_changes(&set, &declared.set));
        // What begins, and whose weights are others now.
        let mut dealt = Vec::new();
        for new in &declared.set.experiments {
            let before = documents.get::<Experiment>(KIND_DECLARED, &new.key)?.map(|it| it.0);
            let old = set.experiments.iter_mut().find(|old| old.key == new.key);
            let mut joined = joined(old.as_deref(), before.as_ref(), new, change.time_ms);
            let begins = old.as_ref().is_none_or(|old| old.status == Status::Draft)
                && joined.status == Status::Running;
            let ramps = declared.plans.iter().any(|(key, plan)| *key == new.key && plan.ramp_up);
            if begins && ramps {
                begin_small(&mut joined);
            }
            if begins || old.as_ref().is_some_and(|old| old.phases.len() < joined.phases.len()) {
                dealt.push(new.key.clone());
            }
            match old {
                None => set.experiments.push(joined),
                Some(old) => {
                    let changes = model::changes(old, &joined, change.time_ms).into_iter();
                    problems.extend(changes.map(|problem| Problem {
                        place: format!("experiment {}: {}", new.key, problem.place),
                        ..problem
                    }));
                    *old = joined;
                }
            }
        }
        for layer in &declared.set.layers {
            set.layers.retain(|old| old.key != layer.key);
            set.layers.push(layer.clone());
        }
        for holdout in &declared.set.holdouts {
            set.holdouts.retain(|old| old.key != holdout.key);
            set.holdouts.push(holdout.clone());
        }
        for (key, plan) in &declared.plans {
            let experiment = set.experiments.iter().find(|experiment| experiment.key == *key);
            let (variants, sticky) =
                experiment.map_or((0, false), |it| (it.variants.len(), it.sticky.is_some()));
            let each = plan.problems(variants, sticky).into_iter();
            problems.extend(each.map(|(field, message)| Problem {
                place: format!("plan {key}: {field}"),
                message,
            }));
        }
        problems.extend(model::validate(&set));
        if !problems.is_empty() {
            return Err(OperateError::Problems(problems));
        }
        let mut metrics: Vec<MetricSpec> = documents.all(KIND_METRIC)?;
        metrics.retain(|old| declared.metrics.iter().all(|new| new.name != old.name));
        metrics.extend(declared.metrics.iter().cloned());
        let definitions = self.definitions(&set, &metrics)?;
        self.serve(set.clone(), &definitions)?;
        for metric in &declared.metrics {
            documents.put(KIND_METRIC, &metric.name, metric, None, change)?;
        }
        for layer in &declared.set.layers {
            documents.put(KIND_LAYER, &layer.key, layer, None, change)?;
        }
        for holdout in &declared.set.holdouts {
            documents.put(KIND_HOLDOUT, &holdout.key, holdout, None, change)?;
        }
        for (key, plan) in &declared.plans {
            documents.put(KIND_PLAN, key, plan, None, change)?;
        }
        for new in &declared.set.experiments {
            if let Some(joined) = set.experiments.iter().find(|it| it.key == new.key) {
                documents.put(KIND_EXPERIMENT, &new.key, joined, None, change)?;
            }
            documents.put(KIND_DECLARED, &new.key, new, None, change)?;
        }
        for key in dealt {
            // What was rolled back or out before begins again.
            let state = State { since: change.time_ms, ..State::default() };
            documents.put(KIND_AUTOMATION, &key, &state, None, change)?;
        }
        Ok(())
    }
}

impl Operator {
    /// Who declared an experiment last: the name in the audit log.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn declared_by(&self, key: &str) -> Result<Option<String>, OperateError> {
        let last = self.control().audit(Some(&format!("{KIND_DECLARED}/{key}")), 1)?;
        Ok(last.into_iter().next().map(|entry| entry.who))
    }
}

/// A test that ramps up begins with the first step.
pub(super) fn begin_small(experiment: &mut Experiment) {
    if let Some(&step) = experiment.policy.ramp.first() {
        experiment.coverage = step;
    }
}

/// A declaration joined with what happened since the one `before`: what it says anew is done, what
/// it says again changes nothing.
fn joined(
    old: Option<&Experiment>,
    before: Option<&Experiment>,
    new: &Experiment,
    now: UnixMillis,
) -> Experiment {
    let mut joined = new.clone();
    let begin = |experiment: &mut Experiment| {
        // A file does not say when its experiments began.
        if let Some(phase) = experiment.phases.first_mut().filter(|phase| phase.since == 0) {
            phase.since = now;
        }
    };
    let Some(old) = old.filter(|old| old.status != Status::Draft) else {
        begin(&mut joined);
        return joined;
    };
    joined.phases.clone_from(&old.phases);
    let dealt = |experiment: &Experiment| {
        experiment.phases.first().map(|it| (it.weights.clone(), it.ranges.clone(), it.salt.clone()))
    };
    if before.is_some_and(|before| dealt(before) != dealt(new))
        && let Some(phase) = new.phases.first()
    {
        layout::push(&mut joined, model::Phase { since: now, ..phase.clone() });
    }
    if before.is_none_or(|before| before.status == new.status) {
        joined.status = old.status;
    }
    if before.is_none_or(|before| before.coverage == new.coverage) {
        joined.coverage = old.coverage;
    }
    if let (Some(sticky), Some(old)) = (&mut joined.sticky, old.sticky) {
        sticky.version = sticky.version.max(old.version);
    }
    joined
}

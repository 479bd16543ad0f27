//! Running experiments with a store: read, analyse, act, write down.

use super::adopt::begin_small;
use super::documents::{DocumentError, Documents, KIND_AUTOMATION, KIND_METRIC, Listed};
use super::{Action, ApplyError, State, apply, layout, revert, step};
use crate::analysis::{Analysis, Data, Depth, Plan, Question, Standing, analyse, bandit_weights};
use crate::ledger::{Change, Control, ControlError, Definition, KIND_EXPERIMENT, Results, Summary};
use crate::live::{Live, ReplaceError};
use crate::metric::{self, MetricSpec, Role};
use crate::model::{self, Experiment, ExperimentSet, Problem, Share, Status, UnixMillis};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How often automation looks at all units, where it needs to: for quantiles of events, strata, and
/// caps that are percentiles.
const UNITS_EVERY_MS: u64 = 60_000;
/// Who acts when nobody asked.
pub(super) const SELF: &str = "tidegate";

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// There is no such experiment.
    #[error("there is no experiment \"{0}\"")]
    Unknown(String),
    /// What was given cannot be.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// The answer is no, and why.
    #[error("{0}")]
    Refused(String),
    /// The store failed, or somebody else changed the same thing meanwhile.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It cannot be expressed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The running service did not take it.
    #[error(transparent)]
    Live(#[from] ReplaceError),
}

impl From<ControlError> for OperateError {
    fn from(error: ControlError) -> OperateError {
        OperateError::Document(error.into())
    }
}

/// An experiment, what it shows, and what would be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The experiment.
    pub experiment: Experiment,
    /// Where its automation is.
    pub state: State,
    /// What it shows.
    pub analysis: Analysis,
    /// What automation does, or would do.
    pub action: Action,
}

/// Works on experiments. One per store: it does one thing at a time.
pub struct Operator {
    control: Arc<dyn Control>,
    pub(super) results: Arc<dyn Results>,
    live: Option<Arc<Live>>,
    pub(super) turn: Mutex<()>,
    /// When all units were looked at last.
    units_at: AtomicU64,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("live", &self.live.is_some()).finish_non_exhaustive()
    }
}

/// Everything about one experiment.
struct Loaded {
    experiment: Experiment,
    version: u64,
    metrics: Vec<(Role, MetricSpec)>,
    plan: Plan,
    state: State,
}

impl Loaded {
    fn question<'a>(&'a self, left_out: &'a [u16], now: UnixMillis) -> Question<'a> {
        Question {
            experiment: &self.experiment,
            metrics: &self.metrics,
            plan: &self.plan,
            phases: self.state.phases(&self.experiment),
            left_out,
            rolled_out: self.state.stage.variant(),
            looks: &self.state.looks,
            last_look: &self.state.last_look,
            now,
        }
    }
}

impl Loaded {
    /// Whether something that decides needs a look at all units.
    fn needs_units(&self) -> bool {
        if self.plan.stratify.is_some() {
            return true;
        }
        let deciding = self.metrics.iter().filter(|(role, _)| *role != Role::Secondary);
        deciding.into_iter().any(|(_, spec)| spec.kind_name() == "quantile")
    }
}

impl Operator {
    /// With a service that serves what is decided; without one, only the store is changed.
    #[must_use]
    pub fn new(
        control: Arc<dyn Control>,
        results: Arc<dyn Results>,
        live: Option<Arc<Live>>,
    ) -> Operator {
        Operator { control, results, live, turn: Mutex::new(()), units_at: AtomicU64::new(0) }
    }

    pub(super) fn documents(&self) -> Documents<'_> {
        Documents(&*self.control)
    }

    /// What is decided by, and what the ledger counts for it.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn current(&self) -> Result<(ExperimentSet, Vec<Definition>), OperateError> {
        let set = self.documents().set()?;
        let definitions = self.definitions(&set, &self.documents().all(KIND_METRIC)?)?;
        Ok((set, definitions))
    }

    pub(super) fn definitions(
        &self,
        set: &ExperimentSet,
        declared: &[MetricSpec],
    ) -> Result<Vec<Definition>, OperateError> {
        let mut problems = Vec::new();
        let mut definitions = Vec::new();
        for (index, experiment) in set.experiments.iter().enumerate() {
            let place = format!("experiments[{index}].metrics");
            let mut add = |message| problems.push(Problem { place: place.clone(), message });
            let old = self.results.summary(&experiment.key).map(|summary| summary.definition);
            match metric::resolve(experiment, declared) {
                Err(all) => all.into_iter().for_each(add),
                Ok(metrics) => match metric::definition(experiment, &metrics, old.as_ref()) {
                    Ok(definition) if old.as_ref() != Some(&definition) => {
                        definitions.push(definition);
                    }
                    Ok(_) => {}
                    Err(why) => add(why),
                },
            }
        }
        if problems.is_empty() { Ok(definitions) } else { Err(OperateError::Problems(problems)) }
    }

    /// Gives the running service what is decided by from now on.
    pub(super) fn serve(
        &self,
        set: ExperimentSet,
        definitions: &[Definition],
    ) -> Result<(), OperateError> {
        if let Some(live) = &self.live {
            live.replace(set, definitions)?;
        }
        Ok(())
    }

    fn load(&self, key: &str) -> Result<Loaded, OperateError> {
        let documents = self.documents();
        let found = documents.get::<Experiment>(KIND_EXPERIMENT, key)?;
        let (experiment, version) = found.ok_or_else(|| OperateError::Unknown(key.to_owned()))?;
        let metrics = metric::resolve(&experiment, &documents.all::<MetricSpec>(KIND_METRIC)?);
        let metrics = metrics.map_err(|all| OperateError::Refused(all.join("\n")))?;
        let plan = documents.plan(key)?;
        let state = documents.get(KIND_AUTOMATION, key)?.map(|(state, _)| state);
        Ok(Loaded { experiment, version, metrics, plan, state: state.unwrap_or_default() })
    }

    /// All experiments.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn list(&self, now: UnixMillis) -> Result<Vec<Listed>, OperateError> {
        let documents = self.documents();
        let mut listed = Vec::new();
        for experiment in documents.all::<Experiment>(KIND_EXPERIMENT)? {
            let state: Option<(State, u64)> = documents.get(KIND_AUTOMATION, &experiment.key)?;
            let summary = self.results.summary(&experiment.key);
            let units = |summary: Summary| summary.arms.iter().map(|arm| arm.units).sum();
            let first = experiment.phases.first().map_or(now, |phase| phase.since);
            listed.push(Listed {
                variants: (0..)
                    .zip(&experiment.variants)
                    .map(|(index, it)| (it.key.clone(), layout::share(&experiment, index)))
                    .collect(),
                key: experiment.key,
                description: experiment.description,
                status: experiment.status,
                stage: state.map(|(state, _)| state.stage).unwrap_or_default(),
                units: summary.map_or(0, units),
                days: now.saturating_sub(first) as f64 / 86_400_000.0,
            });
        }
        Ok(listed)
    }

    /// What an experiment shows, and what automation would do.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn report(&self, key: &str, now: UnixMillis, depth: Depth) -> Result<Report, OperateError> {
        self.refresh();
        let loaded = self.load(key)?;
        let (analysis, action) = self.analysed(&loaded, now, depth);
        Ok(Report { experiment: loaded.experiment, state: loaded.state, analysis, action })
    }

    /// Has what the gateway saw so far written down, so that it counts.
    fn refresh(&self) {
        if let Some(live) = &self.live {
            live.flush();
        }
    }

    fn analysed(&self, loaded: &Loaded, now: UnixMillis, depth: Depth) -> (Analysis, Action) {
        let left_out = loaded.state.left_out(&loaded.experiment);
        let question = loaded.question(&left_out, now);
        let data = Data::gather(&*self.results, &question, depth);
        let data = data.unwrap_or_else(|| {
            // Nothing is measured yet.
            let definition = Definition::new(&loaded.experiment, Vec::new());
            Data::of_summary(Summary {
                definition,
                arms: Vec::new(),
                quarantined: 0,
                traffic: Vec::new(),
                progress: crate::ledger::Progress::default(),
            })
        });
        let analysis = analyse(&question, &data);
        let bandit = bandit_weights(&question, &data);
        let of = (&loaded.experiment, &loaded.plan);
        let action = step(&analysis, now, of, &loaded.state, bandit.as_deref());
        (analysis, action)
    }

    /// One round over all running experiments: analyses each and does what automation decides;
    /// every few seconds. Returns what was done. An experiment that fails does not keep others from
    /// their turn. Sums are looked at always, all units only now and then and where it matters.
    pub fn tick(&self, now: UnixMillis) -> Vec<(String, Result<Action, OperateError>)> {
        self.refresh();
        let keys = match self.documents().all::<Experiment>(KIND_EXPERIMENT) {
            Ok(all) => all.into_iter().filter(|it| it.status == Status::Running).map(|it| it.key),
            Err(error) => return vec![(String::new(), Err(error.into()))],
        };
        let due = now.saturating_sub(self.units_at.load(Ordering::Relaxed)) >= UNITS_EVERY_MS;
        if due {
            self.units_at.store(now, Ordering::Relaxed);
        }
        let each = keys.map(|key| {
            let caps = if due { self.take_caps(&key, now) } else { Ok(()) };
            let done = caps.and_then(|()| self.act(&key, now, due));
            (key, done)
        });
        each.filter(|(_, done)| !matches!(done, Ok(Action::None))).collect()
    }

    /// One round for one experiment.
    fn act(&self, key: &str, now: UnixMillis, units: bool) -> Result<Action, OperateError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut loaded = self.load(key)?;
        let depth = if units && loaded.needs_units() { Depth::Units } else { Depth::Sums };
        let (mut analysis, mut action) = self.analysed(&loaded, now, depth);
        if analysis.look.is_some() && depth == Depth::Sums {
            // A planned look is taken once, so it is taken of everything.
            (analysis, action) = self.analysed(&loaded, now, Depth::Units);
        }
        loaded.state.looked(&analysis);
        if action == Action::None && analysis.look.is_none() {
            return Ok(action);
        }
        let (mut experiment, mut state) = (loaded.experiment.clone(), loaded.state.clone());
        if let Err(error) = apply(&action, &mut experiment, &mut state, now) {
            // What cannot be done is told, once.
            let topic = format!("failed {}", action.topic());
            if topic == loaded.state.told {
                return Ok(Action::None);
            }
            let reason = format!("{} {}: {error}", action.name(), action.reason());
            action = Action::Notify { topic, reason };
        }
        let reason = match (action.reason(), analysis.look) {
            (reason, Some(look)) if reason.is_empty() => {
                format!("planned look at {:.0} % of the planned units", look * 100.0)
            }
            (reason, _) => reason,
        };
        let change = Change { who: SELF, reason: &reason, time_ms: now };
        self.execute(loaded, &analysis, &action, &change)?;
        Ok(action)
    }

    /// Does something, serves it, and writes it down.
    fn execute(
        &self,
        mut loaded: Loaded,
        analysis: &Analysis,
        action: &Action,
        change: &Change<'_>,
    ) -> Result<(), OperateError> {
        let before = loaded.experiment.clone();
        apply(action, &mut loaded.experiment, &mut loaded.state, change.time_ms)?;
        self.write(&before, &loaded, (action.name(), action != &Action::None), change)?;
        if action.changes() {
            let body = serde_json::to_string(analysis).unwrap_or_default();
            self.control.save_result(&before.key, change.time_ms, &body)?;
        }
        Ok(())
    }

    fn write(
        &self,
        before: &Experiment,
        loaded: &Loaded,
        (action, noted): (&str, bool),
        change: &Change<'_>,
    ) -> Result<(), OperateError> {
        let documents = self.documents();
        let Loaded { experiment, version, state, .. } = loaded;
        if experiment != before {
            let mut problems = model::changes(before, experiment, change.time_ms);
            let mut set = documents.set()?;
            let place = set.experiments.iter_mut().find(|it| it.key == experiment.key);
            place.into_iter().for_each(|old| old.clone_from(experiment));
            problems.extend(model::validate(&set));
            if !problems.is_empty() {
                return Err(OperateError::Problems(problems));
            }
            let definitions = self.definitions(&set, &documents.all(KIND_METRIC)?)?;
            documents.put(KIND_EXPERIMENT, &experiment.key, experiment, Some(*version), change)?;
            self.serve(set, &definitions)?;
        }
        documents.put(KIND_AUTOMATION, &experiment.key, state, None, change)?;
        if noted {
            let subject = format!("{KIND_EXPERIMENT}/{}", experiment.key);
            self.control.note(action, &subject, change)?;
        }
        Ok(())
    }

    /// What automation decides now, done even if the policy only notifies.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn decide(&self, key: &str, change: &Change<'_>) -> Result<Report, OperateError> {
        self.refresh();
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut loaded = self.load(key)?;
        let policy = loaded.experiment.policy.action;
        loaded.experiment.policy.action = model::DecisionAction::Auto;
        let (analysis, action) = self.analysed(&loaded, change.time_ms, Depth::Units);
        loaded.experiment.policy.action = policy;
        loaded.state.looked(&analysis);
        let reason = format!("{}: {}", change.reason, action.reason());
        let change = Change { reason: reason.trim_end_matches([':', ' ']), ..*change };
        if action.changes() || analysis.look.is_some() {
            self.execute(loaded, &analysis, &action, &change)?;
        }
        drop(turn);
        let after = self.report(key, change.time_ms, Depth::Sums)?;
        Ok(Report { analysis, action, ..after })
    }

    /// Ships a variant: only the winner, unless it is `forced`.
    ///
    /// # Errors
    /// [`OperateError::Refused`] for a variant that has not won.
    pub fn ship(
        &self,
        key: &str,
        variant: Option<&str>,
        hold_back: Option<Share>,
        forced: bool,
        change: &Change<'_>,
    ) -> Result<Action, OperateError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh();
        let loaded = self.load(key)?;
        if loaded.experiment.status != Status::Running {
            let why = format!("not shipped: \"{key}\" does not run; start it first");
            return Err(OperateError::Refused(why));
        }
        let (analysis, _) = self.analysed(&loaded, change.time_ms, Depth::Units);
        let verdict = &analysis.verdict;
        let winner = verdict.variant.as_deref().filter(|_| verdict.standing == Standing::Winner);
        let variant = match (variant, winner) {
            (Some(variant), _) if forced => variant,
            (Some(variant), Some(winner)) if variant == winner => variant,
            (None, Some(winner)) => winner,
            _ => {
                let reasons = verdict.reasons.iter().map(|reason| format!("; {reason}"));
                return Err(OperateError::Refused(format!(
                    "not shipped: {}{}. Name a variant and --force it if you must",
                    verdict.text,
                    reasons.collect::<String>()
                )));
            }
        };
        let action = Action::Ship {
            variant: variant.to_owned(),
            hold_back: hold_back.unwrap_or(loaded.experiment.policy.hold_back),
            reason: format!("{}{}", change.reason, if forced { " (forced)" } else { "" }),
        };
        let reason = action.reason();
        self.execute(loaded, &analysis, &action, &Change { reason: &reason, ..*change })?;
        Ok(action)
    }

    /// Takes a variant back.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn roll_back(
        &self,
        key: &str,
        variant: &str,
        change: &Change<'_>,
    ) -> Result<Action, OperateError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = self.load(key)?;
        let (analysis, _) = self.analysed(&loaded, change.time_ms, Depth::Sums);
        let (variant, reason) = (variant.to_owned(), change.reason.to_owned());
        let action = Action::RollBack { variant, reason };
        let reason = action.reason();
        self.execute(loaded, &analysis, &action, &Change { reason: &reason, ..*change })?;
        Ok(action)
    }

    /// Takes the last action back; returns which it was.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn revert(&self, key: &str, change: &Change<'_>) -> Result<String, OperateError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut loaded = self.load(key)?;
        let before = loaded.experiment.clone();
        let what = revert(&mut loaded.experiment, &mut loaded.state, change.time_ms)?;
        let reason = format!("{what}: {}", change.reason);
        self.write(&before, &loaded, ("revert", true), &Change { reason: &reason, ..*change })?;
        Ok(what)
    }

    /// Starts, pauses or stops an experiment. Everybody gets the site as it is while it does not
    /// run.
    ///
    /// # Errors
    /// [`OperateError`].
    pub fn set_status(
        &self,
        key: &str,
        status: Status,
        change: &Change<'_>,
    ) -> Result<(), OperateError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut loaded = self.load(key)?;
        let before = loaded.experiment.clone();
        let first = (before.status, status) == (Status::Draft, Status::Running);
        if let Some(phase) = loaded.experiment.phases.first_mut().filter(|_| first) {
            // A draft's time has not begun.
            phase.since = change.time_ms;
            loaded.state.since = change.time_ms;
        }
        if first && loaded.plan.ramp_up {
            begin_small(&mut loaded.experiment);
        }
        loaded.experiment.status = status;
        let word = match status {
            Status::Draft => "draft",
            Status::Running => "start",
            Status::Paused => "pause",
            Status::Stopped => "stop",
        };
        let changes = before.status != status;
        self.write(&before, &loaded, (word, changes), change)
    }

    /// The store.
    #[must_use]
    pub fn control(&self) -> &dyn Control {
        &*self.control
    }
}

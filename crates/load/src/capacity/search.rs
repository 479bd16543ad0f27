//! Which load to try next.
//!
//! The load doubles from the start until the objectives are missed (or halves until they are met),
//! then the bracket is halved on a logarithmic scale, first by short trials, then by longer ones, as
//! MLRsearch does (IETF draft-ietf-bmwg-mlrsearch). When met and missed loads are one step of
//! precision apart, both are confirmed by long trials. A trial that contradicts earlier ones at its
//! load outvotes them if they were shorter in total; if that is a close call the load is measured
//! once more, as is one that a short trial missed narrowly. What was outvoted reopens the bracket on
//! its side, so the search steps down or up.

use std::time::Duration;

use super::answer::conclude;
use super::judge::{Judged, judge, judged_objectives};
use super::result::{CapacityResult, SearchBy, TrialPurpose};
use super::trial::{TrialLengths, TrialMeasurement};
use crate::params::USERS_MAX;
use crate::slo::Objective;

/// Trials of one search, unless another number is given.
pub const TRIALS_DEFAULT: usize = 25;
/// Most trials of one search, whatever is asked for.
pub const TRIALS_MAX: usize = 1_000;
/// Relative precision of the answer, unless another is given.
const PRECISION_DEFAULT: f64 = 0.02;
/// Finest and coarsest precision.
const PRECISION_RANGE: (f64, f64) = (0.001, 0.5);
/// Lowest and highest rate that can be tried, in requests/s.
const RATE_RANGE: (f64, f64) = (1e-3, 1e9);
/// Steps of precision between met and missed load above which short trials will do.
const STEPS_SHORT: u32 = 4;
/// Share of the measured time at one load that must speak against the verdict for it to be a close
/// call.
const CLOSE_CALL: f64 = 1.0 / 3.0;
/// How often a load is measured again for a close call.
const RECHECKS_MAX: usize = 1;
/// Chance of a missed trial to be met, by resampling it, from which on one trial is not enough.
const UNSURE: f64 = 0.05;

/// What is looked for, and how.
#[derive(Debug, Clone)]
pub struct SearchParams {
    /// What is varied.
    pub by: SearchBy,
    /// The objectives. Where none is about failures, more than 2 % of failed or unsent requests miss.
    /// One on throughput is checked at the answer only.
    pub slo: Vec<Objective>,
    /// First load to try: users, or arrivals per second.
    pub start: f64,
    /// Lowest load to try; when it misses, the answer is 0.
    pub load_min: f64,
    /// Highest load to try.
    pub load_max: f64,
    /// How long trials last.
    pub lengths: TrialLengths,
    /// Relative distance of the answer to the lowest load that misses, 0.001 ..= 0.5. Users are
    /// never split.
    pub precision: f64,
    /// Most trials, 1 ..= [`TRIALS_MAX`].
    pub trials_max: usize,
    /// Seed of the resampling that gives the confidence interval.
    pub seed: u64,
}

impl SearchParams {
    /// The defaults: from 10 users or 10 requests/s up to `load_max`, to 2 %, in
    /// [`TRIALS_DEFAULT`] trials.
    #[must_use]
    pub fn new(by: SearchBy, slo: Vec<Objective>, load_max: f64) -> SearchParams {
        SearchParams {
            by,
            slo,
            start: 10.0,
            load_min: 1.0,
            load_max,
            lengths: TrialLengths::default(),
            precision: PRECISION_DEFAULT,
            trials_max: TRIALS_DEFAULT,
            seed: 0,
        }
    }
}

/// What to do next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Run a trial and hand its measurement to [`Search::observe`].
    Run {
        /// Users (a whole number), or arrivals per second.
        load: f64,
        /// How long, warm-up included.
        duration: Duration,
        /// Why.
        purpose: TrialPurpose,
    },
    /// The search is over.
    Done(Box<CapacityResult>),
}

/// A capacity search: ask [`next`](Search::next), run the trial, [`observe`](Search::observe) what
/// it measured, until it is done. The next step depends on nothing but the trials so far.
#[derive(Debug)]
pub struct Search {
    params: SearchParams,
    /// What trials are judged by.
    objectives: Vec<Objective>,
    trials: Vec<Judged>,
}

/// What all trials at one load say together.
#[derive(Debug, Clone, Copy)]
struct Level {
    load: f64,
    met: bool,
    /// Whether more than [`CLOSE_CALL`] of the time at this load says the opposite.
    close: bool,
    /// Whether all that is known is a short trial that missed narrowly.
    narrow: bool,
    /// Whether it was measured by a trial of full length.
    confirmed: bool,
    rechecks: usize,
}

impl Search {
    /// Starts a search. Parameters out of range are brought into it.
    #[must_use]
    pub fn new(mut params: SearchParams) -> Search {
        let within = |value: f64, (least, most): (f64, f64)| value.max(least).min(most);
        let range = match params.by {
            SearchBy::Users => (1.0, f64::from(USERS_MAX)),
            SearchBy::Rate => RATE_RANGE,
        };
        params.precision = within(params.precision, PRECISION_RANGE);
        params.trials_max = params.trials_max.clamp(1, TRIALS_MAX);
        params.load_max = within(params.load_max, range);
        params.load_min = within(params.load_min, (range.0, params.load_max));
        if params.by == SearchBy::Users {
            params.load_max = params.load_max.floor();
            params.load_min = params.load_min.floor();
        }
        params.start = within(params.start, (params.load_min, params.load_max));
        let objectives = judged_objectives(&params.slo);
        Search { params, objectives, trials: Vec::new() }
    }

    /// The trial to run now, or the answer. Asking again without observing gives the same step.
    #[must_use]
    pub fn next(&self) -> Step {
        match self.next_trial() {
            Some((load, duration, purpose)) if self.trials.len() < self.params.trials_max => {
                Step::Run { load, duration, purpose }
            }
            unfinished => {
                let bracket = bracket(&self.levels());
                let limits = bracket.map(|level| level.map(|level| level.load));
                let complete = unfinished.is_none();
                Step::Done(Box::new(conclude(&self.params, &self.trials, limits, complete)))
            }
        }
    }

    /// Takes what the trial of the last [`Step::Run`] measured. Does nothing when the search is
    /// over.
    pub fn observe(&mut self, measurement: &TrialMeasurement) {
        if self.trials.len() < self.params.trials_max
            && let Some(trial) = self.next_trial()
        {
            let SearchParams { by, lengths, .. } = self.params;
            let seed = self.params.seed.wrapping_add(self.trials.len() as u64);
            let judged = judge(by, trial, &self.objectives, lengths.warm_up, measurement, seed);
            self.trials.push(judged);
        }
    }

    /// Takes no further trial: the next step is the answer from those so far.
    pub fn end(&mut self) {
        self.params.trials_max = self.trials.len();
    }

    /// The trials so far, judged, in the order they were run.
    pub fn trials(&self) -> impl Iterator<Item = &super::Trial> {
        self.trials.iter().map(|judged| &judged.trial)
    }

    fn next_trial(&self) -> Option<(f64, Duration, TrialPurpose)> {
        let SearchParams { start, load_min, load_max, lengths, .. } = self.params;
        let levels = self.levels();
        let bracket = bracket(&levels);
        // A close call at an end of the bracket is settled before anything is built on it.
        let unsure =
            |level: &&Level| level.narrow || (level.close && level.rechecks < RECHECKS_MAX);
        if let Some(level) = bracket.iter().flatten().find(unsure) {
            let length = if level.narrow { lengths.long } else { lengths.confirm };
            return Some((level.load, length, TrialPurpose::Recheck));
        }
        let confirm = |level: Level| {
            let open = !level.confirmed;
            open.then_some((level.load, lengths.confirm, TrialPurpose::Confirm))
        };
        let doubling = |load: f64| Some((load, lengths.short, TrialPurpose::Bracket));
        match bracket {
            [None, None] => doubling(self.rounded(start)),
            [Some(met), None] if met.load >= load_max => confirm(met),
            [Some(met), None] => doubling(self.rounded(met.load * 2.0)),
            [None, Some(missed)] if missed.load <= load_min => confirm(missed),
            [None, Some(missed)] => doubling(self.rounded(missed.load / 2.0)),
            [Some(met), Some(missed)] => match self.between(met.load, missed.load) {
                Some((load, steps)) => {
                    // What was once confirmed is not to be doubted by a short trial.
                    let sure = levels.iter().any(|level| level.confirmed);
                    let short = steps > STEPS_SHORT && !sure;
                    let length = if short { lengths.short } else { lengths.long };
                    Some((load, length, TrialPurpose::Search))
                }
                None => confirm(met).or_else(|| confirm(missed)),
            },
        }
    }

    /// A load in the middle between two, whole steps of precision above the lower one, and how many
    /// steps they are apart; `None` when it is one step, or when there is no load between.
    fn between(&self, low: f64, high: f64) -> Option<(f64, u32)> {
        let step = self.params.precision.ln_1p();
        // Rounded loads are not to count as more than a step apart.
        let steps = ((high / low).ln() / step - 0.1).ceil().max(0.0) as u32;
        if steps < 2 {
            return None;
        }
        let load = self.rounded(low * (step * f64::from(steps / 2)).exp());
        if load > low && load < high {
            return Some((load, steps));
        }
        let middle = self.rounded((low + high) / 2.0);
        (middle > low && middle < high).then_some((middle, steps))
    }

    /// A load that can be run and read: whole users, rates of four significant digits, within the
    /// range of the search.
    fn rounded(&self, load: f64) -> f64 {
        let decimals = match self.params.by {
            SearchBy::Users => 0,
            SearchBy::Rate => 3 - load.log10().floor() as i32,
        };
        let scale = 10_f64.powi(decimals.abs());
        let rounded = if decimals > 0 {
            (load * scale).round() / scale
        } else {
            (load / scale).round() * scale
        };
        rounded.clamp(self.params.load_min, self.params.load_max)
    }

    /// The loads measured, in rising order, each with the verdict of its trials: time for against
    /// time against.
    fn levels(&self) -> Vec<Level> {
        let mut loads: Vec<f64> = self.trials.iter().map(|judged| judged.trial.load).collect();
        loads.sort_by(f64::total_cmp);
        loads.dedup();
        loads.into_iter().map(|load| self.level(load)).collect()
    }

    fn level(&self, load: f64) -> Level {
        let lengths = self.params.lengths;
        let here = || self.trials.iter().filter(|judged| judged.trial.load == load);
        let time = |met: bool| {
            let agreeing = here().filter(|judged| judged.trial.met == met);
            agreeing.map(|judged| judged.length.as_secs_f64()).sum::<f64>()
        };
        let (met, missed) = (time(true), time(false));
        let narrow = here().count() == 1
            && here().all(|judged| {
                let short = judged.length < lengths.long;
                short && !judged.trial.met && judged.met_probability() > UNSURE
            });
        let recheck = |judged: &&Judged| {
            judged.trial.purpose == TrialPurpose::Recheck && judged.length >= lengths.confirm
        };
        Level {
            load,
            met: met > missed,
            close: met.min(missed) > CLOSE_CALL * (met + missed),
            narrow,
            confirmed: here().any(|judged| judged.length >= lengths.confirm),
            rechecks: here().filter(recheck).count(),
        }
    }
}

/// The highest met and the lowest missed load. New loads are only ever tried between the two, so
/// all below are met and all above are missed.
fn bracket(levels: &[Level]) -> [Option<Level>; 2] {
    let first_missed = levels.partition_point(|level| level.met);
    let met = first_missed.checked_sub(1).map(|index| levels[index]);
    [met, levels.get(first_missed).copied()]
}

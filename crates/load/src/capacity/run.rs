//! Running the trials of a search against a real target.

use std::time::Duration;

use policy::{ArrivalKind, Curve};

use super::{
    CapacityResult, GeneratorFacts, Search, SearchBy, SearchParams, Step, TRIAL_INTERVAL, Trial,
    TrialInterval, TrialMeasurement, TrialPurpose,
};
use crate::engine::{Control, Run, StartError, WorkerLost};
use crate::params::{LoadParams, Model, OPEN_USERS_DEFAULT, Stop, USERS_MAX};
use crate::results::{RequestStats, Tick};

/// How long requests under way may go on after a trial. What they measure is not used.
const DRAIN: Duration = Duration::from_millis(500);
/// Users in flight of an open trial: seconds of the offered rate, so that a queue shows before
/// they run out.
const IN_FLIGHT_S: f64 = 5.0;

/// Why a search could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CapacityError {
    /// A trial could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A trial ended in a bug.
    #[error(transparent)]
    Lost(#[from] WorkerLost),
}

/// What a search tells while it runs.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A trial begins.
    Begin {
        /// Its load: users, or arrivals per second.
        load: f64,
        /// Its length.
        duration: Duration,
        /// Why it is run.
        purpose: TrialPurpose,
    },
    /// A trial has ended.
    End(&'a Trial),
}

/// Searches for the highest load that the target of `params` holds. The load model of `params` is
/// replaced in every trial. `steer` gets a handle on each trial as it begins and says whether to
/// go on; `progress` sees every trial.
///
/// # Errors
/// [`CapacityError`] when a trial cannot be run at all. A target that fails is no error.
pub fn find(
    params: &LoadParams,
    search: SearchParams,
    steer: &mut dyn FnMut(Option<Control>) -> bool,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<CapacityResult, CapacityError> {
    let by = search.by;
    let scopes: Vec<String> =
        search.slo.iter().filter_map(|objective| objective.scope.clone()).collect();
    let mut search = Search::new(search);
    loop {
        let (load, duration) = match search.next() {
            Step::Done(result) => return Ok(*result),
            Step::Run { load, duration, purpose } => {
                progress(Progress::Begin { load, duration, purpose });
                (load, duration)
            }
        };
        let run = Run::start_with_tick(trial(params, by, load, duration), TRIAL_INTERVAL)?;
        steer(Some(run.control()));
        let mut intervals = Vec::new();
        let result = run.finish(&mut |tick| {
            // What comes after the trial belongs to its draining.
            if tick.at <= duration {
                intervals.push(interval(tick, by, load, &scopes, params));
            }
        })?;
        let generator = GeneratorFacts {
            cpu: result.generator.worker_cpu.iter().copied().fold(0.0, f64::max),
            lag_p99: Duration::from_micros(result.generator.lag.quantile_us(0.99).unwrap_or(0)),
            unsent_while_idle: 0,
            out_of_resources: result.generator.out_of_descriptors + result.generator.out_of_ports,
        };
        if !steer(None) {
            search.end();
            continue;
        }
        search.observe(&TrialMeasurement { intervals, generator });
        if let Some(trial) = search.trials().last() {
            progress(Progress::End(trial));
        }
    }
}

/// The parameters of one trial.
fn trial(params: &LoadParams, by: SearchBy, load: f64, duration: Duration) -> LoadParams {
    // The engine's rate is that of task runs, each of which is several requests.
    let level = match by {
        SearchBy::Rate => load / params.scenario.requests_per_run(),
        SearchBy::Users => load,
    };
    // Loads of a search are finite and not negative.
    let level = Curve::constant(level).or_else(|_| Curve::constant(0.0));
    let model = match (by, level) {
        (SearchBy::Rate, Ok(rate)) => {
            let users_max = (load * IN_FLIGHT_S).ceil().max(f64::from(OPEN_USERS_DEFAULT));
            let users_max = (users_max as u32).min(USERS_MAX);
            Model::Open { rate, arrivals: ArrivalKind::Poisson, users_max }
        }
        (SearchBy::Users, Ok(users)) => {
            // Users who all start together would stay in step for a while: spread them over one
            // wait, which lies within the warm-up.
            let wait = params.scenario.wait.mean_s();
            let ramp = if wait > 0.0 { Curve::ramp(load, load / wait).ok() } else { None };
            Model::Closed { users: ramp.unwrap_or(users) }
        }
        (_, Err(_)) => params.model.clone(),
    };
    LoadParams {
        model,
        stop: Stop { run_time: Some(duration), requests: None },
        slo: Vec::new(),
        drain: DRAIN,
        ..params.clone()
    }
}

fn interval(
    tick: &Tick<'_>,
    by: SearchBy,
    load: f64,
    scopes: &[String],
    params: &LoadParams,
) -> TrialInterval {
    let length = tick.point.interval;
    let mut totals = RequestStats::default();
    tick.interval.iter().for_each(|stats| totals.merge(stats));
    // Due arrivals are counted by difference, so that rounding does not add up.
    let due = |at: Duration| (load * at.as_secs_f64()).round() as u64;
    let scoped = scopes
        .iter()
        .map(|scope| {
            let mut stats = RequestStats::default();
            for endpoint in params.scenario.endpoints_of(scope) {
                stats.merge(&tick.interval[endpoint]);
            }
            (scope.clone(), stats)
        })
        .collect();
    TrialInterval {
        length,
        in_flight: tick.point.in_flight,
        offered: (by == SearchBy::Rate).then(|| due(tick.at) - due(tick.at.saturating_sub(length))),
        totals,
        scoped,
    }
}

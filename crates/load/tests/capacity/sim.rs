//! Trials on simulated servers.

use std::time::Duration;

use load::capacity::CapacityResult;
use load::capacity::{
    Search, SearchBy, SearchParams, Step, TRIAL_INTERVAL, TrialInterval, TrialMeasurement,
};
use testkit::sim::{ServerModel, closed_loop, open_loop};

/// Mean of the exponential pause of a user between two requests, s.
pub(crate) const THINK_S: f64 = 0.5;

/// How much longer than the trial is simulated, s, so that the requests in flight at its end are
/// known too. Those that take even longer are missing; by then the target is deep in overload.
const DRAIN_S: f64 = 0.5;

/// Start and end of each request.
pub(crate) fn responses(
    server: &ServerModel,
    by: SearchBy,
    load: f64,
    duration_s: f64,
    seed: u64,
) -> Vec<(f64, f64)> {
    match by {
        SearchBy::Rate => open_loop(server, load, duration_s, 0.0, true, seed),
        SearchBy::Users => closed_loop(server, load as usize, THINK_S, duration_s, seed),
    }
    .responses
}

/// What a trial of the server measures.
fn trial(
    server: &ServerModel,
    by: SearchBy,
    load: f64,
    duration: Duration,
    seed: u64,
) -> TrialMeasurement {
    let length = TRIAL_INTERVAL.as_secs_f64();
    let count = (duration.as_secs_f64() / length).round() as usize;
    let empty = TrialInterval {
        length: TRIAL_INTERVAL,
        offered: (by == SearchBy::Rate).then_some(0),
        ..TrialInterval::default()
    };
    let mut intervals = vec![empty; count];
    let mut started = vec![0; count];
    for (start, end) in responses(server, by, load, duration.as_secs_f64() + DRAIN_S, seed) {
        if let Some(started) = started.get_mut((start / length) as usize) {
            *started += 1;
        }
        if let Some(interval) = intervals.get_mut((end / length) as usize) {
            interval.totals.requests += 1;
            interval.totals.response.record(((end - start) * 1e6) as u64);
        }
    }
    let mut in_flight = 0;
    for (interval, started) in intervals.iter_mut().zip(started) {
        in_flight = in_flight + started - interval.totals.requests;
        interval.in_flight = in_flight;
        interval.offered = interval.offered.map(|_| started);
    }
    TrialMeasurement { intervals, ..TrialMeasurement::default() }
}

/// Runs a whole search.
pub(crate) fn search(server: &ServerModel, params: SearchParams) -> CapacityResult {
    let (by, seed) = (params.by, params.seed);
    let mut search = Search::new(params);
    loop {
        match search.next() {
            Step::Run { load, duration, .. } => {
                let seed = seed * 1_000 + search.trials().count() as u64;
                search.observe(&trial(server, by, load, duration, seed));
            }
            Step::Done(result) => return *result,
        }
    }
}

//! Requests as a liquid: what arrives in a tick is served as far as the ready instances reach.
//!
//! What is left over waits; what would have to wait longer than the patience is late and leaves.
//! With unchanging instances this is the fluid limit of a many-server queue; chance within a tick
//! is left to [`queue`](super::queue).

use super::fleet::Fleet;
use super::meter::{Meter, Sample};
use super::{Outcome, Plant};
use crate::Series;
use crate::controller::{Controller, INSTANCES_MAX, Observation};

/// Longest tick, in seconds, that [`tick_s`] gives.
pub const TICK_S_MAX: u32 = 15;

/// Load at which instances are there when a simulation begins.
pub const INITIAL_UTILISATION: f64 = 0.7;

/// The longest tick of whole seconds up to [`TICK_S_MAX`] that divides a step of `step_s`.
#[must_use]
pub fn tick_s(step_s: u32) -> u32 {
    (1..=TICK_S_MAX.min(step_s)).rev().find(|tick| step_s.is_multiple_of(*tick)).unwrap_or(1)
}

/// Instances that are there when a simulation of `series` begins.
#[must_use]
pub fn initial(series: &Series, plant: &Plant) -> u32 {
    let rate = first_rate(series);
    let wanted = (rate / (INITIAL_UTILISATION * plant.capacity_per_s)).ceil();
    wanted.clamp(1.0, f64::from(INSTANCES_MAX)) as u32
}

/// Requests per second at the first step that is known.
fn first_rate(series: &Series) -> f64 {
    let first = series.counts.iter().find(|count| count.is_finite());
    first.map_or(0.0, |count| count / f64::from(series.step_s))
}

/// Simulates `controller` on `series`, in ticks of [`tick_s`], from [`initial`] instances on.
///
/// `seed` draws the boot times. `record` is called with the ready instances of every tick.
pub fn run(
    series: &Series,
    plant: &Plant,
    controller: &mut Controller,
    seed: u64,
    mut record: impl FnMut(u32),
) -> Outcome {
    let ticks = series.step_s / tick_s(series.step_s);
    let tick_s = f64::from(tick_s(series.step_s));
    let begin_s = series.start_s as f64;
    let ready = initial(series, plant);
    let mut fleet = Fleet::new(&plant.lifecycle, ready, begin_s, seed);
    let mut rate = first_rate(series);
    let service_s = plant.service.mean();
    let before = sample(service_s, rate * tick_s, rate * tick_s, f64::from(ready), 0.0, tick_s);
    let (window_s, lag_s) = controller.metrics(plant.metric_window_s, plant.metric_lag_s);
    let mut meter = Meter::new(tick_s, window_s, lag_s, &before);
    let (patience_s, period_s) = (plant.patience_s(), controller.period_s());
    let mut next_decision_s = begin_s;
    let mut backlog = 0.0;
    let mut outcome = Outcome { peak: ready, ..Outcome::default() };

    for (index, &count) in series.counts.iter().enumerate() {
        let known = count.is_finite();
        if known {
            rate = count.max(0.0) / f64::from(series.step_s);
        }
        let step_begin_s = series.time_s(index) as f64;
        for tick in 0..ticks {
            let now_s = step_begin_s + f64::from(tick) * tick_s;
            let mut instance_s = 0.0;
            fleet.boot(now_s);
            if now_s >= next_decision_s {
                let seen = observation(&fleet, &meter, plant.capacity_per_s);
                instance_s += fleet.scale_to(controller.decide(now_s, &seen), now_s);
                while next_decision_s <= now_s {
                    next_decision_s += period_s.max(tick_s);
                }
                outcome.peak = outcome.peak.max(fleet.current());
            }
            // What needs no time to start.
            fleet.boot(now_s);
            record(fleet.ready());

            let arrived = rate * tick_s;
            let reach = f64::from(fleet.ready()) * plant.capacity_per_s;
            let present = backlog + arrived;
            let served = present.min(reach * tick_s);
            let waiting = present - served;
            let late = (waiting - reach * patience_s).max(0.0);
            backlog = waiting - late;
            instance_s += f64::from(fleet.current()) * tick_s;
            meter.push(&sample(
                service_s,
                arrived,
                served,
                f64::from(fleet.ready()),
                backlog,
                tick_s,
            ));
            if known {
                outcome.count((now_s, tick_s), arrived, late, instance_s);
            }
        }
    }
    (outcome.launches, outcome.stops) = (fleet.launches, fleet.stops);
    outcome
}

/// What a controller is shown.
pub(super) fn observation(fleet: &Fleet<'_>, meter: &Meter, capacity_per_s: f64) -> Observation {
    let (sum, window_s) = meter.shown();
    let ready_s = sum.ready_s.max(0.0);
    Observation {
        current: fleet.current(),
        ready: fleet.ready(),
        mean_ready: Some(ready_s / window_s),
        missing: 0,
        rate: (sum.arrived / window_s).max(0.0),
        utilisation: if ready_s > 0.0 {
            (sum.served / (ready_s * capacity_per_s)).max(0.0)
        } else {
            0.0
        },
        concurrency: (sum.inflight_s / window_s).max(0.0),
    }
}

/// A tick for the meter. What is served is in flight for a mean service time (Little's law).
fn sample(
    service_s: f64,
    arrived: f64,
    served: f64,
    ready: f64,
    backlog: f64,
    tick_s: f64,
) -> Sample {
    let inflight_s = served * service_s + backlog * tick_s;
    Sample { arrived, served, ready_s: ready * tick_s, inflight_s }
}

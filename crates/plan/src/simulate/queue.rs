//! Every request for itself: a G/G/c queue, first come first served, with time-outs and a number of
//! servers that changes.
//!
//! All ready instances share one queue, so balancing is taken to be perfect. A server whose
//! instance is stopped ends what it is doing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use stats::LatencyHistogram;

use super::fleet::Fleet;
use super::fluid::observation;
use super::meter::{Meter, Sample};
use super::{Outcome, Plant};
use crate::controller::{Controller, Observation};

/// Most requests that wait; more are lost.
pub const WAITING_MAX: usize = 1_000_000;

/// Length of a tick, in seconds, at which instances change.
pub const TICK_S: f64 = 1.0;

/// Where the servers come from.
#[derive(Debug)]
pub enum Supply<'a> {
    /// A controller, from so many ready instances on.
    Controlled(&'a mut Controller, u32),
    /// Ready instances by the tick of so many seconds, as recorded by
    /// [`fluid::run`](super::fluid::run); the last one holds on.
    Recorded(&'a [u32], f64),
}

/// What a simulation of single requests came to.
#[derive(Debug, Clone)]
pub struct QueueOutcome {
    /// Requests, late ones, instances and churn. Of recorded instances, only ready ones are billed.
    pub outcome: Outcome,
    /// Time that served requests waited for a server.
    pub waits: LatencyHistogram,
    /// Response times; of a request that gave up, the time-out.
    pub responses: LatencyHistogram,
    /// Mean time that served requests waited, in seconds; 0 without any.
    pub mean_wait_s: f64,
    /// Share of the served requests that waited at all; 0 without any.
    pub waited_share: f64,
    /// Requests that gave up or found the queue full.
    pub lost: u64,
}

/// Serves `arrivals`, in rising seconds since `begin_s` (seconds since the Unix epoch), for as long
/// as there are any before `length_s`. `seed` draws service and boot times.
pub fn run(
    arrivals: impl Iterator<Item = f64>,
    span: (f64, f64),
    plant: &Plant,
    supply: Supply<'_>,
    seed: u64,
) -> QueueOutcome {
    run_behind(0, arrivals, span, plant, supply, seed)
}

/// As [`run`], but so many requests are `present` at the begin, at most [`WAITING_MAX`]. They are served
/// first and are not counted.
pub(crate) fn run_behind(
    present: usize,
    arrivals: impl Iterator<Item = f64>,
    (begin_s, length_s): (f64, f64),
    plant: &Plant,
    supply: Supply<'_>,
    seed: u64,
) -> QueueOutcome {
    let first = match &supply {
        Supply::Controlled(_, ready) => *ready,
        Supply::Recorded(ready, _) => ready.first().copied().unwrap_or(0),
    };
    let mut fleet = Fleet::new(&plant.lifecycle, first, begin_s, seed);
    let mut station = Station::new(plant, seed.wrapping_add(1));
    station.waiting.resize(present.min(WAITING_MAX), 0.0);
    station.uncounted = station.waiting.len();
    let mut meter: Option<Meter> = None;
    let (window_s, lag_s) = match &supply {
        Supply::Controlled(controller, _) => {
            controller.metrics(plant.metric_window_s, plant.metric_lag_s)
        }
        Supply::Recorded(..) => (plant.metric_window_s, plant.metric_lag_s),
    };
    let mut arrivals = arrivals.take_while(|&at| at < length_s).peekable();
    let (mut supply, mut next_decision_s) = (supply, 0.0);
    let mut outcome = Outcome { peak: first, ..Outcome::default() };
    let mut tick = 0_u64;
    let mut now_s = 0.0;

    while now_s < length_s {
        let clock_s = begin_s + now_s;
        let end_s = (now_s + TICK_S).min(length_s);
        let mut instance_s = 0.0;
        let ready = match &mut supply {
            Supply::Controlled(controller, initial) => {
                fleet.boot(clock_s);
                if now_s >= next_decision_s {
                    next_decision_s += controller.period_s().max(TICK_S);
                    // Nothing is known before the first measurement.
                    let seen = meter.as_ref().map_or(
                        Observation {
                            current: *initial,
                            ready: *initial,
                            ..Observation::default()
                        },
                        |meter| observation(&fleet, meter, plant.capacity_per_s),
                    );
                    if meter.is_some() || matches!(controller, Controller::Fixed(_)) {
                        instance_s += fleet.scale_to(controller.decide(clock_s, &seen), clock_s);
                    }
                    outcome.peak = outcome.peak.max(fleet.current());
                }
                // What needs no time to start.
                fleet.boot(clock_s);
                instance_s += f64::from(fleet.current()) * (end_s - now_s);
                fleet.ready()
            }
            Supply::Recorded(ready, tick_s) => {
                let index = ((now_s / *tick_s) as usize).min(ready.len().saturating_sub(1));
                let ready = ready.get(index).copied().unwrap_or(0);
                instance_s += f64::from(ready) * (end_s - now_s);
                ready
            }
        };
        station.open(now_s, ready as usize * plant.slots as usize);
        let (requests, late) = (station.arrived, station.late);
        let (busy_s, inflight_s) = (station.busy_s, station.inflight_s);
        while let Some(at) = arrivals.next_if(|&at| at < end_s) {
            station.arrive(at);
        }
        station.depart_until(end_s);
        outcome.count(
            (clock_s, end_s - now_s),
            (station.arrived - requests) as f64,
            (station.late - late) as f64,
            instance_s,
        );
        // Busy slots, in the requests per second that they stand for.
        let per_slot = plant.capacity_per_s / f64::from(plant.slots.max(1));
        let sample = Sample {
            arrived: (station.arrived - requests) as f64,
            served: (station.busy_s - busy_s) * per_slot,
            ready_s: f64::from(ready) * TICK_S,
            inflight_s: station.inflight_s - inflight_s,
        };
        meter.get_or_insert_with(|| Meter::new(TICK_S, window_s, lag_s, &sample)).push(&sample);
        tick += 1;
        now_s = tick as f64 * TICK_S;
    }
    let late = station.late;
    station.finish();
    // Those who still waited at the end belong to the last hour.
    outcome.late += (station.late - late) as f64;
    if let Some(block) = outcome.blocks.last_mut() {
        block.late += (station.late - late) as f64;
    }
    (outcome.launches, outcome.stops) = (fleet.launches, fleet.stops);
    station.into_outcome(outcome)
}

/// Servers and their queue. Times are in seconds since the begin.
struct Station<'a> {
    plant: &'a Plant,
    rng: Xoshiro256PlusPlus,
    servers: usize,
    /// When each busy server will be free, as the bits of a number that is not negative, which
    /// sort as the number does.
    busy: BinaryHeap<Reverse<u64>>,
    waiting: VecDeque<f64>,
    /// Requests at the head of the line that are not counted.
    uncounted: usize,
    now_s: f64,
    /// Time of work that was done, in server seconds.
    busy_s: f64,
    /// Requests present × seconds.
    inflight_s: f64,
    arrived: u64,
    served: u64,
    waited: u64,
    late: u64,
    lost: u64,
    wait_sum_s: f64,
    waits: LatencyHistogram,
    responses: LatencyHistogram,
}

impl<'a> Station<'a> {
    fn new(plant: &'a Plant, seed: u64) -> Self {
        Self {
            plant,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            servers: 0,
            busy: BinaryHeap::new(),
            waiting: VecDeque::new(),
            uncounted: 0,
            now_s: 0.0,
            busy_s: 0.0,
            inflight_s: 0.0,
            arrived: 0,
            served: 0,
            waited: 0,
            late: 0,
            lost: 0,
            wait_sum_s: 0.0,
            waits: LatencyHistogram::new(),
            responses: LatencyHistogram::new(),
        }
    }

    /// Has `servers` from `now_s` on.
    fn open(&mut self, now_s: f64, servers: usize) {
        self.depart_until(now_s);
        self.servers = servers;
        self.start_waiting();
    }

    fn arrive(&mut self, at_s: f64) {
        self.depart_until(at_s);
        self.arrived += 1;
        if self.busy.len() < self.servers {
            self.start(at_s);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(at_s);
        } else {
            self.lose(0.0);
        }
    }

    /// Lets servers become free until `until_s`, each taking the next who waits.
    fn depart_until(&mut self, until_s: f64) {
        while let Some(&Reverse(bits)) = self.busy.peek() {
            let free_s = f64::from_bits(bits);
            if free_s > until_s {
                break;
            }
            self.pass(free_s);
            self.busy.pop();
            self.start_waiting();
        }
        self.pass(until_s);
    }

    /// Lets time pass in which nothing changes.
    fn pass(&mut self, now_s: f64) {
        let span_s = (now_s - self.now_s).max(0.0);
        self.busy_s += span_s * self.busy.len() as f64;
        self.inflight_s += span_s * (self.busy.len() + self.waiting.len()) as f64;
        self.now_s = self.now_s.max(now_s);
    }

    fn start_waiting(&mut self) {
        while let Some(&arrived_s) = self.waiting.front() {
            // All are equally patient, so the first in line gives up first.
            if self.now_s - arrived_s > self.plant.timeout_s {
                self.waiting.pop_front();
                self.give_up();
            } else if self.busy.len() < self.servers {
                self.waiting.pop_front();
                self.start(arrived_s);
            } else {
                break;
            }
        }
    }

    /// Begins to serve, now, the request that came at `arrived_s`.
    fn start(&mut self, arrived_s: f64) {
        let wait_s = self.now_s - arrived_s;
        let service_s = self.plant.service.draw(&mut self.rng);
        let response_s = wait_s + service_s;
        self.busy.push(Reverse((self.now_s + service_s).to_bits()));
        if self.uncounted > 0 {
            self.uncounted -= 1;
            return;
        }
        self.served += 1;
        self.waited += u64::from(wait_s > 0.0);
        self.wait_sum_s += wait_s;
        self.late += u64::from(response_s > self.plant.late_after_s);
        self.waits.record(micros(wait_s));
        self.responses.record(micros(response_s));
    }

    /// Lets go of the request that was first in line.
    fn give_up(&mut self) {
        if self.uncounted > 0 {
            self.uncounted -= 1;
        } else {
            self.lose(self.plant.timeout_s);
        }
    }

    fn lose(&mut self, after_s: f64) {
        self.lost += 1;
        self.late += 1;
        self.responses.record(micros(after_s));
    }

    /// Serves those who still wait, with the servers there are.
    fn finish(&mut self) {
        while !self.waiting.is_empty() {
            let Some(&Reverse(bits)) = self.busy.peek() else { break };
            self.depart_until(f64::from_bits(bits));
            if self.servers == 0 {
                break;
            }
        }
        for _ in 0..self.waiting.len() {
            self.give_up();
        }
        self.waiting.clear();
    }

    fn into_outcome(self, outcome: Outcome) -> QueueOutcome {
        let served = (self.served as f64).max(1.0);
        QueueOutcome {
            outcome,
            waits: self.waits,
            responses: self.responses,
            mean_wait_s: self.wait_sum_s / served,
            waited_share: self.waited as f64 / served,
            lost: self.lost,
        }
    }
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

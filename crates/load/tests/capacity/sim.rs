//! Simulated servers in virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use load::capacity::{SearchBy, TRIAL_INTERVAL, TrialInterval, TrialMeasurement};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use stats::UslFit;

/// Mean of the exponential pause of a user between two requests, in s.
pub const THINK: f64 = 0.5;

#[derive(Clone, Copy)]
pub enum Server {
    /// So many requests at once, each Exp(rate) long, the others wait in line.
    Fixed { servers: usize, rate: f64 },
    /// The same, frozen for `freeze` of every `period` seconds.
    Freezing { servers: usize, rate: f64, period: f64, freeze: f64 },
    /// Completes X(n) per second while n are in flight.
    Scaling(UslFit),
}

pub fn exponential(rng: &mut impl rand::Rng, rate: f64) -> f64 {
    -(1.0 - rng.random::<f64>()).ln() / rate
}

/// Requests by when they end: their start.
struct Log {
    intervals: Vec<TrialInterval>,
    /// Change of the number in flight.
    net: Vec<i64>,
    open: bool,
}

impl Log {
    fn new(duration: f64, open: bool) -> Log {
        let count = (duration / TRIAL_INTERVAL.as_secs_f64()).round() as usize;
        let interval = TrialInterval {
            length: TRIAL_INTERVAL,
            offered: open.then_some(0),
            ..TrialInterval::default()
        };
        Log { intervals: vec![interval; count], net: vec![0; count], open }
    }

    fn index(&self, at: f64) -> usize {
        (at / TRIAL_INTERVAL.as_secs_f64()) as usize
    }

    fn arrival(&mut self, at: f64) {
        let index = self.index(at);
        if let Some(interval) = self.intervals.get_mut(index) {
            self.net[index] += 1;
            if self.open {
                interval.offered = interval.offered.map(|offered| offered + 1);
            }
        }
    }

    fn end(&mut self, at: f64, since: f64) {
        let index = self.index(at);
        if let Some(interval) = self.intervals.get_mut(index) {
            self.net[index] -= 1;
            interval.totals.requests += 1;
            interval.totals.response.record(((at - since) * 1e6) as u64);
        }
    }

    fn measurement(mut self) -> TrialMeasurement {
        let mut in_flight = 0;
        for (interval, net) in self.intervals.iter_mut().zip(&self.net) {
            in_flight += net;
            interval.in_flight = in_flight as u64;
        }
        TrialMeasurement { intervals: self.intervals, ..TrialMeasurement::default() }
    }
}

#[derive(PartialEq, PartialOrd)]
struct At(f64);
impl Eq for At {}
impl Ord for At {
    fn cmp(&self, other: &At) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

pub fn run(server: Server, by: SearchBy, load: f64, duration: Duration, seed: u64) -> TrialMeasurement {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let duration = duration.as_secs_f64();
    let log = Log::new(duration, by == SearchBy::Rate);
    match server {
        Server::Fixed { servers, rate } => {
            fixed(servers, rate, (1.0, 0.0), by, load, duration, log, &mut rng)
        }
        Server::Freezing { servers, rate, period, freeze } => {
            fixed(servers, rate, (period, freeze), by, load, duration, log, &mut rng)
        }
        Server::Scaling(law) => scaling(law, by, load, duration, log, &mut rng),
    }
}

/// Time that the server was awake until `at`.
fn awake(at: f64, (period, freeze): (f64, f64)) -> f64 {
    let periods = (at / period).floor();
    periods * (period - freeze) + (at - periods * period).min(period - freeze)
}

fn real(awake: f64, (period, freeze): (f64, f64)) -> f64 {
    let periods = (awake / (period - freeze)).floor();
    awake + periods * freeze
}

fn fixed(
    servers: usize, rate: f64, freezes: (f64, f64), by: SearchBy, load: f64, duration: f64,
    mut log: Log, rng: &mut Xoshiro256PlusPlus,
) -> TrialMeasurement {
    let mut free: BinaryHeap<Reverse<At>> = (0..servers).map(|_| Reverse(At(0.0))).collect();
    let phase = rng.random_range(0.0..freezes.0);
    let mut serve = |at: f64, log: &mut Log, rng: &mut Xoshiro256PlusPlus| {
        log.arrival(at);
        let Reverse(At(idle)) = free.pop().unwrap();
        let end = awake(at + phase, freezes).max(idle) + exponential(rng, rate);
        free.push(Reverse(At(end)));
        let end = real(end, freezes) - phase;
        log.end(end, at);
        end
    };
    match by {
        SearchBy::Rate => {
            let mut at = exponential(rng, load);
            while at < duration {
                serve(at, &mut log, rng);
                at += exponential(rng, load);
            }
        }
        SearchBy::Users => {
            // Users pause before their first request.
            let mut ready: BinaryHeap<Reverse<At>> =
                (0..load as usize).map(|_| Reverse(At(exponential(rng, 1.0 / THINK)))).collect();
            while let Some(Reverse(At(at))) = ready.pop().filter(|r| r.0.0 < duration) {
                let end = serve(at, &mut log, rng);
                ready.push(Reverse(At(end + exponential(rng, 1.0 / THINK))));
            }
        }
    }
    log.measurement()
}

fn scaling(
    law: UslFit, by: SearchBy, load: f64, duration: f64, mut log: Log, rng: &mut Xoshiro256PlusPlus,
) -> TrialMeasurement {
    let mut queue: VecDeque<f64> = VecDeque::new();
    let mut at = 0.0;
    loop {
        let n = queue.len() as f64;
        let out = if queue.is_empty() { 0.0 } else { law.throughput(n) };
        let into = match by {
            SearchBy::Rate => load,
            SearchBy::Users => (load - n) / THINK,
        };
        at += exponential(rng, out + into);
        if at >= duration {
            return log.measurement();
        }
        if rng.random::<f64>() * (out + into) < into {
            queue.push_back(at);
            log.arrival(at);
        } else {
            let since = queue.pop_front().unwrap();
            log.end(at, since);
        }
    }
}

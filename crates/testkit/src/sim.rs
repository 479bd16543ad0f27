//! Servers of known capacity, simulated event by event in virtual time.
//!
//! Time runs in whole nanoseconds. A server that freezes is simulated in its own time, which
//! stands still while it is frozen; only arrivals and completions are translated.

mod station;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use station::Station;

/// Most requests inside a server; more are dropped when they arrive.
pub const INSIDE_MAX: usize = 1_000_000;

const NANOS_PER_SECOND: f64 = 1e9;

/// A server, or a group of them with one queue.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerModel {
    /// Exponential service times, one first-come-first-served queue (M/M/c under Poisson
    /// arrivals).
    Mmc {
        /// How many requests are served at once, at least 1.
        servers: usize,
        /// Mean service time, seconds.
        mean_service_s: f64,
    },
    /// The same service time for every request, one first-come-first-served queue.
    FixedService {
        /// How many requests are served at once, at least 1.
        servers: usize,
        /// Service time, seconds.
        service_s: f64,
    },
    /// All requests inside share the server (processor sharing), each with exponential work.
    /// `n` of them are completed at X(n) = γn / (1 + σ(n − 1) + κn(n − 1)) requests per second:
    /// the universal scalability law (Gunther 2007).
    Usl {
        /// Throughput of one request alone, 1/s.
        gamma: f64,
        /// Contention, 0…1.
        sigma: f64,
        /// Coherency delay, at least 0.
        kappa: f64,
    },
    /// Another server that stands still, with all that is inside, for the last `for_s` of every
    /// `every_s` seconds.
    Freezing {
        /// The server.
        inner: Box<ServerModel>,
        /// Length of the cycle, seconds (of the enclosing server's own time).
        every_s: f64,
        /// How much of it is frozen, seconds, less than `every_s`.
        for_s: f64,
    },
}

/// What came of a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct SimRun {
    /// Arrival and completion, in seconds from the start, of each request that arrived in the
    /// measured time and was completed before its end; in the order of completion.
    pub responses: Vec<(f64, f64)>,
    /// The counts.
    pub totals: SimTotals,
}

/// The counts of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SimTotals {
    /// Requests that arrived in the measured time: completed + unfinished + dropped.
    pub arrivals: u64,
    /// Those of them that were completed before its end.
    pub completed: u64,
    /// Those of them that were still inside at its end.
    pub unfinished: u64,
    /// Those of them that found [`INSIDE_MAX`] requests inside.
    pub dropped: u64,
    /// Completions in the measured time, whenever they arrived, per second.
    pub throughput_per_s: f64,
}

/// Arrivals that do not wait for answers, `rate_per_s` of them: a Poisson process, or evenly
/// spaced. The first `warmup_s` seconds are simulated but not measured, the `duration_s` after
/// them are.
///
/// # Panics
/// If a parameter makes no sense.
pub fn open_loop(
    model: &ServerModel,
    rate_per_s: f64,
    duration_s: f64,
    warmup_s: f64,
    poisson: bool,
    seed: u64,
) -> SimRun {
    collect(|each| open_loop_each(model, rate_per_s, duration_s, warmup_s, poisson, seed, each))
}

/// [`open_loop`] without keeping the responses: `each` is called with them.
///
/// # Panics
/// If a parameter makes no sense.
pub fn open_loop_each(
    model: &ServerModel,
    rate_per_s: f64,
    duration_s: f64,
    warmup_s: f64,
    poisson: bool,
    seed: u64,
    each: impl FnMut(f64, f64),
) -> SimTotals {
    assert!(rate_per_s > 0.0 && rate_per_s.is_finite(), "rate {rate_per_s}/s");
    let mut sim = Sim::new(model, warmup_s, duration_s, seed, each);
    let interval = NANOS_PER_SECOND / rate_per_s;
    // The sum of many gaps stays exact enough: 2^53 ns are 104 days.
    let mut next = 0.0;
    loop {
        next += if poisson { exponential(&mut sim.rng, interval) } else { interval };
        let arrival = next as u64;
        while sim.complete_before(arrival) {}
        if arrival >= sim.end {
            return sim.totals();
        }
        sim.arrive(arrival);
    }
}

/// `users` users who each think (exponentially, `think_s` seconds on average, also before the
/// first request), send a request and wait for its answer, for `duration_s` seconds. All of it
/// is measured.
///
/// # Panics
/// If a parameter makes no sense, or with more than [`INSIDE_MAX`] users.
pub fn closed_loop(
    model: &ServerModel,
    users: usize,
    think_s: f64,
    duration_s: f64,
    seed: u64,
) -> SimRun {
    collect(|each| closed_loop_each(model, users, think_s, duration_s, seed, each))
}

/// [`closed_loop`] without keeping the responses: `each` is called with them.
///
/// # Panics
/// If a parameter makes no sense, or with more than [`INSIDE_MAX`] users.
pub fn closed_loop_each(
    model: &ServerModel,
    users: usize,
    think_s: f64,
    duration_s: f64,
    seed: u64,
    each: impl FnMut(f64, f64),
) -> SimTotals {
    assert!(users <= INSIDE_MAX, "{users} users");
    assert!(think_s >= 0.0 && think_s.is_finite(), "think time {think_s} s");
    let mut sim = Sim::new(model, 0.0, duration_s, seed, each);
    let think = think_s * NANOS_PER_SECOND;
    let mut now = 0;
    let mut thinking = users;
    loop {
        // The next of several exponential times comes exponentially, and by the lack of memory
        // it may be drawn anew after each event.
        let next = match thinking {
            0 => u64::MAX,
            _ if think == 0.0 => now,
            _ => now + exponential(&mut sim.rng, think / thinking as f64) as u64,
        };
        let completion = sim.next_completion();
        now = next.min(completion);
        if now >= sim.end {
            return sim.totals();
        }
        if next <= completion {
            sim.arrive(next);
            thinking -= 1;
        } else {
            sim.complete_before(u64::MAX);
            thinking += 1;
        }
    }
}

fn collect(run: impl FnOnce(&mut dyn FnMut(f64, f64)) -> SimTotals) -> SimRun {
    let mut responses = Vec::new();
    let totals = run(&mut |start, end| responses.push((start, end)));
    SimRun { responses, totals }
}

/// An exponentially distributed number of this mean.
fn exponential(rng: &mut Xoshiro256PlusPlus, mean: f64) -> f64 {
    -(1.0 - rng.random::<f64>()).ln() * mean
}

/// Seconds in nanoseconds.
///
/// # Panics
/// If negative or not finite.
fn nanos(seconds: f64) -> u64 {
    assert!(seconds >= 0.0 && seconds.is_finite(), "{seconds} s");
    (seconds * NANOS_PER_SECOND).round() as u64
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS_PER_SECOND
}

/// A server in real time, and what is measured of it.
struct Sim<F> {
    station: Station,
    /// From the outermost.
    freezes: Vec<Freeze>,
    rng: Xoshiro256PlusPlus,
    /// What is measured begins here…
    begin: u64,
    /// …and ends here.
    end: u64,
    /// Completions in the measured time.
    completions: u64,
    totals: SimTotals,
    each: F,
}

impl<F: FnMut(f64, f64)> Sim<F> {
    fn new(mut model: &ServerModel, warmup_s: f64, duration_s: f64, seed: u64, each: F) -> Self {
        assert!(duration_s > 0.0, "duration {duration_s} s");
        let mut freezes = Vec::new();
        while let ServerModel::Freezing { inner, every_s, for_s } = model {
            freezes.push(Freeze::new(*every_s, *for_s));
            model = inner;
        }
        let begin = nanos(warmup_s);
        Self {
            station: Station::new(model),
            freezes,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            begin,
            end: begin + nanos(duration_s),
            completions: 0,
            totals: SimTotals::default(),
            each,
        }
    }

    /// A request arrives at `now`, which is not before any event so far.
    fn arrive(&mut self, now: u64) {
        let own = self.freezes.iter().fold(now, |time, freeze| freeze.own(time));
        let measured = u64::from(now >= self.begin);
        self.totals.arrivals += measured;
        if !self.station.arrive(own, now, &mut self.rng) {
            self.totals.dropped += measured;
        }
    }

    /// When the next request is completed, `u64::MAX` if none is inside.
    fn next_completion(&self) -> u64 {
        match self.station.next_completion() {
            Some(own) => self.freezes.iter().rev().fold(own, |time, freeze| freeze.outer(time)),
            None => u64::MAX,
        }
    }

    /// Completes the next request if that is before `limit` and before the end; whether it was.
    fn complete_before(&mut self, limit: u64) -> bool {
        let now = self.next_completion();
        if now >= limit.min(self.end) {
            return false;
        }
        let Some(start) = self.station.complete(&mut self.rng) else { return false };
        self.completions += u64::from(now >= self.begin);
        if start >= self.begin {
            self.totals.completed += 1;
            (self.each)(seconds(start), seconds(now));
        }
        true
    }

    fn totals(&self) -> SimTotals {
        let SimTotals { arrivals, completed, dropped, .. } = self.totals;
        SimTotals {
            unfinished: arrivals - completed - dropped,
            throughput_per_s: self.completions as f64 / seconds(self.end - self.begin),
            ..self.totals
        }
    }
}

/// The time of a server that stands still at the end of each cycle.
struct Freeze {
    /// Length of a cycle in outer time.
    cycle: u64,
    /// Its length in own time: without the standstill.
    active: u64,
}

impl Freeze {
    fn new(every_s: f64, for_s: f64) -> Self {
        let (cycle, frozen) = (nanos(every_s), nanos(for_s));
        assert!(frozen < cycle, "frozen for {for_s} s of every {every_s} s");
        Self { cycle, active: cycle - frozen }
    }

    /// Own time at an outer time.
    fn own(&self, outer: u64) -> u64 {
        outer / self.cycle * self.active + (outer % self.cycle).min(self.active)
    }

    /// The last outer time at an own time.
    fn outer(&self, own: u64) -> u64 {
        own / self.active * self.cycle + own % self.active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean response time, in seconds.
    fn mean_response(run: &SimRun) -> f64 {
        let total: f64 = run.responses.iter().map(|(start, end)| end - start).sum();
        total / run.responses.len() as f64
    }

    /// Mean response time of M/M/c by the Erlang C formula (Erlang 1917).
    fn erlang_c_response(servers: usize, rate: f64, service: f64) -> f64 {
        let load = rate * service;
        let c = servers as f64;
        let mut term = 1.0;
        let mut sum = 0.0;
        for k in 0..servers {
            sum += term;
            term *= load / (k + 1) as f64;
        }
        let waiting = term / (1.0 - load / c);
        let probability_to_wait = waiting / (sum + waiting);
        service + probability_to_wait * service / (c - load)
    }

    fn within(value: f64, expected: f64, part: f64) {
        assert!((value / expected - 1.0).abs() <= part, "{value}, expected {expected} ± {part}");
    }

    #[test]
    fn the_formula_of_the_tests_is_right() {
        // M/M/1: service ÷ (1 − load). M/M/2: service ÷ (1 − load²).
        within(erlang_c_response(1, 8.0, 0.1), 0.5, 1e-12);
        within(erlang_c_response(2, 10.0, 0.1), 0.1 / 0.75, 1e-12);
    }

    #[test]
    fn poisson_arrivals_wait_as_erlang_says() {
        for (servers, load) in [(1, 0.5), (1, 0.8), (4, 0.7), (16, 0.9)] {
            let service = 0.01;
            let rate = load * servers as f64 / service;
            let model = ServerModel::Mmc { servers, mean_service_s: service };
            let run = open_loop(&model, rate, 1e6 / rate, 1e4 / rate, true, 1);
            within(mean_response(&run), erlang_c_response(servers, rate, service), 0.02);
            within(run.totals.throughput_per_s, rate, 0.01);
        }
    }

    #[test]
    fn fixed_service_under_poisson_waits_half_as_long() {
        // M/D/1 (Pollaczek and Khinchine): service · (1 + load ÷ (2 (1 − load))).
        let model = ServerModel::FixedService { servers: 1, service_s: 0.01 };
        let run = open_loop(&model, 80.0, 10_000.0, 10.0, true, 1);
        within(mean_response(&run), 0.01 * 3.0, 0.02);
    }

    #[test]
    fn even_arrivals_never_wait_below_capacity_and_pile_up_above() {
        let model = ServerModel::FixedService { servers: 2, service_s: 0.01 };
        let run = open_loop(&model, 199.0, 10.0, 0.0, false, 1);
        assert!(run.responses.iter().all(|(start, end)| (end - start - 0.01).abs() < 1e-6));
        let run = open_loop(&model, 400.0, 10.0, 0.0, false, 1);
        within(run.totals.throughput_per_s, 200.0, 0.01);
        assert_eq!(run.totals.arrivals, run.totals.completed + run.totals.unfinished);
        within(run.totals.unfinished as f64, 2000.0, 0.01);
    }

    #[test]
    fn users_without_think_time_see_the_scalability_law() {
        let (gamma, sigma, kappa) = (1000.0, 0.05, 0.001);
        let model = ServerModel::Usl { gamma, sigma, kappa };
        for users in [1, 8, 31, 100] {
            let n = users as f64;
            let law = gamma * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
            let totals = closed_loop_each(&model, users, 0.0, 2e5 / law, 1, |_, _| {});
            within(totals.throughput_per_s, law, 0.01);
        }
    }

    #[test]
    fn thinking_users_obey_littles_law() {
        // N = X · (R + Z) (Little 1961, the interactive response time law).
        let model = ServerModel::Mmc { servers: 4, mean_service_s: 0.01 };
        for users in [10, 50, 500] {
            let run = closed_loop(&model, users, 0.1, 2000.0, 1);
            let throughput = run.totals.throughput_per_s;
            within(throughput * (mean_response(&run) + 0.1), users as f64, 0.01);
            assert!(throughput < 404.0, "{throughput}");
        }
    }

    #[test]
    fn sharing_is_insensitive_to_what_a_queue_is_not() {
        // With σ = 1 and κ = 0 the law is a single server; shared or queued, M/M/1 responds as fast.
        let model = ServerModel::Usl { gamma: 100.0, sigma: 1.0, kappa: 0.0 };
        let run = open_loop(&model, 70.0, 20_000.0, 100.0, true, 1);
        within(mean_response(&run), erlang_c_response(1, 70.0, 0.01), 0.02);
    }

    #[test]
    fn own_time_stands_still_at_the_end_of_each_cycle() {
        let freeze = Freeze { cycle: 10, active: 7 };
        let own = [0, 6, 7, 8, 9, 10, 11, 19, 20].map(|outer| freeze.own(outer));
        assert_eq!(own, [0, 6, 7, 7, 7, 7, 8, 14, 14]);
        let outer = [0, 6, 7, 13, 14].map(|own| freeze.outer(own));
        assert_eq!(outer, [0, 6, 10, 16, 20]);
    }

    #[test]
    fn a_freeze_holds_up_all_that_is_inside() {
        let inner = Box::new(ServerModel::FixedService { servers: 10, service_s: 0.001 });
        let model = ServerModel::Freezing { inner, every_s: 1.0, for_s: 0.25 };
        let run = open_loop(&model, 1000.0, 100.0, 0.0, false, 1);
        let slow = run.responses.iter().filter(|(start, end)| end - start > 0.0015).count();
        // A quarter of the arrivals meets a freeze, and some more the queue that it leaves: 250
        // requests at 10,000/s less 1000/s, 28 ms.
        assert!((25_000..29_000).contains(&slow), "{slow}");
        let slowest = run.responses.iter().map(|(start, end)| end - start).fold(0.0, f64::max);
        within(slowest, 0.25 + 0.001, 0.01);
        let frozen = |time: f64| time.fract() > 0.750_001 && time.fract() < 0.999_999;
        assert!(!run.responses.iter().any(|(_, end)| frozen(*end)));
        within(run.totals.throughput_per_s, 1000.0, 0.01);
    }

    #[test]
    fn freezes_cost_capacity_in_proportion_also_one_in_another() {
        let server = Box::new(ServerModel::FixedService { servers: 1, service_s: 0.01 });
        let once = ServerModel::Freezing { inner: server, every_s: 1.0, for_s: 0.2 };
        let totals = closed_loop_each(&once, 5, 0.0, 100.0, 1, |_, _| {});
        within(totals.throughput_per_s, 80.0, 0.01);
        let twice = ServerModel::Freezing { inner: Box::new(once), every_s: 10.0, for_s: 5.0 };
        let totals = closed_loop_each(&twice, 5, 0.0, 100.0, 1, |_, _| {});
        within(totals.throughput_per_s, 40.0, 0.01);
    }

    #[test]
    fn more_than_the_server_can_hold_is_dropped_and_counted() {
        let model = ServerModel::FixedService { servers: 1, service_s: 10.0 };
        let totals = open_loop_each(&model, 1.2e6, 1.0, 0.0, false, 1, |_, _| {});
        assert_eq!(totals.completed, 0);
        assert_eq!(totals.unfinished, INSIDE_MAX as u64);
        assert_eq!(totals.dropped, totals.arrivals - INSIDE_MAX as u64);
        within(totals.arrivals as f64, 1.2e6, 1e-5);
    }

    #[test]
    fn the_seed_decides_all() {
        let model = ServerModel::Usl { gamma: 100.0, sigma: 0.1, kappa: 0.01 };
        let open = |seed| open_loop(&model, 50.0, 10.0, 1.0, true, seed);
        let closed = |seed| closed_loop(&model, 10, 0.1, 10.0, seed);
        assert_eq!(open(1), open(1));
        assert_ne!(open(1), open(2));
        assert_eq!(closed(1), closed(1));
        assert_ne!(closed(1), closed(2));
    }
}

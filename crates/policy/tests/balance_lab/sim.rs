//! A discrete-event simulation of servers behind a balancer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use policy::balance::ewma::PeakEwma;
use policy::balance::hash::hash_key;
use policy::balance::{Algorithm, Balancer, Member, Servers, slow_start};
use rand::rngs::Xoshiro256PlusPlus as SimRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::scenario::{Scenario, Server};

/// How long it takes to be refused by a server that is down.
const REFUSED: Duration = Duration::from_millis(1);

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) arrived_s: f64,
    pub(crate) key: Option<u64>,
    /// The server that was asked last; none when none was available.
    pub(crate) server: Option<usize>,
    pub(crate) ok: bool,
    pub(crate) latency_s: f64,
    tried: Vec<usize>,
}

/// A server's answer to `request`, sent at `sent`. Ordered by `at`, then by request.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    at: Duration,
    request: usize,
    sent: Duration,
    server: usize,
    ok: bool,
}

/// A server's state: its queue, and what the balancer knows of it.
struct State {
    /// When each worker will be free.
    workers: Vec<Duration>,
    in_flight: u32,
    ewma: PeakEwma,
}

/// The servers as the balancer sees them for one request.
struct View<'a> {
    scenario: &'a Scenario,
    states: &'a [State],
    tried: &'a [usize],
    now: Duration,
}

impl Servers for View<'_> {
    fn len(&self) -> usize {
        self.states.len()
    }

    fn available(&self, index: usize) -> bool {
        // The balancer sees the state of a while ago.
        let seen = self.now.as_secs_f64() - self.scenario.notice_s;
        !is_down(&self.scenario.server[index], seen) && !self.tried.contains(&index)
    }

    fn weight(&self, index: usize) -> f64 {
        let server = &self.scenario.server[index];
        let came_up = server.down.as_ref().map_or(f64::NEG_INFINITY, |down| down.to_s);
        let up = self.now.as_secs_f64() - self.scenario.notice_s - came_up;
        let window = Duration::from_secs_f64(self.scenario.slow_start_s);
        let up = Duration::try_from_secs_f64(up).unwrap_or(Duration::MAX);
        f64::from(server.weight) * slow_start::factor(up, window)
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.states[index].in_flight
    }

    fn latency(&self, index: usize) -> f64 {
        self.states[index].ewma.get(self.now)
    }
}

fn is_down(server: &Server, at_s: f64) -> bool {
    server.down.as_ref().is_some_and(|down| (down.from_s..down.to_s).contains(&at_s))
}

struct Sim<'a> {
    scenario: &'a Scenario,
    balancer: Balancer,
    states: Vec<State>,
    answers: BinaryHeap<Reverse<Answer>>,
    requests: Vec<Request>,
    rng: SimRng,
}

/// All requests of the scenario, in order of arrival.
pub(crate) fn run(scenario: &Scenario, algorithm: Algorithm) -> Vec<Request> {
    let ids: Vec<String> = (1..=scenario.server.len()).map(|n| format!("10.0.0.{n}:80")).collect();
    let weights = scenario.server.iter().map(|server| server.weight);
    let members: Vec<_> =
        ids.iter().zip(weights).map(|(id, weight)| Member { id, weight }).collect();
    let state = |server: &Server| State {
        workers: vec![Duration::ZERO; server.concurrency],
        in_flight: 0,
        ewma: PeakEwma::new(Duration::ZERO),
    };
    let mut sim = Sim {
        scenario,
        balancer: Balancer::new(algorithm, &members),
        states: scenario.server.iter().map(state).collect(),
        answers: BinaryHeap::new(),
        requests: Vec::new(),
        rng: SimRng::seed_from_u64(scenario.seed),
    };
    let mut arrivals = SimRng::seed_from_u64(!scenario.seed);
    let mut arrival = Duration::ZERO;
    loop {
        arrival += Duration::from_secs_f64(exponential(&mut arrivals) / scenario.rate);
        let ended = arrival.as_secs_f64() >= scenario.duration_s;
        let until = if ended { Duration::MAX } else { arrival };
        while sim.answers.peek().is_some_and(|Reverse(answer)| answer.at <= until) {
            let Some(Reverse(answer)) = sim.answers.pop() else { break };
            sim.answered(&answer);
        }
        if ended {
            return sim.requests;
        }
        let user = (scenario.keys > 0).then(|| arrivals.random_range(0..scenario.keys));
        sim.requests.push(Request {
            arrived_s: arrival.as_secs_f64(),
            key: user.map(|user| hash_key(&user.to_le_bytes())),
            server: None,
            ok: false,
            latency_s: 0.0,
            tried: Vec::new(),
        });
        sim.send(sim.requests.len() - 1, arrival);
    }
}

impl Sim<'_> {
    /// Sends a request to a server that it has not been sent to, if one is available.
    fn send(&mut self, request: usize, now: Duration) {
        let Request { key, tried, .. } = &self.requests[request];
        let view = View { scenario: self.scenario, states: &self.states, tried, now };
        let Some(server) = self.balancer.pick(&view, *key, &mut self.rng) else { return };
        self.requests[request].server = Some(server);
        self.requests[request].tried.push(server);
        self.states[server].in_flight += 1;
        let ok = !is_down(&self.scenario.server[server], now.as_secs_f64());
        let at = if ok { self.serve(server, now) } else { now + REFUSED };
        self.answers.push(Reverse(Answer { at, request, sent: now, server, ok }));
    }

    /// When a request that reaches the server now is done: the first worker to be free takes it.
    fn serve(&mut self, server: usize, now: Duration) -> Duration {
        let model = &self.scenario.server[server];
        let Some(worker) = self.states[server].workers.iter_mut().min() else { return now };
        let start = now.max(*worker);
        let slow = model.slow.as_ref();
        let slow = slow.filter(|s| (s.from_s..s.to_s).contains(&start.as_secs_f64()));
        let spread = 1.0 - model.jitter + model.jitter * exponential(&mut self.rng);
        let service_ms = model.mean_ms * spread * slow.map_or(1.0, |slow| slow.factor);
        *worker = start + Duration::from_secs_f64(service_ms / 1e3);
        *worker
    }

    fn answered(&mut self, answer: &Answer) {
        let state = &mut self.states[answer.server];
        state.in_flight -= 1;
        let request = &mut self.requests[answer.request];
        request.ok = answer.ok;
        request.latency_s = answer.at.as_secs_f64() - request.arrived_s;
        if answer.ok {
            state.ewma.observe(answer.at, answer.at - answer.sent);
        } else if request.tried.len() < self.scenario.tries {
            self.send(answer.request, answer.at);
        }
    }
}

/// A draw from the exponential distribution of mean 1.
fn exponential(rng: &mut impl Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

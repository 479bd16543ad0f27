//! A discrete-event simulation of a gateway that takes the decisions and of servers behind it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use policy::adaptive::{AdaptiveLimit, AdaptiveParams};
use policy::breaker::{Breaker, BreakerParams, Permit, State};
use policy::ejection::{EjectionParams, Ejector, Outcome};
use policy::gcra::Gcra;
use policy::health::{Health, next_check};
use policy::retry::{Attempt, AttemptFailure, Budget, Decision, Rules, decide};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus as SimRng;

use crate::scenario::Scenario;
use crate::server::{Model, exponential};

/// All that happened, in order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Trace {
    pub(crate) requests: Vec<Request>,
    pub(crate) events: Vec<(f64, Event)>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) arrived_s: f64,
    pub(crate) end: End,
    pub(crate) latency_s: f64,
    permit: Option<Permit>,
    attempts: u32,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Not yet.
    Open,
    Ok,
    Failed,
    /// Refused by the rate limit, the breaker, or the adaptive limit.
    Limited,
    Broken,
    Shed,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    Attempt { server: usize, retry: bool, probe: bool },
    Answer { limit: u32, in_flight: u32 },
    Opened,
    Closed,
    Ejected,
    Health { up: bool },
}

/// What happens next. Ordered by time, then by kind.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    at: Duration,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Answer { request: usize, server: usize, sent: Duration, failure: Option<bool> },
    Retry { request: usize },
    Check { server: usize },
}

struct Sim<'a> {
    scenario: &'a Scenario,
    servers: Vec<Model<'a>>,
    health: Vec<Health>,
    limit: Option<(Gcra, u64)>,
    breaker: Option<Breaker>,
    ejector: Option<Ejector>,
    adaptive: Option<AdaptiveLimit>,
    budget: Option<Budget>,
    in_flight: u32,
    turn: usize,
    queue: BinaryHeap<Reverse<Next>>,
    trace: Trace,
    rng: SimRng,
}

/// Runs a scenario to its end.
pub(crate) fn run(scenario: &Scenario) -> Trace {
    let mut sim = Sim::new(scenario);
    let mut arrivals = SimRng::seed_from_u64(!scenario.seed);
    let mut arrival = Duration::ZERO;
    loop {
        let rate = scenario.rate.iter().rfind(|rate| rate.from_s <= arrival.as_secs_f64());
        let rate = rate.map_or(1.0, |rate| rate.per_s);
        arrival += Duration::from_secs_f64(exponential(&mut arrivals) / rate);
        let ended = arrival.as_secs_f64() >= scenario.duration_s;
        let until = arrival.min(Duration::from_secs_f64(scenario.duration_s));
        while sim.queue.peek().is_some_and(|Reverse(next)| next.at <= until) {
            let Some(Reverse(next)) = sim.queue.pop() else { break };
            sim.happen(next.what, next.at);
        }
        if ended {
            return sim.trace;
        }
        sim.arrive(arrival);
    }
}

impl<'a> Sim<'a> {
    fn new(scenario: &'a Scenario) -> Sim<'a> {
        let seconds = Duration::from_secs_f64;
        let (fall, rise) = scenario.health.as_ref().map_or((1, 1), |h| (h.fall, h.rise));
        let checks = scenario.health.iter().flat_map(|_| 0..scenario.server.len());
        let check = |server| Reverse(Next { at: Duration::ZERO, what: What::Check { server } });
        Sim {
            scenario,
            servers: scenario.server.iter().map(Model::new).collect(),
            health: scenario.server.iter().map(|_| Health::new(fall, rise, true)).collect(),
            limit: scenario.limit.as_ref().map(|limit| (Gcra::new(limit.rate, limit.burst), 0)),
            breaker: scenario.breaker.as_ref().map(|breaker| {
                Breaker::new(BreakerParams {
                    failures: breaker.failures,
                    open_for: seconds(breaker.open_for_s),
                    half_open_requests: breaker.half_open_requests,
                })
            }),
            ejector: scenario.ejection.as_ref().map(|ejection| {
                let params = EjectionParams {
                    consecutive_errors: ejection.consecutive_errors,
                    max_ejected: ejection.max_ejected,
                    base: seconds(ejection.base_s),
                    max: seconds(ejection.max_s),
                };
                Ejector::new(params, scenario.server.len())
            }),
            adaptive: scenario.adaptive.as_ref().map(|adaptive| {
                let (min, max, initial) = (adaptive.min, adaptive.max, adaptive.initial);
                AdaptiveLimit::new(AdaptiveParams { min, max, initial })
            }),
            budget: scenario
                .retry
                .as_ref()
                .and_then(|retry| retry.budget.map(|share| Budget::new(share, retry.floor))),
            in_flight: 0,
            turn: 0,
            queue: checks.map(check).collect(),
            trace: Trace::default(),
            rng: SimRng::seed_from_u64(scenario.seed),
        }
    }

    fn note(&mut self, now: Duration, event: Event) {
        self.trace.events.push((now.as_secs_f64(), event));
    }

    fn happen(&mut self, what: What, now: Duration) {
        match what {
            What::Answer { request, server, sent, failure } => {
                self.answered(request, server, sent, failure, now);
            }
            What::Retry { request } => self.attempt(request, false, now),
            What::Check { server } => {
                let ok = !self.servers[server].fails(now, &mut self.rng);
                if self.health[server].observe(ok).is_some() {
                    self.note(now, Event::Health { up: ok });
                }
                if let Some(health) = &self.scenario.health {
                    let every = Duration::from_secs_f64(health.every_s);
                    let at = now + next_check(every, &mut self.rng);
                    self.queue.push(Reverse(Next { at, what: What::Check { server } }));
                }
            }
        }
    }

    /// A request comes: rate limit, breaker, adaptive limit, first attempt.
    fn arrive(&mut self, now: Duration) {
        let mut permit = None;
        let mut probe = false;
        let mut end = End::Open;
        if let Some((limit, tat)) = &mut self.limit
            && limit.check(tat, now, 1).is_err()
        {
            end = End::Limited;
        } else if let Some(breaker) = &mut self.breaker {
            probe = breaker.state(now) == State::HalfOpen;
            permit = breaker.try_acquire(now).ok();
            if permit.is_none() {
                end = End::Broken;
            }
        }
        if end == End::Open
            && self.adaptive.as_ref().is_some_and(|adaptive| self.in_flight >= adaptive.limit())
        {
            end = End::Shed;
            if let (Some(breaker), Some(permit)) = (&mut self.breaker, permit) {
                breaker.on_cancel(permit);
            }
        }
        let arrived_s = now.as_secs_f64();
        self.trace.requests.push(Request { arrived_s, end, latency_s: 0.0, permit, attempts: 0 });
        if end == End::Open {
            if let Some(budget) = &mut self.budget {
                budget.deposit(now);
            }
            self.attempt(self.trace.requests.len() - 1, probe, now);
        }
    }

    /// Sends a request to the server whose turn it is among those that are well, if any is.
    fn attempt(&mut self, request: usize, probe: bool, now: Duration) {
        let count = self.servers.len();
        let is_well = |server: &usize| {
            self.health[*server].is_up()
                && !self.ejector.as_ref().is_some_and(|ejector| ejector.is_ejected(*server, now))
        };
        let server = (1..=count).map(|step| (self.turn + step) % count).find(is_well);
        let server = server.unwrap_or((self.turn + 1) % count);
        self.turn = server;
        let retry = self.trace.requests[request].attempts > 0;
        self.trace.requests[request].attempts += 1;
        self.note(now, Event::Attempt { server, retry, probe });
        self.in_flight += 1;
        let (at, ok) = self.servers[server].serve(now, &mut self.rng);
        let deadline = now + Duration::from_secs_f64(self.scenario.timeout_s);
        // Whether it was a timeout, for failures.
        let failure = if at > deadline { Some(true) } else { (!ok).then_some(false) };
        let what = What::Answer { request, server, sent: now, failure };
        self.queue.push(Reverse(Next { at: at.min(deadline), what }));
    }

    fn answered(
        &mut self,
        request: usize,
        server: usize,
        sent: Duration,
        failure: Option<bool>,
        now: Duration,
    ) {
        let ok = failure.is_none();
        let mut limit = 0;
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.on_sample(now, now - sent, self.in_flight, ok);
            limit = adaptive.limit();
        }
        self.note(now, Event::Answer { limit, in_flight: self.in_flight });
        self.in_flight -= 1;
        if let Some(ejector) = &mut self.ejector {
            let outcome = if ok { Outcome::Ok } else { Outcome::Error };
            if ejector.on_result(server, outcome, now).is_some() {
                self.note(now, Event::Ejected);
            }
        }
        let after = failure.and_then(|timeout| self.retry_after(request, timeout, now));
        match after {
            Some(after) => {
                self.queue.push(Reverse(Next { at: now + after, what: What::Retry { request } }));
            }
            None => self.finish(request, ok, now),
        }
    }

    /// The pause before another attempt, if there is one.
    fn retry_after(&mut self, request: usize, timeout: bool, now: Duration) -> Option<Duration> {
        let retry = self.scenario.retry.as_ref()?;
        let rules = Rules {
            attempts: retry.attempts,
            non_idempotent: false,
            backoff: Duration::from_secs_f64(retry.backoff_s),
            backoff_max: Duration::from_secs_f64(retry.backoff_max_s),
        };
        let failure = if timeout { AttemptFailure::Timeout } else { AttemptFailure::Status(503) };
        let attempt = Attempt {
            number: self.trace.requests[request].attempts,
            failure,
            method: "GET",
            body_replayable: true,
            retry_after: None,
        };
        let Decision::Again { after } = decide(&rules, &attempt, &mut self.rng) else {
            return None;
        };
        self.budget.as_mut().is_none_or(|budget| budget.try_withdraw(now)).then_some(after)
    }

    fn finish(&mut self, request: usize, ok: bool, now: Duration) {
        let request = &mut self.trace.requests[request];
        request.end = if ok { End::Ok } else { End::Failed };
        request.latency_s = now.as_secs_f64() - request.arrived_s;
        let (Some(breaker), Some(permit)) = (&mut self.breaker, request.permit) else { return };
        if ok && breaker.on_success(permit) {
            self.note(now, Event::Closed);
        } else if !ok && breaker.on_failure(permit, now) {
            self.note(now, Event::Opened);
        }
    }
}

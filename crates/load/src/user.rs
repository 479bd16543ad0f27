//! The life of one virtual user.

use std::rc::Rc;
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use crate::checks::{Answer, judge, save, status_failure};
use crate::client::{Client, Fetch, Traffic, step_timeouts};
use crate::data::{DataRows, Exhausted};
use crate::failure::{Failure, FailureKind};
use crate::net::decode::decode;
use crate::plan::{Arrival, StepRef};
use crate::recorder::Sample;
use crate::replay::ReplayRequest;
use crate::request::{Ask, Prepared, Target};
use crate::rng::{UserRng, user_rng};
use crate::scenario::{Body, Step};
use crate::template::RenderContext;
use crate::timer::Woken;
use crate::worker::Worker;

/// How long a user of a closed model waits after it found no connection: a person would not try a
/// thousand times a second either.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

/// A virtual user: own connections, cookies, data and random choices.
pub(crate) struct User {
    id: u64,
    worker: Rc<Worker>,
    client: Client,
    rng: UserRng,
    saved: Vec<Option<String>>,
    rows: DataRows,
    iteration: u64,
    /// Whether the last request found no connection.
    unconnected: bool,
}

/// Why a user does not go on.
#[derive(Debug, PartialEq, Eq)]
enum Leave {
    /// The run is over, for this user or for all.
    Over,
    /// A data source has no row left.
    Exhausted(Exhausted),
}

impl User {
    pub(crate) fn new(worker: Rc<Worker>, id: u64) -> User {
        let scenario = worker.scenario();
        User {
            id,
            client: Client::new(),
            rng: user_rng(worker.seed(), id),
            saved: vec![None; scenario.saved_names.len()],
            rows: DataRows::new(scenario.data.clone()),
            iteration: 0,
            unconnected: false,
            worker,
        }
    }

    /// A user of a closed model: task, wait, task, wait, …
    pub(crate) async fn closed(mut self, spawned: Duration) {
        let worker = Rc::clone(&self.worker);
        let left = self.closed_loop(&worker, spawned).await;
        self.leave(&worker, left).await;
    }

    async fn closed_loop(&mut self, worker: &Worker, spawned: Duration) -> Result<(), Leave> {
        let mut intended = self.run_steps(StepRef::start_steps(worker.plan()), spawned).await?;
        loop {
            if worker.is_over(self.id) {
                return Err(Leave::Over);
            }
            if worker.is_paused() {
                worker.resumed().await;
                intended = worker.now();
                continue;
            }
            let started = worker.now();
            let task = self.pick_task();
            let ended = self.run_task(task, intended.min(started)).await?;
            intended =
                worker.scenario().wait.next_start(intended.max(started), ended, &mut self.rng);
            if self.unconnected {
                intended = intended.max(ended + CONNECT_PAUSE);
            }
            while intended > worker.now() {
                // Nobody is woken again who begins to wait after the end.
                if worker.is_over(self.id) {
                    return Err(Leave::Over);
                }
                match worker.timer.sleep_until(worker.start + intended).await {
                    Woken::OnTime => worker.record_lag(intended),
                    Woken::Interrupted => {}
                }
            }
        }
    }

    /// A user of an open model: serves whichever arrival is due next.
    pub(crate) async fn open(mut self) {
        let worker = Rc::clone(&self.worker);
        let left = self.open_loop(&worker).await;
        self.leave(&worker, left).await;
    }

    async fn open_loop(&mut self, worker: &Rc<Worker>) -> Result<(), Leave> {
        let spawned = worker.now();
        self.run_steps(StepRef::start_steps(worker.plan()), spawned).await?;
        while let Some(arrival) = worker.next_arrival().await {
            match arrival {
                Arrival { intended, request: Some(request) } => {
                    if !worker.take_quota() {
                        return Err(Leave::Over);
                    }
                    self.run_replayed(request as usize, intended).await;
                }
                Arrival { intended, request: None } => {
                    let task = self.pick_task();
                    if let Err(leave) = self.run_task(task, intended).await {
                        if let Leave::Exhausted(_) = leave {
                            worker.unserved(task, intended);
                        }
                        worker.arrival_done();
                        return Err(leave);
                    }
                }
            }
            worker.arrival_done();
        }
        Ok(())
    }

    /// Stop steps, unless the run is being cut short, and an end to the connections.
    async fn leave(&mut self, worker: &Worker, left: Result<(), Leave>) {
        if let Err(Leave::Exhausted(exhausted)) = left {
            worker.data_exhausted(&exhausted);
        }
        let now = worker.now();
        // They are a user's good-bye: that it is leaving anyway says nothing new.
        let _ = self.run_steps(StepRef::stop_steps(worker.plan()), now).await;
        self.client.close(worker);
        worker.user_left();
    }

    fn pick_task(&mut self) -> usize {
        let weights = self.worker.task_weights();
        let total = weights.last().copied().unwrap_or(1);
        let drawn = self.rng.random_range(0..total);
        weights.partition_point(|&sum| sum <= drawn)
    }

    /// Runs a task; its first request was due at `intended`. Returns when it ended.
    async fn run_task(&mut self, task: usize, intended: Duration) -> Result<Duration, Leave> {
        self.iteration += 1;
        let worker = Rc::clone(&self.worker);
        for &source in worker.task_sources(task) {
            self.rows.draw(source, &mut self.rng).map_err(Leave::Exhausted)?;
        }
        self.run_steps(StepRef::task_steps(worker.plan(), task), intended).await
    }

    /// Runs steps one after the other until one fails. Each is due when the one before ended.
    async fn run_steps(
        &mut self,
        steps: impl Iterator<Item = StepRef>,
        mut intended: Duration,
    ) -> Result<Duration, Leave> {
        for place in steps {
            let worker = Rc::clone(&self.worker);
            if worker.is_stopping() && !worker.may_finish(place) || !worker.take_quota() {
                return Err(Leave::Over);
            }
            let (step, prepared) = worker.step(place);
            let (ended, succeeded) = self.run_step(&worker, step, prepared, intended).await;
            intended = ended;
            if !succeeded {
                break;
            }
        }
        Ok(intended)
    }

    async fn run_step(
        &mut self,
        worker: &Worker,
        step: &Step,
        prepared: &Prepared,
        intended: Duration,
    ) -> (Duration, bool) {
        let fetch = Fetch {
            ask: Ask::of_step(step, worker.http()),
            fixed: prepared.fixed.as_ref(),
            needs_body: prepared.needs_body,
            needs_headers: prepared.needs_headers,
            timeouts: step_timeouts(worker.http(), step.timeout),
            started: Instant::now(),
        };
        let User { client, rng, saved, rows, id, iteration, unconnected, .. } = self;
        let mut under_way = UnderWay::begin(worker, step.endpoint, intended, fetch.started);
        let mut ctx = RenderContext { saved, rows, rng, user_id: *id + 1, iteration: *iteration };
        let fetched = client.fetch(worker, fetch, &mut ctx, &mut under_way.traffic).await;
        let ended = worker.now();
        let result = fetched.and_then(|mut fetched| {
            under_way.status_429 = fetched.status.as_u16() == 429;
            let service_time = ended.saturating_sub(under_way.started);
            if prepared.needs_body {
                decode_body(worker, &mut fetched.body, fetched.headers.as_ref())?;
            }
            let mut answer =
                Answer::new(fetched.status, fetched.headers.as_ref(), &fetched.body, service_time);
            let result = judge(step, prepared.checks_status, &mut answer)
                .and_then(|()| save(step, &mut answer, &worker.scenario().saved_names, saved));
            worker.pool.give(fetched.body);
            result
        });
        let failure = result.err();
        *unconnected = failure.as_ref().is_some_and(|failure| failure.kind.is_unconnected());
        let succeeded = failure.is_none();
        under_way.end(ended, failure);
        if !succeeded {
            // Some failures are there at once: the other users must get their turn.
            tokio::task::yield_now().await;
        }
        (ended, succeeded)
    }

    /// Sends one request of a recording.
    async fn run_replayed(&mut self, request: usize, intended: Duration) {
        let worker = Rc::clone(&self.worker);
        let Some(ReplayRequest { method, target, agent, endpoint }) =
            worker.replay_request(request)
        else {
            return;
        };
        let http = worker.http();
        let fetch = Fetch {
            ask: Ask {
                method,
                origin: &http.origin,
                base_path: &http.base_path,
                target: Target::Text(target),
                headers: &[],
                agent: agent.as_deref(),
                body: &Body::None,
                credentials: true,
            },
            fixed: None,
            needs_body: false,
            needs_headers: false,
            timeouts: http.timeouts,
            started: Instant::now(),
        };
        let User { client, rng, saved, rows, id, iteration, .. } = self;
        let mut under_way = UnderWay::begin(&worker, *endpoint, intended, fetch.started);
        let mut ctx = RenderContext { saved, rows, rng, user_id: *id + 1, iteration: *iteration };
        let fetched = client.fetch(&worker, fetch, &mut ctx, &mut under_way.traffic).await;
        let result = fetched.and_then(|fetched| {
            under_way.status_429 = fetched.status.as_u16() == 429;
            if fetched.status.as_u16() >= 400 {
                Err(status_failure(fetched.status))
            } else {
                Ok(())
            }
        });
        let failed = result.is_err();
        under_way.end(worker.now(), result.err());
        if failed {
            tokio::task::yield_now().await;
        }
    }
}

/// Replaces an encoded body by what it decodes to.
fn decode_body(
    worker: &Worker,
    body: &mut Vec<u8>,
    headers: Option<&http::HeaderMap>,
) -> Result<(), Failure> {
    let encoding = headers.and_then(|headers| headers.get(http::header::CONTENT_ENCODING));
    if let Some(encoding) = encoding {
        *body = decode(encoding.as_bytes(), body, worker.http().limits.kept_body_bytes)?;
    }
    Ok(())
}

/// A request under way. If its user is dropped before it ends, it counts as unfinished, with the
/// time it had taken so far.
struct UnderWay<'a> {
    worker: &'a Worker,
    endpoint: usize,
    intended: Duration,
    started: Duration,
    traffic: Traffic,
    status_429: bool,
    ended: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(
        worker: &'a Worker,
        endpoint: usize,
        intended: Duration,
        started: Instant,
    ) -> UnderWay<'a> {
        worker.in_flight.set(worker.in_flight.get() + 1);
        let started = started.saturating_duration_since(worker.start);
        let traffic = Traffic::default();
        UnderWay { worker, endpoint, intended, started, traffic, status_429: false, ended: false }
    }

    fn end(mut self, at: Duration, failure: Option<Failure>) {
        self.record(at, failure);
    }

    fn record(&mut self, at: Duration, failure: Option<Failure>) {
        self.ended = true;
        self.worker.in_flight.set(self.worker.in_flight.get() - 1);
        self.worker.last_end.set(self.worker.last_end.get().max(at));
        self.worker.count_burst(failure.is_some(), self.status_429);
        self.worker.recorder.borrow_mut().record(Sample {
            endpoint: self.endpoint,
            intended: self.intended.min(self.started),
            started: self.started,
            ended: at,
            bytes_received: self.traffic.received,
            bytes_sent: self.traffic.sent,
            body_bytes: self.traffic.body,
            rate_limited: self.status_429,
            failure,
        });
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let failure = Failure::new(FailureKind::Unfinished, "the run ended first");
            self.record(self.worker.now(), Some(failure));
        }
    }
}

//! Starting workers, collecting what they count, and ending a run.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use policy::{Arrivals, Curve};
use rand::RngExt;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::collect::Collector;
use crate::data::{DataRows, DataSource};
use crate::message::{BurstCount, Command, Event};
use crate::net::connect::Connector;
use crate::net::tls::{self, TlsSetupError};
use crate::params::{Burst, LoadParams, Model, WORKERS_MAX};
use crate::plan::{Plan, PreparedScenario};
use crate::quota::Quota;
use crate::recorder::Recorder;
use crate::request::Prepared;
use crate::results::{BurstResult, RunResult, Tick, per_second};
use crate::rng::user_rng;
use crate::scenario::{Scenario, Step};
use crate::schedule::Schedule;
use crate::template::RenderContext;
use crate::watch::Watcher;
use crate::worker::{TICK, Worker, WorkerSetup};

/// Commands that a worker has not obeyed yet.
const COMMANDS_MAX: usize = 64;
/// Events of one worker that the collector has not seen yet.
const EVENTS_PER_WORKER: usize = 8;
/// From starting the threads to time zero, so that all workers begin together.
const LEAD: Duration = Duration::from_millis(20);
/// Shortest tick.
const TICK_MIN: Duration = Duration::from_millis(10);
/// How long the collector waits for news before it looks whether the workers still live.
const IDLE: Duration = Duration::from_secs(2);

/// Why a run cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsSetupError),
    /// A thread or its runtime cannot be started.
    #[error("cannot start a worker")]
    Worker(#[source] std::io::Error),
    /// There is nothing to do.
    #[error("the scenario has no task with a weight above zero")]
    NoTask,
}

/// A bug: a worker ended without saying so.
#[derive(Debug, thiserror::Error)]
#[error("a worker thread ended unexpectedly")]
pub struct WorkerLost;

/// A request from outside, to the collector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Request {
    Pause,
    Resume,
    Users(u32),
    Rate(f64),
    Stop,
    Abort,
}

/// Steers a run from any thread. Requests are dropped once the run is over.
#[derive(Clone)]
pub struct Control {
    events: SyncSender<Event>,
}

impl Control {
    /// Starts nothing new until [`Control::resume`]. The run time stands still.
    pub fn pause(&self) {
        self.send(Request::Pause);
    }

    /// Goes on.
    pub fn resume(&self) {
        self.send(Request::Resume);
    }

    /// So many users from now on, in a closed model.
    pub fn set_users(&self, users: u32) {
        self.send(Request::Users(users));
    }

    /// So many arrivals per second from now on, in an open model.
    pub fn set_rate(&self, per_s: f64) {
        self.send(Request::Rate(per_s));
    }

    /// Ends the run: what is under way may finish within the drain time.
    pub fn stop(&self) {
        self.send(Request::Stop);
    }

    /// Ends the run at once.
    pub fn abort(&self) {
        self.send(Request::Abort);
    }

    fn send(&self, request: Request) {
        // Fails only when the run is over.
        let _ = self.events.send(Event::Control(request));
    }
}

/// A run under way.
pub struct Run {
    plan: Arc<Plan>,
    workers: Vec<WorkerHandle>,
    events: Receiver<Event>,
    control: Control,
    start: Instant,
    started_unix_ms: i64,
    watcher: Option<Watcher>,
}

struct WorkerHandle {
    thread: JoinHandle<()>,
    commands: mpsc::Sender<Command>,
    recycle: SyncSender<Box<Recorder>>,
}

impl Run {
    /// Starts the workers.
    ///
    /// # Errors
    /// [`StartError`] when there is nothing to do, TLS cannot be set up, or a thread not started.
    pub fn start(params: LoadParams) -> Result<Run, StartError> {
        Run::start_with_tick(params, TICK)
    }

    /// Starts the workers; observers see a tick as often as `tick` says (at least 10 ms).
    ///
    /// # Errors
    /// As [`Run::start`].
    pub fn start_with_tick(params: LoadParams, tick: Duration) -> Result<Run, StartError> {
        let tick = tick.max(TICK_MIN);
        params.scenario.data.iter().for_each(DataSource::rewind);
        let http = Arc::new(params.http.clone());
        let prepared = prepare(&params.scenario, &params)?;
        let tls = tls::client_config(&http.tls, http.version)?;
        let give_up = http.timeouts.total;
        let plan = Arc::new(Plan { params, http, prepared, give_up, tick });
        let workers = plan.params.workers.clamp(1, WORKERS_MAX);
        let (events_in, events) = sync_channel(workers * EVENTS_PER_WORKER);
        let quota = plan.params.stop.requests.map(|n| Arc::new(AtomicU64::new(n)));
        let start = Instant::now() + LEAD;
        let mut handles = Vec::with_capacity(workers);
        for index in 0..workers {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            // The runtime must live on its own thread; this one only proves that it can be had.
            drop(runtime.map_err(StartError::Worker)?);
            let (commands, commanded) = mpsc::channel(COMMANDS_MAX);
            let (recycle, recycled) = sync_channel(EVENTS_PER_WORKER);
            let (plan, tls, quota, events) =
                (Arc::clone(&plan), Arc::clone(&tls), quota.clone(), events_in.clone());
            let thread = std::thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn(move || {
                    let setup = move || WorkerSetup {
                        index,
                        schedule: schedule(&plan.params, index),
                        connector: Connector::new(Arc::clone(&plan.http), tls),
                        quota: Quota::new(quota, plan.params.stop.requests.unwrap_or(0), workers),
                        plan,
                        start,
                        events,
                    };
                    work(setup, commanded, recycled);
                })
                .map_err(StartError::Worker)?;
            handles.push(WorkerHandle { thread, commands, recycle });
        }
        let watcher = Watcher::start(&plan.params.watch);
        Ok(Run {
            plan,
            workers: handles,
            events,
            control: Control { events: events_in },
            start,
            started_unix_ms: jiff::Timestamp::now().as_millisecond(),
            watcher,
        })
    }

    /// A handle to steer the run.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Collects until the run is over; `observer` sees every tick.
    ///
    /// # Errors
    /// [`WorkerLost`] when a worker panicked.
    pub fn finish(self, observer: &mut dyn FnMut(&Tick<'_>)) -> Result<RunResult, WorkerLost> {
        let Run { plan, workers, events, control, start, started_unix_ms, watcher } = self;
        drop(control);
        let mut collector =
            Collector::new(&plan.params, plan.tick, start, started_unix_ms, watcher);
        let mut bursts = match &plan.params.model {
            Model::Burst(burst) => Some(Bursts::new(*burst, workers.len(), plan.params.seed)),
            _ => None,
        };
        let mut done = vec![false; workers.len()];
        while done.contains(&false) {
            let wait = bursts.as_mut().map_or(IDLE, |bursts| bursts.proceed(start, &workers));
            let event = match events.recv_timeout(wait) {
                Ok(event) => event,
                Err(_)
                    if workers
                        .iter()
                        .zip(&done)
                        .any(|(worker, done)| worker.thread.is_finished() && !done) =>
                {
                    return Err(WorkerLost);
                }
                Err(_) => continue,
            };
            match event {
                Event::Interval(interval) => {
                    for (worker, recorder) in collector.take(interval, observer) {
                        // A full channel means that the worker has spare ones already.
                        let _ = workers[worker].recycle.try_send(recorder);
                    }
                    if collector.wants_abort() {
                        command(&workers, &Command::Stop);
                    }
                }
                Event::Done(interval) => {
                    done[interval.worker] = true;
                    collector.take_last(interval);
                    if bursts.is_some() {
                        // A burst takes all workers: when one is through, none will follow.
                        bursts = None;
                        command(&workers, &Command::NoMoreBursts);
                    }
                }
                Event::BurstDone(count) => {
                    if let Some(bursts) = &mut bursts {
                        collector.bursts.extend(bursts.done(count));
                    }
                }
                Event::Control(request) => {
                    collector.note(request);
                    command(
                        &workers,
                        &match request {
                            Request::Pause => Command::Pause,
                            Request::Resume => Command::Resume,
                            Request::Users(users) => Command::Users(users),
                            Request::Stop => Command::Stop,
                            Request::Abort => Command::Abort,
                            Request::Rate(per_s) => match Curve::constant(per_s) {
                                Ok(rate) => Command::Rate(rate),
                                Err(_) => continue,
                            },
                        },
                    );
                }
            }
        }
        for worker in workers {
            worker.thread.join().map_err(|_| WorkerLost)?;
        }
        Ok(collector.finish(observer))
    }
}

fn command(workers: &[WorkerHandle], command: &Command) {
    for worker in workers {
        // A worker with a full queue of commands is busy with older ones; one that is gone needs
        // none.
        let _ = worker.commands.try_send(command.clone());
    }
}

/// The whole life of a worker thread.
fn work(
    setup: impl FnOnce() -> WorkerSetup,
    commands: mpsc::Receiver<Command>,
    recycled: Receiver<Box<Recorder>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Look at sockets and timers often, so that no user waits for a long queue of others.
        .event_interval(31)
        .build_local(LocalOptions::default());
    // A runtime was built a moment ago; without one the collector sees the worker missing.
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async move {
        Worker::new(setup()).run(commands, recycled).await;
    });
}

fn schedule(params: &LoadParams, index: usize) -> Schedule {
    let workers = params.workers;
    let end = params.stop.run_time;
    match &params.model {
        Model::Open { rate, arrivals, .. } => {
            let mut rng = user_rng(params.seed, u64::MAX / 2 - index as u64);
            let arrivals = Arrivals::new(rate, *arrivals, index, workers, &mut rng);
            Schedule::Arrivals { arrivals, rng, workers, end }
        }
        Model::Replay { replay, speed, repeat, .. } => Schedule::Replay {
            replay: Arc::clone(replay),
            next: index,
            step: workers,
            speed: *speed,
            lap: repeat.then_some(0),
            end,
        },
        Model::Burst(_) => Schedule::Queue { due: VecDeque::new(), closed: false },
        Model::Closed { .. } => Schedule::Queue { due: VecDeque::new(), closed: true },
    }
}

/// Renders what can be rendered before the run.
fn prepare(scenario: &Scenario, params: &LoadParams) -> Result<PreparedScenario, StartError> {
    let mut rng = user_rng(params.seed, 0);
    let rows = DataRows::new(Arc::clone(&scenario.data));
    let mut ctx =
        RenderContext { saved: &[], rows: &rows, rng: &mut rng, user_id: 0, iteration: 0 };
    let mut prepare_all = |steps: &[Step]| -> Vec<Prepared> {
        steps.iter().map(|step| Prepared::new(step, &params.http, &mut ctx)).collect()
    };
    let start = prepare_all(&scenario.on_start);
    let stop = prepare_all(&scenario.on_stop);
    let tasks = scenario.tasks.iter().map(|task| prepare_all(&task.steps)).collect();
    let mut sum = 0;
    let weights: Vec<u64> = scenario
        .tasks
        .iter()
        .map(|task| {
            sum += u64::from(task.weight);
            sum
        })
        .collect();
    if sum == 0 && !matches!(params.model, Model::Replay { .. }) {
        return Err(StartError::NoTask);
    }
    let sources = scenario
        .tasks
        .iter()
        .map(|task| {
            let mut sources: Vec<usize> = task
                .steps
                .iter()
                .flat_map(Step::templates)
                .flat_map(crate::template::Template::sources)
                .collect();
            sources.sort_unstable();
            sources.dedup();
            sources
        })
        .collect();
    Ok(PreparedScenario { tasks, start, stop, weights, sources })
}

/// The course of a burst run.
struct Bursts {
    burst: Burst,
    cycles_left: u32,
    workers: usize,
    pending: usize,
    sum: BurstCount,
    started: Duration,
    /// When the next burst starts; `None` while one is under way.
    next: Option<Instant>,
    rng: crate::rng::UserRng,
    closed: bool,
}

impl Bursts {
    fn new(burst: Burst, workers: usize, seed: u64) -> Bursts {
        Bursts {
            burst,
            cycles_left: burst.cycles,
            workers,
            pending: 0,
            sum: BurstCount::default(),
            started: Duration::ZERO,
            next: Some(Instant::now() + LEAD),
            rng: user_rng(seed, u64::MAX / 3),
            closed: false,
        }
    }

    /// Starts the next burst if its time has come; returns how long to wait for news.
    fn proceed(&mut self, start: Instant, workers: &[WorkerHandle]) -> Duration {
        let Some(next) = self.next else { return IDLE };
        let wait = next.saturating_duration_since(Instant::now());
        if !wait.is_zero() && self.cycles_left > 0 {
            return wait.min(IDLE);
        }
        let command = if self.cycles_left == 0 {
            if std::mem::replace(&mut self.closed, true) {
                return IDLE;
            }
            Command::NoMoreBursts
        } else {
            self.cycles_left -= 1;
            self.pending = self.workers;
            self.sum = BurstCount::default();
            self.started = start.elapsed();
            self.next = None;
            Command::Burst(self.burst.size as usize)
        };
        self::command(workers, &command);
        IDLE
    }

    /// Takes one worker's part of a burst; the last part completes it.
    fn done(&mut self, count: BurstCount) -> Option<BurstResult> {
        self.pending = self.pending.saturating_sub(1);
        self.sum.requests += count.requests;
        self.sum.failures += count.failures;
        self.sum.rate_limited += count.rate_limited;
        self.sum.ended = self.sum.ended.max(count.ended);
        if self.pending > 0 {
            return None;
        }
        let (low, high) = self.burst.pause;
        let pause = low + high.saturating_sub(low).mul_f64(self.rng.random::<f64>());
        self.next = Some(Instant::now() + pause);
        let duration = self.sum.ended.saturating_sub(self.started);
        Some(BurstResult {
            at: self.started,
            duration,
            requests: self.sum.requests,
            successes: self.sum.requests.saturating_sub(self.sum.failures),
            rate_limited: self.sum.rate_limited,
            requests_per_s: per_second(self.sum.requests, duration),
        })
    }
}

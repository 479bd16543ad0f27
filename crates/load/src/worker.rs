//! One worker: a thread with its own runtime, users, connections and counters.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Duration;

use policy::Curve;
use rand::RngExt;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::data::Exhausted;
use crate::health::thread_times;
use crate::message::{BurstCount, Command, Event, Interval};
use crate::net::buffer::BufferPool;
use crate::net::connect::Connector;
use crate::params::{HttpParams, Model};
use crate::plan::{Arrival, Plan, StepRef};
use crate::quota::Quota;
use crate::recorder::{Recorder, micros};
use crate::replay::ReplayRequest;
use crate::request::Prepared;
use crate::rng::{UserRng, user_rng};
use crate::scenario::{Scenario, Step};
use crate::schedule::{Due, Schedule};
use crate::timer::{Timer, Woken};
use crate::user::User;

/// How often the number of users is adjusted while it changes.
const SPAWN_INTERVAL: Duration = Duration::from_millis(20);
/// How often counters are handed over, when nobody says otherwise.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// A place for a user of a closed model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    Empty,
    Taken,
    /// Its user cannot go on: its data ran out.
    Closed,
}

/// The state that the users of one worker share.
pub(crate) struct Worker {
    index: usize,
    plan: Arc<Plan>,
    pub(crate) start: Instant,
    pub(crate) timer: Timer,
    pub(crate) pool: BufferPool,
    pub(crate) connector: Connector,
    pub(crate) recorder: RefCell<Box<Recorder>>,
    pub(crate) in_flight: Cell<u64>,
    pub(crate) connections: Cell<u64>,
    pub(crate) connections_max: Cell<u64>,
    pub(crate) last_end: Cell<Duration>,
    quota: Quota,
    rng: RefCell<UserRng>,
    users: RefCell<JoinSet<()>>,
    seats: RefCell<Vec<Seat>>,
    alive: Cell<u64>,
    alive_max: Cell<u64>,
    /// Users that this worker should have (closed), or may have (open).
    target: Cell<u64>,
    schedule: RefCell<Schedule>,
    /// Held by the user that waits for the next arrival.
    turn: Semaphore,
    /// Users of an open model that have nothing to do.
    idle: Cell<u64>,
    burst: Cell<BurstCount>,
    stopping: Cell<bool>,
    aborting: Cell<bool>,
    paused_at: Cell<Option<Instant>>,
    paused_for: Cell<Duration>,
    resumed: Notify,
    user_left: Notify,
    exhausted: RefCell<Option<Exhausted>>,
    events: SyncSender<Event>,
}

/// What a worker needs to begin.
pub(crate) struct WorkerSetup {
    pub(crate) index: usize,
    pub(crate) plan: Arc<Plan>,
    pub(crate) start: Instant,
    pub(crate) connector: Connector,
    pub(crate) quota: Quota,
    pub(crate) schedule: Schedule,
    pub(crate) events: SyncSender<Event>,
}

impl Worker {
    pub(crate) fn new(setup: WorkerSetup) -> Rc<Worker> {
        let endpoints = setup.plan.params.scenario.endpoints.len();
        let seed = setup.plan.params.seed;
        Rc::new(Worker {
            rng: RefCell::new(user_rng(seed, u64::MAX - setup.index as u64)),
            index: setup.index,
            plan: setup.plan,
            start: setup.start,
            timer: Timer::new(),
            pool: BufferPool::default(),
            connector: setup.connector,
            recorder: RefCell::new(Box::new(Recorder::new(endpoints))),
            in_flight: Cell::new(0),
            connections: Cell::new(0),
            connections_max: Cell::new(0),
            last_end: Cell::new(Duration::ZERO),
            quota: setup.quota,
            users: RefCell::default(),
            seats: RefCell::default(),
            alive: Cell::new(0),
            alive_max: Cell::new(0),
            target: Cell::new(0),
            schedule: RefCell::new(setup.schedule),
            turn: Semaphore::new(1),
            idle: Cell::new(0),
            burst: Cell::default(),
            stopping: Cell::new(false),
            aborting: Cell::new(false),
            paused_at: Cell::new(None),
            paused_for: Cell::new(Duration::ZERO),
            resumed: Notify::new(),
            user_left: Notify::new(),
            exhausted: RefCell::default(),
            events: setup.events,
        })
    }

    // === what users ask ===

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn http(&self) -> &HttpParams {
        &self.plan.http
    }

    pub(crate) fn scenario(&self) -> &Scenario {
        &self.plan.params.scenario
    }

    pub(crate) fn seed(&self) -> u64 {
        self.plan.params.seed
    }

    pub(crate) fn task_weights(&self) -> &[u64] {
        &self.plan.prepared.weights
    }

    pub(crate) fn task_sources(&self, task: usize) -> &[usize] {
        &self.plan.prepared.sources[task]
    }

    pub(crate) fn step(&self, place: StepRef) -> (&Step, &Prepared) {
        let (scenario, prepared) = (self.scenario(), &self.plan.prepared);
        match place {
            StepRef::Start(i) => (&scenario.on_start[i], &prepared.start[i]),
            StepRef::Stop(i) => (&scenario.on_stop[i], &prepared.stop[i]),
            StepRef::Task(task, i) => (&scenario.tasks[task].steps[i], &prepared.tasks[task][i]),
        }
    }

    pub(crate) fn replay_request(&self, request: usize) -> Option<&ReplayRequest> {
        match &self.plan.params.model {
            Model::Replay { replay, .. } => replay.requests.get(request),
            _ => None,
        }
    }

    /// Time since the start of the run.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Whether the user number `id` should leave.
    pub(crate) fn is_over(&self, id: u64) -> bool {
        self.stopping.get() || id / self.workers() >= self.target.get()
    }

    /// Whether a step may still begin although the run is ending.
    pub(crate) fn may_finish(&self, place: StepRef) -> bool {
        matches!(place, StepRef::Stop(_)) && !self.aborting.get()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused_at.get().is_some()
    }

    /// Waits for the end of a pause.
    pub(crate) async fn resumed(&self) {
        self.resumed.notified().await;
    }

    /// Takes one request of the number that may be sent.
    pub(crate) fn take_quota(&self) -> bool {
        let taken = self.quota.take();
        if !taken {
            self.stop();
        }
        taken
    }

    /// Counts how late a timer fired for something due at `intended`.
    pub(crate) fn record_lag(&self, intended: Duration) {
        let lag = self.now().saturating_sub(intended);
        self.recorder.borrow_mut().lag.record(micros(lag));
    }

    pub(crate) fn data_exhausted(&self, exhausted: &Exhausted) {
        self.exhausted.borrow_mut().get_or_insert_with(|| exhausted.clone());
    }

    /// A user has left.
    pub(crate) fn user_left(&self) {
        self.alive.set(self.alive.get() - 1);
        self.user_left.notify_one();
    }

    /// The next arrival, once it is due. One user at a time waits here; when it goes off to serve
    /// its arrival, the next one in line takes its place. `None`: there will be no more.
    pub(crate) async fn next_arrival(self: &Rc<Self>) -> Option<Arrival> {
        self.idle.set(self.idle.get() + 1);
        let turn = self.turn.acquire().await;
        let arrival = self.wait_for_arrival().await;
        self.idle.set(self.idle.get() - 1);
        let wanted = self.idle.get() == 0 && self.alive.get() < self.target.get();
        if arrival.is_some() && wanted && self.exhausted.borrow().is_none() {
            // Somebody must be there for the arrival after this one. Once data has run out, a new
            // user would have to leave as well.
            self.spawn_open_user();
        }
        drop(turn);
        arrival
    }

    async fn wait_for_arrival(&self) -> Option<Arrival> {
        loop {
            if self.stopping.get() {
                return None;
            }
            if self.is_paused() {
                self.resumed().await;
                continue;
            }
            let due = match self.schedule.borrow().due() {
                Due::At(due) => due + self.paused_for.get(),
                Due::Never => return None,
                Due::Later => Duration::MAX,
            };
            let now = self.now();
            if due > now {
                let deadline = self.start + due.min(now + Duration::from_secs(3_600));
                if self.timer.sleep_until(deadline).await == Woken::OnTime {
                    self.record_lag(due);
                }
                continue;
            }
            if now - due > self.plan.give_up {
                self.give_up_arrival(now - due);
                continue;
            }
            self.recorder.borrow_mut().offered += 1;
            return Some(Arrival { intended: due, request: self.schedule.borrow_mut().take() });
        }
    }

    fn give_up_arrival(&self, waited: Duration) {
        let request = self.schedule.borrow_mut().take();
        let endpoint = match request.and_then(|request| self.replay_request(request as usize)) {
            Some(request) => request.endpoint,
            None => {
                let weights = self.task_weights();
                let drawn =
                    self.rng.borrow_mut().random_range(0..weights.last().copied().unwrap_or(1));
                self.first_endpoint(weights.partition_point(|&sum| sum <= drawn))
            }
        };
        let mut recorder = self.recorder.borrow_mut();
        recorder.offered += 1;
        recorder.unsent(endpoint, waited);
    }

    /// An arrival was taken that nobody can serve.
    pub(crate) fn unserved(&self, task: usize, intended: Duration) {
        let waited = self.now().saturating_sub(intended);
        self.recorder.borrow_mut().unsent(self.first_endpoint(task), waited);
    }

    fn first_endpoint(&self, task: usize) -> usize {
        self.scenario().tasks[task].steps.first().map_or(0, |step| step.endpoint)
    }

    /// An arrival has been served.
    pub(crate) fn arrival_done(&self) {
        let mut burst = self.burst.get();
        if burst.left > 0 {
            burst.left -= 1;
            burst.ended = self.now();
            self.burst.set(burst);
            if burst.left == 0 {
                // The collector waits for this one; a full channel only delays it.
                let _ = self.events.send(Event::BurstDone(burst));
            }
        }
    }

    /// Counts a finished request of a burst.
    pub(crate) fn count_burst(&self, failed: bool, rate_limited: bool) {
        let mut burst = self.burst.get();
        burst.requests += 1;
        burst.failures += u64::from(failed);
        burst.rate_limited += u64::from(rate_limited);
        self.burst.set(burst);
    }

    // === the worker's own task ===

    fn workers(&self) -> u64 {
        self.plan.params.workers as u64
    }

    /// This worker's part of a number that all share.
    fn share(&self, total: u64) -> u64 {
        (total + self.workers() - 1 - self.index as u64) / self.workers()
    }

    fn is_open(&self) -> bool {
        !matches!(self.plan.params.model, Model::Closed { .. })
    }

    /// Time on the schedule: without pauses.
    fn schedule_now(&self) -> Duration {
        let pause = self.paused_at.get().map_or(Duration::ZERO, |at| at.elapsed());
        self.now().saturating_sub(self.paused_for.get() + pause)
    }

    fn stop(&self) {
        if !self.stopping.replace(true) {
            self.timer.interrupt();
            self.resumed.notify_waiters();
        }
    }

    fn user_came(&self) {
        self.alive.set(self.alive.get() + 1);
        self.alive_max.set(self.alive_max.get().max(self.alive.get()));
    }

    fn spawn_open_user(self: &Rc<Self>) {
        let id = self.alive.get() * self.workers() + self.index as u64;
        self.user_came();
        self.users.borrow_mut().spawn_local(User::new(Rc::clone(self), id).open());
    }

    fn spawn_closed_user(self: &Rc<Self>, seat: usize) {
        let id = seat as u64 * self.workers() + self.index as u64;
        self.user_came();
        let worker = Rc::clone(self);
        let user = User::new(Rc::clone(self), id);
        let spawned = self.now();
        self.users.borrow_mut().spawn_local(async move {
            user.closed(spawned).await;
            // Leaving of its own accord means that it cannot go on.
            let seat_now = if worker.is_over(id) { Seat::Empty } else { Seat::Closed };
            worker.seats.borrow_mut()[seat] = seat_now;
        });
    }

    /// Brings the number of users of a closed model to `level` (all workers together).
    fn set_users(self: &Rc<Self>, level: f64) {
        let target = self.share((level + 1e-6) as u64);
        if target < self.target.replace(target) {
            self.timer.interrupt();
        }
        for seat in 0..target as usize {
            let mut seats = self.seats.borrow_mut();
            if seats.len() <= seat {
                seats.resize(seat + 1, Seat::Empty);
            }
            if seats[seat] == Seat::Empty {
                seats[seat] = Seat::Taken;
                drop(seats);
                self.spawn_closed_user(seat);
            }
        }
    }

    /// Runs until the run is over and every user has left.
    pub(crate) async fn run(
        self: Rc<Self>,
        mut commands: mpsc::Receiver<Command>,
        recycled: Receiver<Box<Recorder>>,
    ) {
        let mut driver = JoinSet::new();
        driver.spawn_local({
            let worker = Rc::clone(&self);
            async move { worker.timer.drive().await }
        });
        let params = &self.plan.params;
        let end = params.stop.run_time;
        let mut users = match &params.model {
            Model::Closed { users } => Some(users.clone()),
            _ => None,
        };
        if self.is_open() {
            let users_max = match &params.model {
                Model::Open { users_max, .. } | Model::Replay { users_max, .. } => *users_max,
                Model::Burst(burst) => burst.size,
                Model::Closed { .. } => 0,
            };
            self.target.set(self.share(u64::from(users_max)).max(1));
            self.spawn_open_user();
        }
        let mut tick = 0;
        let mut stop_by: Option<Duration> = None;
        tokio::time::sleep_until(self.start).await;
        loop {
            let now = self.now();
            let over = end.is_some_and(|end| self.schedule_now() >= end);
            if over && !self.is_open() {
                self.stop();
            }
            if over || self.stopping.get() {
                stop_by.get_or_insert(now + params.drain);
            }
            if let Some(curve) =
                users.as_ref().filter(|_| !self.stopping.get() && !self.is_paused())
            {
                self.set_users(curve.at(self.schedule_now()));
            }
            while self.users.borrow_mut().try_join_next().is_some() {}
            if now >= self.tick_end(tick) {
                tick = (now.as_nanos() / self.plan.tick.as_nanos()) as u64;
                self.hand_over(tick, &recycled);
            }
            if stop_by.is_some_and(|stop_by| now >= stop_by)
                || self.aborting.get()
                || self.is_empty(users.as_ref())
            {
                break;
            }
            let mut wake = self.tick_end(tick);
            if users.as_ref().is_some_and(|curve| self.schedule_now() < curve.end()) {
                wake = wake.min(now + SPAWN_INTERVAL);
            }
            // In a pause the end is not known, and moves on.
            let ends_at =
                end.map(|end| end + self.paused_for.get()).filter(|_| !over && !self.is_paused());
            wake = ends_at.into_iter().chain(stop_by).fold(wake, Duration::min);
            tokio::select! {
                _ = self.timer.sleep_until(self.start + wake) => {}
                () = self.user_left.notified() => {}
                command = commands.recv() => match command {
                    Some(Command::Users(n)) => {
                        // Levels are finite and not negative.
                        users = users.and_then(|_| Curve::constant(f64::from(n)).ok());
                    }
                    Some(command) => self.obey(command),
                    None => self.stop(),
                },
            }
        }
        // Dropping the users under way records their requests as unfinished.
        self.users.borrow_mut().abort_all();
        let mut left = std::mem::take(&mut *self.users.borrow_mut());
        while left.join_next().await.is_some() {}
        self.count_unsent(end);
        driver.shutdown().await;
        let interval = self.interval(tick + 1, Box::default());
        // Fails only when nobody is interested any more.
        let _ = self.events.send(Event::Done(interval));
    }

    /// When the tick after number `tick` ends.
    fn tick_end(&self, tick: u64) -> Duration {
        self.plan.tick * u32::try_from(tick + 1).unwrap_or(u32::MAX)
    }

    /// Whether no user is left and none will come.
    fn is_empty(&self, users: Option<&Curve>) -> bool {
        if self.alive.get() > 0 {
            return false;
        }
        match users {
            _ if self.stopping.get() => true,
            // Users of an open model leave when no arrival will come, or their data has run out.
            None => true,
            Some(curve) => {
                self.schedule_now() >= curve.end()
                    && self.seats.borrow().iter().all(|seat| *seat == Seat::Closed)
            }
        }
    }

    fn obey(&self, command: Command) {
        match command {
            Command::Pause => {
                if self.paused_at.get().is_none() {
                    self.paused_at.set(Some(Instant::now()));
                    self.timer.interrupt();
                }
            }
            Command::Resume => {
                if let Some(at) = self.paused_at.take() {
                    self.paused_for.set(self.paused_for.get() + at.elapsed());
                    self.resumed.notify_waiters();
                }
            }
            Command::Stop => self.stop(),
            Command::Abort => {
                self.aborting.set(true);
                self.stop();
            }
            Command::Rate(rate) => {
                self.schedule.borrow_mut().set_rate(self.schedule_now(), &rate);
                self.timer.interrupt();
            }
            Command::Burst(total) => {
                let n = self.share(total as u64) as usize;
                self.burst.set(BurstCount { left: n, ..BurstCount::default() });
                if n == 0 {
                    let _ = self.events.send(Event::BurstDone(self.burst.get()));
                }
                self.schedule.borrow_mut().burst(self.schedule_now(), n);
                self.timer.interrupt();
            }
            Command::NoMoreBursts => {
                self.schedule.borrow_mut().close();
                self.timer.interrupt();
            }
            // Handled where the curve is.
            Command::Users(_) => {}
        }
    }

    /// Counts what was due before the end and never got its turn.
    fn count_unsent(&self, end: Option<Duration>) {
        let now = self.schedule_now();
        let end = end.map_or(now, |end| end.min(now));
        loop {
            let due = match self.schedule.borrow().due() {
                Due::At(due) if due < end => due,
                _ => break,
            };
            if !self.quota.take() {
                break;
            }
            self.give_up_arrival(now - due);
        }
    }

    /// Hands the counters over, unless the collector is behind; then they grow until the next tick.
    fn hand_over(&self, tick: u64, recycled: &Receiver<Box<Recorder>>) {
        let fresh = recycled
            .try_recv()
            .unwrap_or_else(|_| Box::new(Recorder::new(self.plan.params.scenario.endpoints.len())));
        let interval = self.interval(tick, fresh);
        if let Err(
            TrySendError::Full(Event::Interval(back))
            | TrySendError::Disconnected(Event::Interval(back)),
        ) = self.events.try_send(Event::Interval(interval))
        {
            *self.recorder.borrow_mut() = back.recorder;
        }
    }

    fn interval(&self, tick: u64, fresh: Box<Recorder>) -> Interval {
        let (cpu, starved) = thread_times();
        Interval {
            worker: self.index,
            tick,
            recorder: std::mem::replace(&mut *self.recorder.borrow_mut(), fresh),
            users: self.alive.get(),
            users_max: self.alive_max.get(),
            in_flight: self.in_flight.get(),
            connections_max: self.connections_max.get(),
            cpu,
            starved,
            last_end: self.last_end.get(),
            paused: self.now().saturating_sub(self.schedule_now()),
            exhausted: self.exhausted.borrow().clone(),
        }
    }
}

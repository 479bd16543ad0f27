//! Merging what the workers count, once a second, and the result at the end.

use std::collections::VecDeque;
use std::time::Duration;

use policy::Curve;
use tokio::time::Instant;

use crate::data::Exhausted;
use crate::engine::Request;
use crate::findings::findings;
use crate::health::{TcpCounters, process_cpu, raise_descriptor_limit};
use crate::judge::{Evidence, judge};
use crate::message::Interval;
use crate::params::{LoadParams, Model};
use crate::recorder::Recorder;
use crate::results::{
    BurstResult, ErrorGroup, GeneratorHealth, RequestStats, RunResult, SERIES_POINTS, SeriesPoint,
    Tick, per_second,
};
use crate::slo::evaluate;
use crate::watch::Watcher;
use crate::worker::TICK;

/// Collects one run.
pub(crate) struct Collector<'a> {
    params: &'a LoadParams,
    tick_length: Duration,
    /// Arrivals per second that are asked for, in an open model.
    rate: Option<Curve>,
    start: Instant,
    started_unix_ms: i64,
    watcher: Option<Watcher>,
    queues: Vec<VecDeque<Interval>>,
    latest: Vec<WorkerState>,
    last: Vec<Interval>,
    ticks: u64,
    /// The interval that is being put together.
    interval: Recorder,
    /// Everything so far.
    so_far: Recorder,
    totals: RequestStats,
    /// The point of the series that is being put together, of one tick or several.
    open_point: RequestStats,
    open_offered: u64,
    open_since: Duration,
    series: Vec<SeriesPoint>,
    pub(crate) bursts: Vec<BurstResult>,
    paused: bool,
    interrupted: bool,
    abort: bool,
    tcp: Option<TcpCounters>,
    process_cpu: Duration,
}

#[derive(Debug, Clone, Default)]
struct WorkerState {
    users: u64,
    users_max: u64,
    in_flight: u64,
    connections_max: u64,
    cpu: Duration,
    cpu_before: Duration,
    starved: Option<Duration>,
    last_end: Duration,
    paused: Duration,
    exhausted: Option<Exhausted>,
}

impl WorkerState {
    fn update(&mut self, interval: &Interval) {
        self.users = interval.users;
        self.users_max = interval.users_max;
        self.in_flight = interval.in_flight;
        self.connections_max = interval.connections_max;
        self.cpu_before = self.cpu;
        self.cpu = interval.cpu;
        self.starved = interval.starved;
        self.last_end = interval.last_end;
        self.paused = interval.paused;
        self.exhausted.clone_from(&interval.exhausted);
    }
}

impl<'a> Collector<'a> {
    pub(crate) fn new(
        params: &'a LoadParams,
        tick_length: Duration,
        start: Instant,
        started_unix_ms: i64,
        watcher: Option<Watcher>,
    ) -> Collector<'a> {
        let endpoints = params.scenario.endpoints.len();
        Collector {
            params,
            tick_length,
            rate: match &params.model {
                Model::Open { rate, .. } => Some(rate.clone()),
                _ => None,
            },
            start,
            started_unix_ms,
            watcher,
            queues: (0..params.workers).map(|_| VecDeque::new()).collect(),
            latest: vec![WorkerState::default(); params.workers],
            last: Vec::new(),
            ticks: 0,
            interval: Recorder::new(endpoints),
            so_far: Recorder::new(endpoints),
            totals: RequestStats::default(),
            open_point: RequestStats::default(),
            open_offered: 0,
            open_since: Duration::ZERO,
            series: Vec::new(),
            bursts: Vec::new(),
            paused: false,
            interrupted: false,
            abort: false,
            tcp: TcpCounters::read(),
            process_cpu: process_cpu(),
        }
    }

    /// Remembers what someone asked for.
    pub(crate) fn note(&mut self, request: Request) {
        match request {
            Request::Pause => self.paused = true,
            Request::Resume => self.paused = false,
            Request::Stop | Request::Abort => self.interrupted = true,
            Request::Rate(per_s) => {
                if let (Some(rate), Ok(new)) = (&mut self.rate, Curve::constant(per_s)) {
                    *rate = new;
                }
            }
            Request::Users(_) => {}
        }
    }

    /// Whether an objective that may stop the run has been missed.
    pub(crate) fn wants_abort(&self) -> bool {
        self.abort
    }

    /// Takes one worker's interval; returns recorders that their workers may use again.
    pub(crate) fn take(
        &mut self,
        interval: Interval,
        observer: &mut dyn FnMut(&Tick<'_>),
    ) -> Vec<(usize, Box<Recorder>)> {
        self.queues[interval.worker].push_back(interval);
        let mut spare = Vec::new();
        // A tick is complete when every worker that still runs has told of it or of a later one.
        while self.queues.iter().enumerate().all(|(index, queue)| {
            queue.back().is_some_and(|last| last.tick > self.ticks)
                || self.last.iter().any(|last| last.worker == index)
        }) && self.queues.iter().any(|queue| !queue.is_empty())
        {
            self.ticks += 1;
            for index in 0..self.queues.len() {
                while self.queues[index].front().is_some_and(|next| next.tick <= self.ticks) {
                    if let Some(mut interval) = self.queues[index].pop_front() {
                        self.latest[index].update(&interval);
                        self.interval.merge(&interval.recorder);
                        interval.recorder.clear();
                        spare.push((index, interval.recorder));
                    }
                }
            }
            let at = self.tick_length * u32::try_from(self.ticks).unwrap_or(u32::MAX);
            self.tick(at, self.tick_length, observer);
        }
        spare
    }

    /// Takes a worker's last interval.
    pub(crate) fn take_last(&mut self, interval: Interval) {
        self.last.push(interval);
    }

    /// Everything after the last whole tick, and the result.
    pub(crate) fn finish(mut self, observer: &mut dyn FnMut(&Tick<'_>)) -> RunResult {
        let rest: Vec<Interval> = self
            .queues
            .iter_mut()
            .flat_map(|queue| queue.drain(..))
            .chain(self.last.drain(..))
            .collect();
        for interval in &rest {
            self.latest[interval.worker].update(interval);
            self.interval.merge(&interval.recorder);
        }
        let elapsed = self.start.elapsed();
        let before = self.tick_length * u32::try_from(self.ticks).unwrap_or(u32::MAX);
        let length = elapsed.saturating_sub(before);
        // A last interval of next to nothing would show as a rate of its own.
        if length > self.tick_length / 10
            || self.series.is_empty()
            || !self.interval.touched().is_empty()
        {
            self.tick(elapsed.max(before), length.max(Duration::from_millis(1)), observer);
        }
        self.close_point(elapsed);
        self.result(elapsed)
    }

    fn tick(&mut self, at: Duration, length: Duration, observer: &mut dyn FnMut(&Tick<'_>)) {
        let mut all = RequestStats::default();
        for &endpoint in self.interval.touched() {
            all.merge(&self.interval.endpoints[endpoint]);
        }
        self.so_far.merge(&self.interval);
        self.totals.merge(&all);
        self.open_point.merge(&all);
        self.open_offered += self.interval.offered;
        let watched = self.watcher.as_mut().map_or_else(Vec::new, Watcher::sample);
        let point = self.point(&all, self.interval.offered, at, length, watched);
        let errors = self.so_far.errors.sorted();
        observer(&Tick {
            at,
            planned: self.params.stop.run_time,
            planned_requests: self.params.stop.requests,
            point: &point,
            endpoints: &self.params.scenario.endpoints,
            interval: &self.interval.endpoints,
            so_far: &self.so_far.endpoints,
            totals: &self.totals,
            watched: self.watcher.as_ref().map_or(&[], Watcher::series),
            errors: &errors,
            paused: self.paused,
        });
        self.abort |= self.params.slo.iter().filter(|objective| objective.abort).any(|objective| {
            let result = evaluate(objective, &self.totals, self.scoped(objective).as_ref(), at);
            result.measured.is_some() && !result.met
        });
        // Beyond so many points, each covers twice the time of those before.
        let ticks_per_point = 1_u32 << (self.series.len() / SERIES_POINTS).min(20);
        if at - self.open_since >= TICK * ticks_per_point {
            let watched = point.watched;
            self.push_point(at, watched);
        }
        self.interval.clear();
    }

    /// Ends the point that is being put together, if it covers anything.
    fn close_point(&mut self, at: Duration) {
        if at > self.open_since && (!self.open_point.is_empty() || self.series.is_empty()) {
            self.push_point(at, Vec::new());
        }
    }

    fn push_point(&mut self, at: Duration, watched: Vec<Option<f64>>) {
        let length = at - self.open_since;
        let stats = std::mem::take(&mut self.open_point);
        let point = self.point(&stats, self.open_offered, at, length, watched);
        self.series.push(point);
        self.open_since = at;
        self.open_offered = 0;
    }

    fn point(
        &self,
        stats: &RequestStats,
        offered: u64,
        at: Duration,
        interval: Duration,
        watched: Vec<Option<f64>>,
    ) -> SeriesPoint {
        let quantile = |q| stats.response.quantile_us(q).map(Duration::from_micros);
        let busiest = self
            .latest
            .iter()
            .map(|worker| worker.cpu.saturating_sub(worker.cpu_before))
            .max()
            .unwrap_or_default();
        SeriesPoint {
            at,
            interval,
            users: self.latest.iter().map(|worker| worker.users).sum(),
            in_flight: self.latest.iter().map(|worker| worker.in_flight).sum(),
            offered_per_s: match (&self.params.model, &self.rate) {
                (Model::Closed { .. }, _) => None,
                (_, Some(rate)) => Some(rate.at(at.saturating_sub(interval / 2))),
                (_, None) => Some(per_second(offered, interval)),
            },
            requests_per_s: per_second(stats.requests, interval),
            failures_per_s: per_second(stats.failures, interval),
            bytes_per_s: per_second(stats.bytes_received, interval),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            generator_cpu: (busiest.as_secs_f64() / self.tick_length.as_secs_f64()).min(1.0),
            lag_max: Duration::from_micros(self.interval.lag.max_us().unwrap_or(0)),
            watched,
        }
    }

    /// The requests that an objective is about: those of an endpoint, or of all steps of a task.
    fn scoped(&self, objective: &crate::slo::Objective) -> Option<RequestStats> {
        let name = objective.scope.as_deref()?;
        let mut stats = RequestStats::default();
        for endpoint in self.params.scenario.endpoints_of(name) {
            stats.merge(&self.so_far.endpoints[endpoint]);
        }
        Some(stats)
    }

    fn result(mut self, elapsed: Duration) -> RunResult {
        let last_end = self.latest.iter().map(|worker| worker.last_end).max().unwrap_or_default();
        let paused = self.latest.iter().map(|worker| worker.paused).max().unwrap_or_default();
        let active = elapsed.saturating_sub(paused);
        // A run that ends by time lasts as long as it was meant to; what drains afterwards would
        // only dilute its rates. Any other run lasts until its last answer.
        let by_schedule = matches!(self.params.model, Model::Open { .. })
            && self.params.stop.requests.is_none()
            && !self.interrupted
            && !self.abort;
        let duration = match self.params.stop.run_time {
            Some(run_time) if active >= run_time || by_schedule => run_time,
            _ => last_end.saturating_sub(paused),
        };
        let slo: Vec<_> = self
            .params
            .slo
            .iter()
            .map(|objective| {
                evaluate(objective, &self.totals, self.scoped(objective).as_ref(), duration)
            })
            .collect();
        let generator = self.generator(elapsed);
        let evidence = Evidence {
            params: self.params,
            totals: &self.totals,
            series: &self.series,
            generator: &generator,
            errors: &self.so_far.errors.sorted(),
            slo: &slo,
            duration,
        };
        let verdict = judge(&evidence);
        let exhausted = self.latest.iter().find_map(|worker| worker.exhausted.clone());
        let findings = findings(&evidence, &verdict, exhausted.as_ref());
        let errors: Vec<ErrorGroup> = self.so_far.errors.sorted();
        let endpoints = self.params.scenario.endpoints.clone();
        let tasks = endpoints
            .iter()
            .zip(std::mem::take(&mut self.so_far.endpoints))
            .filter(|(_, stats)| !stats.is_empty())
            .map(|(endpoint, stats)| (endpoint.clone(), stats))
            .collect();
        let scheme = if self.params.http.origin.tls { "https" } else { "http" };
        RunResult {
            model: self.params.model.name(),
            host: format!(
                "{scheme}://{}{}",
                self.params.http.origin.authority(),
                self.params.http.base_path
            ),
            started_unix_ms: self.started_unix_ms,
            duration,
            users_max: self.latest.iter().map(|worker| worker.users_max).sum(),
            totals: self.totals,
            tasks,
            endpoints,
            phases: self.so_far.phases,
            errors,
            series: self.series,
            watched: self
                .watcher
                .as_ref()
                .map_or_else(Vec::new, |watcher| watcher.series().to_vec()),
            bursts: self.bursts,
            replay: match &self.params.model {
                Model::Replay { replay, .. } => Some(replay.account.clone()),
                _ => None,
            },
            generator,
            slo,
            verdict,
            findings,
            interrupted: self.interrupted,
        }
    }

    fn generator(&mut self, elapsed: Duration) -> GeneratorHealth {
        let share =
            |time: Duration| (time.as_secs_f64() / elapsed.as_secs_f64().max(1e-9)).min(1.0);
        GeneratorHealth {
            workers: self.latest.len(),
            worker_cpu: self.latest.iter().map(|worker| share(worker.cpu)).collect(),
            worker_starved: self
                .latest
                .iter()
                .filter_map(|worker| worker.starved.map(share))
                .collect(),
            lag: std::mem::take(&mut self.so_far.lag),
            out_of_descriptors: self.so_far.out_of_descriptors,
            out_of_ports: self.so_far.out_of_ports,
            descriptor_limit: raise_descriptor_limit(),
            connections_max: self.latest.iter().map(|worker| worker.connections_max).sum(),
            connections_opened: self.so_far.connections_opened,
            retransmit_ratio: TcpCounters::read()
                .zip(self.tcp)
                .map(|(after, before)| after.retransmit_ratio(before)),
            process_cpu: process_cpu().saturating_sub(self.process_cpu),
        }
    }
}

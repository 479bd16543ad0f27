//! JSON of a run (`tidegate.run/1`) and of a capacity search (`tidegate.capacity/1`).
//!
//! Keys are contracts: they may be joined by others, never renamed. Times are milliseconds unless
//! their key says otherwise. A number that does not exist is 0 where the contract shows a number,
//! and null elsewhere.

use std::time::Duration;

use load::capacity::{CapacityResult, SearchBy, Trial};
use load::results::{
    ErrorGroup, GeneratorHealth, RequestStats, RunResult, SeriesPoint, SloResult, per_second,
};
use load::slo::{Objective, SloTarget};
use serde_json::{Map, Value, json};
use stats::LatencyHistogram;

use crate::figures::{ESTIMATOR, PERCENTILES, Unsent, micros, quantile};

/// Schema of [`run_json`].
pub const RUN_SCHEMA: &str = "tidegate.run/1";
/// Schema of [`capacity_json`].
pub const CAPACITY_SCHEMA: &str = "tidegate.capacity/1";

/// A finite number with at most `digits` decimals; 0 for what is not finite.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    let rounded = (value * scale).round() / scale;
    if rounded.is_finite() { rounded } else { 0.0 }
}

fn rounded3(value: f64) -> f64 {
    rounded(value, 3)
}

/// Milliseconds of a number of microseconds; 0 when there is none.
pub(crate) fn ms(us: Option<f64>) -> f64 {
    rounded3(us.unwrap_or(0.0) / 1e3)
}

fn duration_ms(duration: Option<Duration>) -> f64 {
    ms(duration.map(micros))
}

fn seconds(duration: Duration) -> f64 {
    rounded3(duration.as_secs_f64())
}

/// A load: whole where it is whole.
fn load_value(load: f64) -> Value {
    if load >= 0.0 && load.fract() == 0.0 && load < 1e15 {
        json!(load as u64)
    } else {
        json!(rounded3(load))
    }
}

/// A run.
pub fn run_json(run: &RunResult) -> Value {
    let unsent = Unsent::of(run);
    let mut totals = stats_json(&run.totals, run.duration);
    totals.insert("unsent".to_owned(), json!(unsent.total()));
    totals.insert("unsent-late".to_owned(), json!(unsent.late));
    totals.insert("unsent-skipped".to_owned(), json!(unsent.skipped));
    totals.insert("unsent-not-reached".to_owned(), json!(unsent.not_reached));
    let tasks: Vec<Value> = run
        .tasks
        .iter()
        .map(|(endpoint, stats)| {
            let mut task = Map::new();
            task.insert("name".to_owned(), json!(endpoint.name));
            task.insert("method".to_owned(), json!(endpoint.method.as_str()));
            task.extend(stats_json(stats, run.duration));
            Value::Object(task)
        })
        .collect();
    let phases: Map<String, Value> = run
        .phases
        .named()
        .into_iter()
        .map(|(name, histogram)| {
            let mut phase = Map::new();
            phase.insert("count".to_owned(), json!(histogram.count()));
            phase.extend(times_json(histogram));
            (name.to_owned(), Value::Object(phase))
        })
        .collect();
    json!({
        "schema": RUN_SCHEMA,
        "verdict": {
            "bound-by": run.verdict.bound_by.name(),
            "slo": run.verdict.slo.name(),
            "valid": run.verdict.valid,
            "reasons": run.verdict.reasons,
        },
        "totals": totals,
        "tasks": tasks,
        "errors": run.errors.iter().map(|error| error_json(run, error)).collect::<Vec<_>>(),
        "series": run.series.iter().map(point_json).collect::<Vec<_>>(),
        "estimator": ESTIMATOR,
        "model": run.model,
        "host": run.host,
        "started-unix-ms": run.started_unix_ms,
        "interrupted": run.interrupted,
        "users-max": run.users_max,
        "phases-ms": phases,
        "generator": generator_json(&run.generator),
        "slo": run.slo.iter().map(slo_json).collect::<Vec<_>>(),
        "findings": run.findings.iter().map(|finding| json!({
            "severity": finding.severity.name(),
            "text": finding.text,
            "advice": finding.advice,
        })).collect::<Vec<_>>(),
        "bursts": run.bursts.iter().map(|burst| json!({
            "t-s": seconds(burst.at),
            "duration-s": seconds(burst.duration),
            "requests": burst.requests,
            "successes": burst.successes,
            "rate-limited": burst.rate_limited,
            "requests-per-s": rounded3(burst.requests_per_s),
        })).collect::<Vec<_>>(),
        "watched": run.watched.iter()
            .map(|watched| json!({ "name": watched.name, "unit": watched.unit }))
            .collect::<Vec<_>>(),
        "replay": replay_json(run, unsent),
    })
}

fn stats_json(stats: &RequestStats, duration: Duration) -> Map<String, Value> {
    let value = json!({
        "requests": stats.requests,
        "failures": stats.failures,
        "requests-per-s": rounded3(per_second(stats.requests, duration)),
        "duration-s": seconds(duration),
        "bytes-received": stats.bytes_received,
        "unsent": stats.unsent,
        "failure-ratio": rounded(stats.failure_ratio(), 6),
        "rate-limited": stats.rate_limited,
        "timeouts": stats.timeouts,
        "bytes-sent": stats.bytes_sent,
        "body-bytes": stats.body_bytes,
        "response-time-ms": times_json(&stats.response),
        "service-time-ms": times_json(&stats.service),
        "send-delay-ms": times_json(&stats.delay),
    });
    let Value::Object(map) = value else { unreachable!("an object was written") };
    map
}

/// The figures of a histogram in milliseconds, 0 when it is empty.
fn times_json(histogram: &LatencyHistogram) -> Map<String, Value> {
    let whole = |us: Option<u64>| us.map(|us| us as f64);
    let figures = [
        ("min", whole(histogram.min_us())),
        ("mean", histogram.mean_us()),
        ("stdev", histogram.stdev_us()),
        ("max", whole(histogram.max_us())),
    ];
    let percentiles = PERCENTILES.map(|(name, q)| (name, quantile(histogram, q)));
    figures
        .into_iter()
        .chain(percentiles)
        .map(|(name, us)| (name.to_owned(), json!(ms(us))))
        .collect()
}

fn error_json(run: &RunResult, error: &ErrorGroup) -> Value {
    let endpoint = run.endpoints.get(error.endpoint);
    json!({
        "kind": error.kind.name(),
        "detail": error.detail,
        "count": error.count,
        "name": endpoint.map_or("", |endpoint| endpoint.name.as_str()),
        "method": endpoint.map_or("", |endpoint| endpoint.method.as_str()),
        "first-s": seconds(error.first),
        "last-s": seconds(error.last),
    })
}

fn point_json(point: &SeriesPoint) -> Value {
    json!({
        "t-s": seconds(point.at),
        "users": point.users,
        "requests-per-s": rounded3(point.requests_per_s),
        "failures-per-s": rounded3(point.failures_per_s),
        "p50-ms": duration_ms(point.p50),
        "p95-ms": duration_ms(point.p95),
        "p99-ms": duration_ms(point.p99),
        "interval-s": seconds(point.interval),
        "in-flight": point.in_flight,
        "offered-per-s": point.offered_per_s.map(rounded3),
        "bytes-per-s": rounded3(point.bytes_per_s),
        "generator-cpu": rounded(point.generator_cpu, 4),
        "lag-max-ms": duration_ms(Some(point.lag_max)),
        "watched": point.watched.iter().map(|value| value.map(rounded3)).collect::<Vec<_>>(),
    })
}

fn generator_json(health: &GeneratorHealth) -> Value {
    let shares = |shares: &[f64]| shares.iter().map(|share| rounded(*share, 4)).collect::<Vec<_>>();
    json!({
        "workers": health.workers,
        "worker-cpu": shares(&health.worker_cpu),
        "worker-starved": shares(&health.worker_starved),
        "lag-ms": times_json(&health.lag),
        "out-of-descriptors": health.out_of_descriptors,
        "out-of-ports": health.out_of_ports,
        "descriptor-limit": health.descriptor_limit,
        "connections-max": health.connections_max,
        "connections-opened": health.connections_opened,
        "retransmit-ratio": health.retransmit_ratio.map(|ratio| rounded(ratio, 6)),
        "process-cpu-s": seconds(health.process_cpu),
    })
}

fn slo_json(result: &SloResult) -> Value {
    let (unit, scale, bound) = match result.objective.target {
        SloTarget::Quantile(_, bound) | SloTarget::Mean(bound) | SloTarget::Max(bound) => {
            ("ms", 1e3, bound.as_secs_f64())
        }
        SloTarget::Failures(bound) => ("ratio", 1.0, bound.get()),
        SloTarget::Throughput(bound) => ("per-s", 1.0, bound.as_per_s()),
    };
    json!({
        "objective": result.objective.to_string(),
        "scope": result.objective.scope,
        "figure": result.objective.target.key(),
        "unit": unit,
        "bound": rounded(bound * scale, 6),
        "measured": result.measured.map(|measured| rounded(measured * scale, 6)),
        "met": result.met,
    })
}

fn replay_json(run: &RunResult, unsent: Unsent) -> Value {
    let Some(replay) = &run.replay else { return Value::Null };
    json!({
        "lines": replay.lines,
        "parsed": replay.parsed,
        "rejected": replay.rejected_total(),
        "rejects": replay.rejected.iter()
            .map(|(reason, count)| json!({ "reason": reason, "count": count }))
            .collect::<Vec<_>>(),
        "sent": run.totals.requests,
        "unsent": unsent.total(),
        "skipped": replay.skipped.iter()
            .map(|(method, count)| json!({ "method": method, "count": count }))
            .collect::<Vec<_>>(),
    })
}

/// Objectives as `--slo` reads them.
pub(crate) fn slo_text(slo: &[Objective]) -> String {
    slo.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The trial that stands for the answer: the longest that met the objectives at its load.
pub(crate) fn answer_trial(result: &CapacityResult) -> Option<&Trial> {
    let at_answer = result.trials.iter().filter(|trial| trial.met && trial.load == result.load);
    at_answer.max_by_key(|trial| trial.duration)
}

/// A capacity search. `ci` is that of the searched quantity; the other one is what was measured at
/// the answer: requests per second, or requests in flight.
pub fn capacity_json(result: &CapacityResult) -> Value {
    let (users, requests_per_s) = match result.by {
        SearchBy::Users => (result.load, result.requests_per_s),
        SearchBy::Rate => {
            (answer_trial(result).map_or(0.0, |trial| trial.in_flight.round()), result.load)
        }
    };
    let usl = result.usl.as_ref();
    json!({
        "schema": CAPACITY_SCHEMA,
        "capacity": {
            "users": load_value(users),
            "requests-per-s": rounded3(requests_per_s),
            "ci": [rounded3(result.ci.0), rounded3(result.ci.1)],
            "by": match result.by { SearchBy::Users => "users", SearchBy::Rate => "rate" },
            "confidence": 0.95,
        },
        "slo": slo_text(&result.slo),
        "bound-by": result.bound_by.name(),
        "failed-first": result.failed_first.as_deref().unwrap_or(""),
        "failed-load": result.failed_load.map(load_value),
        "signal": result.signal.as_ref().map(load::capacity::Signal::text),
        "usl": {
            "gamma": rounded(usl.map_or(0.0, |usl| usl.gamma), 6),
            "sigma": rounded(usl.map_or(0.0, |usl| usl.sigma), 9),
            "kappa": rounded(usl.map_or(0.0, |usl| usl.kappa), 12),
            "n-star": rounded3(usl.and_then(stats::UslFit::n_star).unwrap_or(0.0)),
            "fitted": usl.is_some(),
            "r-squared": usl.map(|usl| rounded(usl.r_squared, 6)),
            "residual": usl.map(|usl| rounded3(usl.residual)),
        },
        "knee": result.knee.map(load_value),
        "doubts": result.doubts,
        "estimator": ESTIMATOR,
        "trials": result.trials.iter().map(trial_json).collect::<Vec<_>>(),
    })
}

fn trial_json(trial: &Trial) -> Value {
    json!({
        "load": load_value(trial.load),
        "requests-per-s": rounded3(trial.requests_per_s),
        "p95-ms": rounded3(trial.p95_ms),
        "failures": rounded(trial.failures, 6),
        "met": trial.met,
        "purpose": trial.purpose.name(),
        "duration-s": seconds(trial.duration),
        "offered-per-s": trial.offered_per_s.map(rounded3),
        "p50-ms": rounded3(trial.p50_ms),
        "p99-ms": rounded3(trial.p99_ms),
        "mean-ms": rounded3(trial.mean_ms),
        "in-flight": rounded3(trial.in_flight),
        "failed": trial.failed,
        "generator-limited": trial.generator_limited,
    })
}

//! Small results, made by hand.

use std::time::Duration;

use http::Method;
use load::capacity::{CapacityResult, SearchBy, Signal, Trial, TrialPurpose};
use load::failure::FailureKind;
use load::results::{
    BurstResult, ErrorGroup, Finding, GeneratorHealth, Phases, ReplayAccount, RequestStats,
    RunResult, SeriesPoint, Severity, SloResult, Tick, WatchedSeries,
};
use load::scenario::Endpoint;
use load::verdict::{BoundBy, SloVerdict, Verdict};
use stats::{LatencyHistogram, UslFit};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// 2026-01-02 03:04:05 UTC.
pub(crate) const STARTED: i64 = 1_767_323_045_000;

pub(crate) fn endpoint(method: Method, name: &str) -> Endpoint {
    Endpoint { name: name.to_owned(), method }
}

pub(crate) fn histogram(values_us: impl IntoIterator<Item = u64>) -> LatencyHistogram {
    let mut histogram = LatencyHistogram::new();
    values_us.into_iter().for_each(|us| histogram.record(us));
    histogram
}

/// `n` requests with response times from `from_us` upwards in steps of `step_us`.
pub(crate) fn requests(n: u64, from_us: u64, step_us: u64, failures: u64) -> RequestStats {
    let times = || (0..n).map(|i| from_us + i * step_us);
    RequestStats {
        requests: n,
        failures,
        bytes_received: n * 1_200,
        bytes_sent: n * 150,
        body_bytes: n * 1_000,
        response: histogram(times()),
        service: histogram(times().map(|us| us - 40)),
        delay: histogram(times().map(|_| 40)),
        ..RequestStats::default()
    }
}

fn together(parts: &[&RequestStats]) -> RequestStats {
    let mut all = RequestStats::default();
    parts.iter().for_each(|part| all.merge(part));
    all
}

fn point(second: u64, users: u64, per_s: f64, p95_ms: u64) -> SeriesPoint {
    SeriesPoint {
        at: SECOND * second as u32,
        interval: SECOND,
        users,
        in_flight: users / 10,
        requests_per_s: per_s,
        failures_per_s: per_s / 100.0,
        bytes_per_s: per_s * 1_200.0,
        p50: Some(Duration::from_millis(p95_ms / 2)),
        p95: Some(Duration::from_millis(p95_ms)),
        p99: Some(Duration::from_millis(p95_ms * 2)),
        generator_cpu: 0.25,
        lag_max: Duration::from_micros(900),
        watched: vec![
            Some(1.0 + second as f64 / 10.0),
            (second > 1).then_some(600e6 + second as f64 * 5e6),
        ],
        ..SeriesPoint::default()
    }
}

fn verdict(bound_by: BoundBy, slo: SloVerdict, valid: bool, reasons: &[&str]) -> Verdict {
    let reasons = reasons.iter().map(|reason| (*reason).to_owned()).collect();
    Verdict { bound_by, slo, valid, reasons }
}

/// A closed run that missed an objective.
pub(crate) fn closed_run() -> RunResult {
    let main = requests(300, 2_000, 100, 0);
    let mut login = requests(100, 20_000, 5_000, 4);
    (login.rate_limited, login.timeouts) = (1, 3);
    let endpoints = vec![
        endpoint(Method::GET, "main page"),
        endpoint(Method::POST, "log in, \"quickly\""),
        endpoint(Method::GET, "never asked"),
    ];
    let error = |kind, detail: &str, count, first: u64, last: u64| ErrorGroup {
        endpoint: 1,
        kind,
        detail: detail.to_owned(),
        count,
        first: Duration::from_millis(first),
        last: Duration::from_millis(last),
    };
    let slo =
        |text: &str, measured, met| SloResult { objective: text.parse().unwrap(), measured, met };
    RunResult {
        model: "closed",
        host: "http://127.0.0.1:8080".to_owned(),
        started_unix_ms: STARTED,
        duration: SECOND * 4,
        users_max: 400,
        totals: together(&[&main, &login]),
        tasks: vec![(endpoints[0].clone(), main), (endpoints[1].clone(), login)],
        endpoints,
        phases: Phases {
            connect: histogram([180, 210, 250]),
            first_byte: histogram([1_500, 2_500, 9_000]),
            body: histogram([20, 30, 40]),
            ..Phases::default()
        },
        errors: vec![
            error(FailureKind::TotalTimeout, "after 30s", 3, 1_500, 3_900),
            error(FailureKind::RateLimited, "429\x1b[2J, \"slow down\"", 1, 2_000, 2_000),
        ],
        series: (1..=4).map(|s| point(s, 100 * s, 80.0 + s as f64 * 8.0, 100 * s)).collect(),
        watched: vec![
            WatchedSeries { name: "pid 4711 cpu".to_owned(), unit: "cores".to_owned() },
            WatchedSeries { name: "pid 4711 rss".to_owned(), unit: "bytes".to_owned() },
        ],
        bursts: Vec::new(),
        replay: None,
        generator: GeneratorHealth {
            workers: 2,
            worker_cpu: vec![0.25, 0.125],
            worker_starved: vec![0.01, 0.0],
            lag: histogram([50, 60, 900]),
            descriptor_limit: Some(1_048_576),
            connections_max: 400,
            connections_opened: 412,
            retransmit_ratio: Some(0.0005),
            process_cpu: Duration::from_millis(1_500),
            ..GeneratorHealth::default()
        },
        slo: vec![
            slo("p95<250ms", Some(0.3152), false),
            slo("failures<2%", Some(0.01), true),
            slo("throughput>50/s", None, false),
        ],
        verdict: verdict(
            BoundBy::Target,
            SloVerdict::Missed,
            true,
            &["missed p95<250ms", "missed throughput>50/s"],
        ),
        findings: vec![Finding {
            severity: Severity::Medium,
            text: "the slowest percent waited 12 times as long as the median".to_owned(),
            advice: "look for locks, garbage collection or a cold cache".to_owned(),
        }],
        interrupted: false,
    }
}

/// A replay that its generator spoiled, with an endpoint of every speed.
pub(crate) fn replay_run() -> RunResult {
    let endpoints: Vec<Endpoint> =
        (1..=7).map(|i| endpoint(Method::GET, &format!("/path/{i}"))).collect();
    let tasks: Vec<(Endpoint, RequestStats)> = endpoints
        .iter()
        .zip(1..)
        .map(|(endpoint, i)| (endpoint.clone(), requests(10, i * 1_000, 10, 0)))
        .collect();
    let mut totals = together(&tasks.iter().map(|(_, stats)| stats).collect::<Vec<_>>());
    totals.unsent = 5;
    RunResult {
        model: "replay",
        users_max: 30,
        totals,
        tasks,
        endpoints,
        errors: Vec::new(),
        series: Vec::new(),
        watched: Vec::new(),
        phases: Phases::default(),
        replay: Some(ReplayAccount {
            lines: 100,
            parsed: 90,
            rejected: vec![("no request line".to_owned(), 7), ("not UTF-8".to_owned(), 3)],
            skipped: vec![("POST".to_owned(), 12)],
        }),
        slo: Vec::new(),
        verdict: verdict(
            BoundBy::Generator,
            SloVerdict::None,
            false,
            &["a worker thread of the generator used 97 % of its CPU; add workers or generators"],
        ),
        findings: Vec::new(),
        interrupted: true,
        ..closed_run()
    }
}

/// Two bursts that found nothing to complain about, on no log and no objectives.
pub(crate) fn burst_run() -> RunResult {
    let burst = |at: u64, ms: u64, limited: u64| BurstResult {
        at: Duration::from_millis(at),
        duration: Duration::from_millis(ms),
        requests: 35,
        successes: 35 - limited,
        rate_limited: limited,
        requests_per_s: 35_000.0 / ms as f64,
    };
    RunResult {
        model: "burst",
        replay: None,
        bursts: vec![burst(0, 120, 0), burst(7_120, 340, 9)],
        verdict: verdict(BoundBy::Nothing, SloVerdict::None, true, &[]),
        ..replay_run()
    }
}

pub(crate) fn capacity(by: SearchBy) -> CapacityResult {
    let trial = |load: f64, purpose, p95_ms: f64, met: bool| Trial {
        load,
        purpose,
        duration: SECOND * 20,
        requests_per_s: load * 7.5,
        offered_per_s: (by == SearchBy::Rate).then_some(load),
        p50_ms: p95_ms / 4.0,
        p95_ms,
        p99_ms: p95_ms * 1.5,
        mean_ms: p95_ms / 3.0,
        in_flight: load / 4.0,
        failures: if met { 0.0 } else { 0.0025 },
        met,
        failed: (!met).then(|| "p95<1s".to_owned()),
        generator_limited: None,
    };
    CapacityResult {
        by,
        slo: load::slo::parse_slo("p95<1s,failures<1%").unwrap(),
        load: 420.0,
        requests_per_s: 3_140.25,
        ci: (410.0, 430.5),
        bound_by: BoundBy::Target,
        failed_first: Some("p95<1s".to_owned()),
        failed_load: Some(440.0),
        signal: Some(Signal::QueueGrowth),
        usl: Some(UslFit {
            gamma: 9.5,
            sigma: 0.01,
            kappa: 2e-6,
            r_squared: 0.998,
            residual: 12.0,
        }),
        knee: Some(380.0),
        trials: vec![
            trial(256.0, TrialPurpose::Bracket, 180.0, true),
            trial(512.0, TrialPurpose::Bracket, 4_200.0, false),
            trial(420.0, TrialPurpose::Confirm, 930.0, true),
            trial(440.0, TrialPurpose::Confirm, 1_210.0, false),
        ],
        doubts: Vec::new(),
    }
}

/// A search that failed: nothing met the objectives, and the generator was to blame.
pub(crate) fn no_capacity() -> CapacityResult {
    let mut result = capacity(SearchBy::Users);
    for trial in &mut result.trials {
        trial.met = false;
        trial.failed = Some("p95<1s".to_owned());
        trial.generator_limited = Some("a worker thread used 97 % of its CPU".to_owned());
    }
    CapacityResult {
        load: 0.0,
        requests_per_s: 0.0,
        ci: (0.0, 0.0),
        bound_by: BoundBy::Generator,
        failed_load: Some(256.0),
        signal: None,
        usl: None,
        knee: None,
        doubts: vec!["only 2 trials could be run".to_owned()],
        ..result
    }
}

/// Plays a run tick by tick: endpoint `e` has `of_second(second, e)` in each of `seconds` seconds.
pub(crate) fn play(
    endpoints: &[Endpoint],
    seconds: u32,
    of_second: impl Fn(u32, usize) -> RequestStats,
    mut observer: impl FnMut(&Tick<'_>),
) {
    let run = closed_run();
    let mut so_far = vec![RequestStats::default(); endpoints.len()];
    let mut totals = RequestStats::default();
    for second in 1..=seconds {
        let interval: Vec<RequestStats> =
            (0..endpoints.len()).map(|endpoint| of_second(second, endpoint)).collect();
        let all = together(&interval.iter().collect::<Vec<_>>());
        so_far.iter_mut().zip(&interval).for_each(|(sum, part)| sum.merge(part));
        totals.merge(&all);
        let quantile = |q| all.response.quantile_us(q).map(Duration::from_micros);
        let point = SeriesPoint {
            requests_per_s: all.requests as f64,
            failures_per_s: all.failures as f64,
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            ..point(second.into(), 20, 0.0, 1)
        };
        observer(&Tick {
            at: point.at,
            planned: Some(SECOND * 60),
            planned_requests: None,
            point: &point,
            endpoints,
            interval: &interval,
            so_far: &so_far,
            totals: &totals,
            watched: &run.watched,
            errors: if totals.failures > 0 { &run.errors } else { &[] },
            paused: second == 3,
        });
    }
}

/// Three seconds of two endpoints, the last of them without a request.
pub(crate) fn play_short(observer: impl FnMut(&Tick<'_>)) {
    let endpoints = [endpoint(Method::GET, "main page"), endpoint(Method::POST, "say \"hi\"\\\n")];
    let of_second = |second: u32, endpoint: usize| match (second, endpoint) {
        (3, _) => RequestStats::default(),
        (_, 0) => requests(20, 1_000, 100, 0),
        _ => requests(10, 30_000, 1_000, 2),
    };
    play(&endpoints, 3, of_second, observer);
}

//! Comparison of synthetic runs whose truth is known.

use std::time::Duration;

use http::Method;
use load::results::RequestStats;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use report::Style;
use report::compare::{CompareError, CompareOptions, Comparison, Figure, Judgement, compare};
use report::runfile::{EndpointName, EndpointTick, Header, RunFile, RunTick};
use serde_json::json;

use crate::golden::assert_golden;
use crate::sample::{self, SECOND};

/// A synthetic run of two endpoints.
#[derive(Clone, Copy)]
struct Synthetic {
    seconds: u32,
    per_s: u64,
    /// Multiplies response times.
    slower: f64,
    failure_ratio: f64,
    /// How much each second's slowness depends on that of the one before, 0 to 1.
    persistence: f64,
}

const BASE: Synthetic =
    Synthetic { seconds: 60, per_s: 40, slower: 1.0, failure_ratio: 0.0, persistence: 0.0 };

impl Synthetic {
    fn run(self, seed: u64) -> RunFile {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut mood = 0.0;
        let ticks = (1..=self.seconds)
            .map(|second| {
                mood = self.persistence * mood + rng.random_range(-0.1..0.1);
                let endpoints = (0..2)
                    .map(|endpoint| {
                        let scale = 20_000.0 * (1.0 + endpoint as f64) * self.slower * (1.0 + mood);
                        // A fixed part, and an exponential one.
                        let mut time = || {
                            let uniform: f64 = rng.random_range(0.0..1.0);
                            (scale * (1.0 - 0.3 * (1.0 - uniform).ln())) as u64
                        };
                        let times: Vec<u64> = (0..self.per_s).map(|_| time()).collect();
                        let failed = |_: &u64| rng.random_bool(self.failure_ratio);
                        let failures = (0..self.per_s).filter(failed).count() as u64;
                        tick_of(endpoint, &times, failures)
                    })
                    .collect();
                RunTick {
                    at: SECOND * second,
                    interval: SECOND,
                    users: 1,
                    paused: false,
                    endpoints,
                }
            })
            .collect();
        let endpoints =
            [sample::endpoint(Method::GET, "/"), sample::endpoint(Method::GET, "/search")];
        let mut header = Header::new(
            "http://h",
            "open",
            sample::STARTED,
            &endpoints,
            json!({ "rate": self.per_s }),
        );
        header.environment = json!({});
        RunFile { header, ticks, result: None, truncated: false }
    }
}

fn tick_of(endpoint: usize, times_us: &[u64], failures: u64) -> EndpointTick {
    let histogram = sample::histogram(times_us.iter().copied());
    EndpointTick {
        endpoint,
        requests: times_us.len() as u64,
        failures,
        unsent: 0,
        bytes_received: 0,
        response_sum_us: times_us.iter().sum(),
        response: histogram.iter_buckets().map(|(us, n)| (us as u32, n as u32)).collect(),
    }
}

fn options() -> CompareOptions {
    CompareOptions { replicates: 150, ..CompareOptions::default() }
}

fn compared(a: Synthetic, b: Synthetic, seed: u64) -> Comparison {
    compare(&a.run(2 * seed), &b.run(2 * seed + 1), &options()).unwrap()
}

fn judgements(comparison: &Comparison, figure: Figure) -> Vec<Judgement> {
    let rows = comparison.rows.iter().filter(|row| row.figure == figure);
    rows.map(|row| row.judgement).collect()
}

#[test]
fn equal_runs_rarely_differ() {
    let no_threshold =
        CompareOptions { threshold_ratio: 0.0, threshold_abs: Duration::ZERO, ..options() };
    let base = Synthetic { seconds: 40, ..BASE };
    let alarms = (0..100)
        .filter(|seed| {
            let (a, b) = (base.run(2 * seed), base.run(2 * seed + 1));
            compare(&a, &b, &no_threshold).unwrap().verdict != Judgement::NoDifference
        })
        .count();
    assert!(alarms <= 5, "{alarms}");
}

#[test]
fn equal_runs_with_bad_spells_rarely_differ() {
    let moody = Synthetic { persistence: 0.7, seconds: 120, per_s: 15, ..BASE };
    let alarms = (0..40)
        .filter(|seed| compared(moody, moody, *seed).verdict == Judgement::Regression)
        .count();
    assert!(alarms <= 2, "{alarms}");
}

#[test]
fn ten_percent_slower_is_found() {
    let slower = Synthetic { slower: 1.1, ..BASE };
    let found = (0..20)
        .filter(|seed| {
            let comparison = compared(BASE, slower, *seed);
            judgements(&comparison, Figure::Mean)[0] == Judgement::Regression
        })
        .count();
    assert!(found >= 18, "{found}");
    let faster = compared(slower, BASE, 1);
    assert_eq!(faster.verdict, Judgement::Improvement);
}

#[test]
fn what_does_not_matter_is_no_regression() {
    // Significant, but below 5 %.
    let slightly = Synthetic { slower: 1.03, seconds: 400, ..BASE };
    let comparison = compared(Synthetic { seconds: 400, ..BASE }, slightly, 1);
    let means = comparison.rows.iter().filter(|row| row.figure == Figure::Mean);
    for row in means {
        assert!(row.significant && row.judgement == Judgement::NoDifference, "{row:?}");
    }
    // 20 % of a tenth of a millisecond are nothing, however sure.
    let (quick, slower) =
        (Synthetic { slower: 0.005, ..BASE }, Synthetic { slower: 0.006, ..BASE });
    assert_eq!(compared(quick, slower, 1).verdict, Judgement::NoDifference);
}

#[test]
fn failures_and_lost_throughput_are_found() {
    let failing = compared(BASE, Synthetic { failure_ratio: 0.05, ..BASE }, 1);
    assert_eq!(judgements(&failing, Figure::FailureRatio), [Judgement::Regression; 3]);
    assert_eq!(judgements(&failing, Figure::Mean), [Judgement::NoDifference; 3]);
    let fewer = compared(BASE, Synthetic { per_s: 30, ..BASE }, 1);
    assert_eq!(judgements(&fewer, Figure::RequestsPerS), [Judgement::Regression; 3]);
    assert_eq!(fewer.notes, ["the configurations of the runs differ"]);
}

#[test]
fn intervals_cover_the_truth() {
    // The true mean is 30 ms · 1.3 · (1 + 0), so 10 % slower is 3.9 ms more.
    let slower = Synthetic { slower: 1.1, ..BASE };
    let covered = (0..40)
        .filter(|seed| {
            let comparison = compared(BASE, slower, *seed);
            let total = &comparison.rows[2];
            assert_eq!((total.figure, &total.endpoint), (Figure::Mean, &None));
            total.ci.contains(3.9)
        })
        .count();
    assert!(covered >= 34, "{covered}");
}

#[test]
fn figures_are_those_of_the_run() {
    let file = BASE.run(1);
    let comparison = compare(&file, &file, &options()).unwrap();
    let mut all = RequestStats::default();
    let buckets =
        file.ticks.iter().flat_map(|tick| &tick.endpoints).flat_map(|tick| &tick.response);
    buckets.for_each(|(us, count)| all.response.record_n((*us).into(), (*count).into()));
    let total = |figure| comparison.rows.iter().find(|row| row.figure == figure).unwrap().a;
    assert_eq!(total(Figure::RequestsPerS), 80.0);
    assert_eq!(total(Figure::FailureRatio), 0.0);
    for (figure, q) in [(Figure::P50, 0.5), (Figure::P95, 0.95), (Figure::P99, 0.99)] {
        assert_eq!(total(figure) * 1e3, all.response.quantile_us(q).unwrap() as f64);
    }
    assert!(comparison.rows.iter().all(|row| row.difference() == 0.0));
    assert_eq!(comparison.verdict, Judgement::NoDifference);
}

#[test]
fn the_drain_of_a_run_counts_no_time() {
    let mut file = BASE.run(1);
    file.result = Some(json!({ "totals": { "duration-s": 59.0 } }));
    let comparison = compare(&file, &file, &options()).unwrap();
    assert_eq!(comparison.a.seconds, 59.0);
    assert_eq!(comparison.rows[0].a, 60.0 * 80.0 / 59.0);
}

#[test]
fn long_runs_are_compared_in_longer_slots() {
    let long = Synthetic { seconds: 1_301, per_s: 2, ..BASE };
    let (file, few) = (long.run(1), CompareOptions { replicates: 20, ..options() });
    let comparison = compare(&file, &file, &few).unwrap();
    assert_eq!((comparison.a.seconds, comparison.a.requests), (1_301.0, 5_204));
    assert_eq!(comparison.rows[0].a, 4.0);
}

#[test]
fn warm_up_is_left_out() {
    let options = CompareOptions { warm_up: 20 * SECOND, ..options() };
    let comparison = compare(&BASE.run(1), &BASE.run(2), &options).unwrap();
    assert_eq!((comparison.a.seconds, comparison.a.requests), (40.0, 3_200));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let short = Synthetic { seconds: 9, ..BASE }.run(1);
    let error = compare(&BASE.run(1), &short, &options()).unwrap_err();
    assert_eq!(error, CompareError::TooShort { run: "B", seconds: 9 });
    let mut empty = BASE.run(1);
    empty.ticks.iter_mut().for_each(|tick| tick.endpoints.clear());
    let error = compare(&empty, &BASE.run(1), &options()).unwrap_err();
    assert_eq!(error, CompareError::Empty { run: "A" });
    for broken in [
        CompareOptions { confidence: 1.0, ..options() },
        CompareOptions { replicates: 1, ..options() },
        CompareOptions { threshold_ratio: f64::NAN, ..options() },
    ] {
        let error = compare(&BASE.run(1), &BASE.run(1), &broken).unwrap_err();
        assert!(matches!(error, CompareError::Option { .. }), "{error}");
    }
}

#[test]
fn hostile_counts_do_no_harm() {
    let mut file = BASE.run(1);
    for tick in &mut file.ticks {
        tick.endpoints[0].requests = u64::MAX;
        tick.endpoints[0].response_sum_us = u64::MAX;
        tick.endpoints[0].response = vec![(u32::MAX, u32::MAX); 3];
        tick.interval = Duration::ZERO;
    }
    // Ticks of no length join into one second, which is too short.
    let error = compare(&file, &file, &options()).unwrap_err();
    assert_eq!(error, CompareError::TooShort { run: "A", seconds: 1 });
    file.ticks.iter_mut().for_each(|tick| tick.interval = SECOND);
    let comparison = compare(&file, &BASE.run(1), &options()).unwrap();
    assert!(comparison.rows.iter().all(|row| row.a.is_finite()));
}

#[test]
fn outputs() {
    let mut a = BASE.run(1);
    let mut b = Synthetic { slower: 1.3, failure_ratio: 0.02, ..BASE }.run(2);
    let extra = |name: &str| EndpointName { name: name.to_owned(), method: "PUT".to_owned() };
    for (file, name) in [(&mut a, "old"), (&mut b, "new")] {
        file.header.endpoints.push(extra(name));
        file.ticks[0].endpoints.push(tick_of(2, &[500], 0));
    }
    b.truncated = true;
    let comparison = compare(&a, &b, &options()).unwrap();
    assert_golden("compare.txt", &comparison.to_text(Style::default()));
    let json = serde_json::to_string_pretty(&comparison.to_json()).unwrap() + "\n";
    assert_golden("compare.json", &json);
}

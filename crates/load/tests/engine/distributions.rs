//! Weights, arrivals, waits and rates come out as asked for.

use std::time::Duration;

use load::params::{Model, Stop};
use load::template::Symbols;
use policy::{ArrivalKind, Curve, Wait};
use testkit::origin::{Behaviour, Origin, OriginConfig, Service};

use crate::build::{closed, get, one, open, run, scenario};

#[test]
fn tasks_are_chosen_by_weight() {
    let origin = Origin::start(OriginConfig::new(Behaviour::ok("ok"))).unwrap();
    let weights = [5, 3, 0, 2];
    let tasks = weights
        .into_iter()
        .enumerate()
        .map(|(index, weight)| {
            (weight, vec![get(index, &format!("/{index}"), &Symbols::default())])
        })
        .collect();
    let result = run(closed(&origin.url(), scenario(tasks), 10, 6_000));
    assert_eq!(result.totals.requests, 6_000);
    let counts = origin.counts_by_target();
    let observed: Vec<u64> = [0, 1, 3].iter().map(|index| counts[&format!("/{index}")]).collect();
    assert!(!counts.contains_key("/2"));
    let test = stats::goodness::chi_square_gof(&observed, &[5.0, 3.0, 2.0]).unwrap();
    assert!(test.p_value > 1e-4, "{observed:?} {test:?}");
}

#[test]
fn poisson_arrivals_have_exponential_gaps_when_they_reach_the_target() {
    let origin = Origin::start(OriginConfig::new(Behaviour::ok("ok"))).unwrap();
    let mut params = open(&origin.url(), 300.0, 100, Duration::from_secs(4));
    let rate = Curve::constant(300.0).unwrap();
    params.model = Model::Open { rate, arrivals: ArrivalKind::Poisson, users_max: 100 };
    let result = run(params);
    // Poisson: within five standard deviations of the mean.
    let mean = 1_200.0_f64;
    assert!((result.totals.requests as f64 - mean).abs() < 5.0 * mean.sqrt());
    let mut at: Vec<_> = origin.requests().iter().map(|request| request.at).collect();
    at.sort();
    let mut gaps: Vec<f64> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    gaps.sort_by(f64::total_cmp);
    let measured_rate = gaps.len() as f64 / gaps.iter().sum::<f64>();
    let test = stats::goodness::ks_test(&gaps, |gap| 1.0 - (-measured_rate * gap).exp()).unwrap();
    // The network and the scheduler of a busy machine bunch a few arrivals: judge the distance
    // (deterministic arrivals have D ≈ 0.6), not the p-value.
    assert!(test.statistic < 0.12, "{test:?}");
}

#[test]
fn littles_law_holds() {
    // 50 users in a closed loop without waits: the number in the system is 50 all the time.
    let service = Service::Fixed(Duration::from_millis(10));
    let origin =
        Origin::start(OriginConfig::new(Behaviour::Queue { servers: 5, service })).unwrap();
    let mut params = closed(&origin.url(), one("/"), 50, 0);
    params.stop = Stop { run_time: Some(Duration::from_secs(4)), requests: None };
    let result = run(params);
    // Mean number in the system = total time in the system / length; by Little λ·W.
    let mean_s = result.totals.service.mean_us().unwrap() / 1e6;
    let mismatch =
        stats::queueing::littles_law_mismatch(50.0, result.requests_per_s(), mean_s).unwrap();
    assert!(mismatch.abs() < 0.02, "{mismatch}");
    // And the station's own law: five servers of 10 ms finish 500 a second at most.
    assert!(result.requests_per_s() < 515.0, "{}", result.requests_per_s());
}

#[test]
fn waits_and_pacing_set_the_rate_of_a_user() {
    let origin = Origin::start(OriginConfig::new(Behaviour::ok("ok"))).unwrap();
    for (wait, expected) in [
        (Wait::Throughput(20.0), 20.0 * 10.0),
        (Wait::Pacing(Duration::from_millis(100)), 10.0 * 10.0),
        (Wait::Between(Duration::from_millis(50), Duration::from_millis(150)), 10.0 * 10.0),
    ] {
        let mut scenario = one("/");
        scenario.wait = wait;
        let mut params = closed(&origin.url(), scenario, 10, 0);
        params.stop = Stop { run_time: Some(Duration::from_secs(3)), requests: None };
        let rate = run(params).requests_per_s();
        assert!((rate / expected - 1.0).abs() < 0.15, "{wait:?}: {rate}/s instead of {expected}/s");
    }
}

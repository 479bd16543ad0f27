//! Capacity searches, in virtual time.

mod scripted;
mod sim;

use std::time::Duration;

use load::capacity::{SearchBy, SearchParams, TrialLengths};
use load::slo::{SloTarget, parse_slo};
use stats::queueing::mmc_capacity;
use testkit::sim::ServerModel;

/// Searches per server, each with a seed of its own.
const SEEDS: u64 = 100;
/// Searches that must come within [`TOLERANCE`] of the truth.
const WITHIN_MIN: usize = 95;
const TOLERANCE: f64 = 0.05;
/// Searches whose 95 % confidence interval must contain the truth: 95 of 100, less two standard
/// deviations of chance.
const COVERED_MIN: usize = 90;

const SERVERS: usize = 8;
const MEAN_SERVICE_S: f64 = 0.004;

fn mmc() -> ServerModel {
    ServerModel::Mmc { servers: SERVERS, mean_service_s: MEAN_SERVICE_S }
}

fn scaling() -> ServerModel {
    ServerModel::Usl { gamma: 100.0, sigma: 0.02, kappa: 0.0001 }
}

fn freezing() -> ServerModel {
    ServerModel::Freezing { inner: Box::new(mmc()), every_s: 0.5, for_s: 0.05 }
}

/// The capacity by simulations longer than several searches, halving a bracket down to 0.2 %.
fn simulated_capacity(server: &ServerModel, by: SearchBy, q: f64, limit_s: f64) -> f64 {
    const DURATION_S: f64 = 400.0;
    const START_S: f64 = 10.0;
    let meets = |load: f64| {
        let all = sim::responses(server, by, load, DURATION_S, 1);
        let settled = all.iter().filter(|(start, _)| *start > START_S);
        let (slow, count) = settled.fold((0, 0), |(slow, count), (start, end)| {
            (slow + usize::from(end - start > limit_s), count + 1)
        });
        slow as f64 <= (1.0 - q) * f64::from(count)
    };
    let (mut low, mut high) = (400.0, 3200.0);
    while high / low > 1.002 {
        let middle = f64::sqrt(low * high);
        if meets(middle) { low = middle } else { high = middle }
    }
    f64::sqrt(low * high)
}

/// Searches with many seeds and compares with the truth.
fn prove(server: &ServerModel, by: SearchBy, slo: &str, truth: Option<f64>) {
    let slo = parse_slo(slo).unwrap();
    let SloTarget::Quantile(q, limit) = slo[0].target else { panic!("{}", slo[0]) };
    let truth = truth.unwrap_or_else(|| simulated_capacity(server, by, q, limit.as_secs_f64()));
    let mut errors = Vec::new();
    let mut covered = 0;
    for seed in 0..SEEDS {
        let mut params = SearchParams::new(by, slo.clone(), 1e5);
        params.seed = seed;
        if by == SearchBy::Users {
            params.lengths =
                TrialLengths::default().for_cycle(Duration::from_secs_f64(sim::THINK_S));
        }
        let result = sim::search(server, params);
        errors.push(result.load / truth - 1.0);
        covered += usize::from(result.ci.0 <= truth && truth <= result.ci.1);
    }
    let within = errors.iter().filter(|error| error.abs() <= TOLERANCE).count();
    assert!(within >= WITHIN_MIN, "{within} within, truth {truth}, errors {errors:?}");
    assert!(covered >= COVERED_MIN, "{covered} intervals contain the truth {truth}");
}

#[test]
fn rate_of_a_server_of_fixed_concurrency() {
    let truth = mmc_capacity(SERVERS as u32, 1.0 / MEAN_SERVICE_S, 0.95, 0.02);
    prove(&mmc(), SearchBy::Rate, "p95<20ms", Some(truth.unwrap()));
}

#[test]
fn users_of_a_server_of_fixed_concurrency() {
    prove(&mmc(), SearchBy::Users, "p95<20ms", None);
}

#[test]
fn rate_of_a_server_that_scales_by_the_universal_law() {
    prove(&scaling(), SearchBy::Rate, "p95<60ms", None);
}

#[test]
fn users_of_a_server_that_scales_by_the_universal_law() {
    prove(&scaling(), SearchBy::Users, "p95<60ms", None);
}

#[test]
fn rate_of_a_server_that_freezes() {
    prove(&freezing(), SearchBy::Rate, "p95<55ms", None);
}

#[test]
fn users_of_a_server_that_freezes() {
    prove(&freezing(), SearchBy::Users, "p95<55ms", None);
}

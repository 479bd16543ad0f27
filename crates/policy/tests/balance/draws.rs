//! Random, least requests and peak EWMA.

use policy::balance::Algorithm;
use rand::RngExt;

use crate::fixture::{Group, p_value, rng};

const PICKS: usize = 20_000;

#[test]
fn random_follows_weights() {
    let counts = Group::new(&[5, 3, 1, 1]).counts(Algorithm::Random, PICKS);
    assert!(p_value(&counts, &[5.0, 3.0, 1.0, 1.0]) > 0.01, "{counts:?}");
}

#[test]
fn random_follows_weights_among_those_available_and_slowly_started() {
    let mut group = Group::new(&[5, 3, 4, 2, 60_000]);
    group.0[4].available = false;
    let mut balancer = group.balancer(Algorithm::Random);
    group.0[2].weight *= 0.25;
    let (mut counts, mut rng) = ([0; 4], rng());
    for _ in 0..PICKS {
        counts[balancer.pick(&group, None, &mut rng).unwrap()] += 1;
    }
    assert!(p_value(&counts, &[5.0, 3.0, 1.0, 2.0]) > 0.01, "{counts:?}");
}

#[test]
fn least_requests_follows_weights_when_idle() {
    let counts = Group::new(&[3, 1]).counts(Algorithm::LeastRequests, PICKS);
    assert!(p_value(&counts, &[3.0, 1.0]) > 0.01, "{counts:?}");
}

/// Chances of the better of two distinct draws from equal weights: the best of n servers is drawn
/// with chance 2/n, the second best wins over those below it, …, the worst never.
#[test]
fn of_two_draws_the_one_with_fewer_requests_or_less_latency_wins() {
    for algorithm in [Algorithm::LeastRequests, Algorithm::PeakEwma] {
        let mut group = Group::new(&[1; 4]);
        for (server, place) in group.0.iter_mut().zip([2_u32, 0, 3, 1]) {
            server.in_flight = 10 * place;
            server.latency = 0.01 * (1.0 + f64::from(place));
        }
        let counts = group.counts(algorithm, PICKS);
        assert_eq!(counts[2], 0, "{algorithm:?}");
        let by_place = [counts[1], counts[3], counts[0]];
        assert!(p_value(&by_place, &[3.0, 2.0, 1.0]) > 0.01, "{algorithm:?} {by_place:?}");
    }
}

#[test]
fn peak_ewma_weighs_latency_by_requests_in_flight_and_weight() {
    let picks = |in_flight: [u32; 2], latency: [f64; 2], weights: [u16; 2]| {
        let mut group = Group::new(&weights);
        for index in 0..2 {
            (group.0[index].in_flight, group.0[index].latency) = (in_flight[index], latency[index]);
        }
        group.counts(Algorithm::PeakEwma, 100)
    };
    assert_eq!(picks([0, 0], [0.02, 0.01], [1, 1]), [0, 100]);
    assert_eq!(picks([0, 2], [0.02, 0.01], [1, 1]), [100, 0], "0.02 × 1 < 0.01 × 3");
    assert_eq!(picks([0, 0], [0.02, 0.01], [3, 1]), [100, 0], "0.02 / 3 < 0.01 / 1");
}

/// Twenty requests are always in flight; each step one of them, drawn at random, ends.
fn counts_under_load(group: &mut Group, algorithm: Algorithm) -> Vec<u64> {
    let (mut balancer, mut rng) = (group.balancer(algorithm), rng());
    let mut counts = vec![0; group.0.len()];
    let mut in_flight = Vec::new();
    for _ in 0..PICKS {
        let index = balancer.pick(group, None, &mut rng).unwrap();
        counts[index] += 1;
        group.0[index].in_flight += 1;
        in_flight.push(index);
        if in_flight.len() > 20 {
            let ended = in_flight.swap_remove(rng.random_range(0..in_flight.len()));
            group.0[ended].in_flight -= 1;
        }
    }
    counts
}

#[test]
fn weights_are_honoured_under_load() {
    for algorithm in [Algorithm::LeastRequests, Algorithm::PeakEwma] {
        let counts = counts_under_load(&mut Group::new(&[6, 3, 1]), algorithm);
        for (count, share) in counts.iter().zip([0.6, 0.3, 0.1]) {
            let got = *count as f64 / PICKS as f64;
            assert!((got - share).abs() < 0.25 * share, "{algorithm:?} {counts:?}");
        }
    }
}

#[test]
fn slow_start_holds_back_an_idle_server() {
    for algorithm in [Algorithm::LeastRequests, Algorithm::PeakEwma, Algorithm::RoundRobin] {
        let mut group = Group::new(&[1, 1, 1]);
        group.0[2].weight = 0.1;
        let counts = counts_under_load(&mut group, algorithm);
        assert!(counts[2] < PICKS as u64 / 10, "{algorithm:?} {counts:?}");
    }
}

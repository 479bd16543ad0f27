//! Round robin.

use policy::balance::{Algorithm, Balancer};
use proptest::prelude::*;

use crate::fixture::{Group, rng};

fn next(balancer: &mut Balancer, group: &Group) -> usize {
    balancer.pick(group, None, &mut rng()).unwrap()
}

/// `cycles` cycles of picks, as letters.
fn sequence(weights: &[u16], cycles: u16) -> String {
    let group = Group::new(weights);
    let mut balancer = group.balancer(Algorithm::RoundRobin);
    let picks = weights.iter().sum::<u16>() * cycles;
    (0..picks).map(|_| char::from(b'a' + next(&mut balancer, &group) as u8)).collect()
}

#[test]
fn sequences_of_nginx() {
    // The first one is the example in the commit that introduced the algorithm (nginx 1.3.1).
    assert_eq!(sequence(&[5, 1, 1], 1), "aabacaa");
    assert_eq!(sequence(&[4, 3, 2], 1), "abcabacba");
    assert_eq!(sequence(&[1, 1, 1], 2), "abcabc");
}

#[test]
fn rounding_does_not_disturb_the_order() {
    assert_eq!(sequence(&[5, 1, 1], 1000), "aabacaa".repeat(1000));
    assert_eq!(sequence(&[1, 1, 1], 1000), "abc".repeat(1000));
}

proptest! {
    #[test]
    fn each_cycle_gives_each_server_its_weight(weights in prop::collection::vec(1_u16..=20, 2..8)) {
        let group = Group::new(&weights);
        let mut balancer = group.balancer(Algorithm::RoundRobin);
        for _ in 0..3 {
            let mut counts = vec![0; weights.len()];
            for _ in 0..weights.iter().sum() {
                counts[next(&mut balancer, &group)] += 1;
            }
            prop_assert_eq!(&counts, &weights);
        }
    }

    /// Whoever is available when, each server gets its share of the requests it was available for,
    /// within a number of requests that does not grow with time.
    #[test]
    fn shares_are_fair_under_changing_availability(
        weights in prop::collection::vec(1_u16..=5, 2..6),
        masks in prop::collection::vec(1_u8..64, 2000),
    ) {
        let mut group = Group::new(&weights);
        let mut balancer = group.balancer(Algorithm::RoundRobin);
        let mut owed = vec![0.0; weights.len()];
        for mask in masks {
            for (index, server) in group.0.iter_mut().enumerate() {
                server.available = mask >> index & 1 == 1;
            }
            let total: f64 = group.0.iter().filter(|s| s.available).map(|s| s.weight).sum();
            if total > 0.0 {
                for (owed, server) in owed.iter_mut().zip(&group.0).filter(|(_, s)| s.available) {
                    *owed += server.weight / total;
                }
                owed[next(&mut balancer, &group)] -= 1.0;
            }
            prop_assert!(owed.iter().all(|owed: &f64| owed.abs() < weights.len() as f64));
        }
    }
}

#[test]
fn a_server_that_returns_has_no_backlog() {
    let mut group = Group::new(&[1, 1]);
    let mut balancer = group.balancer(Algorithm::RoundRobin);
    group.0[1].available = false;
    for _ in 0..100 {
        assert_eq!(next(&mut balancer, &group), 0);
    }
    group.0[1].available = true;
    let picks: Vec<usize> = (0..6).map(|_| next(&mut balancer, &group)).collect();
    assert_eq!(picks, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn rising_weights_bring_no_bursts() {
    let mut group = Group::new(&[1, 1]);
    let mut balancer = group.balancer(Algorithm::RoundRobin);
    let (mut expected, mut picked) = (0.0, 0.0);
    for pick in 0..1000 {
        let weight = 0.1 + 0.9 * f64::from(pick) / 1000.0;
        group.0[1].weight = weight;
        expected += weight / (1.0 + weight);
        picked += next(&mut balancer, &group) as f64;
        assert!((picked - expected).abs() <= 1.0, "pick {pick}: {picked} instead of {expected}");
    }
}

//! What all algorithms promise.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use crate::fixture::{ALGORITHMS, Group};

/// Servers in any state, with any configured weights, 0 included.
fn group() -> impl Strategy<Value = (Group, Vec<bool>)> {
    let server = (0_u16..=300, any::<bool>(), 0.1_f64..=1.0, 0_u32..50, 0.0_f64..5.0);
    prop::collection::vec(server, 0..12).prop_map(|servers| {
        let mut group = Group::new(&servers.iter().map(|server| server.0).collect::<Vec<_>>());
        for (server, &(_, _, _, in_flight, latency)) in group.0.iter_mut().zip(&servers) {
            (server.in_flight, server.latency) = (in_flight, latency);
        }
        let available = servers.iter().map(|server| server.1).collect();
        (group, available)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn picks_an_available_server_whenever_there_is_one(
        (group, available) in group(),
        factor in 0.1_f64..=1.0,
        requests in prop::collection::vec((any::<Option<u64>>(), any::<prop::sample::Index>()), 1..40),
        seed in any::<u64>(),
    ) {
        for algorithm in ALGORITHMS {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut balancer = group.balancer(algorithm);
            let mut now = group.clone();
            for (server, up) in now.0.iter_mut().zip(&available) {
                server.available &= up;
                server.weight *= factor;
            }
            for (key, changes) in &requests {
                match balancer.pick(&now, *key, &mut rng) {
                    Some(index) => {
                        prop_assert!(now.0[index].available, "{algorithm:?}");
                        now.0[index].in_flight += 1;
                    }
                    None => prop_assert!(!now.0.iter().any(|s| s.available), "{algorithm:?}"),
                }
                if !now.0.is_empty() {
                    let server = &mut now.0[changes.index(group.0.len())];
                    server.available = !server.available && server.weight > 0.0;
                }
            }
        }
    }
}

#[test]
fn one_server_of_many_is_found() {
    for algorithm in ALGORITHMS {
        let mut group = Group::new(&[1; 200]);
        for server in &mut group.0 {
            server.available = false;
        }
        group.0[137].available = true;
        assert_eq!(group.counts(algorithm, 50)[137], 50, "{algorithm:?}");
    }
}

#[test]
fn a_server_that_appears_available_against_its_weight_of_0_is_still_found() {
    for algorithm in ALGORITHMS {
        let mut group = Group::new(&[0, 0]);
        let mut balancer = group.balancer(algorithm);
        (group.0[1].available, group.0[1].weight) = (true, 1.0);
        assert_eq!(balancer.pick(&group, Some(1), &mut crate::fixture::rng()), Some(1));
    }
}

#[test]
fn same_state_and_seed_give_same_picks() {
    for algorithm in ALGORITHMS {
        let group = Group::new(&[3, 2, 1]);
        assert_eq!(group.counts(algorithm, 500), group.counts(algorithm, 500), "{algorithm:?}");
    }
}

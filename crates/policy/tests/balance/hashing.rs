//! Ring hash and Maglev.

use policy::balance::Algorithm::{self, Maglev, RingHash};
use proptest::prelude::*;

use crate::fixture::{Group, keys, rng};

const KEYS: u32 = 20_000;

/// The shares of the keys, each divided by what the weights say.
fn relative_shares(weights: &[u16], algorithm: Algorithm) -> Vec<f64> {
    let group = Group::new(weights);
    let places = group.places(algorithm, &keys(KEYS));
    let total: f64 = group.0.iter().map(|server| server.weight).sum();
    let share =
        |id: &str| places.iter().filter(|place| **place == id).count() as f64 / f64::from(KEYS);
    group.0.iter().map(|server| share(&server.id) / (server.weight / total)).collect()
}

#[test]
fn keys_are_spread_by_weight() {
    // 160 points: arcs with a standard deviation of 1/√160. Maglev: near none.
    for (algorithm, deviation) in [(RingHash, 0.08), (Maglev, 0.01_f64)] {
        for weights in [&[1; 10][..], &[1, 2, 3, 4], &[100, 300], &[1; 100]] {
            let shares = relative_shares(weights, algorithm);
            let count = shares.len() as f64;
            let square: f64 = shares.iter().map(|share| (share - 1.0).powi(2)).sum();
            let expected = (deviation.powi(2) + count / f64::from(KEYS)).sqrt();
            assert!(
                (square / count).sqrt() < 1.5 * expected,
                "{algorithm:?} {weights:?} {shares:?}"
            );
            assert!(shares.iter().all(|share| (0.6..1.5).contains(share)), "{shares:?}");
        }
    }
}

#[test]
fn a_key_stays_and_the_order_of_members_does_not_matter() {
    for algorithm in [RingHash, Maglev] {
        let group = Group::new(&[1, 3, 2, 1]);
        let mut reversed = group.clone();
        reversed.0.reverse();
        let keys = keys(1000);
        assert_eq!(group.places(algorithm, &keys), group.places(algorithm, &keys));
        assert_eq!(group.places(algorithm, &keys), reversed.places(algorithm, &keys));
    }
}

/// While gateways of different versions run side by side they must agree.
#[test]
fn places_never_change_between_versions() {
    let places = |algorithm| -> String {
        let group = Group::new(&[1, 1, 2]);
        let places = group.places(algorithm, &keys(24));
        places.iter().map(|id| &id["10.0.0.".len()..][..1]).collect()
    };
    assert_eq!(places(RingHash), "102222212222101121222022");
    assert_eq!(places(Maglev), "120102220202020101111010");
}

/// How many keys moved between servers that both groups have, and how many in all.
fn moved(before: &Group, after: &Group, algorithm: Algorithm) -> (f64, f64) {
    let keys = keys(KEYS);
    let (old, new) = (before.places(algorithm, &keys), after.places(algorithm, &keys));
    let has = |group: &Group, id: &str| group.0.iter().any(|s| s.id == id && s.available);
    let all: Vec<_> = old.iter().zip(&new).filter(|(old, new)| old != new).collect();
    let needless = all.iter().filter(|(old, new)| has(after, old) && has(before, new)).count();
    (needless as f64 / f64::from(KEYS), all.len() as f64 / f64::from(KEYS))
}

#[test]
fn a_server_that_fails_moves_only_its_own_keys() {
    for algorithm in [RingHash, Maglev] {
        let before = Group::new(&[1, 2, 1, 1, 3]);
        let mut after = before.clone();
        after.0[2].available = false;
        let keys = keys(KEYS);
        let (old, new) = (before.places(algorithm, &keys), after.places(algorithm, &keys));
        let lost = before.0[2].id.as_str();
        assert!(old.iter().zip(&new).all(|(old, new)| *old == lost || old == new));
        // Its keys are spread over all others.
        for server in after.0.iter().filter(|server| server.available) {
            let heir = old.iter().zip(&new).any(|(old, new)| *old == lost && *new == server.id);
            assert!(heir, "{algorithm:?} {}", server.id);
        }
    }
}

#[test]
fn a_member_removed_or_added_moves_about_its_share_of_keys() {
    for count in [3, 10, 50] {
        let larger = Group::new(&vec![1; count]);
        let mut smaller = larger.clone();
        smaller.0.remove(1);
        let share = 1.0 / count as f64;
        for (before, after) in [(&larger, &smaller), (&smaller, &larger)] {
            let (needless, all) = moved(before, after, RingHash);
            assert_eq!(needless, 0.0);
            assert!(all < 1.4 * share, "ring of {count}: {all}");
            // The paper's figure 12: a few per cent at this table size.
            let (needless, all) = moved(before, after, Maglev);
            assert!(needless < 0.03, "maglev of {count}: {needless}");
            assert!(all < 1.2 * share + 0.03, "maglev of {count}: {all}");
        }
    }
}

/// A gateway may hold more servers than the ring has room for.
#[test]
fn many_members_all_get_keys() {
    for (algorithm, count) in [(RingHash, 1000), (Maglev, 1000)] {
        let group = Group::new(&vec![7; count]);
        let places = group.places(algorithm, &keys(KEYS));
        let used = group.0.iter().filter(|server| places.contains(&server.id.as_str())).count();
        assert!(used > count * 99 / 100, "{algorithm:?}: {used}");
    }
}

#[test]
fn the_smallest_weight_beside_the_largest_gets_a_slot() {
    let group = Group::new(&[65_535, 1, 1, 1]);
    let mut balancer = group.balancer(Maglev);
    let mut hit = [false; 4];
    for slot in 0..65_537 {
        hit[balancer.pick(&group, Some(slot), &mut rng()).unwrap()] = true;
    }
    assert_eq!(hit, [true; 4]);
}

proptest! {
    /// Each request leaves its server within ⌈1.25 × fair share⌉ of the requests in flight.
    #[test]
    fn ring_load_is_bounded(
        weights in prop::collection::vec(1_u16..=4, 2..8),
        requests in prop::collection::vec((0_u64..3, any::<bool>()), 1..300),
    ) {
        let mut group = Group::new(&weights);
        let mut balancer = group.balancer(RingHash);
        let total_weight: f64 = weights.iter().copied().map(f64::from).sum();
        for (key, ends) in requests {
            let index = balancer.pick(&group, Some(key << 40), &mut rng()).unwrap();
            group.0[index].in_flight += 1;
            let total: u32 = group.0.iter().map(|server| server.in_flight).sum();
            let fair = f64::from(total) * group.0[index].weight / total_weight;
            prop_assert!(f64::from(group.0[index].in_flight) <= (1.25 * fair).ceil());
            if let Some(busy) = group.0.iter_mut().find(|s| ends && s.in_flight > 0) {
                busy.in_flight -= 1;
            }
        }
    }
}

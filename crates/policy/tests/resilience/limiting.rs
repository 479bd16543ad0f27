//! Rate limits, their tables, and the adaptive limit.

use std::collections::HashMap;
use std::time::Duration;

use policy::adaptive::{AdaptiveLimit, AdaptiveParams};
use policy::concurrency::ConcurrencyTable;
use policy::gcra::Gcra;
use policy::key_table::KeyTable;
use proptest::prelude::*;

#[test]
fn who_always_asks_again_gets_the_rate_and_no_more() {
    for rate in [0.7, 7.0, 333_333.0, 700_000.0, 3e6, 7e6] {
        let gcra = Gcra::new(rate, 10);
        let (mut tat, mut now, mut passed) = (0, Duration::ZERO, 0);
        while passed < 30_000 {
            match gcra.check(&mut tat, now, 1) {
                Ok(_) => passed += 1,
                Err(limited) => now += limited.retry_after,
            }
        }
        let allowed = 10.0 + rate * now.as_secs_f64();
        let rounding = 1.0 - rate / 1e9;
        assert!(f64::from(passed) <= allowed * (1.0 + 1e-12), "{rate}: {passed} > {allowed}");
        assert!(f64::from(passed) >= allowed * rounding - 1.0, "{rate}: {passed} < {allowed}");
    }
}

proptest! {
    #[test]
    fn no_span_holds_more_than_burst_and_rate(
        rate in prop_oneof![0.01_f64..50.0, 50.0_f64..5e9],
        burst in 1_u64..5_000,
        // A year, or ten: the arithmetic must not wear out.
        start in prop_oneof![Just(0_u64), Just(31_536_000_000_000_000), Just(315_360_000_000_000_000)],
        steps in prop::collection::vec((0_u64..50_000_000, 1_u64..40), 1..200),
    ) {
        let gcra = Gcra::new(rate, burst);
        let (mut tat, mut now) = (0, start);
        let mut passed: Vec<(u64, u64)> = Vec::new();
        for (step, cost) in steps {
            now += step;
            if gcra.check(&mut tat, Duration::from_nanos(now), cost).is_ok() {
                passed.push((now, cost));
            }
        }
        for (first, (began, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for (at, cost) in &passed[first..] {
                sum += cost;
                let span = (at - began) as f64 / 1e9;
                let bound = (burst as f64 + rate * span) * (1.0 + 1e-12);
                prop_assert!(sum as f64 <= bound, "{sum} > {bound}");
            }
        }
    }

    #[test]
    fn what_waits_as_long_as_told_passes_and_no_sooner(
        rate in 0.01_f64..1e6,
        burst in 1_u64..1_000,
        costs in prop::collection::vec(1_u64..50, 1..100),
    ) {
        let gcra = Gcra::new(rate, burst);
        let (mut tat, mut now) = (0, Duration::from_secs(1));
        for cost in costs {
            let cost = cost.min(burst);
            if let Err(limited) = gcra.check(&mut tat, now, cost) {
                prop_assert!(limited.retry_after > Duration::ZERO);
                let early = now + limited.retry_after - Duration::from_nanos(1);
                let mut unchanged = tat;
                prop_assert!(gcra.check(&mut unchanged, early, cost).is_err());
                prop_assert_eq!(unchanged, tat);
                now += limited.retry_after;
                prop_assert!(gcra.check(&mut tat, now, cost).is_ok());
            }
        }
    }

    #[test]
    fn what_remains_passes_and_not_one_more(
        rate in 0.01_f64..1e6,
        burst in 1_u64..1_000,
        cost in 1_u64..1_000,
    ) {
        let gcra = Gcra::new(rate, burst);
        let mut tat = 0;
        let allowed = gcra.check(&mut tat, Duration::ZERO, cost.min(burst)).unwrap();
        prop_assert_eq!(allowed.remaining, burst - cost.min(burst));
        let mut more = tat;
        prop_assert!(gcra.check(&mut more, Duration::ZERO, allowed.remaining + 1).is_err());
        if allowed.remaining > 0 {
            prop_assert!(gcra.check(&mut more, Duration::ZERO, allowed.remaining).is_ok());
        }
        // Once the burst is back, all of it passes again.
        prop_assert!(gcra.check(&mut tat, allowed.reset_after, burst).is_ok());
    }

    #[test]
    fn a_byte_limit_serves_its_rate(
        rate in 1e3_f64..1e9,
        sizes in prop::collection::vec(1_u64..5_000_000, 50..200),
    ) {
        let gcra = Gcra::new(rate, 1_000_000);
        let (mut tat, mut now, mut bytes) = (0, Duration::ZERO, 0);
        for size in sizes {
            // A client that always asks again as soon as it may.
            if let Err(limited) = gcra.check(&mut tat, now, 0) {
                now += limited.retry_after;
                prop_assert!(gcra.check(&mut tat, now, 0).is_ok());
            }
            gcra.charge(&mut tat, now, size);
            bytes += size;
        }
        // Only the last response can exceed burst and rate.
        let allowed = 1_000_000.0 + rate * now.as_secs_f64();
        prop_assert!(bytes as f64 <= (allowed + 5_000_000.0) * (1.0 + 1e-6));
        prop_assert!(bytes as f64 >= (allowed - 1_000_000.0) * (1.0 - 1e-5), "{bytes} {allowed}");
    }

    #[test]
    fn a_table_with_room_is_a_map(
        operations in prop::collection::vec((0_u16..60, 1_u64..1_000), 1..500),
        seed: u64,
    ) {
        let mut table = KeyTable::new(60, seed);
        let mut model: HashMap<u16, u64> = HashMap::new();
        for (key, state) in operations {
            let entry = table.entry(&key.to_le_bytes(), Duration::MAX);
            prop_assert_eq!(*entry, model.get(&key).copied().unwrap_or(0));
            *entry = state;
            model.insert(key, state);
        }
        prop_assert_eq!(table.len(), model.len());
    }

    #[test]
    fn a_flooded_table_neither_grows_nor_forgets_who_is_limited(
        seed: u64,
        max in 16_usize..200,
        flood in 1_000_u32..5_000,
    ) {
        let gcra = Gcra::new(1.0, 100);
        let mut table = KeyTable::new(max, seed);
        let now = Duration::from_secs(10);
        let used_up = *{
            let state = table.entry(b"busy", now);
            gcra.charge(state, now, 100);
            state
        };
        for address in 0..flood {
            let state = table.entry(&address.to_le_bytes(), now);
            prop_assert!(gcra.check(state, now, 1).is_ok());
            prop_assert!(table.len() <= max);
        }
        prop_assert_eq!(*table.entry(b"busy", now), used_up);
    }

    #[test]
    fn places_are_counted_exactly(
        operations in prop::collection::vec((0_u8..8, any::<bool>()), 1..400),
        limit in 1_u64..5,
        max in 1_usize..8,
    ) {
        let mut table = ConcurrencyTable::new(max, 7);
        let mut model: HashMap<u8, u64> = HashMap::new();
        for (key, enters) in operations {
            if enters {
                let under_way = model.get(&key).copied().unwrap_or(0);
                let fits = under_way > 0 || model.len() < max;
                let expected = under_way < limit && fits;
                prop_assert_eq!(table.acquire(&[key], limit), expected);
                if expected {
                    model.insert(key, under_way + 1);
                }
            } else if let Some(under_way) = model.get_mut(&key) {
                table.release(&[key]);
                *under_way -= 1;
                model.retain(|_, under_way| *under_way > 0);
            }
        }
    }

    #[test]
    fn an_adaptive_limit_keeps_its_bounds(
        min in 1_u32..50,
        max in 1_u32..500,
        initial in 0_u32..1_000,
        samples in prop::collection::vec((0_u64..20, 0_u64..3_000, 0_u32..600, any::<bool>()), 1..2_000),
    ) {
        let mut limit = AdaptiveLimit::new(AdaptiveParams { min, max, initial });
        let mut now = Duration::ZERO;
        for (step, rtt, in_flight, ok) in samples {
            now += Duration::from_millis(step);
            limit.on_sample(now, Duration::from_millis(rtt), in_flight, ok);
            prop_assert!((min..=max.max(min)).contains(&limit.limit()));
        }
    }
}

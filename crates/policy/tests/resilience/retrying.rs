//! Retries: what is safe, how many, how soon.

use std::time::Duration;

use policy::retry::{
    Attempt, AttemptFailure, Budget, Decision, Rules, backoff, decide, retry_after,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

fn failure() -> impl Strategy<Value = AttemptFailure> {
    prop_oneof![
        Just(AttemptFailure::Connect),
        Just(AttemptFailure::Reset),
        Just(AttemptFailure::Timeout),
        (400_u16..600).prop_map(AttemptFailure::Status),
    ]
}

proptest! {
    #[test]
    fn only_what_is_safe_and_allowed_is_sent_again(
        attempts in 0_u32..5,
        number in 1_u32..7,
        non_idempotent: bool,
        body_replayable: bool,
        failure in failure(),
        method in prop::sample::select(vec!["GET", "PUT", "DELETE", "POST", "PATCH", "get", ""]),
        asked_ms in prop::option::of(0_u64..2_000),
        seed: u64,
    ) {
        let backoff_max = Duration::from_secs(1);
        let rules =
            Rules { attempts, non_idempotent, backoff: Duration::from_millis(25), backoff_max };
        let asked = asked_ms.map(Duration::from_millis);
        let attempt = Attempt { number, failure, method, body_replayable, retry_after: asked };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let safe = matches!(method, "GET" | "PUT" | "DELETE")
            || non_idempotent
            || failure == AttemptFailure::Connect;
        let allowed = number <= attempts && asked.is_none_or(|asked| asked <= backoff_max);
        match decide(&rules, &attempt, &mut rng) {
            Decision::Stop => prop_assert!(!(safe && allowed && body_replayable)),
            Decision::Again { after } => {
                prop_assert!(safe && allowed && body_replayable);
                prop_assert!(after <= backoff_max);
                prop_assert!(asked.is_none_or(|asked| after == asked));
            }
        }
    }

    #[test]
    fn a_budget_is_never_overdrawn(
        share in 0.0_f64..1.0,
        floor in 0.0_f64..5.0,
        events in prop::collection::vec((0_u64..2_500, 0_u32..20, 0_u32..20), 1..200),
    ) {
        let mut budget = Budget::new(share, floor);
        let (mut ms, mut requests, mut retries) = (0_u64, 0_u32, 0_u32);
        for (step, deposits, wishes) in events {
            ms += step;
            let now = Duration::from_millis(ms);
            for _ in 0..deposits {
                budget.deposit(now);
            }
            requests += deposits;
            retries += (0..wishes).filter(|_| budget.try_withdraw(now)).count() as u32;
            let seconds = (ms / 1_000 + 10) as f64;
            let bound = share * f64::from(requests) + floor * seconds + 1e-6;
            prop_assert!(f64::from(retries) <= bound, "{retries} > {bound}");
        }
    }

    #[test]
    fn a_budget_that_was_left_alone_is_full_again(
        share in 0.0_f64..1.0,
        floor in 0.0_f64..5.0,
        requests in 0_u32..500,
    ) {
        let drain = |budget: &mut Budget, now| {
            for _ in 0..requests {
                budget.deposit(now);
            }
            (0..10_000).filter(|_| budget.try_withdraw(now)).count()
        };
        let mut budget = Budget::new(share, floor);
        let first = drain(&mut budget, Duration::from_millis(1_999));
        prop_assert_eq!(drain(&mut budget, Duration::from_secs(11)), first);
        let expected = (share * f64::from(requests) + floor * 10.0).floor();
        prop_assert_eq!(first as f64, expected);
    }

    #[test]
    fn pauses_have_a_bound(attempt: u32, mean_ms: u64, max_ms: u64, seed: u64) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let max = Duration::from_millis(max_ms);
        prop_assert!(backoff(attempt, Duration::from_millis(mean_ms), max, &mut rng) <= max);
    }

    #[test]
    fn retry_after_takes_any_bytes(
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[0-9]{1,30}".prop_map(String::into_bytes),
            "[A-Za-z]{3}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT".prop_map(String::into_bytes),
        ],
        now: i64,
    ) {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        prop_assert!(!digits || retry_after(&value, now).is_some());
    }
}

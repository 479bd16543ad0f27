//! Breaker, ejection and health.

use std::time::Duration;

use policy::breaker::{Breaker, BreakerParams, Permit, State};
use policy::ejection::{EjectionParams, Ejector, Outcome};
use policy::health::{Change, Health};
use proptest::prelude::*;

/// What happens to a breaker.
#[derive(Debug, Clone, Copy)]
enum Event {
    Ask,
    /// One of the permits that are out comes back: with success, with failure, or with neither.
    Return(usize, Option<bool>),
    /// Milliseconds pass.
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ask),
        4 => (any::<usize>(), prop::option::weighted(0.9, prop::bool::weighted(0.4)))
            .prop_map(|(which, ok)| Event::Return(which, ok)),
        2 => (0_u64..800).prop_map(Event::Pass),
    ]
}

proptest! {
    #[test]
    fn a_breaker_keeps_its_word(
        failures in 1_u32..5,
        half_open_requests in 1_u32..4,
        events in prop::collection::vec(event(), 1..400),
    ) {
        let open_for = Duration::from_secs(1);
        let mut breaker = Breaker::new(BreakerParams { failures, open_for, half_open_requests });
        let mut now = Duration::ZERO;
        let mut out: Vec<(Permit, bool)> = Vec::new();
        let mut opened_at = None;
        for event in events {
            let before = breaker.state(now);
            match event {
                Event::Pass(ms) => now += Duration::from_millis(ms),
                Event::Ask => match breaker.try_acquire(now) {
                    Ok(permit) => {
                        prop_assert_ne!(before, State::Open);
                        out.push((permit, before == State::HalfOpen));
                    }
                    Err(refused) => {
                        prop_assert_ne!(before, State::Closed);
                        prop_assert!(refused.retry_after > Duration::ZERO);
                        prop_assert!(refused.retry_after <= open_for);
                    }
                },
                Event::Return(which, ok) => {
                    if out.is_empty() {
                        continue;
                    }
                    let (permit, is_probe) = out.swap_remove(which % out.len());
                    let changed = match ok {
                        Some(true) => breaker.on_success(permit),
                        Some(false) => breaker.on_failure(permit, now),
                        None => {
                            breaker.on_cancel(permit);
                            false
                        }
                    };
                    let after = breaker.state(now);
                    prop_assert_eq!(changed, after != before);
                    if changed && ok == Some(false) {
                        prop_assert_eq!(after, State::Open);
                        opened_at = Some(now);
                        // Nothing that is out now matters any more.
                    } else if changed {
                        prop_assert_eq!((before, after), (State::HalfOpen, State::Closed));
                        prop_assert!(is_probe);
                    }
                }
            }
            // It stays open for exactly as long as it says.
            if let Some(at) = opened_at {
                prop_assert_eq!(breaker.state(now) == State::Open, now < at + open_for);
            }
        }
    }

    #[test]
    fn no_more_probes_than_allowed_pass_before_a_verdict(
        half_open_requests in 1_u32..6,
        cancelled in 0_u32..6,
    ) {
        let open_for = Duration::from_secs(1);
        let params = BreakerParams { failures: 1, open_for, half_open_requests };
        let mut breaker = Breaker::new(params);
        let permit = breaker.try_acquire(Duration::ZERO).unwrap();
        prop_assert!(breaker.on_failure(permit, Duration::ZERO));
        let mut probes: Vec<Permit> =
            (0..20).filter_map(|_| breaker.try_acquire(open_for).ok()).collect();
        prop_assert_eq!(probes.len() as u32, half_open_requests);
        // Places that are given back are used again, and still all must succeed.
        for permit in probes.drain(..cancelled.min(half_open_requests) as usize) {
            breaker.on_cancel(permit);
        }
        probes.extend((0..20).filter_map(|_| breaker.try_acquire(open_for).ok()));
        prop_assert_eq!(probes.len() as u32, half_open_requests);
        let last = probes.pop().unwrap();
        for permit in probes {
            prop_assert!(!breaker.on_success(permit));
        }
        prop_assert!(breaker.on_success(last));
    }

    #[test]
    fn ejection_leaves_enough_servers(
        servers in 1_usize..12,
        consecutive_errors in 1_u32..5,
        max_ejected in 0.0_f64..=1.0,
        events in prop::collection::vec((0_usize..12, prop::bool::weighted(0.3), 0_u64..3_000), 1..400),
    ) {
        let base = Duration::from_secs(5);
        let max = Duration::from_secs(20);
        let params = EjectionParams { consecutive_errors, max_ejected, base, max };
        let mut ejector = Ejector::new(params, servers);
        let allowed = match servers {
            1 => 0,
            _ => ((max_ejected * servers as f64) as usize).clamp(1, servers - 1),
        };
        let mut now = Duration::ZERO;
        let mut errors = vec![0; servers];
        for (server, ok, ms) in events {
            now += Duration::from_millis(ms);
            let was_out = ejector.is_ejected(server, now);
            let outcome = if ok { Outcome::Ok } else { Outcome::Error };
            let ejected = ejector.on_result(server, outcome, now);
            if server >= servers {
                prop_assert!(ejected.is_none());
                continue;
            }
            errors[server] = if ok { 0 } else { errors[server] + 1 };
            if let Some(ejected) = ejected {
                prop_assert!(!ok && !was_out && errors[server] >= consecutive_errors);
                prop_assert_eq!(ejected.server, server);
                prop_assert!((base..=max).contains(&(ejected.until - now)));
                let last = ejected.until - Duration::from_nanos(1);
                prop_assert!(ejector.is_ejected(server, last));
                prop_assert!(!ejector.is_ejected(server, ejected.until));
                errors[server] = 0;
            }
            let out = (0..servers).filter(|server| ejector.is_ejected(*server, now)).count();
            prop_assert!(out <= allowed, "{out} of {servers} are out");
        }
    }

    #[test]
    fn health_changes_after_results_in_a_row_and_alternates(
        fall in 1_u32..6,
        rise in 1_u32..6,
        up: bool,
        results in prop::collection::vec(any::<bool>(), 1..200),
    ) {
        let mut health = Health::new(fall, rise, up);
        for (n, _) in results.iter().enumerate() {
            let before = health.is_up();
            let change = health.observe(results[n]);
            prop_assert_eq!(change.is_some(), health.is_up() != before);
            if let Some(change) = change {
                let (wanted, needed) = match change {
                    Change::Up => (true, rise),
                    Change::Down => (false, fall),
                };
                prop_assert_eq!(health.is_up(), wanted);
                let row = results[..=n].iter().rev().take_while(|ok| **ok == wanted).count();
                prop_assert!(row >= needed as usize);
            }
            let against = results[..=n].iter().rev().take_while(|ok| **ok != health.is_up());
            let needed = if health.is_up() { fall } else { rise };
            prop_assert!(against.count() < needed as usize);
        }
    }
}

//! Coordinated omission: the test of wrk2's README, shorter.

use std::time::Duration;

use testkit::origin::{Behaviour, Origin, OriginConfig};

use crate::build::open;

/// A frozen server must show in the response time with its whole weight: arrivals at 1,000/s for
/// 4 s, the server frozen once for F. Of the arrivals that are due while it is frozen, the one due
/// x before the thaw responds after about x: response times are uniform on (0, F), so the share of
/// all arrivals slower than t is (F − t)/T, and the quantile q > 1 − F/T is F − (1 − q)·T.
#[test]
fn a_freeze_shows_in_the_response_time_and_not_in_the_service_time() {
    let origin = Origin::start(OriginConfig::new(Behaviour::ok("ok"))).unwrap();
    let run_time = Duration::from_secs(4);
    let params = open(&origin.url(), 1_000.0, 20, run_time);
    let running = load::Run::start(params).unwrap();
    let mut frozen_for = Duration::ZERO;
    let result = running
        .finish(&mut |tick| {
            // At the first tick, in the middle of everything.
            if frozen_for.is_zero() {
                assert!(tick.totals.requests > 0);
                let start = std::time::Instant::now();
                origin.freeze();
                std::thread::sleep(Duration::from_millis(700));
                origin.thaw();
                frozen_for = start.elapsed();
            }
        })
        .unwrap();
    let totals = &result.totals;
    assert_eq!((totals.requests, totals.failures, totals.unsent), (4_000, 0, 0));
    let response = |q: f64| totals.response.quantile_us(q).unwrap() as f64 / 1e6;
    let (freeze, length) = (frozen_for.as_secs_f64(), run_time.as_secs_f64());
    for q in [0.88, 0.90, 0.95, 0.99] {
        let expected = freeze - (1.0 - q) * length;
        let measured = response(q);
        // Draining the backlog at the end of the freeze takes a moment on a busy machine.
        assert!(
            (measured - expected).abs() < 0.03 * freeze + 0.08,
            "q {q}: measured {measured}, expected {expected}"
        );
    }
    // The 20 requests in flight saw the freeze; all others only waited to be sent. 20 of 4,000
    // lie above the 99.5th percentile.
    let service = totals.service.quantile_us(0.99).unwrap() as f64 / 1e6;
    assert!(service < 0.1 * response(0.99), "service {service}");
    assert!(totals.delay.max_us().unwrap() as f64 / 1e6 > 0.5 * freeze);
}

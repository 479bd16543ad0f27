//! Servers that fail: the others answer, and nobody notices.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gateway::FailureKind;
use gateway::params::*;
use testkit::origin::{Behaviour, Fault, Origin, Response};
use traffic::{Rate, Ratio};

use crate::harness::{PATIENCE, Running, origin, params, servers, start};

fn three() -> Vec<Origin> {
    (0..3).map(|_| origin(Behaviour::ok("good"))).collect()
}

fn with_retries(origins: &[Origin]) -> GatewayParams {
    let addresses: Vec<_> = origins.iter().map(Origin::addr).collect();
    let mut params = params(&addresses);
    let retry = &mut servers(&mut params.upstreams[0]).retry;
    retry.attempts = 2;
    retry.on.push(RetryOn::Status(503));
    retry.budget_floor = Rate::per_s(100_000.0).unwrap();
    params
}

#[test]
fn a_storm_of_errors_of_one_server_is_not_noticed() {
    let origins = three();
    let busy = Response { status: 503, body: b"busy".to_vec(), ..Response::default() };
    origins[0].set_route("*", Behaviour::Respond(busy));
    let running = start(with_retries(&origins));
    let mut client = running.client();
    for _ in 0..30 {
        assert_eq!(client.get("/").text(), "good");
    }
    // What may have had an effect is not repeated, and the server's own answer passes.
    let posts: Vec<u16> = (0..9)
        .map(|_| {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
            client.response("POST").unwrap().status
        })
        .collect();
    assert!(posts.contains(&503) && posts.contains(&200), "{posts:?}");
}

#[test]
fn the_answer_of_the_only_server_passes() {
    let busy = Response { status: 503, body: b"busy".to_vec(), ..Response::default() };
    let only = origin(Behaviour::Respond(busy));
    let running = start(with_retries(std::slice::from_ref(&only)));
    let answer = running.client().get("/");
    assert_eq!((answer.status, answer.text()), (503, "busy"));
    assert_eq!(only.count(), 1);
}

#[test]
fn retries_stay_within_their_budget() {
    let bad: Vec<Origin> = (0..3).map(|_| origin(Behaviour::status(503))).collect();
    let mut params = with_retries(&bad);
    let retry = &mut servers(&mut params.upstreams[0]).retry;
    retry.budget = Ratio::new(0.1).unwrap();
    retry.budget_floor = Rate::per_s(0.001).unwrap();
    let running = start(params);
    let mut client = running.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 503);
    }
    let count: u64 = bad.iter().map(Origin::count).sum();
    assert!((105..=120).contains(&count), "{count}");
    let event =
        "tidegate_upstream_events_total{upstream=\"shop\",event=\"retry-budget-exhausted\"}";
    assert!(running.metric(event) > 50.0, "{}", running.gateway.metrics());
}

fn up(running: &Running, server: &Origin) -> f64 {
    let server = server.addr();
    running.metric(&format!("tidegate_server_up{{upstream=\"shop\",server=\"{server}\"}}"))
}

#[test]
fn servers_with_errors_in_a_row_are_ejected_and_the_rest_goes_on() {
    let origins = three();
    origins[1].set_route("*", Behaviour::Fault(Fault::CloseBeforeResponse));
    let mut params = with_retries(&origins);
    servers(&mut params.upstreams[0]).ejection = Some(Ejection {
        consecutive_errors: 3,
        max_ejected: Ratio::new(0.5).unwrap(),
        base: Duration::from_secs(3_600),
        max: Duration::from_secs(3_600),
    });
    let running = start(params);
    let mut client = running.client();
    for _ in 0..60 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(origins[1].count(), 3);
    let ups: Vec<f64> = origins.iter().map(|origin| up(&running, origin)).collect();
    assert_eq!(ups, [1.0, 0.0, 1.0]);
    // Not more than half of them: the next bad one stays.
    origins[2].set_route("*", Behaviour::Fault(Fault::CloseBeforeResponse));
    for _ in 0..30 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(up(&running, &origins[2]), 1.0);
}

#[test]
fn an_open_breaker_spares_the_servers_and_closes_again() {
    let server = origin(Behaviour::status(500));
    let mut params = params(&[server.addr()]);
    servers(&mut params.upstreams[0]).breaker =
        Some(Breaker { failures: 3, open_for: Duration::from_millis(200), half_open_requests: 1 });
    let running = start(params);
    let mut client = running.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 500);
    }
    let state = "tidegate_upstream_breaker_open{upstream=\"shop\"}";
    running.wait_until("open", |running| running.metric(state) == 1.0);
    let answer = client.get("/");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("breaker-open"));
    assert_eq!(server.count(), 3);
    server.set_route("*", Behaviour::ok("well"));
    running.wait_until("half-open", |running| running.metric(state) == 0.5);
    assert_eq!(client.get("/").text(), "well");
    running.wait_until("closed", |running| running.metric(state) == 0.0);
    assert_eq!(client.get("/").text(), "well");
}

#[test]
fn failing_health_checks_move_requests_away_and_back() {
    let origins = three();
    let mut params = with_retries(&origins);
    servers(&mut params.upstreams[0]).health = Some(Health {
        check: HealthCheck::Http {
            path: "/health".to_owned(),
            expect: vec![(200, 299)],
            body_contains: None,
        },
        every: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
        fall: 2,
        rise: 2,
    });
    let running = start(params);
    let mut client = running.client();
    for _ in 0..2 {
        origins[0].set_route("/health", Behaviour::status(500));
        running.wait_until("down", |running| up(running, &origins[0]) == 0.0);
        let asked = || origins[0].counts_by_target().get("/page").copied().unwrap_or(0);
        let before = asked();
        for _ in 0..9 {
            assert_eq!(client.get("/page").text(), "good");
        }
        assert_eq!(asked(), before);
        origins[0].set_route("/health", Behaviour::ok("well"));
        running.wait_until("up", |running| up(running, &origins[0]) == 1.0);
        for _ in 0..9 {
            assert_eq!(client.get("/page").text(), "good");
        }
        assert_eq!(asked(), before + 3);
    }
}

#[test]
fn killing_one_of_three_servers_under_load_fails_no_get() {
    let mut origins = three();
    let mut params = with_retries(&origins);
    params.workers = 2;
    let running = start(params);
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = running.client();
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get("/");
                    assert_eq!((answer.status, answer.text()), (200, "good"));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        assert!(origins[0].wait_for_count(200, PATIENCE));
        let dead = origins.remove(0).count();
        let before = origins[0].count();
        assert!(dead >= 200 && origins[0].wait_for_count(before + 500, PATIENCE));
        stop.store(true, Ordering::Relaxed);
    });
    assert!(done.load(Ordering::Relaxed) > 1_000);
    running.wait_until_idle();
}

#[test]
fn a_request_that_may_be_hedged_ends_in_time_too() {
    let origins: Vec<Origin> = (0..2).map(|_| origin(Behaviour::Fault(Fault::Silent))).collect();
    let addresses: Vec<_> = origins.iter().map(Origin::addr).collect();
    let ask = |total: Option<Duration>, per_try: Option<Duration>| {
        let mut params = params(&addresses);
        params.routes[0].timeouts.total = total;
        let servers = servers(&mut params.upstreams[0]);
        servers.hedge =
            Some(Hedge { after: Duration::from_millis(10), budget: Ratio::new(1.0).unwrap() });
        servers.retry.attempts = 0;
        servers.retry.per_try = per_try;
        let running = start(params);
        assert_eq!(running.client().get("/").status, 504);
        running.wait_until("counted", |running| {
            running.failures(FailureKind::TotalTimeout)
                + running.failures(FailureKind::ResponseTimeout)
                == 1.0
        });
        running.wait_until_idle();
        running.failures(FailureKind::TotalTimeout)
    };
    assert_eq!(ask(Some(Duration::from_millis(100)), None), 1.0);
    assert_eq!(ask(None, Some(Duration::from_millis(100))), 0.0);
}

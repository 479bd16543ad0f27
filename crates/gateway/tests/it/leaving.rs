//! Clients that leave, at whatever moment: nothing is held for them.

use std::time::Duration;

use gateway::params::*;
use h2::Reason;
use testkit::origin::{Behaviour, Blackhole, Fault, Origin};
use traffic::Rate;

use crate::harness::{Client, PATIENCE, Running, origin, params, servers, start, upstream};
use crate::http2::{block_on, connect, open};

/// Everything that is counted is limited to one, so that what is lost once is missed at once.
fn rules(origin: &Origin, blackhole: &Blackhole) -> GatewayParams {
    let mut params = params(&[origin.addr()]);
    let servers = servers(&mut params.upstreams[0]);
    servers.limits.connections = 1;
    servers.limits.pending_timeout = Duration::from_secs(60);
    servers.breaker =
        Some(Breaker { failures: 1, open_for: Duration::from_millis(1), half_open_requests: 1 });
    servers.retry.attempts = 0;
    params.upstreams.push(upstream("nowhere", &[blackhole.addr()]));
    let mut nowhere = params.routes[0].clone();
    nowhere.name = "nowhere".to_owned();
    nowhere.matches.path = PathMatch::Prefix("/nowhere".to_owned());
    nowhere.action = Action::Forward(vec![(1, 1)]);
    let mut cached = params.routes[0].clone();
    cached.name = "cached".to_owned();
    cached.matches.path = PathMatch::Prefix("/cached".to_owned());
    cached.cache = Some(crate::caching::cache());
    params.routes.extend([nowhere, cached]);
    for route in &mut params.routes {
        route.concurrency = Some(2);
        route.rate_limits = vec![RateLimit {
            key: vec![LimitKey::Route],
            unit: LimitUnit::Concurrency,
            rate: Rate::per_s(1.0).unwrap(),
            burst: 2,
            keys_max: 100,
            headers: LimitHeaders::Off,
        }];
    }
    params
}

/// Whether no server is asked anything, and nobody waits for one.
fn is_quiet_behind(running: &Running) -> bool {
    let text = running.gateway.metrics();
    let quiet = |name: &str| {
        let mut samples = text.lines().filter(|line| line.starts_with(name));
        samples.all(|line| line.ends_with(" 0"))
    };
    quiet("tidegate_server_in_flight{") && quiet("tidegate_upstream_waiting{")
}

fn is_quiet(running: &Running) -> bool {
    is_quiet_behind(running) && running.metric("tidegate_connections_open") == 0.0
}

/// Waits while other tasks run.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn nothing_is_held_for_clients_that_have_left() {
    let origin = origin(Behaviour::Fault(Fault::Silent));
    for path in ["/good", "/cached/good"] {
        origin.set_route(path, Behaviour::ok("good"));
    }
    let slowly =
        Fault::SlowBody { chunk_bytes: 1_000, chunks: 10_000, interval: Duration::from_millis(1) };
    for path in ["/slow", "/cached/slow"] {
        origin.set_route(path, Behaviour::Fault(slowly.clone()));
    }
    origin.set_route("/error", Behaviour::status(503));
    let blackhole = Blackhole::start().unwrap();
    let running = start(rules(&origin, &blackhole));
    let client = |request: &str| {
        let mut client = Client::connect(running.address);
        client.send(request);
        client
    };
    let get = |path: &str| client(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let asked = || {
        let before = origin.count();
        move |origin: &Origin| assert!(origin.wait_for_count(before + 1, PATIENCE))
    };
    let waiting = |count: f64| {
        running.wait_until("in line", |running| {
            running.metric("tidegate_upstream_waiting{upstream=\"shop\"}") == count
        });
    };
    let check = |state: &str| {
        running.wait_until(state, is_quiet);
        for path in ["/good", "/cached/good"] {
            let mut client = Client::connect(running.address);
            assert_eq!(client.get(path).status, 200, "{state}");
        }
        running.wait_until(state, is_quiet);
    };
    for round in 0..2 {
        // Within a head, and within a body.
        drop(client("GET / HTTP/1.1\r\nHo"));
        check("head");
        let half = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
        running.wait_until("forwarded", |running| !is_quiet(running));
        drop(half);
        check("body");
        // While the server thinks, and while it answers, kept or not.
        for path in ["/", "/cached/x"] {
            let wait = asked();
            let thinking = get(path);
            wait(&origin);
            drop(thinking);
            check(path);
        }
        for path in ["/slow", "/cached/slow"] {
            let mut reading = get(path);
            assert!(reading.wait_for("200 OK"));
            drop(reading);
            check(path);
        }
        // In line for the only place, and when what has the place leaves.
        for leave_first in [true, false] {
            let wait = asked();
            let first = get("/");
            wait(&origin);
            let second = get("/");
            waiting(1.0);
            if leave_first {
                let wait = asked();
                drop(first);
                wait(&origin);
                drop(second);
            } else {
                drop(second);
                waiting(0.0);
                drop(first);
            }
            check("in line");
        }
        // Behind another one's fetch, and when that one leaves.
        for leave_first in [true, false] {
            let wait = asked();
            let first = get("/cached/y");
            wait(&origin);
            let second = get("/cached/y");
            running.wait_until("both are in", |running| {
                running.metric("tidegate_connections_open") == 2.0
            });
            if leave_first {
                let wait = asked();
                drop(first);
                wait(&origin);
                drop(second);
            } else {
                drop(second);
                drop(first);
            }
            check("behind another");
        }
        // While a connection is opened.
        let connecting = get("/nowhere");
        let in_flight = format!(
            "tidegate_server_in_flight{{upstream=\"nowhere\",server=\"{}\"}}",
            blackhole.addr()
        );
        running.wait_until("connecting", |running| running.metric(&in_flight) > 0.0);
        drop(connecting);
        check("connecting");
        // As the only probe of a breaker.
        assert_eq!(Client::connect(running.address).get("/error").status, 503);
        running.wait_until("half open", |running| {
            running.metric("tidegate_upstream_breaker_open{upstream=\"shop\"}") == 0.5
        });
        let wait = asked();
        let probe = get("/");
        wait(&origin);
        drop(probe);
        check("probe");
        // As streams.
        for (method, path, end) in
            [("GET", "/", true), ("POST", "/", false), ("GET", "/slow", true)]
        {
            block_on(async {
                let (send, _connection) = connect(running.address).await;
                let (answer, mut body) = open(&send, method, path, end).await;
                until(|| !is_quiet_behind(&running)).await;
                body.send_reset(Reason::CANCEL);
                drop((answer, body));
                until(|| is_quiet_behind(&running)).await;
            });
            check(&format!("stream {round} {method} {path}"));
        }
    }
}

//! Servers that misbehave: the client is told the documented status or sees that its answer was
//! cut, and the next request knows nothing of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gateway::FailureKind;
use gateway::params::*;
use testkit::origin::{Behaviour, Blackhole, Fault, Origin, OriginConfig, Refused, Response};
use traffic::{Rate, Ratio};

use crate::harness::{PATIENCE, Running, echo, origin, params, servers, start};

/// What the client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// tidegate's own answer to a failure.
    Failure(FailureKind),
    /// An answer that ends before its end.
    Cut(FailureKind),
    /// A sound answer with this body.
    Sound(&'static str),
}

fn raw(bytes: &str) -> Fault {
    Fault::Raw { bytes: bytes.as_bytes().to_vec(), close: false }
}

fn faults() -> Vec<(Fault, Seen)> {
    use FailureKind::{BadResponse, BodyCut, IdleTimeout, Reset, ResponseTimeout};
    use Seen::{Cut, Failure, Sound};
    let slow = |interval| Fault::SlowBody { chunk_bytes: 2, chunks: 3, interval };
    let declared = |length: &str| Fault::WrongContentLength { declared: length.to_owned() };
    vec![
        (Fault::Silent, Failure(ResponseTimeout)),
        (Fault::ResetBeforeResponse, Failure(Reset)),
        (Fault::CloseBeforeResponse, Failure(Reset)),
        (Fault::CloseMidHeader, Failure(Reset)),
        (Fault::CloseMidBody, Cut(BodyCut)),
        (Fault::ResetMidBody, Cut(BodyCut)),
        (slow(Duration::from_millis(5)), Sound("......")),
        (slow(Duration::from_secs(5)), Cut(IdleTimeout)),
        (Fault::EndlessHeaders, Failure(BadResponse)),
        (Fault::HugeHeaders { bytes: 65 << 10 }, Failure(BadResponse)),
        (Fault::MalformedStatusLine, Failure(BadResponse)),
        (Fault::GarbageBytes { bytes: 500, seed: 1 }, Failure(BadResponse)),
        (Fault::BadChunk, Cut(BodyCut)),
        (declared("50"), Cut(IdleTimeout)),
        (declared("3"), Sound("hel")),
        (declared("-1"), Failure(BadResponse)),
        (declared("5, 6"), Failure(BadResponse)),
        (Fault::CloseAfterResponse, Sound("ok")),
        (Fault::ExtraBytesAfterResponse, Sound("ok")),
        (Fault::Interim { status: 100 }, Sound("ok")),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"), Failure(BadResponse)),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"), Failure(BadResponse)),
        (raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok"), Failure(BadResponse)),
        (raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Failure(BadResponse)),
        (raw("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"), Failure(BadResponse)),
        (raw("HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok"), Failure(BadResponse)),
        (raw("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), Failure(BadResponse)),
        (raw("HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok"), Failure(BadResponse)),
        (raw("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), Failure(BadResponse)),
        (raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), Failure(BadResponse)),
        // Bytes beyond a bodiless answer are not the next answer.
        (raw("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), Sound("")),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), Sound("ok")),
        (Fault::Raw { bytes: b"HTTP/1.0 200 OK\r\n\r\nto the end".to_vec(), close: true }, Sound("to the end")),
    ]
}

#[test]
fn every_fault_has_its_answer_and_leaves_nothing_behind() {
    let bad = origin(Behaviour::ok("good"));
    let mut params = params(&[bad.addr()]);
    servers(&mut params.upstreams[0]).retry.attempts = 0;
    params.routes[0].timeouts.response = Duration::from_millis(200);
    params.routes[0].timeouts.idle = Duration::from_millis(200);
    let running = start(params);
    for (fault, seen) in faults() {
        bad.set_route("/bad", Behaviour::Fault(fault.clone()));
        let mut client = running.client();
        if let Seen::Cut(kind) = seen {
            let before = running.failures(kind);
            client.send("GET /bad HTTP/1.1\r\nHost: a\r\n\r\n");
            let got = client.everything();
            let (head, body) = got.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{fault:?}: {got}");
            let head = head.to_lowercase();
            let complete = match head.split_once("content-length: ") {
                Some((_, length)) => length.lines().next() == Some(&body.len().to_string()),
                None => body.ends_with("0\r\n\r\n"),
            };
            assert!(!complete, "{fault:?}: {got}");
            running.wait_until("counted", |running| running.failures(kind) == before + 1.0);
            client = running.client();
        } else {
            let answer = client.get("/bad");
            match seen {
                Seen::Failure(kind) => {
                    assert_eq!(answer.status, kind.status(), "{fault:?}");
                    assert!(answer.text().contains(kind.label()), "{fault:?}: {}", answer.text());
                }
                Seen::Sound(body) => assert_eq!(answer.text(), body, "{fault:?}"),
                Seen::Cut(_) => unreachable!("handled above"),
            }
        }
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), "good", "after {fault:?}");
        }
    }
    running.wait_until_idle();
}

#[test]
fn early_hints_pass_and_endless_bodies_end_with_their_client() {
    let server = Origin::start(
        OriginConfig::new(Behaviour::Fault(Fault::EndlessBody)).route(
            "/hints",
            Behaviour::Fault(raw(
                "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            )),
        ),
    )
    .unwrap();
    let running = start(params(&[server.addr()]));
    let mut client = running.client();
    let hints = client.get("/hints");
    assert_eq!((hints.status, hints.field("link")), (103, Some("</x>")));
    assert_eq!(client.response("GET").unwrap().text(), "ok");
    // Not without end, though.
    server.set_route("/hints", Behaviour::Fault(raw(&"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17))));
    assert_eq!(client.get("/hints").status, 103);
    for _ in 1..16 {
        assert_eq!(client.response("GET").unwrap().status, 103);
    }
    assert_eq!(client.response("GET").unwrap().status, 502);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.wait_for_bytes(1 << 20));
    drop(client);
    running.wait_until_idle();
    assert_eq!(running.failures(FailureKind::Gone), 1.0);
}

#[test]
fn servers_that_cannot_be_reached_are_told_apart() {
    let refused = Refused::start().unwrap();
    let hole = Blackhole::start().unwrap();
    for (address, kind) in
        [(refused.addr(), FailureKind::Connect), (hole.addr(), FailureKind::ConnectTimeout)]
    {
        let mut params = params(&[address]);
        let servers = servers(&mut params.upstreams[0]);
        servers.retry.attempts = 0;
        servers.connect_timeout = Duration::from_millis(100);
        let running = start(params);
        let answer = running.client().get("/");
        assert_eq!(answer.status, kind.status());
        running.wait_until("counted", |running| running.failures(kind) == 1.0);
        running.wait_until_idle();
    }
}

#[test]
fn a_server_that_reads_nothing_is_to_blame_for_it() {
    let frozen = echo();
    frozen.freeze();
    let mut params = params(&[frozen.addr()]);
    params.limits.body_timeout = Duration::from_millis(200);
    params.routes[0].timeouts.response = Duration::from_millis(200);
    params.routes[0].body_max = u64::MAX;
    servers(&mut params.upstreams[0]).retry.attempts = 0;
    let running = start(params);
    let mut client = running.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let writer = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let mut writer = writer;
        // Ends with an error once the gateway has had enough.
        while std::io::Write::write_all(&mut writer, &[b'x'; 64 << 10]).is_ok() {}
    });
    let answer = client.response("POST").unwrap();
    assert_eq!(answer.status, 504, "{}", answer.text());
    drop(client);
    sending.join().unwrap();
    running.wait_until_idle();
}

#[test]
fn answers_may_overtake_the_request() {
    let early = origin(Behaviour::Fault(raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut some = [0; 64];
        assert!(stream.read(&mut some).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!").unwrap();
    });
    let mut with_both = params(&[address]);
    with_both.upstreams.push(crate::harness::upstream("early", &[early.addr()]));
    let running = start(with_both);
    let mut client = running.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    let answer = client.response("POST").unwrap();
    assert_eq!((answer.status, answer.text()), (413, "no!"));
    // The rest of the body must not be taken for a request.
    assert!(client.is_closed());
    server.join().unwrap();
    running.wait_until_idle();
}

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
    let event = "tidegate_upstream_events_total{upstream=\"shop\",event=\"retry-budget-exhausted\"}";
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
    servers(&mut params.upstreams[0]).breaker = Some(Breaker {
        failures: 3,
        open_for: Duration::from_millis(200),
        half_open_requests: 1,
    });
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

//! Limits: who is let in, and what becomes of the others.

use std::time::Duration;

use gateway::FailureKind;
use gateway::params::*;
use testkit::origin::{Behaviour, Fault};
use traffic::Rate;

use crate::harness::{PATIENCE, echo, origin, params, servers, start};

fn rate_limit(key: LimitKey, unit: LimitUnit, burst: u64, headers: LimitHeaders) -> RateLimit {
    let rate = Rate::per_s(0.01).unwrap();
    RateLimit { key: vec![key], unit, rate, burst, keys_max: 1_000, headers }
}

#[test]
fn requests_beyond_the_rate_are_told_when_to_come_again() {
    let origin = echo();
    for (headers, told) in [
        (LimitHeaders::Off, None),
        (LimitHeaders::Draft, Some(("ratelimit", "\"default\";r=1;t=100"))),
        (LimitHeaders::Legacy, Some(("ratelimit-remaining", "1"))),
        (LimitHeaders::XPrefix, Some(("x-ratelimit-limit", "2"))),
    ] {
        let mut params = params(&[origin.addr()]);
        params.routes[0].rate_limits =
            vec![rate_limit(LimitKey::ClientIp, LimitUnit::Requests, 2, headers)];
        let running = start(params);
        let mut client = running.client();
        let answer = client.get("/");
        assert_eq!(answer.status, 200);
        match told {
            None => assert!(!answer.head.to_lowercase().contains("ratelimit")),
            Some((name, value)) => assert_eq!(answer.field(name), Some(value)),
        }
        assert_eq!(client.get("/").status, 200);
        let before = origin.count();
        // A new connection is no new client.
        let mut client = running.client();
        let answer = client.get("/");
        assert_eq!(answer.status, 429);
        let after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((90..=100).contains(&after), "{after}");
        assert_eq!(origin.count(), before);
        let limited = "tidegate_rate_limited_total{route=\"site\"}";
        running.wait_until("counted", |running| running.metric(limited) == 1.0);
    }
}

#[test]
fn keys_are_headers_or_believed_addresses() {
    let origin = echo();
    let ask = |params: GatewayParams, fields: &[&str]| -> Vec<u16> {
        let running = start(params);
        let mut client = running.client();
        let status = |field: &&str| {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
            client.response("GET").unwrap().status
        };
        fields.iter().map(status).collect()
    };
    let mut params = params(&[origin.addr()]);
    let limit = |key| vec![rate_limit(key, LimitUnit::Requests, 1, LimitHeaders::Off)];
    params.routes[0].rate_limits = limit(LimitKey::Header("x-user".to_owned()));
    let fields = ["X-User: 1", "X-User: 2", "x-user: 1", "X-Other: 1", "X-Other: 2"];
    assert_eq!(ask(params.clone(), &fields), [200, 200, 429, 200, 429]);
    params.routes[0].rate_limits = limit(LimitKey::Cookie("id".to_owned()));
    let fields = ["Cookie: a=b; id=1", "Cookie: id=2; id=1", "Cookie: id=1", "Cookie: x=1"];
    assert_eq!(ask(params.clone(), &fields), [200, 200, 429, 200]);
    // Strangers cannot make themselves new addresses, proxies that are trusted speak for clients.
    params.routes[0].rate_limits = limit(LimitKey::ClientIp);
    let fields =
        ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Real-IP: 192.0.2.3"];
    assert_eq!(ask(params.clone(), &fields), [200, 429, 429]);
    params.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    assert_eq!(ask(params.clone(), &fields), [200, 200, 200]);
    params.routes[0].rate_limits = limit(LimitKey::Route);
    assert_eq!(ask(params, &fields), [200, 429, 429]);
}

#[test]
fn response_bytes_can_be_limited() {
    let origin = origin(Behaviour::ok(vec![b'x'; 1_000]));
    let mut params = params(&[origin.addr()]);
    params.routes[0].rate_limits =
        vec![rate_limit(LimitKey::ClientIp, LimitUnit::Bytes, 1_500, LimitHeaders::Off)];
    let running = start(params);
    let mut client = running.client();
    let statuses = [(); 3].map(|()| client.get("/").status);
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn requests_at_once_are_limited_per_key_and_per_route() {
    let origin = origin(Behaviour::Fault(Fault::Silent));
    let key = rate_limit(LimitKey::ClientIp, LimitUnit::Concurrency, 1, LimitHeaders::Off);
    for (limits, concurrency, status) in [(vec![key], None, 429), (vec![], Some(1), 503)] {
        let mut params = params(&[origin.addr()]);
        params.routes[0].rate_limits = limits;
        params.routes[0].concurrency = concurrency;
        let running = start(params);
        let mut busy = running.client();
        let before = origin.count();
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(origin.wait_for_count(before + 1, PATIENCE));
        let mut client = running.client();
        assert_eq!(client.get("/").status, status);
        drop(busy);
        // A client that has gone leaves its place.
        running.wait_until_idle();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(origin.wait_for_count(before + 2, PATIENCE));
    }
}

#[test]
fn a_busy_server_has_a_queue_with_an_end() {
    let origin = origin(Behaviour::Fault(Fault::Silent));
    origin.set_route("/good", Behaviour::ok("good"));
    let mut params = params(&[origin.addr()]);
    servers(&mut params.upstreams[0]).limits =
        UpstreamLimits { connections: 1, pending: 1, pending_timeout: Duration::from_millis(300) };
    let running = start(params.clone());
    let mut busy = running.client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(origin.wait_for_count(1, PATIENCE));
    let mut waiting = running.client();
    waiting.send("GET /good HTTP/1.1\r\nHost: a\r\n\r\n");
    let queue = "tidegate_upstream_waiting{upstream=\"shop\"}";
    running.wait_until("waiting", |running| running.metric(queue) == 1.0);
    let answer = running.client().get("/good");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains(FailureKind::PendingFull.label()), "{}", answer.text());
    let answer = waiting.response("GET").unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains(FailureKind::PendingTimeout.label()), "{}", answer.text());
    // Whoever waits is served as soon as there is room.
    servers(&mut params.upstreams[0]).limits.pending_timeout = PATIENCE;
    let running = start(params);
    let mut busy = running.client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(origin.wait_for_count(2, PATIENCE));
    let mut waiting = running.client();
    waiting.send("GET /good HTTP/1.1\r\nHost: a\r\n\r\n");
    running.wait_until("waiting", |running| running.metric(queue) == 1.0);
    drop(busy);
    assert_eq!(waiting.response("GET").unwrap().text(), "good");
    running.wait_until("nobody waits", |running| running.metric(queue) == 0.0);
    running.wait_until_idle();
}

#[test]
fn connections_are_limited_in_all_and_per_address() {
    let origin = echo();
    for (all, per_ip) in [(2, 0), (100, 2)] {
        let mut params = params(&[origin.addr()]);
        params.limits.connections = all;
        params.limits.connections_per_ip = per_ip;
        let running = start(params);
        let mut clients = [running.client(), running.client()];
        for client in &mut clients {
            assert_eq!(client.get("/").status, 200);
        }
        assert!(running.client().is_closed());
        let refused = "tidegate_connections_refused_total{reason=\"limit\"}";
        assert_eq!(running.metric(refused), 1.0);
        drop(clients);
        let open = "tidegate_connections_open";
        running.wait_until("closed", |running| running.metric(open) == 0.0);
        assert_eq!(running.client().get("/").status, 200);
    }
}

#[test]
fn connections_end_after_their_last_request() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.limits.requests = 2;
    let running = start(params);
    let mut client = running.client();
    assert_eq!(client.get("/").field("connection"), None);
    assert_eq!(client.get("/").field("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn passwords_cannot_be_tried_without_end() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    let rule = &mut params.routes[0];
    rule.access.basic =
        Some(BasicAuth { realm: "shop".into(), users: vec![("a".into(), "b".into())] });
    rule.rate_limits =
        vec![rate_limit(LimitKey::ClientIp, LimitUnit::Requests, 2, LimitHeaders::Off)];
    let running = start(params);
    let mut client = running.client();
    let statuses: Vec<u16> = (0..4).map(|_| client.get("/").status).collect();
    assert_eq!(statuses, [401, 401, 429, 429]);
}

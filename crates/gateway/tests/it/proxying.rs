//! What passes through, and how.

use std::time::Duration;

use testkit::origin::{Behaviour, Origin, OriginConfig};

use crate::harness::{Client, params, servers, start};

fn echo() -> Origin {
    Origin::start(OriginConfig::new(Behaviour::Echo)).unwrap()
}

#[test]
fn a_request_reaches_the_server_and_its_answer_the_client() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    let mut client = Client::connect(running.address);
    for number in 0..3 {
        let answer = client.get(&format!("/a/../b/%7Euser?number={number}"));
        assert_eq!(answer.status, 200, "{}", answer.head);
        let request = &origin.requests()[number];
        assert_eq!(request.target, format!("/b/~user?number={number}"));
        assert_eq!(request.header("host"), Some("shop.example"));
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.header("x-forwarded-proto"), Some("http"));
        assert_eq!(request.header("via"), Some("1.1 tidegate"));
        assert_eq!(request.header("x-request-id").map(str::len), Some(32));
    }
    // One connection served them all.
    assert_eq!(origin.connections_accepted(), 1);
}

#[test]
fn bodies_pass_both_ways_however_they_are_framed() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    let mut client = Client::connect(running.address);
    let big = "x".repeat(300_000);
    client.send(format!(
        "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{big}",
        big.len()
    ));
    let answer = client.response("POST").unwrap();
    assert!(answer.text().contains(&big));
    client.send("POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["5\r\nhello\r\n", "6\r\n world\r\n", "0\r\n\r\n"] {
        client.send(piece);
    }
    let answer = client.response("POST").unwrap();
    assert!(answer.text().contains("hello world"), "{}", answer.text());
    client.send("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response("POST").unwrap().status, 200);
    assert_eq!(origin.count(), 3);
}

#[test]
fn head_and_bodiless_statuses_keep_the_connection_in_step() {
    let origin = Origin::start(
        OriginConfig::new(Behaviour::ok("twelve bytes"))
            .route("/empty", Behaviour::status(204))
            .route("/same", Behaviour::status(304)),
    )
    .unwrap();
    let running = start(params(&[origin.addr()]));
    let mut client = Client::connect(running.address);
    client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.response("HEAD").unwrap();
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("12")));
    assert_eq!(client.get("/empty").status, 204);
    assert_eq!(client.get("/same").status, 304);
    assert_eq!(client.get("/x").text(), "twelve bytes");
}

#[test]
fn a_client_that_waits_for_100_gets_it() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    let mut client = Client::connect(running.address);
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response("PUT").unwrap().status, 100);
    client.send("hello");
    let answer = client.response("PUT").unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("hello"));
}

#[test]
fn http_1_0_clients_are_answered_until_close() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    let mut client = Client::connect(running.address);
    client.send("GET /old HTTP/1.0\r\n\r\n");
    let answer = client.response("GET").unwrap();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn requests_are_spread_and_pipelined_ones_answered_in_order() {
    let origins: Vec<Origin> = (0..3).map(|_| echo()).collect();
    let addresses: Vec<_> = origins.iter().map(Origin::addr).collect();
    let running = start(params(&addresses));
    let mut client = Client::connect(running.address);
    let pipelined: String =
        (0..9).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(pipelined);
    for number in 0..9 {
        let answer = client.response("GET").unwrap();
        assert!(answer.text().contains(&format!("/{number}")));
    }
    for origin in &origins {
        assert_eq!(origin.count(), 3);
    }
}

#[test]
fn a_dead_server_is_not_noticed() {
    let origin = echo();
    let refused = testkit::origin::Refused::start().unwrap();
    let running = start(params(&[refused.addr(), origin.addr()]));
    let mut client = Client::connect(running.address);
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
    }
    // A POST may be tried again too: nothing was sent.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response("POST").unwrap().status, 200);
    assert_eq!(origin.count(), 21);
    let metrics = running.gateway.metrics();
    assert!(metrics.contains("event=\"retry\"} 1"), "{metrics}");
}

#[test]
fn draining_finishes_what_is_under_way() {
    let delay = Duration::from_millis(300);
    let origin = Origin::start(OriginConfig::new(Behaviour::delayed(delay))).unwrap();
    let mut params = params(&[origin.addr()]);
    servers(&mut params.upstreams[0]).retry.attempts = 0;
    let running = start(params);
    let mut busy = Client::connect(running.address);
    let mut idle = Client::connect(running.address);
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(origin.wait_for_count(1, Duration::from_secs(5)));
    let draining = std::thread::spawn(move || running.gateway.drain());
    assert_eq!(busy.response("GET").unwrap().status, 200);
    assert!(busy.is_closed() && idle.is_closed());
    draining.join().unwrap();
}

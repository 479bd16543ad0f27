//! Where a message ends must be beyond doubt: what is ambiguous is refused, the connection closed,
//! and no server sees any of it.

use std::time::Duration;

use gateway::FailureKind;
use gateway::params::{GatewayParams, RetryOn};

use crate::harness::{Client, echo, params, servers, start};

/// What an attacker wants to be taken for a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Refused requests: the status, and the bytes.
const REFUSED: &[(u16, &str)] = &[
    // Two ideas of the length (CL.TE, TE.CL, TE.TE, CL.0, 0.CL).
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    ),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 6\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nContent-Length: 6\r\n\r\nhello!"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6, 6\r\n\r\nhello!"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +6\r\n\r\nhello!"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x6\r\n\r\nhello!"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6_0\r\n\r\nhello!"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551622\r\n\r\nhello!"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 6\r\n\r\nhello!"),
    (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    ),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (
        417,
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\nContent-Length: 6\r\n\r\nhello!",
    ),
    // Line ends.
    (400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n"),
    (400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    (400, "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Fields.
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX : z\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"),
    // The request line.
    (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n"),
    (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    (501, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    // Who is asked.
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (400, "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Paths that servers read in different ways.
    (400, "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a/%2e%2e/%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a/..;/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a/..%2fx HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a%0g HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a%5cb HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Chunks.
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2_0\r\nhi\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 2\r\nhi\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi0\r\n\r\n"),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\n\r\nhi\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n",
    ),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n"),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    ),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n"),
];

#[test]
fn what_is_ambiguous_is_refused_and_nothing_follows() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    for (status, bytes) in REFUSED {
        let mut client = running.client();
        client.send(format!("{bytes}{SMUGGLED}"));
        let answer = client.response("GET").unwrap_or_else(|| panic!("no answer to {bytes:?}"));
        assert_eq!(answer.status, *status, "{bytes:?}");
        assert!(client.is_closed(), "{bytes:?}");
    }
    assert_eq!(origin.count(), 0, "{:?}", origin.requests());
}

#[test]
fn fields_for_all_recipients_cannot_be_nominated_away() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    for name in ["host", "x-forwarded-for", "close, authorization", "x-forwarded-port"] {
        let mut client = running.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {name}\r\n\r\n"));
        assert_eq!(client.response("GET").unwrap().status, 400, "{name}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn bytes_may_come_one_by_one_and_requests_in_one_piece() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    let mut client = running.client();
    let request = "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n0\r\nX-Trailer: z\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]);
    }
    assert!(client.response("POST").unwrap().text().contains("\"abc\""));
    // What looks like a request inside of a body is none.
    let body = SMUGGLED;
    client.send(format!(
        "\r\nPOST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}\
         GET /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        body.len()
    ));
    for _ in 0..3 {
        assert_eq!(client.response("POST").unwrap().status, 200);
    }
    let targets: Vec<String> = origin.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(targets, ["/slow", "/1", "/2", "/3"]);
}

#[test]
fn messages_are_framed_anew_and_fields_of_the_connection_stay_behind() {
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    let mut client = running.client();
    client.send(
        "POST http://A:80/x//y/./z%7e?q=%41 HTTP/1.1\r\nHost: A:80\r\nConnection: x-mine, keep-alive\r\n\
         X-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers, x\r\n\
         Upgrade: websocket\r\nProxy-Authorization: Basic x\r\nExpect: 100-continue\r\n\
         Transfer-Encoding: chunked\r\nX-Kept: 2\r\n\r\n",
    );
    assert_eq!(client.response("POST").unwrap().status, 100);
    client.send("2;ext=1\r\nhi\r\n0\r\n\r\n");
    assert_eq!(client.response("POST").unwrap().status, 200);
    let request = &origin.requests()[0];
    assert_eq!(request.target, "/x/y/z~?q=%41");
    assert_eq!(request.header("host"), Some("A:80"));
    assert_eq!(request.header("transfer-encoding"), Some("chunked"));
    assert_eq!(request.header("x-kept"), Some("2"));
    for name in [
        "connection",
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "proxy-authorization",
        "expect",
        "content-length",
    ] {
        assert_eq!(request.header(name), None, "{name}");
    }
}

#[test]
fn only_trusted_proxies_say_where_a_request_comes_from() {
    let origin = echo();
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.9.9.9, 192.0.2.7\r\n\
                X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\
                X-Forwarded-Prefix: /evil\r\nForwarded: for=10.9.9.9\r\nX-Real-IP: 10.9.9.9\r\n\
                X-Request-Id: theirs\r\n\r\n";
    let ask = |params: GatewayParams| {
        let running = start(params);
        let mut client = running.client();
        client.send(head);
        assert_eq!(client.response("GET").unwrap().status, 200);
        origin.requests().pop().unwrap()
    };
    let seen = ask(params(&[origin.addr()]));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("a"));
    assert_ne!(seen.header("x-request-id"), Some("theirs"));
    for name in ["forwarded", "x-real-ip", "x-forwarded-port", "x-forwarded-prefix"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    let mut trusting = params(&[origin.addr()]);
    trusting.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let seen = ask(trusting);
    assert_eq!(seen.header("x-forwarded-for"), Some("10.9.9.9, 192.0.2.7, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("evil"));
    assert_eq!(seen.header("x-forwarded-port"), Some("1"));
    assert_eq!(seen.header("x-request-id"), Some("theirs"));
}

/// Asserts that a connection gets this answer and ends.
fn refused_with(mut client: Client, status: u16) {
    assert_eq!(client.response("POST").unwrap().status, status);
    assert!(client.is_closed());
}

#[test]
fn heads_and_bodies_have_limits() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.limits.request_line = 200;
    params.limits.header_count = 10;
    params.limits.header_bytes = 1_000;
    params.routes[0].body_max = 100;
    let running = start(params);
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    let chunk = format!("32\r\n{}\r\n", "x".repeat(50));
    let cases = [
        (414, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200))),
        // Refused before it ends.
        (414, "x".repeat(300)),
        (431, format!("{head}{}\r\n", "X: y\r\n".repeat(10))),
        (431, format!("{head}X: {}\r\n\r\n", "y".repeat(1_000))),
        (431, format!("{head}X: {}", "y".repeat(1_000))),
        (413, format!("{head}Content-Length: 101\r\n\r\n{}", "x".repeat(101))),
        (413, format!("{head}Content-Length: 999999999999999999\r\n\r\n")),
        (413, format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(3))),
    ];
    for (status, bytes) in cases {
        let mut client = running.client();
        client.send(bytes);
        refused_with(client, status);
    }
    let mut client = running.client();
    client.send(format!("{head}Content-Length: 101\r\nExpect: 100-continue\r\n\r\n"));
    refused_with(client, 413);
    assert_eq!(origin.count(), 0);
    // What is just within the limits passes.
    let mut client = running.client();
    client.send(format!("{head}Content-Length: 100\r\n{}\r\n", "X: y\r\n".repeat(8)));
    client.send("x".repeat(100));
    assert_eq!(client.response("POST").unwrap().status, 200);
}

#[test]
fn slow_clients_are_told_to_hurry() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    let short = Duration::from_millis(60);
    params.limits.header_timeout = short;
    params.limits.body_timeout = short;
    params.limits.keep_alive = Duration::from_millis(250);
    servers(&mut params.upstreams[0]).retry.on = vec![RetryOn::Connect, RetryOn::Timeout];
    let running = start(params);
    // Half a head; half a body, by length and in chunks; a body that never begins; half a preface.
    for bytes in [
        "GET / HTTP/1.1\r\nHo",
        "P",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let mut client = running.client();
        client.send(bytes);
        let mut answer = client.response("POST").unwrap_or_else(|| panic!("nothing for {bytes:?}"));
        if answer.status == 100 {
            answer = client.response("POST").unwrap();
        }
        assert_eq!(answer.status, 408, "{bytes:?}");
        assert!(client.is_closed());
    }
    // Between requests there is nothing to say.
    let mut client = running.client();
    assert_eq!(client.get("/").status, 200);
    assert!(client.is_closed());
    assert!(running.client().is_closed());
    assert_eq!(origin.count(), 1);
    assert_eq!(running.failures(FailureKind::BodyTimeout), 3.0);
    running.wait_until_idle();
}

//! HTTP/2 clients that mean no good.

use std::time::Duration;

use h2::Reason;
use http::{Request, StatusCode};
use testkit::origin::{Behaviour, Fault};

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, RST_STREAM, RawHttp2, block,
    frame,
};
use crate::harness::{echo, origin, params, start};
use crate::http2::{block_on, connect, get, open};

#[test]
fn streams_that_could_be_misread_as_http1_never_reach_a_server() {
    const GOOD: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    let with = |name, value| [&GOOD[..], &[(name, value)]].concat();
    let instead = |name, value| {
        GOOD.iter().map(|field| if field.0 == name { (name, value) } else { *field }).collect()
    };
    let without = |name| GOOD.iter().copied().filter(|field| field.0 != name).collect();
    let cases: Vec<Vec<(&str, &str)>> = vec![
        with("transfer-encoding", "chunked"),
        with("connection", "close"),
        with("connection", "x-forwarded-for"),
        with("keep-alive", "timeout=5"),
        with("upgrade", "websocket"),
        with("te", "gzip"),
        with("content-length", "5"),
        with("content-length", "+0"),
        with("content-length", "0, 0"),
        with("x", "a\r\nX-Evil: b"),
        with("x", "a\nb"),
        with("x", "a\0"),
        with("x y", "z"),
        with("x:y", "z"),
        with("X-Upper", "z"),
        with("", "z"),
        with("x\r\nhost", "z"),
        with("host", "b"),
        with(":method", "POST"),
        with(":other", "z"),
        [&GOOD[..], &[("content-length", "0"), ("content-length", "1")]].concat(),
        [&[("x", "y")], &GOOD[..]].concat(),
        [without(":authority"), vec![("host", "a"), ("host", "b")]].concat(),
        without(":authority"),
        without(":method"),
        without(":path"),
        without(":scheme"),
        instead(":path", ""),
        instead(":path", "x"),
        instead(":path", "*"),
        instead(":path", "/a b"),
        instead(":path", "/ HTTP/1.1\r\nX: y"),
        instead(":path", "/\u{fc}"),
        instead(":path", "/../x"),
        instead(":path", "/a%00"),
        instead(":path", "http://b/"),
        instead(":path", "//b/..//../x"),
        instead(":authority", "u@a"),
        instead(":authority", "a b"),
        instead(":authority", "a/b"),
        instead(":authority", ""),
        instead(":method", "GET /evil HTTP/1.1\r\nX: y"),
        instead(":method", "G T"),
        instead(":method", "CONNECT"),
        vec![(":method", "CONNECT"), (":authority", "a:80")],
    ];
    let origin = echo();
    let running = start(params(&[origin.addr()]));
    for fields in &cases {
        let mut raw = RawHttp2::connect(running.address);
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields)));
        match raw.outcome(1) {
            Outcome::Answered(status) => {
                assert!((400..=501).contains(&status), "{status}: {fields:?}");
            }
            Outcome::Reset | Outcome::Ended => {}
        }
    }
    // The body differs from its length, or ends in fields that belong into the head.
    let post = |more: &[(&'static str, &'static str)]| {
        let fields = [&[(":method", "POST")], &GOOD[1..], more].concat();
        frame(HEADERS, END_HEADERS, 1, &block(&fields))
    };
    let trailers =
        |fields: &[(&str, &str)]| frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields));
    for frames in [
        [post(&[("content-length", "5")]), frame(DATA, END_STREAM, 1, b"four")],
        [post(&[("content-length", "5")]), frame(DATA, END_STREAM, 1, b"six...")],
        [post(&[("content-length", "0")]), frame(DATA, END_STREAM, 1, SMUGGLED)],
        [post(&[]), trailers(&[("content-length", "7")])],
        [post(&[]), trailers(&[("transfer-encoding", "chunked")])],
        [post(&[]), trailers(&[("host", "b")])],
        [post(&[]), trailers(&[("x-forwarded-for", "10.0.0.1")])],
        [post(&[]), trailers(&[("x", "a\r\nb: c")])],
    ] {
        let mut raw = RawHttp2::connect(running.address);
        raw.send(&frames.concat());
        assert_ne!(
            raw.outcome(1),
            Outcome::Answered(200),
            "{:?}",
            String::from_utf8_lossy(&frames.concat())
        );
    }
    assert_eq!(origin.count(), 0, "{:?}", origin.requests());
    running.wait_until_idle();
    let mut raw = RawHttp2::connect(running.address);
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&GOOD)));
    assert_eq!(raw.outcome(1), Outcome::Answered(200));
}

const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn floods_end_their_connection_only() {
    let origin = origin(Behaviour::Fault(Fault::Silent));
    origin.set_route("/good", Behaviour::ok("good"));
    let running = start(params(&[origin.addr()]));
    let head =
        block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
    block_on(async {
        let (send, _connection) = connect(running.address).await;
        assert_eq!(get(&send, "/good").await.0, 200);
        // Rapid reset (CVE-2023-44487).
        let mut raw = RawHttp2::connect(running.address);
        let resets: Vec<u8> = (0..2_000)
            .flat_map(|number| {
                let stream = 2 * number + 1;
                let cancel = (Reason::CANCEL).into();
                let cancel = u32::to_be_bytes(cancel);
                [
                    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head),
                    frame(RST_STREAM, 0, stream, &cancel),
                ]
                .concat()
            })
            .collect();
        raw.send(&resets);
        assert_eq!(raw.outcome(u32::MAX), Outcome::Ended);
        // Fields without end (CVE-2024-27316).
        let mut raw = RawHttp2::connect(running.address);
        raw.send(&frame(HEADERS, END_STREAM, 1, &head));
        let more = block(&[("x-filler", &"y".repeat(100))]).repeat(100);
        for _ in 0..100 {
            raw.send(&frame(CONTINUATION, 0, 1, &more));
        }
        assert_eq!(raw.outcome(u32::MAX), Outcome::Ended);
        assert_eq!(get(&send, "/good").await, (StatusCode::OK, b"good".to_vec()));
    });
    running.wait_until_idle();
    running.wait_until("connections closed", |running| {
        running.metric("tidegate_connections_open") == 0.0
    });
}

#[test]
fn clients_that_do_not_know_the_limit_yet_lose_no_more_than_what_is_beyond_it() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.limits.streams = 10;
    let running = start(params);
    block_on(async {
        let stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut answers = Vec::new();
        for _ in 0..200 {
            answers.push(open(&send, "GET", "/", true).await.0);
        }
        let mut good = 0;
        for answer in answers {
            match answer.await {
                Ok(_) => good += 1,
                Err(error) => assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM)),
            }
        }
        assert!(good >= 10, "{good}");
        assert_eq!(get(&send, "/").await.0, 200);
    });
}

#[test]
fn too_many_fields_are_refused() {
    let origin = echo();
    let mut params = params(&[origin.addr()]);
    params.limits.header_bytes = 2_000;
    params.limits.header_count = 10;
    let running = start(params);
    block_on(async {
        let (send, _connection) = connect(running.address).await;
        for (count, length, status) in [(1, 3_000, 431), (12, 1, 431), (5, 100, 200)] {
            let mut request = Request::get("http://a/");
            for _ in 0..count {
                request = request.header("x", "y".repeat(length));
            }
            let (answer, _) = send
                .clone()
                .ready()
                .await
                .unwrap()
                .send_request(request.body(()).unwrap(), true)
                .unwrap();
            assert_eq!(answer.await.unwrap().status(), status);
        }
    });
}

#[test]
fn resetting_streams_one_by_one_ends_the_connection_too() {
    let origin = origin(Behaviour::Fault(Fault::Silent));
    let running = start(params(&[origin.addr()]));
    let head =
        block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
    let mut raw = RawHttp2::connect(running.address);
    let cancel = u32::to_be_bytes(Reason::CANCEL.into());
    let mut opened = 0;
    while opened < 1_000 {
        let stream = 2 * opened + 1;
        opened += 1;
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &head));
        // Each is looked at before it is given up.
        if !origin.wait_for_count(u64::from(opened), Duration::from_millis(500)) {
            break;
        }
        raw.send(&frame(RST_STREAM, 0, stream, &cancel));
    }
    assert!((200..500).contains(&opened), "{opened}");
    assert_eq!(raw.outcome(u32::MAX), Outcome::Ended);
    assert!(running.metric("tidegate_http2_resets_total") >= 200.0);
    running.wait_until_idle();
}

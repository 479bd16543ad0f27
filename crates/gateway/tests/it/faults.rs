//! Servers that misbehave: the client is told the documented status or sees that its answer was
//! cut, and the next request knows nothing of it.

use std::time::Duration;

use gateway::FailureKind;
use gateway::params::{Action, Page};
use testkit::origin::{Behaviour, Blackhole, Fault, Origin, OriginConfig, Refused};

use crate::frames::{END_HEADERS, END_STREAM, HEADERS, RawHttp2, block, frame};
use crate::harness::{echo, origin, params, servers, start};

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
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"),
            Failure(BadResponse),
        ),
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
            Failure(BadResponse),
        ),
        (raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok"), Failure(BadResponse)),
        (
            raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Failure(BadResponse),
        ),
        (raw("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"), Failure(BadResponse)),
        (
            raw("HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok"),
            Failure(BadResponse),
        ),
        (raw("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), Failure(BadResponse)),
        (raw("HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok"), Failure(BadResponse)),
        (raw("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), Failure(BadResponse)),
        (
            raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            Failure(BadResponse),
        ),
        // Bytes beyond a bodiless answer are not the next answer.
        (
            raw("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
            Sound(""),
        ),
        (
            raw(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            ),
            Sound("ok"),
        ),
        (
            Fault::Raw { bytes: b"HTTP/1.0 200 OK\r\n\r\nto the end".to_vec(), close: true },
            Sound("to the end"),
        ),
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
    server
        .set_route("/hints", Behaviour::Fault(raw(&"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17))));
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
        stream
            .write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!")
            .unwrap();
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

#[test]
fn clients_that_do_not_read_are_cut_off() {
    let endless = origin(Behaviour::Fault(Fault::EndlessBody));
    let mut params = params(&[endless.addr()]);
    params.limits.send_timeout = Duration::from_millis(100);
    let running = start(params);
    let mut client = running.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    running.wait_until("cut", |running| running.failures(FailureKind::SlowReader) == 1.0);
    // A stream whose window is never opened again.
    let mut raw = RawHttp2::connect(running.address);
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields)));
    running.wait_until("cut", |running| running.failures(FailureKind::SlowReader) == 2.0);
    running.wait_until_idle();
}

#[test]
fn a_cut_answer_is_no_complete_one_for_http_1_0_either() {
    let bad = origin(Behaviour::Fault(Fault::BadChunk));
    let running = start(params(&[bad.addr()]));
    let mut client = running.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    // Its body ends with the connection, so that must not end in good order.
    let end = std::io::Read::read_to_end(&mut client.stream, &mut Vec::new());
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn own_answers_end_with_the_time_of_their_request() {
    let mut params = params(&[echo().addr()]);
    let page = Page {
        status: 200,
        content_type: "text/plain".to_owned(),
        body: vec![b'x'; 64 << 20].into(),
    };
    params.routes[0].action = Action::Respond(page);
    params.routes[0].timeouts.total = Some(Duration::from_millis(100));
    let running = start(params);
    let mut client = running.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // Long before the client is taken for one that does not read.
    running.wait_until("cut", |running| running.failures(FailureKind::TotalTimeout) == 1.0);
}

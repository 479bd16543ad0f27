//! What a well-behaved origin answers and records, seen by a raw client.

use crate::common::{
    PATIENCE, body, exchange, get, is_quiet, origin, read_all, read_until, send, status_line,
};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use proptest::sample::Index;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use testkit::origin::{
    Behaviour, Blackhole, Encoding, Origin, OriginConfig, Refused, Response, Service, Transport,
};

const GET: &str = "GET / HTTP/1.1";

#[test]
fn answers_by_path_and_records_what_it_was_asked() {
    let config = OriginConfig::new(Behaviour::status(204)).route("/here", Behaviour::ok("found"));
    let origin = Origin::start(config).unwrap();
    let answer = exchange(&origin, "GET /here?x=1 HTTP/1.1\r\nX-Test: a b");
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nfound");
    let answer = exchange(&origin, "DELETE /there HTTP/1.1");
    assert_eq!(answer, "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");

    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].method, "GET");
    assert_eq!(requests[0].target, "/here?x=1");
    assert_eq!(requests[0].headers[0], ("X-Test".to_owned(), "a b".to_owned()));
    assert_eq!(requests[0].header("x-test"), Some("a b"));
    assert_eq!((requests[0].connection, requests[1].connection), (1, 2));
    assert!(requests[0].at <= requests[1].at);
    assert_eq!(origin.count(), 2);
    assert_eq!(origin.connections_accepted(), 2);
    assert_eq!(origin.counts_by_target()["/here?x=1"], 1);
    assert_eq!(origin.in_flight_max(), 1);
    assert_eq!(origin.url(), format!("http://{}", origin.addr()));
}

#[test]
fn unknown_paths_are_not_found() {
    let origin = Origin::start(OriginConfig::default()).unwrap();
    assert_eq!(status_line(&exchange(&origin, GET)), "HTTP/1.1 404 Not Found");
}

#[test]
fn keeps_the_connection_and_reads_pipelined_requests() {
    let origin = origin(Behaviour::ok("1"));
    let mut stream = send(
        &origin,
        "POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc\
         POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\nt: u\r\n\r\n\
         HEAD /c HTTP/1.1\r\n\r\n\
         GET /d HTTP/1.1\r\nConnection: Close\r\n\r\n",
    );
    let (answers, end) = read_all(&mut stream);
    end.unwrap();
    let kept = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n1";
    assert_eq!(answers, format!("{kept}1{kept}1{kept}{last}"));
    let bodies: Vec<_> = origin.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"abc".to_vec(), b"def".to_vec(), vec![], vec![]]);
    assert_eq!(origin.connections_accepted(), 1);
}

#[test]
fn http_1_0_closes_unless_asked_to_keep() {
    let chunked = Response { chunked: true, ..Response::default() };
    let origin = origin(Behaviour::Respond(chunked));
    let mut stream =
        send(&origin, "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    let (answers, end) = read_all(&mut stream);
    end.unwrap();
    assert_eq!(
        answers,
        "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok\
         HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
    );
}

#[test]
fn chunked_answers_and_announced_bodies() {
    let long = "x".repeat(1500);
    let response = Response { body: long.into(), chunked: true, ..Response::default() };
    let origin = origin(Behaviour::Respond(response));
    let answer = exchange(&origin, "PUT / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 0");
    let (interim, rest) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(interim, "HTTP/1.1 100 Continue");
    let chunks = format!("400\r\n{}\r\n1dc\r\n{}\r\n0\r\n\r\n", "x".repeat(1024), "x".repeat(476));
    assert_eq!(body(rest), chunks);
}

#[test]
fn refuses_what_is_not_http() {
    let origin = origin(Behaviour::ok(""));
    for nonsense in [
        "NOT HTTP\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
    ] {
        let (answer, _) = read_all(&mut send(&origin, nonsense));
        assert_eq!(status_line(&answer), "HTTP/1.1 400 Bad Request", "{nonsense}");
    }
    assert_eq!(origin.count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a body is cut into chunks, and the bytes into writes, it comes out whole.
    #[test]
    fn chunked_bodies_come_out_whole(
        chunks in vec(vec(any::<u8>(), 1..300), 0..8),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let mut wire = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            wire.extend(format!("{:X};e=\"1\"\r\n", chunk.len()).bytes());
            wire.extend(chunk);
            wire.extend(b"\r\n");
        }
        wire.extend(b"0\r\ntrailer: 1\r\n\r\nGET /next HTTP/1.1\r\nconnection: close\r\n\r\n");
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();

        let origin = origin(Behaviour::ok(""));
        let mut stream = send(&origin, "");
        stream.set_nodelay(true).unwrap();
        for cut in cuts.windows(2) {
            stream.write_all(&wire[cut[0]..cut[1]]).unwrap();
        }
        read_all(&mut stream).1.unwrap();
        let requests = origin.requests();
        prop_assert_eq!(requests.len(), 2);
        prop_assert_eq!(&requests[0].body, &chunks.concat());
        prop_assert_eq!(&requests[1].target, "/next");
    }
}

#[test]
fn echoes_the_request() {
    let origin = origin(Behaviour::Echo);
    let answer = exchange(&origin, "GET /a?b HTTP/1.1\r\nCookie: a=1\r\ncookie: b=2");
    let echo: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    let expected = serde_json::json!({
        "method": "GET", "target": "/a?b", "version": "HTTP/1.1",
        "headers": [["Cookie", "a=1"], ["cookie", "b=2"], ["connection", "close"]], "body": "",
    });
    assert_eq!(echo, expected);
}

#[test]
fn json_redirect_and_cookies() {
    let config = OriginConfig::default()
        .route("/json", Behaviour::Json(serde_json::json!({ "a": [1] })))
        .route("/old", Behaviour::Redirect { status: 308, to: "/new".to_owned() })
        .route("/login", Behaviour::SetCookie(vec!["a=1".to_owned(), "b=2; Path=/".to_owned()]));
    let origin = Origin::start(config).unwrap();
    let answer = exchange(&origin, "GET /json HTTP/1.1");
    assert!(answer.contains("content-type: application/json\r\n"));
    assert_eq!(body(&answer), "{\"a\":[1]}");
    let answer = exchange(&origin, "GET /old HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 308 Permanent Redirect\r\nlocation: /new\r\n"));
    let answer = exchange(&origin, "GET /login HTTP/1.1");
    assert!(answer.contains("set-cookie: a=1\r\nset-cookie: b=2; Path=/\r\n"));
}

#[test]
fn encoded_bodies_decode() {
    let text: Vec<u8> = (0..150_000_u32).map(|i| (i % 251) as u8).collect();
    for length in [0, 1, 65_536, 65_537, text.len()] {
        let text = &text[..length];
        let mut gzip = Vec::new();
        let encoded = Encoding::Gzip.encode(text);
        flate2::read::GzDecoder::new(&encoded[..]).read_to_end(&mut gzip).unwrap();
        let mut brotli = Vec::new();
        let encoded = Encoding::Brotli.encode(text);
        brotli_decompressor::Decompressor::new(&encoded[..], 4096)
            .read_to_end(&mut brotli)
            .unwrap();
        let mut zstd = Vec::new();
        let encoded = Encoding::Zstd.encode(text);
        ruzstd::decoding::StreamingDecoder::new(&encoded[..])
            .unwrap()
            .read_to_end(&mut zstd)
            .unwrap();
        assert!(gzip == text && brotli == text && zstd == text, "{length} bytes");
    }
    let origin =
        origin(Behaviour::Compressed { encoding: Encoding::Brotli, body: b"stored".to_vec() });
    let answer = exchange(&origin, GET);
    assert!(answer.contains("content-encoding: br\r\n") && answer.contains("stored"));
}

#[test]
fn basic_credentials() {
    let (user, password) = ("Aladdin".to_owned(), "open sesame".to_owned());
    let origin = origin(Behaviour::BasicAuth { user, password });
    // RFC 7617 §2.
    let right = "GET / HTTP/1.1\r\nauthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(status_line(&exchange(&origin, right)), "HTTP/1.1 200 OK");
    let answer = exchange(&origin, "GET / HTTP/1.1\r\nauthorization: Basic QWxhZGRpbjo=");
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm="));
}

#[test]
fn sequences_cycle_and_routes_change() {
    let sequence = [200, 503, 404].map(Behaviour::status).to_vec();
    let origin = origin(Behaviour::Sequence(sequence));
    let statuses = || (0..4).map(|_| exchange(&origin, GET)[9..12].to_owned()).collect::<Vec<_>>();
    assert_eq!(statuses(), ["200", "503", "404", "200"]);
    origin.set_route("/", Behaviour::Sequence(Vec::new()));
    assert_eq!(statuses(), ["404"; 4]);
}

#[test]
fn rate_limit_by_window() {
    let window = Duration::from_secs(3600);
    let origin = origin(Behaviour::RateLimited { requests: 2, window, status: 429 });
    assert_eq!(status_line(&exchange(&origin, GET)), "HTTP/1.1 200 OK");
    assert_eq!(status_line(&exchange(&origin, GET)), "HTTP/1.1 200 OK");
    let answer = exchange(&origin, GET);
    assert_eq!(status_line(&answer), "HTTP/1.1 429 Too Many Requests");
    let retry = answer.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    let seconds: u64 = retry.parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");

    let window = Duration::from_nanos(1);
    origin.set_route("/", Behaviour::RateLimited { requests: 1, window, status: 429 });
    assert_eq!(status_line(&exchange(&origin, GET)), "HTTP/1.1 200 OK");
    assert_eq!(status_line(&exchange(&origin, GET)), "HTTP/1.1 200 OK");
}

#[test]
fn a_queue_serves_no_more_than_its_servers_can() {
    let service = Duration::from_millis(20);
    let origin = origin(Behaviour::Queue { servers: 2, service: Service::Fixed(service) });
    // All arrive together, however slow this machine is.
    origin.freeze();
    let mut streams: Vec<_> = (0..6).map(|_| get(&origin)).collect();
    let began = Instant::now();
    origin.thaw();
    for stream in &mut streams {
        read_until(stream, "ok");
    }
    assert!(began.elapsed() >= 3 * service, "six requests need three rounds of two");
    exchange(&origin, GET);
    assert!(origin.in_flight_max() >= 3, "others wait while two are served");
}

#[test]
fn a_delay_delays() {
    let delay = Duration::from_millis(30);
    let origin = origin(Behaviour::delayed(delay));
    let began = Instant::now();
    exchange(&origin, GET);
    assert!(began.elapsed() >= delay);
}

#[test]
fn frozen_it_takes_connections_but_answers_only_when_thawed() {
    let origin = origin(Behaviour::ok("warm"));
    let mut old = get(&origin);
    read_until(&mut old, "warm");
    origin.freeze();
    origin.freeze();
    old.write_all(b"GET /2 HTTP/1.1\r\n\r\n").unwrap();
    let mut new = get(&origin);
    assert!(is_quiet(&mut old) && is_quiet(&mut new));
    assert_eq!((origin.count(), origin.connections_accepted()), (1, 1));
    origin.thaw();
    read_until(&mut old, "warm");
    read_until(&mut new, "warm");
    assert_eq!((origin.count(), origin.connections_accepted()), (3, 2));
}

#[test]
fn frozen_or_not_it_stops_when_dropped() {
    for freeze in [false, true] {
        let origin = origin(Behaviour::delayed(Duration::from_secs(3600)));
        let mut stream = get(&origin);
        assert!(origin.wait_for_count(1, PATIENCE));
        if freeze {
            origin.freeze();
        }
        drop(origin);
        assert_eq!(read_all(&mut stream).0, "");
    }
}

#[test]
fn what_is_not_kept_is_still_counted() {
    let config = OriginConfig { recorded_max: 1, ..OriginConfig::new(Behaviour::ok("")) };
    let origin = Origin::start(config).unwrap();
    exchange(&origin, "GET /1 HTTP/1.1");
    exchange(&origin, "GET /2 HTTP/1.1");
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(origin.count(), 2);
    assert_eq!(origin.counts_by_target().len(), 2);
    assert!(!origin.wait_for_count(3, Duration::ZERO));
}

#[test]
fn unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("origin.sock");
    let transport = Transport::Unix(path.clone());
    let origin =
        Origin::start(OriginConfig::new(Behaviour::ok("unix")).transport(transport)).unwrap();
    assert_eq!(origin.unix_path(), Some(path.as_path()));
    assert_eq!(origin.url(), "http://localhost");
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
    let (answer, end) = read_all(&mut stream);
    end.unwrap();
    assert_eq!(body(&answer), "unix");
    drop(origin);
    assert!(!path.exists());
}

#[test]
fn addresses_that_nobody_answers_at() {
    let refused = Refused::start().unwrap();
    let error = TcpStream::connect(refused.addr()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);

    let blackhole = Blackhole::start().unwrap();
    let patience = Duration::from_millis(100);
    let error = TcpStream::connect_timeout(&blackhole.addr(), patience).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

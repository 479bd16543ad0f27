//! Each fault as a raw client sees it.

use crate::common::{PATIENCE, body, faulty, get, is_quiet, read_all, read_until, status_line};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};
use testkit::origin::Fault;

#[test]
fn silent() {
    let origin = faulty(Fault::Silent);
    let mut stream = get(&origin);
    assert!(origin.wait_for_count(1, PATIENCE));
    assert!(is_quiet(&mut stream));
    stream.shutdown(Shutdown::Write).unwrap();
    let (answer, end) = read_all(&mut stream);
    end.unwrap();
    assert_eq!(answer, "");
}

#[test]
fn reset_before_response() {
    let (answer, end) = read_all(&mut get(&faulty(Fault::ResetBeforeResponse)));
    assert_eq!(answer, "");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn close_before_response() {
    let (answer, end) = read_all(&mut get(&faulty(Fault::CloseBeforeResponse)));
    end.unwrap();
    assert_eq!(answer, "");
}

#[test]
fn close_mid_header() {
    let (answer, end) = read_all(&mut get(&faulty(Fault::CloseMidHeader)));
    end.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("\r\n\r\n"));
}

#[test]
fn close_mid_body() {
    let (answer, end) = read_all(&mut get(&faulty(Fault::CloseMidBody)));
    end.unwrap();
    assert!(answer.contains("content-length: 100\r\n"));
    assert_eq!(body(&answer), "0123456789");
}

#[test]
fn reset_mid_body() {
    let (answer, end) = read_all(&mut get(&faulty(Fault::ResetMidBody)));
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(body(&answer), "0123456789");
}

#[test]
fn slow_body() {
    let interval = Duration::from_millis(10);
    let origin = faulty(Fault::SlowBody { chunk_bytes: 2, chunks: 3, interval });
    let began = Instant::now();
    let mut stream = get(&origin);
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.contains("content-length: 6\r\n"));
    assert_eq!(read_until(&mut stream, "......"), "......");
    assert!(began.elapsed() >= 3 * interval);
}

#[test]
fn endless_headers_and_endless_body() {
    const MUCH: u64 = 4 << 20;
    for (fault, mark) in
        [(Fault::EndlessHeaders, "\r\nx-filler: "), (Fault::EndlessBody, "\r\n10\r\n")]
    {
        let origin = faulty(fault);
        let stream = get(&origin);
        let (answer, end) = read_all(&mut stream.take(MUCH));
        end.unwrap();
        assert_eq!(answer.len() as u64, MUCH);
        assert!(answer.contains(mark));
        assert_eq!(answer.contains("\r\n\r\n"), mark.contains("10"));
    }
}

#[test]
fn huge_headers() {
    let origin = faulty(Fault::HugeHeaders { bytes: 1 << 20 });
    let mut stream = get(&origin);
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.len() > 1 << 20);
    assert!(head.ends_with("\r\ncontent-length: 2\r\n\r\n"));
    read_until(&mut stream, "ok");
}

#[test]
fn malformed_status_line() {
    let (answer, end) = read_all(&mut get(&faulty(Fault::MalformedStatusLine)));
    end.unwrap();
    assert_eq!(status_line(&answer), "HTTP/1.1 OK");
}

#[test]
fn garbage_is_the_same_for_a_seed() {
    let garbage = |seed| {
        let mut bytes = Vec::new();
        let origin = faulty(Fault::GarbageBytes { bytes: 1000, seed });
        get(&origin).read_to_end(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(garbage(1).len(), 1000);
    assert_eq!(garbage(1), garbage(1));
    assert_ne!(garbage(1), garbage(2));
}

#[test]
fn bad_chunk() {
    let origin = faulty(Fault::BadChunk);
    let mut stream = get(&origin);
    read_until(&mut stream, "2\r\nok\r\nzz\r\n");
    assert!(is_quiet(&mut stream));
}

#[test]
fn wrong_content_length() {
    for declared in ["50", "-1"] {
        let origin = faulty(Fault::WrongContentLength { declared: declared.to_owned() });
        let mut stream = get(&origin);
        let answer = read_until(&mut stream, "hello");
        assert!(answer.contains(&format!("\r\ncontent-length: {declared}\r\n")));
        assert!(is_quiet(&mut stream));
    }
}

#[test]
fn close_after_response() {
    let (answer, end) = read_all(&mut get(&faulty(Fault::CloseAfterResponse)));
    end.unwrap();
    assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
}

#[test]
fn extra_bytes_after_response() {
    let origin = faulty(Fault::ExtraBytesAfterResponse);
    let mut stream = get(&origin);
    let answer = read_until(&mut stream, "stray bytes");
    assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokstray bytes");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(read_until(&mut stream, "stray bytes"), answer);
}

#[test]
fn interim_responses() {
    for (status, line) in [(100, "HTTP/1.1 100 Continue"), (103, "HTTP/1.1 103 Early Hints")] {
        let origin = faulty(Fault::Interim { status });
        let answer = read_until(&mut get(&origin), "ok");
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(answer, format!("{line}\r\n\r\n{ok}"));
    }
}

#[test]
fn raw() {
    let bytes = b"HTTP/1.0 200 Fine\r\n\r\nuntil the end".to_vec();
    let (answer, end) =
        read_all(&mut get(&faulty(Fault::Raw { bytes: bytes.clone(), close: true })));
    end.unwrap();
    assert_eq!(answer.as_bytes(), bytes);
}

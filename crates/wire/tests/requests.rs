//! Request heads: what is taken, and each family of what is refused.

use wire::BodyLength::{Chunked, Length, None as NoBody};
use wire::HeadError::{self, *};
use wire::{BodyLength, HeadLimits, RequestHead, Version, parse_request};

const LIMITS: HeadLimits = HeadLimits { line: 100, count: 10, bytes: 400 };

fn parse(text: impl AsRef<[u8]>) -> Result<RequestHead, HeadError> {
    let mut head = RequestHead::default();
    let used = parse_request(text.as_ref(), &LIMITS, &mut head)?;
    assert_eq!(used, Some(text.as_ref().len()), "the whole text is one head");
    Ok(head)
}

/// A request of HTTP/1.1 with these lines after `Host`.
fn with(lines: impl AsRef<[u8]>) -> Result<RequestHead, HeadError> {
    parse([b"POST / HTTP/1.1\r\nHost: a\r\n", lines.as_ref(), b"\r\n"].concat())
}

#[test]
fn a_browsers_request_is_read() {
    let head = parse(
        "GET /a/b.css?v=1 HTTP/1.1\r\nHost: www.example.com\r\nAccept:text/css,*/*;q=0.1\r\n\
         Cookie: \t a=b; c=\"d\"\t \r\nEmpty:\r\nX-Latin: \u{e4}\r\n\r\n",
    )
    .unwrap();
    assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/a/b.css?v=1"));
    assert_eq!((head.version, head.body), (Version::Http11, NoBody));
    assert!(head.keep_alive && !head.expect_continue);
    let fields: Vec<_> = head.fields.iter().map(|field| (field.name, field.value)).collect();
    let expected: [(&[u8], &[u8]); 5] = [
        (b"Host", b"www.example.com"),
        (b"Accept", b"text/css,*/*;q=0.1"),
        (b"Cookie", b"a=b; c=\"d\""),
        (b"Empty", b""),
        (b"X-Latin", "\u{e4}".as_bytes()),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn what_follows_a_head_is_left() {
    let mut head = RequestHead::default();
    let text = b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\n";
    assert_eq!(parse_request(text, &LIMITS, &mut head), Ok(Some(31)));
    assert_eq!(parse_request(&text[31..], &LIMITS, &mut head), Ok(None));
    let third = parse_request(b"\r\n\r\n\r\nGET", &LIMITS, &mut head);
    assert_eq!(third, Err(LineEnd), "no more than two empty lines are skipped");
}

#[test]
fn request_lines_and_hosts_that_are_refused() {
    let table: &[(&str, HeadError)] = &[
        // methods
        ("G(T / HTTP/1.1", Method),
        ("(ET / HTTP/1.1", Method),
        (" GET / HTTP/1.1", Method),
        ("GET: / HTTP/1.1", Method),
        ("CONNECT a:443 HTTP/1.1", Connect),
        ("CONNECT / HTTP/1.1", Connect),
        // targets
        ("GET HTTP/1.1", RequestLine),
        ("GET  HTTP/1.1", Target),
        ("GET a HTTP/1.1", Target),
        ("GET a:80 HTTP/1.1", Target),
        ("GET * HTTP/1.1", Target),
        ("GET ?a HTTP/1.1", Target),
        ("GET /# HTTP/1.1", Target),
        ("GET /\t HTTP/1.1", Target),
        ("GET /\0 HTTP/1.1", Target),
        ("GET /\x7f HTTP/1.1", Target),
        ("GET /\u{e4} HTTP/1.1", Target),
        ("GET /a b HTTP/1.1", RequestLine),
        ("GET ftp://a/ HTTP/1.1", Target),
        ("GET http:///x HTTP/1.1", Target),
        ("GET http://u@a/ HTTP/1.1", Target),
        ("GET http://a:x/ HTTP/1.1", Target),
        ("GET http://b/ HTTP/1.1", HostConflict),
        ("GET http://a:80/ HTTP/1.1", HostConflict),
        // versions
        ("GET /", RequestLine),
        ("GET / http/1.1", RequestLine),
        ("GET / HTTP/1.10", RequestLine),
        ("GET / HTTP/1,1", RequestLine),
        ("GET / HTTP/1.1 ", RequestLine),
        ("GET /  HTTP/1.1", RequestLine),
        ("GET\t/ HTTP/1.1", RequestLine),
        ("GET / HTTP/0.9", HeadError::Version),
        ("GET / HTTP/1.2", HeadError::Version),
        ("PRI * HTTP/2.0", HeadError::Version),
        // line ends
        ("GET / HTTP/1.1\r", RequestLine),
        ("GET / HTTP/1.1\rX: y", LineEnd),
        ("GET / HTTP/1.1\nX: y", LineEnd),
        ("\nGET / HTTP/1.1", LineEnd),
        ("\rGET / HTTP/1.1", LineEnd),
        // the first field line
        ("GET / HTTP/1.1\r\n X: y", Folded),
        ("GET / HTTP/1.1\r\nHost: a", HostRepeated),
    ];
    for (line, error) in table {
        let result = parse(format!("{line}\r\nHost: a\r\n\r\n"));
        assert_eq!(result.map(|head| head.target), Err(*error), "{line:?}");
    }
    let hosts = [
        "",
        "a b",
        "a/b",
        "u@a",
        "a,b",
        "a:",
        "a:b",
        "a:65536",
        "a:000080",
        "a:+8",
        "a:8:8",
        "[::1",
        "::1",
        "[::1]8",
        "[::g]",
        "[fe80::1%25eth0]",
        "a..b",
        ".a",
        "a%2e",
        "\u{e4}",
        "a?b",
        "<a>",
    ];
    for host in hosts {
        let result = parse(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(result.map(|head| head.target), Err(HostInvalid), "{host:?}");
    }
    assert_eq!(parse("GET / HTTP/1.1\r\n\r\n").unwrap_err(), HostMissing);
}

#[test]
fn fields_that_are_refused() {
    let table: &[(&str, HeadError)] = &[
        ("X", FieldName),
        (": y", FieldName),
        ("X : y", FieldName),
        ("X\t: y", FieldName),
        ("X\0: y", FieldName),
        ("X y: z", FieldName),
        ("\"X\": y", FieldName),
        ("X\u{e4}: y", FieldName),
        (" X: y", Folded),
        ("\tX: y", Folded),
        ("X: y\r\n z", Folded),
        ("X: \0", FieldValue),
        ("X: a\x01", FieldValue),
        ("X: a\x7fb", FieldValue),
        ("X: a\x0bb", FieldValue),
        ("X: a\rb", LineEnd),
        ("X: a\r", LineEnd),
        ("X\r: a", LineEnd),
        ("\r", LineEnd),
        ("X: a\nY: b", LineEnd),
        ("\nY: b", LineEnd),
        ("Host: a", HostRepeated),
        ("host: b", HostRepeated),
        // framing
        ("Content-Length: 1\r\nContent-Length: 1", ContentLengthRepeated),
        ("Content-Length: 1\r\nCONTENT-LENGTH: 2", ContentLengthRepeated),
        ("Content-Length: 1, 1", ContentLength),
        ("Content-Length: 1 1", ContentLength),
        ("Content-Length:", ContentLength),
        ("Content-Length: +1", ContentLength),
        ("Content-Length: -1", ContentLength),
        ("Content-Length: 0x1", ContentLength),
        ("Content-Length: 1.0", ContentLength),
        ("Content-Length: 1_0", ContentLength),
        ("Content-Length: \u{661}", ContentLength),
        ("Content-Length: 9999999999999999999", ContentLength),
        ("Content-Length: 00000000000000000001", ContentLength),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", TransferEncoding),
        ("Transfer-Encoding:", TransferCoding),
        ("Transfer-Encoding: xchunked", TransferCoding),
        ("Transfer-Encoding: chunked, chunked", TransferCoding),
        ("Transfer-Encoding: chunked,", TransferCoding),
        ("Transfer-Encoding: ,chunked", TransferCoding),
        ("Transfer-Encoding: chunked;a=b", TransferCoding),
        ("Transfer-Encoding: \"chunked\"", TransferCoding),
        ("Transfer-Encoding: gzip, chunked", TransferCoding),
        ("Transfer-Encoding: identity", TransferCoding),
        ("Transfer-Encoding: \x0bchunked", FieldValue),
        ("Transfer-Encoding : chunked", FieldName),
        ("Transfer-Encoding\r\n : chunked", FieldName),
        // expectations
        ("Expect: 200-ok", Expectation),
        ("Expect:", Expectation),
        ("Expect: 100-continue, x", Expectation),
        ("Expect: 100-continue\r\nExpect: x", Expectation),
    ];
    for (lines, error) in table {
        let result = with(format!("{lines}\r\n"));
        assert_eq!(result.map(|head| head.body), Err(*error), "{lines:?}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(old).unwrap_err(), TransferEncoding);
}

#[test]
fn bodies_are_framed() {
    let table: &[(&str, BodyLength, bool)] = &[
        ("", NoBody, false),
        ("Content-Length: 0\r\n", Length(0), false),
        ("content-length:007 \r\n", Length(7), false),
        ("Content-Length: 999999999999999999\r\n", Length(999_999_999_999_999_999), false),
        ("transfer-encoding: Chunked\r\n", Chunked, false),
        ("Content-Length: 5\r\nExpect: 100-Continue\r\n", Length(5), true),
        ("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", Chunked, true),
        ("Content-Length: 0\r\nExpect: 100-continue\r\n", Length(0), false),
        ("Expect: 100-continue\r\n", NoBody, false),
    ];
    for (lines, body, expect_continue) in table {
        let head = with(lines).unwrap();
        assert_eq!((head.body, head.expect_continue), (*body, *expect_continue), "{lines:?}");
    }
    let old = "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    assert!(!parse(old).unwrap().expect_continue, "HTTP/1.0 knows no 100");
}

#[test]
fn connections_persist_by_version_and_options() {
    let table = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, Close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, lines, keep_alive) in table {
        let head = parse(format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).unwrap();
        assert_eq!(head.keep_alive, keep_alive, "{version} {lines:?}");
    }
}

#[test]
fn forms_of_targets_that_are_taken() {
    for line in [
        "GET http://a HTTP/1.1",
        "GET HTTP://A/b?c HTTP/1.1",
        "GET https://a?c HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET //a/b HTTP/1.1",
        "GET /|{}\"^`<> HTTP/1.1",
        "M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1",
    ] {
        assert!(parse(format!("{line}\r\nHost: a\r\n\r\n")).is_ok(), "{line}");
    }
    for host in
        ["a.b-c_d.example.:65535", "192.0.2.1:80", "[2001:db8::1]", "[::ffff:192.0.2.1]:8080"]
    {
        assert!(parse(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).is_ok(), "{host}");
    }
    assert!(parse("GET / HTTP/1.0\r\n\r\n").is_ok(), "HTTP/1.0 needs no Host");
}

#[test]
fn limits_hold_before_the_head_is_complete() {
    let mut head = RequestHead::default();
    let mut judge = |text: &str| parse_request(text.as_bytes(), &LIMITS, &mut head);
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(len - 16));
    assert_eq!(judge(&line(100)), Ok(None));
    assert_eq!(judge(&line(101)), Err(LineTooLong));
    assert_eq!(judge(&line(200)[..99]), Ok(None));
    assert_eq!(judge(&line(200)[..100]), Err(LineTooLong));

    let start = "GET / HTTP/1.1\r\n";
    let fields = |count: usize| format!("{start}Host: a\r\n{}", "X: y\r\n".repeat(count - 1));
    assert_eq!(judge(&(fields(10) + "\r\n")), Ok(Some(81)));
    assert_eq!(judge(&fields(11)), Err(TooManyFields));
    let field = |len: usize| format!("{start}X: {}", "a".repeat(len - 3));
    assert_eq!(judge(&field(399)), Ok(None));
    assert_eq!(judge(&field(400)), Err(FieldsTooLarge));
    let two = format!("{start}Host: a\r\nX: {}\r\n\r\n", "a".repeat(384));
    assert_eq!(judge(&two), Ok(Some(start.len() + 400)));
    assert_eq!(judge(&two.replace("X: ", "X: a")), Err(FieldsTooLarge));
}

#[test]
fn what_is_not_http_is_noticed_at_once() {
    let mut head = RequestHead::default();
    assert_eq!(parse_request(b"\x16\x03\x01", &LIMITS, &mut head), Err(Method));
}

#[test]
fn errors_have_the_status_that_http_gives_them() {
    let table = [
        (LineTooLong, 414),
        (TooManyFields, 431),
        (FieldsTooLarge, 431),
        (HeadError::Version, 505),
        (Expectation, 417),
        (TransferCoding, 501),
        (Connect, 501),
        (LengthAndCoding, 400),
        (HostMissing, 400),
    ];
    for (error, status) in table {
        assert_eq!(error.status(), status, "{}", error.label());
    }
}

#[test]
fn a_head_is_used_again() {
    let mut head = with("Content-Length: 5\r\nExpect: 100-continue\r\n").unwrap();
    assert_eq!(parse_request(b"GET / HTTP/1.0\r\n\r\n", &LIMITS, &mut head), Ok(Some(18)));
    assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/"));
    assert!(head.fields.is_empty() && !head.keep_alive && !head.expect_continue);
    assert_eq!((head.body, head.version), (NoBody, Version::Http10));
}

//! Lines and what they say, and one line for every reason to reject.

use logs::{Format, LINE_BYTES_MAX, LogReader, RejectReason, detect};
use traffic::Hit;

/// 10 October 2000, 13:55:36 −0700, in microseconds.
const TIME_US: i64 = 971_211_336_000_000;

/// What `GET /index.html HTTP/1.1` from 192.0.2.7 says in the common log format.
fn plain() -> Hit<'static> {
    Hit {
        start_us: TIME_US,
        client: b"192.0.2.7",
        method: b"GET",
        target: b"/index.html",
        protocol: Some(b"HTTP/1.1"),
        status: 200,
        bytes: Some(2326),
        ..Hit::default()
    }
}

#[test]
fn common_lines() {
    for (line, hit) in [
        // The example of Apache's "Log Files" page.
        (
            &br#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326"#[..],
            Hit {
                client: b"127.0.0.1",
                user: Some(b"frank"),
                target: b"/apache_pb.gif",
                protocol: Some(b"HTTP/1.0"),
                ..plain()
            },
        ),
        (br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.1" 200 2326"#, plain()),
        // Line ends.
        (b"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /index.html HTTP/1.1\" 200 2326\r\n", plain()),
        // The size is not known; nothing follows the header of a 304.
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "HEAD /index.html HTTP/1.1" 304 -"#,
            Hit { method: b"HEAD", status: 304, bytes: None, ..plain() },
        ),
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.1" 200 18446744073709551615"#,
            Hit { bytes: Some(u64::MAX), ..plain() },
        ),
        // Clients by name, by IPv6 address, and identified.
        (
            br#"host.example.org ident - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.1" 200 2326"#,
            Hit { client: b"host.example.org", ..plain() },
        ),
        (
            br#"2001:db8::7 - - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/2.0" 200 2326"#,
            Hit { client: b"2001:db8::7", protocol: Some(b"HTTP/2.0"), ..plain() },
        ),
        (
            br#"[2001:db8::7] - - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/3" 200 2326"#,
            Hit { client: b"2001:db8::7", protocol: Some(b"HTTP/3"), ..plain() },
        ),
        // Users with spaces, brackets, nothing.
        (
            br#"192.0.2.7 - mary ann [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.1" 200 2326"#,
            Hit { user: Some(b"mary ann"), ..plain() },
        ),
        (
            br#"192.0.2.7 - a[1] [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.1" 200 2326"#,
            Hit { user: Some(b"a[1]"), ..plain() },
        ),
        (
            br#"192.0.2.7 - "" [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.1" 200 2326"#,
            Hit { user: Some(b""), ..plain() },
        ),
        // HTTP/0.9; absolute, authority and asterisk targets; odd targets that servers answer.
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /index.html" 200 2326"#,
            Hit { protocol: None, ..plain() },
        ),
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET http://example.org/?q=[1] HTTP/1.1" 200 2326"#,
            Hit { target: b"http://example.org/?q=[1]", host: Some(b"example.org"), ..plain() },
        ),
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "CONNECT example.org:443 HTTP/1.1" 405 2326"#,
            Hit { method: b"CONNECT", target: b"example.org:443", status: 405, ..plain() },
        ),
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "OPTIONS * HTTP/1.1" 200 2326"#,
            Hit { method: b"OPTIONS", target: b"*", ..plain() },
        ),
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET  /two words.html HTTP/1.1" 200 2326"#,
            Hit { target: b"/two words.html", ..plain() },
        ),
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /say\"hi\"\\ HTTP/1.1" 200 2326"#,
            Hit { target: br#"/say"hi"\"#, ..plain() },
        ),
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /say"hi"there HTTP/1.1" 200 2326"#,
            Hit { target: br#"/say"hi"there"#, ..plain() },
        ),
        (
            b"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /\xe9\\xe9 HTTP/1.1\" 200 2326",
            Hit { target: b"/\xe9\xe9", ..plain() },
        ),
        // Extra fields.
        (
            br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.1" 200 2326 12 "x" -"#,
            plain(),
        ),
    ] {
        let text = String::from_utf8_lossy(line);
        let mut reader = LogReader::new("line", line);
        assert_eq!(reader.next_line().unwrap(), Some(Ok(hit)), "{text}");
        assert_eq!(reader.counts().parsed_as(Format::Common), 1, "{text}");
    }
}

#[test]
fn combined_lines() {
    const START: &[u8] =
        br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.1" 200 2326 "#;
    for (end, referrer, agent) in [
        (
            &br#""http://example.org/start" "Mozilla/4.08 [en] (Win98; I ;Nav)""#[..],
            Some(&b"http://example.org/start"[..]),
            Some(&b"Mozilla/4.08 [en] (Win98; I ;Nav)"[..]),
        ),
        (br#""-" "-""#, None, None),
        (br#""" """#, Some(b""), Some(b"")),
        (br#""-" "a \"quoted\" word""#, None, Some(br#"a "quoted" word"#)),
        (br#""-" "ends with \\""#, None, Some(br"ends with \")),
        (br#""-" "a"b"c""#, None, Some(br#"a"b"c"#)),
        (b"\"-\" \"\xff\xfe\"", None, Some(b"\xff\xfe")),
        // Extra fields, quoted or not.
        (br#""-" "curl/8.5" "-""#, None, Some(b"curl/8.5")),
        (br#""-" "curl/8.5" 12 "192.0.2.1, 192.0.2.2" -"#, None, Some(b"curl/8.5")),
        // A line shortened by its writer.
        (br#""-" "Mozilla/5.0 (compat"#, None, Some(b"Mozilla/5.0 (compat")),
        (br#""-" ""#, None, Some(b"")),
    ] {
        let line = [START, end].concat();
        let text = String::from_utf8_lossy(&line);
        let hit = Hit { referrer, agent, ..plain() };
        let mut reader = LogReader::new("line", &line[..]);
        assert_eq!(reader.next_line().unwrap(), Some(Ok(hit)), "{text}");
        assert_eq!(reader.counts().parsed_as(Format::Combined), 1, "{text}");
    }
}

/// A line of the common log format with `request` as its request.
fn with_request(request: &str) -> String {
    format!(r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "{request}" 400 0"#)
}

/// A line of the common log format with `end` after its request.
fn with_end(end: &str) -> String {
    format!(r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1"{end}"#)
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

#[test]
fn rejected_lines() {
    use RejectReason as R;
    let table = [
        (R::EmptyLine, lines(&["", "\r"])),
        (R::LineTooLong, vec!["x".repeat(LINE_BYTES_MAX + 1)]),
        (
            R::NotAccessLog,
            lines(&[
                "word",
                " ",
                "two words",
                r#" "curl/8.5""#,
                // Client, identity or user missing.
                r#"192.0.2.7 - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1"#,
                r#"192.0.2.7 [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1"#,
            ]),
        ),
        (R::NoTimestamp, lines(&["192.0.2.7 - - ", r#"192.0.2.7 - - "GET / HTTP/1.1" 200 1"#])),
        (
            R::BadTimestamp,
            lines(&[
                "192.0.2.7 - - [",
                "192.0.2.7 - - [10/Oct/2000:13:55:36 -0700",
                r#"192.0.2.7 - - [10/Oct/2000:13:55:36] "GET / HTTP/1.1" 200 1"#,
                r#"192.0.2.7 - - [31/Feb/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1"#,
                r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700) "GET / HTTP/1.1" 200 1"#,
            ]),
        ),
        (
            R::NoRequestField,
            lines(&[
                "192.0.2.7 - - [10/Oct/2000:13:55:36 -0700]",
                "192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] GET / HTTP/1.1 200 1",
                r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP"#,
                r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /\"#,
            ]),
        ),
        (R::NoRequest, vec![with_request("-"), with_request("")]),
        (
            R::BadRequestLine,
            [
                "GET",
                "GET ",
                " / HTTP/1.1",
                "GET HTTP/1.1",
                "GET  HTTP/1.1",
                "POST /",
                "GET / ",
                "GET / HTTP/11",
                "GET / http/1.1",
                "OPTIONS / RTSP/1.0",
                "GET /a b",
                "G(T / HTTP/1.1",
                "GET /\u{1} HTTP/1.1",
                "GET /\r HTTP/1.1",
                "GET /\u{7f} HTTP/1.1",
                r"\x16\x03\x01\x02",
                r"\x16\x03\x01 \x02 HTTP/1.1",
                "\u{16}\u{3}\u{1}",
            ]
            .map(with_request)
            .to_vec(),
        ),
        (
            R::BadStatus,
            ["", " ", " 20", " 20 1", " 099 1", " 000 1", " 2000 1", " abc 1", " - 1", "  200 1"]
                .map(with_end)
                .to_vec(),
        ),
        (
            R::BadSize,
            [" 200 ", " 200 x", " 200 1x", " 200 -1", " 200 +1", " 200 18446744073709551616"]
                .map(with_end)
                .to_vec(),
        ),
    ];
    for (reason, lines) in &table {
        for line in lines {
            let ended = format!("{line}\n");
            let mut reader = LogReader::new("table", ended.as_bytes());
            let outcome = reader.next_line().unwrap().unwrap();
            assert_eq!(outcome.map_err(|reject| reject.reason), Err(*reason), "{line:?}");
        }
    }
    // Those that are left need a failing input, JSON, a table and a layout; see reading.rs,
    // tidegate.rs, records.rs and layouts.rs.
    let tested: Vec<_> = table.iter().map(|(reason, _)| *reason).collect();
    let left: Vec<_> = R::ALL.into_iter().filter(|reason| !tested.contains(reason)).collect();
    assert_eq!(left, [R::CutOff, R::BadJson, R::BadField, R::NotLayout]);
}

#[test]
fn reasons_index_their_counts() {
    for (index, reason) in RejectReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index, "{reason}");
    }
    for (index, format) in Format::ALL.into_iter().enumerate() {
        assert_eq!(format as usize, index, "{}", format.name());
    }
}

#[test]
fn detection_follows_the_majority() {
    let common = with_end(" 200 1\n");
    let combined = with_end(" 200 1 \"-\" \"curl/8.5\"\n");
    for (sample, format) in [
        (String::new(), None),
        ("no log\nat all\n".into(), None),
        (common.clone(), Some(Format::Common)),
        (combined.clone(), Some(Format::Combined)),
        (format!("junk\njunk\njunk\n{common}"), Some(Format::Common)),
        (format!("{common}{combined}{common}"), Some(Format::Common)),
        (format!("{common}{combined}"), Some(Format::Combined)),
        // A sample that ends in the middle of a line.
        (format!("{combined}{}", &common[..20]), Some(Format::Combined)),
    ] {
        assert_eq!(detect(sample.as_bytes()), format, "{sample}");
    }
}

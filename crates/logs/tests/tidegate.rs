//! What tidegate writes is read back.

use logs::{Format, LogReader, RejectReason, detect, tidegate_hit};
use proptest::{collection::vec, option, prelude::*};
use traffic::{Hit, LineWriter};

/// A line as documented in `docs/reference/access-log.md`.
const LINE: &str = r#"{"start":"2000-10-10T20:55:36.000250Z","client":"192.0.2.7","method":"GET","target":"/a","protocol":"HTTP/1.1","status":200,"bytes":7,"duration":1.500003,"ttfb":0.000020,"route":"site","attempts":2,"cache":"hit","agent":"\"q\" \\ \u000a\u00ff é"}"#;

fn expected() -> Hit<'static> {
    Hit {
        start_us: 971_211_336_000_250,
        duration_us: Some(1_500_003),
        client: b"192.0.2.7",
        method: b"GET",
        target: b"/a",
        protocol: Some(b"HTTP/1.1"),
        status: 200,
        bytes: Some(7),
        agent: Some(b"\"q\" \\ \n\xff \xc3\xa9"),
        route: Some(b"site"),
        attempts: Some(2),
        cache: Some(b"hit"),
        ttfb_us: Some(20),
        ..Hit::default()
    }
}

fn read(line: &str) -> Result<(), RejectReason> {
    tidegate_hit(line.as_bytes(), &mut Vec::new()).map(|_| ())
}

#[test]
fn a_line_says_what_it_should() {
    let mut scratch = Vec::new();
    let hit = tidegate_hit(LINE.as_bytes(), &mut scratch);
    assert_eq!(hit, Ok(expected()));
    assert_eq!(detect(LINE.as_bytes()), Some(Format::TidegateJson));
    let mut reader = LogReader::new("lines", LINE.as_bytes());
    assert_eq!(reader.next_line().unwrap(), Some(Ok(expected())));
    assert_eq!(reader.counts().parsed_as(Format::TidegateJson), 1);
}

#[test]
fn order_space_and_unknown_keys_do_not_matter() {
    let line = r#" "cache" : null , "new-key":"{\"}", "other": -1.5e3, "status" :200,"ttfb":0.00002, "target":"\/a", "method":"GET","client":"192.0.2.7","route":"s\u0069te","bytes":7,"start":"2000-10-10T20:55:36.00025Z","yes":true } "#;
    let line = format!("{{{line}");
    let hit = Hit {
        duration_us: None,
        protocol: None,
        agent: None,
        attempts: None,
        cache: None,
        ..expected()
    };
    let mut scratch = Vec::new();
    assert_eq!(tidegate_hit(line.as_bytes(), &mut scratch), Ok(hit));
    // Characters beyond a byte, as other writers escape them.
    let line = LINE.replace("/a", "\\/\\u5b57\\ud83d\\ude00\\t").replace("\\t", "");
    let hit = Hit { target: "/字😀".as_bytes(), ..expected() };
    assert_eq!(tidegate_hit(line.as_bytes(), &mut scratch), Ok(hit));
}

#[test]
fn what_is_no_line_of_tidegate_is_rejected() {
    use RejectReason as R;
    for line in [
        "{",
        "{}",
        "{\"a\"",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\":[1]}",
        "{\"a\":{}}",
        "{\"a\":x}",
        "{a:1}",
        "{\"client\":7}",
        "{\"bytes\":-1}",
        "{\"bytes\":1.5}",
        "{\"bytes\":18446744073709551616}",
        "{\"attempts\":4294967296}",
        "{\"duration\":0.0000001}",
        "{\"duration\":18446744073710}",
        "{\"duration\":1.}",
        "{\"duration\":.1}",
        "{\"duration\":\"1\"}",
        "{\"a\":\"\\",
    ] {
        assert_eq!(read(line), Err(R::BadJson), "{line}");
    }
    assert_eq!(read(&format!("{LINE}x")), Err(R::BadJson));
    for escape in ["\\x", "\\u12", "\\u12g4", "\\ud800", "\\ud800\\u0041", "\\udc00", "\\u"] {
        assert_eq!(read(&LINE.replace("\\u000a", escape)), Err(R::BadJson), "{escape}");
    }
    for (from, to, reason) in [
        ("\"start\":", "\"begin\":", R::NoTimestamp),
        ("2000-10-10T", "2000-10-32T", R::BadTimestamp),
        ("2000-10-10T", "2000-10-10 ", R::BadTimestamp),
        ("36.000250Z", "36.0002500Z", R::BadTimestamp),
        ("36.000250Z", "36.000250", R::BadTimestamp),
        ("\"2000-10-10T20:55:36.000250Z\"", "971211336", R::BadTimestamp),
        ("192.0.2.7", "", R::NotAccessLog),
        ("GET", "", R::NoRequest),
        ("GET", "G T", R::BadRequestLine),
        ("\"/a\"", "\"\"", R::NoRequest),
        ("\"/a\"", "\"/a\\u000d\\u000aX: y\"", R::BadRequestLine),
        ("\"status\":200", "\"status\":99", R::BadStatus),
        ("\"status\":200", "\"status\":1000", R::BadStatus),
        ("\"status\":200", "\"status\":65736", R::BadStatus),
        ("\"status\":200,", "", R::BadStatus),
    ] {
        assert_eq!(read(&LINE.replace(from, to)), Err(reason), "{from} → {to}");
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..20),
        "\\PC{0,10}".prop_map(String::into_bytes),
        Just(b"-".to_vec()),
        "[\u{80}-\u{9f}\u{202a}-\u{202e}\u{2066}-\u{2069}\"\\\\{}:,]{1,6}"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn every_hit_is_read_back(
        start_us in -62_167_219_200_000_000_i64..253_402_300_800_000_000,
        micros in vec(option::of(any::<u64>()), 3),
        numbers in vec(option::of(any::<u64>()), 2),
        attempts in option::of(any::<u32>()),
        status in 100_u16..=999,
        client in bytes()
            .prop_filter("a client, no comment and no list", |client| {
                !matches!(client[..], [] | [b'#', ..] | [b'-']) && !client.contains(&b',')
            }),
        method in "[A-Za-z!#$%&'*+.^_`|~-]{1,9}".prop_filter("a method", |method| method != "-"),
        target in bytes().prop_filter("a target", |target| {
            !target.is_empty() && !target.iter().any(u8::is_ascii_control)
        }),
        texts in vec(option::of(bytes()), 15),
    ) {
        let text = |index: usize| texts[index].as_deref();
        let hit = Hit {
            start_us,
            duration_us: micros[0],
            client: &client,
            user: text(0),
            host: text(1),
            method: method.as_bytes(),
            target: &target,
            protocol: text(2),
            status,
            bytes: numbers[0],
            referrer: text(3),
            agent: text(4),
            route: text(5),
            upstream: text(6),
            server: text(7),
            attempts,
            cache: text(8),
            failure: text(9),
            failure_owner: text(10),
            request_bytes: numbers[1],
            request_id: text(11),
            scheme: text(12),
            tls: text(13),
            connect_us: micros[1],
            ttfb_us: micros[2],
            variants: text(14),
        };
        let mut writer = LineWriter::new();
        let mut line = Vec::new();
        writer.write_json(&mut line, &hit);
        let shown = String::from_utf8_lossy(&line).into_owned();
        let mut reader = LogReader::new("written", &line[..]);
        prop_assert_eq!(reader.next_line().unwrap(), Some(Ok(hit)), "{}", shown);

        // The combined format holds less, whole seconds, and needs a protocol.
        let hit = Hit { protocol: Some(b"HTTP/1.1"), ..hit };
        line.clear();
        writer.write_combined(&mut line, &hit);
        let shown = String::from_utf8_lossy(&line).into_owned();
        let mut reader = LogReader::new("written", &line[..]);
        let read = reader.next_line().unwrap();
        let Some(Ok(read)) = read else { return Err(TestCaseError::fail(format!("{read:?}: {shown}"))) };
        prop_assert_eq!(read.start_us, start_us.div_euclid(1_000_000) * 1_000_000);
        prop_assert_eq!((read.status, read.bytes), (hit.status, hit.bytes));
        for (read, written) in [
            (Some(read.client), Some(hit.client)),
            (read.user, hit.user),
            (Some(read.method), Some(hit.method)),
            (Some(read.target), Some(hit.target)),
            (read.protocol, hit.protocol),
            (read.referrer, hit.referrer),
            (read.agent, hit.agent),
        ] {
            prop_assert_eq!(read, written, "{}", shown);
        }
    }

    #[test]
    fn any_line_in_braces_is_accounted_for(inside in vec(any::<u8>(), 0..80)) {
        let line = [b"{\"", &inside[..], b"}"].concat();
        let mut reader = LogReader::new("any", &line[..]);
        let outcome = reader.for_each(|_| {});
        prop_assert!(outcome.is_ok());
        prop_assert_eq!(reader.counts().parsed, 0);
    }
}

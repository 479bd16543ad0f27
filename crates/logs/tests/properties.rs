//! Laws that hold for any input.

use logs::{Format, LogReader};
use proptest::{collection::vec, option, prelude::*, sample::select};
use traffic::Hit;

#[path = "../fuzz/check.rs"]
#[allow(dead_code, reason = "shared with the fuzz targets")]
mod check;

/// Lines of the right shape with wrong parts here and there: nearer to the parser's corners than
/// random bytes.
fn nearly_a_log() -> impl Strategy<Value = Vec<u8>> {
    let parts: [&[u8]; 28] = [
        b"192.0.2.7",
        b" ",
        b" ",
        b"-",
        b" - - ",
        b"[",
        b"]",
        b"10/Oct/2000:13:55:36 -0700",
        b"[10/Oct/2000:13:55:36 -0700] ",
        b"\"",
        b"\\",
        b"\\\"",
        b"\"-\"",
        b"GET",
        b"/",
        b"HTTP/1.1",
        b"\"GET / HTTP/1.1\"",
        b"\"GET /\"",
        b" 200 ",
        b" 99 ",
        b"1",
        b"18446744073709551616",
        b" \"-\" \"agent\"",
        b"\n",
        b"\r\n",
        b"\0",
        b"\xff",
        b"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1",
    ];
    vec(select(parts.to_vec()), 0..40).prop_map(|parts| parts.concat())
}

/// A field between quotes, as a careful writer leaves it: anything but quotes and control bytes,
/// backslashes only before what they escape. Not `-`, which means "not known".
fn quoted_field() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[ !#-\\[\\]-~é字]",
        1 => Just("\\\"".to_owned()),
        1 => Just("\\\\".to_owned()),
        1 => Just("\\x1f".to_owned()),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat()).prop_filter("not known", |f| f != "-")
}

/// The field with its escapes taken back.
fn plain(field: &str) -> Vec<u8> {
    field.replace("\\x1f", "\u{1f}").replace("\\\"", "\"").replace("\\\\", "\\").into_bytes()
}

proptest! {
    #[test]
    fn any_bytes_are_accounted_for(data in vec(any::<u8>(), 0..600)) {
        check::any_log(&data);
    }

    #[test]
    fn nearly_logs_are_accounted_for(data in nearly_a_log()) {
        check::any_log(&data);
    }

    #[test]
    fn what_is_written_is_read(
        (second, minutes) in (0_i64..4_102_444_800, -840_i32..=840),
        client in "[a-z0-9.:]{1,40}",
        user in option::of("[a-z][a-z@\\[\\]]{0,5}( [a-z]{1,5})?"),
        method in "[A-Z]{3,10}",
        target in "/[!#-\\[\\]-~é]{0,60}",
        protocol in select(vec!["HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/2", "HTTP/3"]),
        status in 100_u16..=999,
        bytes in option::of(any::<u64>()),
        referrer in option::of(quoted_field()),
        agent in option::of(quoted_field()),
        extra in select(vec!["", " \"-\"", " 3 \"192.0.2.1\"", "\r", "\n", "\r\n"]),
    ) {
        let zone = jiff::tz::Offset::from_seconds(minutes * 60).unwrap().to_time_zone();
        let moment = jiff::Timestamp::from_second(second).unwrap().to_zoned(zone);
        let known = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".into());
        let common = format!(
            "{client} - {} [{}] \"{method} {target} {protocol}\" {status} {}",
            known(&user),
            moment.strftime("%d/%b/%Y:%H:%M:%S %z"),
            known(&bytes.map(|bytes| bytes.to_string())),
        );
        let combined = format!("{common} \"{}\" \"{}\"{extra}", known(&referrer), known(&agent));
        let hit = Hit {
            start_us: second * 1_000_000,
            duration_us: None,
            client: client.as_bytes(),
            user: user.as_ref().map(String::as_bytes),
            host: None,
            method: method.as_bytes(),
            target: target.as_bytes(),
            protocol: Some(protocol.as_bytes()),
            status,
            bytes,
            referrer: None,
            agent: None,
            ..Hit::default()
        };
        let plain = |field: &Option<String>| field.as_ref().map(|field| plain(field));
        let (referrer, agent) = (plain(&referrer), plain(&agent));
        let full = Hit { referrer: referrer.as_deref(), agent: agent.as_deref(), ..hit };
        let mut reader = LogReader::new("written", common.as_bytes());
        prop_assert_eq!(reader.next_line().unwrap(), Some(Ok(hit)), "{}", common);
        prop_assert_eq!(reader.counts().parsed_as(Format::Common), 1);
        let mut reader = LogReader::new("written", combined.as_bytes());
        prop_assert_eq!(reader.next_line().unwrap(), Some(Ok(full)), "{}", combined);
    }
}

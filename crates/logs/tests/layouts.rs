//! Formats that people give: strings and configuration files.

use logs::{Format, Layout, Options, Record, Reject, RejectReason, Sink, Source, scan};
use std::sync::Arc;

#[derive(Default)]
struct Hits(Vec<String>);

impl Sink for Hits {
    fn record(&mut self, record: &Record<'_>) {
        let text =
            |field: Option<&[u8]>| String::from_utf8_lossy(field.unwrap_or(b"-")).into_owned();
        self.0.push(format!(
            "{} {} {} {} {} {} {:?} {:?} {:?} {} {}",
            record.time_us,
            record.offset_min,
            text(Some(record.client)),
            text(record.host),
            text(record.target),
            record.status.unwrap_or(0),
            record.bytes,
            record.duration_us,
            record.upstream_us,
            text(record.upstream),
            text(record.agent),
        ));
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.0.push(reject.reason.to_string());
    }
}

fn read(layouts: Vec<Layout>, log: &str) -> (Vec<String>, u64) {
    let options = Options { layouts: Arc::from(layouts), jobs: 1, ..Options::default() };
    let done = scan(&[Source::memory("log", log.as_bytes())], &options, Hits::default);
    let by_layout = done.counts.parsed_as(Format::Layout);
    (done.sinks.into_iter().flat_map(|sink| sink.0).collect(), by_layout)
}

#[track_caller]
fn reads(format: &str, log: &str, expected: &str) {
    let layouts = Layout::all(format).unwrap();
    assert_eq!(read(layouts, log), (vec![expected.to_owned()], 1), "{format}");
}

#[test]
fn nginx() {
    let expected = "971211336000000 -420 192.0.2.7 a.example /a 200 Some(10) Some(12000) Some(10000) 192.0.2.2:80 curl \"x\"";
    let log = r#"a.example 192.0.2.7 [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 10 "-" "curl \"x\"" 0.012 0.001, 0.010 192.0.2.1:80, 192.0.2.2:80 end"#;
    let format = r#"$host $remote_addr [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time $upstream_response_time $upstream_addr end"#;
    reads(format, log, expected);
    // As in nginx.conf, in pieces and among others.
    let (first, second) = format.split_at(30);
    let config = format!(
        "http {{\n  # log_format no '$x';\n  log_format timed escape=default '{first}'\n     '{second}';\n  log_format plain '$remote_addr $msec';\n}}\n"
    );
    let layouts = Layout::all(&config).unwrap();
    assert_eq!(layouts.iter().map(Layout::name).collect::<Vec<_>>(), ["timed", "plain"]);
    let log = format!("{log}\n192.0.2.7 971211336.500");
    let (records, by_layout) = read(layouts, &log);
    assert_eq!(by_layout, 2);
    assert_eq!(records, [expected, "971211336500000 0 192.0.2.7 - - 0 None None None - -"]);
    // JSON with keys of one's own.
    reads(
        r#"{"t":"$time_iso8601","who":"$remote_addr","what":"$request","how":$status}"#,
        r#"{"t":"2000-10-10T13:55:36-07:00","who":"192.0.2.7","what":"GET /a\"b HTTP/1.1","how":200}"#,
        "971211336000000 -420 192.0.2.7 - /a\"b 200 None None None - -",
    );
}

#[test]
fn tidegate() {
    reads(
        r#"{start} {client} "{method} {target}" {status} {bytes} {duration} {ttfb} {server} {host} {{{request-id}}} "{agent}""#,
        r#"2000-10-10T20:55:36.500000Z 192.0.2.7 "GET /a\x22b" 200 10 0.012000 - 192.0.2.2:80 a.example {7f} "curl \x22x\x22""#,
        r#"971211336500000 0 192.0.2.7 a.example /a"b 200 Some(10) Some(12000) None 192.0.2.2:80 curl "x""#,
    );
    let reason = |format| Layout::all(format).unwrap_err().to_string();
    assert!(reason("{start} {clinet}").contains("`{clinet}`"));
    assert!(reason("{start} {").contains("a brace"));
    assert!(reason("{status}").contains("no time"));
}

#[test]
fn the_longest_format_that_fits_is_taken() {
    let config =
        "log_format short '$remote_addr $msec';\nlog_format long '$remote_addr $msec $status';";
    let (records, by_layout) =
        read(Layout::all(config).unwrap(), "192.0.2.7 971211336.5 404\n192.0.2.7 971211336.5");
    assert_eq!(by_layout, 2);
    let record = |status| format!("971211336500000 0 192.0.2.7 - - {status} None None None - -");
    assert_eq!(records, [record(404), record(0)]);
}

#[test]
fn apache() {
    let format = r#"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D"#;
    let log = r#"a.example:443 192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 10 "-" "curl" 12000"#;
    let expected =
        "971211336000000 -420 192.0.2.7 a.example /a 200 Some(10) Some(12000) None - curl";
    reads(format, log, expected);
    reads(&format!("\"{format}\" timed"), log, expected);
    reads(
        &format!("LogLevel warn\nLogFormat \"{format}\" timed\nLogFormat \"%{{Referer}}i\" r\n"),
        log,
        expected,
    );
    reads(
        "%{%Y-%m-%d %H:%M:%S}t.%{msec_frac}t %a %!200,304{Host}i %m %U%q %{ms}T",
        "2000-10-10 20:55:36.250 192.0.2.7 a.example GET /a 12",
        "971211336250000 0 192.0.2.7 a.example /a 0 None Some(12000) None - -",
    );
}

#[test]
fn goaccess() {
    let log =
        r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 10 "-" "curl" 12000"#;
    let format = r#"%h %^[%d:%t %^] "%r" %s %b "%R" "%u" %D"#;
    // GoAccess reads the date and time as they stand, without their zone.
    let expected = "971186136000000 0 192.0.2.7 - /a 200 Some(10) Some(12000) None - curl";
    reads(format, log, expected);
    let config = format!("# comment\ndate-format %d/%b/%Y\ntime-format %T\nlog-format {format}\n");
    reads(&config, log, expected);
    for (date, time, text) in [
        ("%Y-%m-%d", "%H:%M:%S", "2000-10-10\t20:55:36"),
        ("%s", "%s", "971211336"),
        ("%f", "%f", "971211336000000"),
        ("%*", "%*", "971211336000"),
        ("%a %b %e %I:%M:%S %p %Y", "%a %b %e %I:%M:%S %p %Y", "Tue Oct 10 08:55:36 PM 2000"),
    ] {
        let format = if date == time { "%x|%h" } else { r"%d\t%t|%h" };
        let layout = Layout::goaccess(format, date, time).unwrap();
        let (records, _) = read(vec![layout], &format!("{text}|192.0.2.7"));
        assert_eq!(records, ["971211336000000 0 192.0.2.7 - - 0 None None None - -"], "{date}");
    }
}

#[test]
fn what_is_no_layout_is_refused_with_a_reason() {
    for (format, problem) in [
        ("", "neither"),
        ("word", "neither"),
        ("$remote_addr$request [$time_local]", "nothing between"),
        ("$remote_addr $request", "no time"),
        ("%h %d %", "ends with"),
        ("%h %{%Q}t", "%Q"),
        ("log_format main '$request';", "none with a time"),
        ("$ x", "no variable"),
    ] {
        let error = Layout::all(format).unwrap_err().to_string();
        assert!(error.contains(problem), "{format}: {error}");
    }
}

#[test]
fn other_lines_are_read_by_detection_and_rejects_name_the_layout() {
    let layouts = Layout::all("$remote_addr|$msec|$status").unwrap();
    let log = "192.0.2.7|971211336.5|200\n192.0.2.8 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1\nx\n192.0.2.7|x|200\n192.0.2.7|1|x";
    let (records, by_layout) = read(layouts, log);
    assert_eq!(by_layout, 1);
    let reasons = [RejectReason::NotLayout, RejectReason::BadTimestamp, RejectReason::BadStatus];
    assert_eq!(records[2..], reasons.map(|reason| reason.to_string()));
}

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
fn nginx_reads_its_words_so() {
    let tabs = "192.0.2.7\t[10/Oct/2000:13:55:36 -0700]\t200\tcurl/8 (x)";
    let got = "971211336000000 -420 192.0.2.7 - - 200 None None None - curl/8 (x)";
    // Tabs, and a comment behind a piece.
    let config = r"log_format n '$remote_addr\t[$time_local]\t' # the rest; it's below
        '$status\t$http_user_agent';";
    reads(config, tabs, got);
    reads(r"$remote_addr\t[$time_local]\t$status\t$http_user_agent", tabs, got);
    // Quotes inside quotes.
    let quoted = "192.0.2.7 [10/Oct/2000:13:55:36 -0700] '200' \"curl/8 (x)\"";
    reads(
        r#"log_format n '$remote_addr [$time_local] \'$status\' "$http_user_agent"';"#,
        quoted,
        got,
    );
    reads(
        r#"log_format n "$remote_addr [$time_local] '$status' \"$http_user_agent\"";"#,
        quoted,
        got,
    );
}

#[test]
fn escapes_are_those_of_the_format() {
    let got =
        |agent: &str| format!("971211336000000 -420 192.0.2.7 - - 0 None None None - {agent}");
    for (escape, written, agent) in [
        ("none", r"a\x41\", r"a\x41\"),
        ("json", r#"a\u0041\"b"#, r#"aA"b"#),
        ("default", r"a\x41", "aA"),
    ] {
        let format = format!(
            r#"log_format n escape={escape} '$remote_addr [$time_local] "$http_user_agent"';"#
        );
        let log = format!(r#"192.0.2.7 [10/Oct/2000:13:55:36 -0700] "{written}""#);
        reads(&format, &log, &got(agent));
    }
}

#[test]
fn requests_without_quotes() {
    for (request, target) in [("GET /a b HTTP/1.1", "/a b"), ("-", "-")] {
        reads(
            "$msec $remote_addr $request $status",
            &format!("971211336.000 192.0.2.7 {request} 200"),
            &format!("971211336000000 0 192.0.2.7 - {target} 200 None None None - -"),
        );
    }
}

#[test]
fn hosts_end_where_targets_begin() {
    for (format, url) in [
        ("$msec $remote_addr $host$request_uri $status", "a.example/a?b"),
        ("$msec $remote_addr $scheme://$host$request_uri $status", "https://a.example/a?b"),
        ("%{sec}t %a %V%U%q %>s", "a.example/a?b"),
    ] {
        let log = format!("971211336 192.0.2.7 {url} 200");
        let expected = "971211336000000 0 192.0.2.7 a.example /a?b 200 None None None - -";
        reads(format, &log, expected);
    }
}

#[test]
fn formats_that_cannot_be_used_leave_the_others() {
    for (config, unusable) in [
        (
            "log_format good '$remote_addr [$time_local]';\nlog_format bad '$remote_addr$status [$time_local]';\n",
            "`bad`: two fields",
        ),
        ("LogFormat \"%a %t\" good\nLogFormat \"%a%>s %t\" bad\n", "`bad`: two fields"),
    ] {
        let found = Layout::find(config).unwrap();
        assert_eq!(found.layouts.iter().map(Layout::name).collect::<Vec<_>>(), ["good"]);
        let [error] = &found.unusable[..] else { panic!("{found:?}") };
        assert!(error.to_string().contains(unusable), "{error}");
    }
    let error = Layout::all("log_format bad '$remote_addr$status [$time_local]';").unwrap_err();
    assert!(error.to_string().contains("`bad`: two fields"), "{error}");
}

#[test]
fn httpd_conf_has_formats_in_three_places() {
    let config = "LogFormat '%h %t \"%r\" %>s' one\n\
        LogFormat \"%h|%t|\\\n%>s\" two\n\
        CustomLog \"|/bin/rotatelogs -l x 86400\" \"%h;%t;%>s\" env=!quiet\n\
        CustomLog logs/other two\n";
    let layouts = Layout::all(config).unwrap();
    assert_eq!(layouts.len(), 3);
    let time = "[10/Oct/2000:13:55:36 -0700]";
    let log = format!(
        "192.0.2.7 {time} \"GET /a HTTP/1.1\" 200\n192.0.2.7|{time}|200\n192.0.2.7;{time};200\n"
    );
    let (records, by_layout) = read(layouts, &log);
    assert_eq!(by_layout, 3, "{records:?}");
    // A string in Apache's other quotes.
    assert_eq!(Layout::all("'%h %t %>s' mine").unwrap()[0].name(), "mine");
}

#[test]
fn names_of_two_letters_are_apaches() {
    for name in ["FU", "FB", "ti", "to"] {
        reads(
            &format!("%h %t %>s %{{Foo}}i %^{name}"),
            "192.0.2.7 [10/Oct/2000:13:55:36 -0700] 200 x 1",
            "971211336000000 -420 192.0.2.7 - - 200 None None None - -",
        );
    }
}

#[test]
fn clients_that_only_a_list_of_addresses_tells() {
    let got = "971186136000000 0 203.0.113.1 - /a 200 Some(10) None None - -";
    let end = r#"[10/Oct/2000:13:55:36] "GET /a HTTP/1.1" 200 10"#;
    let goaccess = r#"[%d:%t] "%r" %s %b"#;
    for (list, logged) in [
        (r"~h{, } %^", "203.0.113.1, 10.0.0.1 -"),
        (r"~h{, } %^", "203.0.113.1 -"),
        (r"~h{, } %^", "203.0.113.1 192.0.2.7"),
        (r#"~h{," } %^"#, r#""203.0.113.1, 10.0.0.1" -"#),
        (r#"~h{" } %^"#, r#""203.0.113.1, 10.0.0.1" -"#),
        (r#""~h{, }" %^"#, r#""unknown, 203.0.113.1" -"#),
        (r#"%h ~h{, } %^"#, "203.0.113.1 198.51.100.1 -"),
        (r"%^ ~h{, } %h %^", "- 203.0.113.1, 10.0.0.1 192.0.2.7 -"),
    ] {
        reads(&format!("{list} {goaccess}"), &format!("{logged} {end}"), got);
    }
    reads(
        "$http_x_forwarded_for - [$time_local] $status",
        "203.0.113.1, 10.0.0.1 - [10/Oct/2000:13:55:36 -0700] 200",
        "971211336000000 -420 203.0.113.1 - - 200 None None None - -",
    );
}

#[test]
fn goaccess_takes_the_first_of_two() {
    // As in its own configuration for Traefik.
    reads(
        r#"%h - %e [%d:%t %^] "%r" %s %b "%R" "%u" %^ "%v" "%U" %Lms"#,
        r#"192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.1" 200 10 "-" "curl" 1 "web" "http://10.0.0.2:80" 12ms"#,
        "971186136000000 0 192.0.2.7 web /a 200 Some(10) Some(12000) None - curl",
    );
}

#[test]
fn counts_since_the_epoch_leave_the_zone() {
    for format in ["$time_iso8601 $remote_addr $msec", "$remote_addr $msec"] {
        let (time, zone) =
            if format.len() > 20 { ("2000-10-10T13:55:36-07:00 ", -420) } else { ("", 0) };
        let expected = format!("971211336250000 {zone} 192.0.2.7 - - 0 None None None - -");
        reads(format, &format!("{time}192.0.2.7 971211336.250"), &expected);
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

//! What writers spell their own way: lists of clients, names of columns and keys, units, lines in messages.

mod says;

use logs::Format;
use says::{read, says};

const REST: &str = r#"[10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 10"#;
const GOT: &str = "method=GET target=/a protocol=HTTP/1.1 status=200 bytes=10";
const NOON: &str = r#""ts":971211336,"method":"GET""#;
const NOON_SAYS: &str = "971211336000000@+0 end";

/// What the line says of its client, host, user and forwarded addresses.
#[track_caller]
fn head(head: &str, expected: &str) {
    let (records, _) = read(&format!("{head} {REST}"));
    let (before, after) = records[0].split_once(GOT).unwrap_or((&records[0], ""));
    let found = format!("{}{after}", before.trim_start_matches("971211336000000@-420 "));
    assert_eq!(found.trim(), expected, "{head}");
}

/// What a JSON line with a time and a method says besides.
#[track_caller]
fn json(members: &str, expected: &str) {
    let (records, _) = read(&format!("{{{NOON},{members}}}"));
    let expected = format!("{NOON_SAYS} {expected}");
    assert_eq!(records, [expected.trim().replace("@+0  ", "@+0 ")], "{members}");
}

#[test]
fn clients_behind_proxies() {
    // Apache's `%{X-Forwarded-For}i %l %u %t`, nginx's `$http_x_forwarded_for - $remote_user`.
    let first = "client=203.0.113.9  forwarded=203.0.113.9";
    head("203.0.113.9, 10.0.0.1 - -", first);
    head("203.0.113.9, 198.51.100.2, 10.0.0.1 - -", first);
    head("203.0.113.9,10.0.0.1 - -", first);
    head("203.0.113.9:4711, 10.0.0.1 - -", first);
    head(
        "203.0.113.9, 10.0.0.1 - ann lee",
        "client=203.0.113.9 user=ann lee  forwarded=203.0.113.9",
    );
    head(
        "a.example 203.0.113.9, 10.0.0.1 - -",
        "client=203.0.113.9 host=a.example  forwarded=203.0.113.9",
    );
    head("2001:db8::7, 10.0.0.1 - -", "client=2001:db8::7  forwarded=2001:db8::7");
    head("x, 192.0.2.7 - -", "rejected: not an access-log line");
}

#[test]
fn clients_with_ports() {
    for client in ["192.0.2.7:4711", "192.0.2.7:80", "192.0.2.7"] {
        head(&format!("{client} - -"), "client=192.0.2.7");
    }
    for client in ["[2001:db8::1]:4711", "[2001:db8::1]", "2001:db8::1"] {
        head(&format!("{client} - -"), "client=2001:db8::1");
    }
    head("a.example:443 192.0.2.7:80 - -", "client=192.0.2.7 host=a.example:443");
    for client in ["name:80", "[x]", "[", "1.2.3:80", "::ffff:192.0.2.7"] {
        head(&format!("{client} - -"), &format!("client={client}"));
    }
}

#[test]
fn a_byte_order_mark_begins_no_line() {
    let line = format!("192.0.2.7 - - {REST}\n");
    let expected = format!("971211336000000@-420 client=192.0.2.7 {GOT}");
    says(&format!("\u{feff}{line}{line}"), Format::Common, &[&expected, &expected]);
    let json = format!("\u{feff}{{{NOON}}}\n");
    says(&json, Format::Json, &["971211336000000@+0 end method=GET"]);
    let table = "#Fields: date time c-ip\n2000-10-10 20:55:36 192.0.2.7\n";
    for head in ["\u{feff}", "\u{feff}#Software: x\n"] {
        let expected = "971211336000000@+0 client=192.0.2.7";
        says(&format!("{head}{table}"), Format::W3c, &[expected]);
    }
    let csv = "timestamp,status\n971211336,200\n";
    says(&format!("\u{feff}{csv}"), Format::Csv, &["971211336000000@+0 status=200"]);
}

#[test]
fn columns() {
    for (table, expected) in [
        ("date,time,status,path\n2000-10-10,20:55:36,200,/a", "target=/a status=200"),
        (
            "Time,Client IP,Method,URL,Status Code,Response Time (ms),User-Agent\n2000-10-10 20:55:36,192.0.2.7,GET,/a,200,12,curl/8",
            "client=192.0.2.7 method=GET target=/a status=200 agent=curl/8 us=12000",
        ),
        (
            "timestamp,method,path,status,total\n971211336,GET,/a,200,5120",
            "method=GET target=/a status=200",
        ),
        ("timestamp,status,value\n971211336,200,7", "status=200"),
        ("timestamp,value\n971211336,7", "weight=7"),
        ("# exported\ntimestamp,status\n971211336,200", "status=200"),
        ("timestamp,status,latency\n971211336,200,slow", "status=200"),
    ] {
        says(table, Format::Csv, &[&format!("971211336000000@+0 {expected}")]);
    }
}

#[test]
fn names_of_keys() {
    for (name, us) in [
        ("responseTime", 12_000),
        ("durationMs", 12_000),
        ("elapsedMs", 12_000),
        ("latencyMs", 12_000),
        ("responseTimeMs", 12_000),
        ("request_duration_ms", 12_000),
        ("time_taken", 12_000),
        ("duration_s", 12_000_000),
        ("duration_seconds", 12_000_000),
        ("requestTime", 12_000_000),
        ("request_time_us", 12),
    ] {
        json(&format!(r#""{name}":12"#), &format!("method=GET us={us}"));
    }
    json(r#""upstream_response_time_ms":12"#, "method=GET upstream-us=12000");
    json(r#""httpMethod":"PUT","responseStatus":404"#, "method=PUT status=404");
    json(r#""req":{"remoteAddress":"192.0.2.7"}"#, "client=192.0.2.7 method=GET");
    // The example of API Gateway's documentation.
    says(
        r#"{"requestId":"x","ip":"192.0.2.7","caller":"-","user":"-","requestTime":"10/Oct/2000:20:55:36 +0000","httpMethod":"GET","resourcePath":"/a","status":"200","protocol":"HTTP/1.1","responseLength":"10"}"#,
        Format::Json,
        &[
            "971211336000000@+0 client=192.0.2.7 method=GET target=/a protocol=HTTP/1.1 status=200 bytes=10",
        ],
    );
}

#[test]
fn sizes_of_requests_are_not_those_of_responses() {
    json(
        r#""request":{"path":"/a","size":75},"response":{"status":200,"size":434}"#,
        "method=GET target=/a status=200 bytes=434 request-bytes=75",
    );
    // Kong.
    json(
        r#""latencies":{"request":12,"kong":1,"proxy":10},"request":{"size":"75"},"response":{"size":"434"}"#,
        "method=GET bytes=434 request-bytes=75 us=12000 upstream-us=10000",
    );
}

#[test]
fn durations_with_units() {
    // Echo counts nanoseconds beside the text.
    for members in [
        r#""latency":1234567,"latency_human":"1.234567ms""#,
        r#""latency_human":"1.234567ms","latency":1234567"#,
    ] {
        json(members, "method=GET us=1234");
    }
    for (text, us) in [
        ("1m2.5s", 62_500_000),
        ("1h0m0.5s", 3_600_500_000_u64),
        ("2m", 120_000_000),
        ("500ms", 500_000),
    ] {
        json(&format!(r#""duration":"{text}""#), &format!("method=GET us={us}"));
    }
    json(r#""duration":"1m2x""#, "method=GET");
}

#[test]
fn counts_since_the_epoch_leave_the_zone() {
    let (records, _) =
        read(r#"{"time_iso8601":"2000-10-10T13:55:36-07:00","msec":"971211336.123","status":200}"#);
    assert_eq!(records, ["971211336123000@-420 end status=200"]);
}

#[test]
fn values_that_cannot_be_the_field_are_passed_over() {
    json(r#""status":"info","http":{"status_code":404}"#, "method=GET status=404");
    json(r#""status":"200 OK","bytes":-1"#, "method=GET status=200");
    json(r#""status":200.0,"bytes":1.5e3"#, "method=GET status=200 bytes=1500");
    says(&format!("  {{{NOON}}}"), Format::Json, &["971211336000000@+0 end method=GET"]);
    // What is left must still be a request at some time.
    assert_eq!(read(r#"{"ts":971211336,"status":"info"}"#).0, ["rejected: bad status"]);
    assert_eq!(read(r#"{"time_local":"x","status":200}"#).0, ["rejected: bad timestamp"]);
}

#[test]
fn lines_in_messages() {
    let line = format!("192.0.2.7 - - {REST}").replace('"', r#"\""#);
    let expected = format!("971211336000000@-420 client=192.0.2.7 {GOT}");
    for carrier in [
        format!(
            r#"{{"@timestamp":"2001-01-01T00:00:00Z","agent":{{"type":"filebeat"}},"message":"{line}","log":{{"offset":7}}}}"#
        ),
        format!(r#"{{"date":971211337.5,"stream":"stdout","_p":"F","log":"{line}\n"}}"#),
        format!(r#"{{"MESSAGE":"{line}","PRIORITY":"6"}}"#),
    ] {
        says(&carrier, Format::Common, &[&expected]);
    }
    let inner = r#"{\"ts\":971211336,\"status\":200}"#;
    let carrier = format!(r#"{{"timestamp":971211337000,"message":"{inner}"}}"#);
    says(&carrier, Format::Json, &["971211336000000@+0 end status=200"]);
    for (line, reason) in [
        (r#"{"ts":971211336,"message":"started"}"#, "no request field"),
        (r#"{"ts":971211336,"message":"\x"}"#, "bad JSON"),
    ] {
        assert_eq!(read(line).0, [format!("rejected: {reason}")], "{line}");
    }
}

#[test]
fn haproxy_in_messages_of_rfc_5424() {
    let line = r#"192.0.2.7:4711 [10/Oct/2000:20:55:36.500] web app/s1 0/0/1/2/3 200 10 - - ---- 1/1/0/0/0 0/0 "GET /a HTTP/1.1""#;
    for data in ["-", r#"[x@1 a="]" b="\"]"][y@1]"#] {
        says(
            &format!("<134>1 2000-10-10T22:55:36.5+02:00 lb haproxy 7 - {data} {line}"),
            Format::Haproxy,
            &[
                "971211336500000@+0 client=192.0.2.7 method=GET target=/a protocol=HTTP/1.1 status=200 bytes=10 us=3000 upstream-us=2000 upstream=app/s1",
            ],
        );
    }
    let open = format!("<134>1 2000-10-10T22:55:36.5+02:00 lb haproxy 7 - [x {line}");
    assert!(read(&open).0[0].starts_with("rejected"));
}

#[test]
fn one_thing_has_one_name() {
    // The Elastic Common Schema leaves the protocol's name out; Traefik TLS's.
    json(
        r#""http":{"version":"1.1"},"tls":{"version":"1.3"}"#,
        "method=GET protocol=HTTP/1.1 tls=TLSv1.3",
    );
    json(
        r#""http":{"version":"2"},"TLSVersion":"1.2""#,
        "method=GET protocol=HTTP/2.0 tls=TLSv1.2",
    );
}

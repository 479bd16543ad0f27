//! Formats, files, and what is none.

use std::fs;
use std::process::Stdio;

use super::{expect_rows, gzip, line, lines, logs, report, rows, totals, write};
use crate::command::{command, path, ran, tidegate};

/// One request in every format that is detected, each with a path of its own.
const MIXED: &str = r##"192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /common HTTP/1.1" 200 10
192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /combined HTTP/1.1" 200 10 "-" "curl/8.5"
shop.example:443 192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /vhost-common HTTP/1.1" 200 10
shop.example 192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /vhost-combined HTTP/1.1" 200 10 "-" "curl/8.5"
192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /extras HTTP/1.1" 200 10 "-" "curl/8.5" "203.0.113.9" 0.250 0.240 10.0.0.2:80
{"start":"2026-10-10T13:55:36.000000Z","client":"192.0.2.7","method":"GET","host":"shop.example","target":"/tidegate","status":200,"bytes":10,"duration":0.250000}
{"ts":1791640536.5,"request":{"remote_ip":"192.0.2.7","method":"GET","host":"shop.example","uri":"/caddy"},"status":200,"size":10,"duration":0.25}
https 2026-10-10T13:55:36.000000Z app/lb/1 192.0.2.7:4711 10.0.0.2:80 0.001 0.248 0.001 200 200 34 10 "GET https://shop.example:443/alb HTTP/1.1" "curl/8.5" ECDHE TLSv1.2 arn:x "Root=1" "shop.example" "-" 0 2026-10-10T13:55:35.000000Z "forward" "-" "-" "10.0.0.2:80" "200" "-" "-"
192.0.2.7:4711 [10/Oct/2026:13:55:36.500] web app/s1 0/0/1/248/250 200 10 - - ---- 1/1/0/0/0 0/0 "GET /haproxy HTTP/1.1"
[pid: 7|app: 0|req: 1/1] 192.0.2.7 () {38 vars in 696 bytes} [Sat Oct 10 13:55:36 2026] GET /uwsgi => generated 10 bytes in 250 msecs (HTTP/1.1 200) 2 headers in 80 bytes (1 switches on core 0)
time=2026-10-10T13:55:36Z client_ip=192.0.2.7 method=GET path=/logfmt status=200 bytes=10
#Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status sc-bytes time-taken
2026-10-10 13:55:36 192.0.2.7 GET /w3c q=1 200 10 250
"##;

#[test]
fn formats_may_be_mixed_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "access.log", MIXED);
    let report = report(&[path(&log)]);
    assert_eq!(totals(&report), [12, 12, 0]);
    let paths = [
        "/alb",
        "/caddy",
        "/combined",
        "/common",
        "/extras",
        "/haproxy",
        "/logfmt",
        "/tidegate",
        "/uwsgi",
        "/vhost-combined",
        "/vhost-common",
        "/w3c",
    ];
    expect_rows(&report, "path", &paths.map(|path| (path, 1)));
    expect_rows(&report, "client", &[("192.0.2.7", 12)]);
    expect_rows(&report, "status", &[("200", 12)]);
    assert_eq!(report["totals"]["bytes"], 120);
    assert_eq!(report["latency"]["count"], 7, "{}", report["latency"]);
    assert_eq!(report["latency"]["max-us"], 250_000);
}

#[test]
fn every_format_of_the_reference_is_read_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let page = include_str!("../../../../../docs/reference/log-formats.md");
    let mut examples = 0;
    for example in page.split("```log\n").skip(1) {
        let text = example.split("```").next().unwrap();
        let log = write(folder.path(), "access.log", text);
        let report = report(&[path(&log)]);
        let [_, parsed, rejected] = totals(&report);
        assert!(parsed > 0 && rejected == 0, "{text}: {}", report["rejects"]);
        examples += 1;
    }
    assert!(examples >= 12, "{examples} examples");
}

#[test]
fn a_log_format_is_a_string_or_a_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "10/Oct/2026:13:55:36 +0000|192.0.2.7|/a?b|503|0.5\n";
    let log = write(folder.path(), "access.log", text);
    // A line of no known format.
    assert_eq!(totals(&report(&[path(&log)])), [1, 0, 1]);
    let format = "$time_local|$remote_addr|$request_uri|$status|$request_time";
    let config = write(
        folder.path(),
        "nginx.conf",
        format!(
            "http {{\n  log_format plain '$remote_addr [$time_local]';\n  log_format mine '{}'\n    '{}';\n}}\n",
            &format[..20],
            &format[20..]
        ),
    );
    let apache = r#"%{%d/%b/%Y:%H:%M:%S %z}t|%h|%U%q|%>s|%T"#;
    let template = "{start}|{client}|{target}|{status}|{duration}";
    let ours = write(
        folder.path(),
        "tidegate.log",
        "2026-10-10T13:55:36.000000Z|192.0.2.7|/a?b|503|0.500000\n",
    );
    for (log, format) in [
        (&log, format),
        (&log, path(&config)),
        (&log, "%d:%t %^|%h|%U|%s|%T"),
        (&log, apache),
        (&ours, template),
    ] {
        let report = report(&[path(log), "--log-format", format]);
        assert_eq!(totals(&report), [1, 1, 0], "{format}");
        expect_rows(&report, "path", &[("/a", 1)]);
        expect_rows(&report, "status", &[("503", 1)]);
        expect_rows(&report, "client", &[("192.0.2.7", 1)]);
        assert_eq!(report["latency"]["max-us"], 500_000, "{format}");
        assert_eq!(report["totals"]["first"], "2026-10-10T13:55:36Z", "{format}");
    }
    // Names of formats that are detected, as GoAccess has them.
    let detected = write(folder.path(), "access.log", lines(0..1));
    let config = write(folder.path(), "goaccess.conf", "# mine\nlog-format COMBINED\n");
    for name in [
        "COMBINED",
        "VCOMBINED",
        "COMMON",
        "VCOMMON",
        "W3C",
        "CLOUDFRONT",
        "CLOUDSTORAGE",
        "AWSELB",
        "AWSALB",
        "AWSS3",
        "SQUID",
        "CADDY",
        "TRAEFIKCLF",
        path(&config),
    ] {
        assert_eq!(totals(&report(&[path(&detected), "--log-format", name])), [1, 1, 0], "{name}");
    }
    // One format that cannot be used leaves the others, with a warning that names it.
    let two = format!("log_format bad '$remote_addr$status $msec';\nlog_format good '{format}';\n");
    let config = write(folder.path(), "two.conf", two);
    let (found, ran) = logs(&[path(&log), "--log-format", path(&config)]);
    assert!(ran.stderr.contains("`bad`: two fields"), "{}", ran.stderr);
    assert_eq!((ran.code, totals(&found)), (0, [1, 1, 0]));
    let empty = write(folder.path(), "other.conf", "http { server { listen 80; } }\n");
    for (wrong, code, text) in [
        ("no format", 2, "`$` variables"),
        ("$remote_addr", 2, "no time"),
        ("{start} {clinet}", 2, "`{clinet}`"),
        ("%h %z", 2, "no time"),
        ("/etc/none.conf", 3, "cannot read /etc/none.conf"),
        (path(&empty), 2, "other.conf"),
    ] {
        let ran = tidegate(&["logs", path(&log), "--log-format", wrong]);
        assert_eq!(ran.code, code, "{wrong}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(text), "{}", ran.stderr);
    }
}

#[test]
fn files_globs_folders_compression_and_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "access.log", lines(20..30));
    write(folder.path(), "access.log.1.gz", gzip(&lines(10..20)));
    let old = write(folder.path(), "access.log.2", lines(0..10));
    let glob = folder.path().join("access.log*");
    for args in [&[path(folder.path())][..], &[path(&glob)], &[path(&glob), path(&old)]] {
        assert_eq!(totals(&report(args)), [30, 30, 0], "{args:?}");
    }
    let mut command = command(&["logs", "--json", "-", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &gzip(&lines(0..5))).unwrap();
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!(totals(&serde_json::from_str(&ran.stdout).unwrap()), [5, 5, 0]);
    for args in [&["-", "-"][..], &["-", "--follow"], &["-", "--state", "x"]] {
        assert_eq!(tidegate(&[&["logs"], args].concat()).code, 2, "{args:?}");
    }
}

#[test]
fn what_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for missing in ["none.log", "none*.log"] {
        let missing = folder.path().join(missing);
        let ran = tidegate(&["logs", path(&missing)]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains(path(&missing)), "{}", ran.stderr);
        assert!(ran.stdout.is_empty());
    }
    let log = write(folder.path(), "access.log", lines(0..1));
    let ran = tidegate(&["logs", path(&log), "--json", "/nowhere/report.json"]);
    assert_eq!(ran.code, 3);
    assert_eq!(tidegate(&["logs"]).code, 2);
}

#[test]
fn a_copy_counts_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "access.log.1", lines(0..10));
    write(folder.path(), "access.log.1.gz", gzip(&lines(0..10)));
    write(folder.path(), "access.log", lines(10..20));
    let (report, ran) = logs(&[path(folder.path())]);
    assert_eq!(ran.code, 0);
    assert_eq!(totals(&report), [30, 30, 0]);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("access.log.1.gz begins as "), "{}", ran.stderr);
}

#[test]
fn a_damaged_file_gives_what_came_before_the_damage() {
    let folder = tempfile::tempdir().unwrap();
    let whole = gzip(&lines(0..20_000));
    let cut = write(folder.path(), "cut.gz", &whole[..whole.len() / 2]);
    let good = write(folder.path(), "good.log", lines(0..5));
    let (report, ran) = logs(&[path(&cut), path(&good)]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.starts_with("warning: ") && ran.stderr.contains("cut.gz"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    let [_, parsed, rejected] = totals(&report);
    assert!(parsed > 1000 && rejected == 1, "{}", report["totals"]);
    assert_eq!(report["rejects"][0]["reason"], "line cut off");
}

#[test]
fn next_to_nothing_is_reported_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let empty = write(folder.path(), "empty.log", "");
    let none = report(&[path(&empty)]);
    assert_eq!(totals(&none), [0, 0, 0]);
    assert!(none["totals"]["first"].is_null());
    assert_eq!(none["notes"][0], "There was no line to read.");
    assert!(rows(&none, "hour").is_empty());
    let one = write(folder.path(), "one.log", line("192.0.2.7", 0, "/", 200, "x").trim_end());
    let one = report(&[path(&one)]);
    assert_eq!(totals(&one), [1, 1, 0]);
    assert_eq!(one["totals"]["first"], one["totals"]["last"]);
    assert_eq!(one["notes"].as_array().unwrap().len(), 0, "{}", one["notes"]);
    let ran = tidegate(&["logs", path(&empty)]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("There was no line to read"), "{}", ran.stdout);
}

#[test]
fn rubbish_is_counted_by_reason_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    // Bytes of all values, from a generator of Lehmer's kind.
    let mut seed = 1_u64;
    let mut byte = || {
        seed = seed * 48_271 % 2_147_483_647;
        seed as u8
    };
    let mut rubbish: Vec<u8> = (0..300_000).map(|_| byte()).collect();
    rubbish.push(b'\n');
    let rejected = rubbish.iter().filter(|byte| **byte == b'\n').count() as u64;
    rubbish.extend_from_slice(lines(0..3).as_bytes());
    // Longer than any line that is parsed, once with a good beginning.
    let long = line("192.0.2.7", 0, &"/long".repeat(1_000_000), 200, "x");
    rubbish.extend_from_slice(long.as_bytes());
    rubbish.extend_from_slice(&vec![b'y'; 3_000_000]);
    let log = write(folder.path(), "rubbish.log", &rubbish);
    let kept = folder.path().join("rejected.txt");
    let report = report(&[path(&log), "--rejected", path(&kept)]);
    let [_, parsed, counted] = totals(&report);
    // A line that begins with `#` is a comment.
    let comments = rubbish.windows(2).filter(|pair| pair == b"\n#").count() as u64;
    assert_eq!((parsed, counted), (3, rejected - comments + 2));
    let too_long: Vec<_> = report["rejects"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|reject| reject["reason"] == "line too long")
        .map(|reject| reject["count"].as_u64().unwrap())
        .collect();
    assert_eq!(too_long, [2]);
    let kept = fs::read(kept).unwrap();
    assert_eq!(kept.iter().filter(|byte| **byte == b'\n').count() as u64, counted);
    let reasons = kept.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    assert!(reasons.clone().count() > 100);
    for line in reasons {
        assert!(line.contains(&b'\t'), "{line:?}");
    }
    assert!(report["notes"][0].as_str().unwrap().contains("--rejected"), "{}", report["notes"]);
}

#[test]
fn counts_are_a_log_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = "timestamp,requests\n2026-10-10T13:00:00Z,120\n2026-10-10T13:01:00Z,30\n2026-10-10T13:02:00Z,18446744073709551615\n";
    let log = write(folder.path(), "counts.csv", text);
    let report = report(&[path(&log)]);
    assert_eq!(totals(&report), [3, 2, 1]);
    assert_eq!(report["totals"]["requests"], 150);
    assert_eq!(report["busiest"]["minute"]["hits"], 120);
}

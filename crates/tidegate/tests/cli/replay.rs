//! Replaying access logs, the real one of the sample data among them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use testkit::origin::{Behaviour, Origin, OriginConfig};

use crate::command::{json_of, path, tidegate, went_well};

fn origin() -> Origin {
    Origin::start(OriginConfig::new(Behaviour::ok("ok"))).unwrap()
}

const LOG: &str = "\
10.0.0.1 - - [17/May/2015:10:05:03 +0000] \"GET /a?x=1 HTTP/1.1\" 200 12 \"-\" \"agent one\"
10.0.0.1 - - [17/May/2015:10:05:04 +0000] \"POST /login HTTP/1.1\" 302 0 \"-\" \"agent one\"
this is not a log line
10.0.0.2 - - [17/May/2015:10:05:03 +0000] \"HEAD /b HTTP/1.1\" 200 0 \"-\" \"agent two\"
10.0.0.3 - - [17/May/2015:10:05:05 +0000] \"GET /user/123 HTTP/1.0\" 404 9
";

#[test]
fn every_line_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("access.log");
    fs::write(&plain, LOG).unwrap();
    let zipped = folder.path().join("access.log.gz");
    let mut gzip = flate2::write::GzEncoder::new(
        fs::File::create(&zipped).unwrap(),
        flate2::Compression::fast(),
    );
    gzip.write_all(LOG.as_bytes()).unwrap();
    gzip.finish().unwrap();
    for log in [&plain, &zipped] {
        let origin = origin();
        let (code, run) =
            json_of(&["load", "--from-log", path(log), "--host", &origin.url(), "--speed", "20"]);
        assert!(went_well(code), "{run}");
        let replay = &run["replay"];
        assert_eq!(
            (&replay["lines"], &replay["parsed"], &replay["rejected"]),
            (&5.into(), &4.into(), &1.into())
        );
        assert_eq!((&replay["sent"], &replay["unsent"]), (&3.into(), &1.into()));
        assert_eq!(run["totals"]["requests"], 3);
        assert_eq!(run["totals"]["unsent"], 1);
        let requests = origin.requests();
        let mut seen: Vec<(&str, &str)> = requests
            .iter()
            .map(|request| (request.method.as_str(), request.target.as_str()))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [("GET", "/a?x=1"), ("GET", "/user/123"), ("HEAD", "/b")]);
        let head = requests.iter().find(|request| request.method == "HEAD").unwrap();
        assert_eq!(head.header("user-agent"), Some("agent two"));
    }
    let origin = origin();
    let (_, run) = json_of(&[
        "load",
        "--from-log",
        path(&plain),
        "--host",
        &origin.url(),
        "--speed",
        "20",
        "--unsafe-methods",
    ]);
    assert_eq!(run["totals"]["requests"], 4);
}

#[test]
fn a_log_without_a_request_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("empty.log");
    fs::write(&log, "nothing\n").unwrap();
    let ran = tidegate(&["load", "--from-log", path(&log), "--host", "http://127.0.0.1:9"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no request"), "{}", ran.stderr);
    let ran = tidegate(&["load", "--from-log", "/nonexistent.log", "--host", "http://127.0.0.1:9"]);
    assert_eq!(ran.code, 3);
}

/// The first end-to-end test of the project: a real log against a local origin. The sample data
/// is not part of the repository; where it is absent, the tests above stand for it.
#[test]
fn the_real_log_is_replayed_line_by_line() {
    let log = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/logs/elastic-examples/apache_logs.combined.log");
    let Ok(text) = fs::read(&log) else {
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {} is not there", log.display());
        return;
    };
    let origin = origin();
    // Four days in about forty seconds.
    let (code, run) =
        json_of(&["load", "--from-log", path(&log), "--host", &origin.url(), "--speed", "8000"]);
    assert!(went_well(code), "{}", run["verdict"]);
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let replay = &run["replay"];
    assert_eq!(number(&replay["lines"]), 10_000);
    assert_eq!(number(&replay["parsed"]) + number(&replay["rejected"]), 10_000);
    assert_eq!(number(&replay["sent"]) + number(&replay["unsent"]), number(&replay["parsed"]));
    assert_eq!(number(&run["totals"]["requests"]), origin.count());
    // Counted independently of our own parser: the second word of the quoted request.
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let request = line.split('"').nth(1).unwrap_or("");
        let words: Vec<&str> = request.split(' ').collect();
        if matches!(words[0], "GET" | "HEAD") && words.len() == 3 {
            *expected.entry(words[1].to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(origin.counts_by_target(), expected);
}

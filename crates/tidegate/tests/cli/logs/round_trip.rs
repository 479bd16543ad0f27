//! What the gateway writes is what `tidegate logs` reads.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::{expect_rows, report, totals};
use crate::command::path;
use crate::up::{SITE, Up, config, get, origin, post};

const TEMPLATE: &str = "{start} {client} \"{method} {target} {protocol}\" {status} {bytes} {duration} {ttfb} {server} {cache} {route} {host} \"{agent}\"";

#[test]
fn requests_through_a_gateway_are_reported_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let more = format!(
        "rotate = \"1GiB\"\n{SITE}cache = {{ default-ttl = \"60s\" }}\n\
         [route.tea]\nmatch = {{ path = \"/tea\" }}\nrespond = {{ status = 418, body = \"tea!\" }}\n"
    );
    for format in ["combined", "json", TEMPLATE] {
        let name = format.split(' ').next().unwrap().trim_matches(['{', '}']);
        let file = config(folder.path(), "127.0.0.1:0", &origin, &more);
        let log = folder.path().join(format!("{name}.log"));
        let text = fs::read_to_string(&file)
            .unwrap()
            .replace("\"combined\"", &Value::from(format).to_string())
            .replace("\"access.log\"", &Value::from(path(&log)).to_string());
        fs::write(&file, text).unwrap();
        let up = Up::start(&file);
        for target in ["/a?b=1", "/a?b=1", "/a?b=1", "/item/7?x=%20y", "/tea", "/%22quoted"] {
            get(up.web, target);
        }
        post(up.web, "/orders", "{}");
        up.signal(Signal::INT);
        assert_eq!(up.wait(), 0);

        let args = [&[path(&log)][..], &["--log-format", TEMPLATE][..]].concat();
        let report = report(if format == TEMPLATE { &args } else { &args[..1] });
        assert_eq!(totals(&report), [7, 7, 0], "{format}: {}", report["rejects"]);
        expect_rows(&report, "status", &[("200", 6), ("418", 1)]);
        expect_rows(&report, "method", &[("GET", 6), ("POST", 1)]);
        expect_rows(&report, "client", &[("127.0.0.1", 7)]);
        expect_rows(
            &report,
            "path",
            &[("/a", 3), ("/%22quoted", 1), ("/item/7", 1), ("/orders", 1), ("/tea", 1)],
        );
        assert_eq!(report["totals"]["bytes"], 6 * 5 + 4, "{format}");
        if format == "combined" {
            continue;
        }
        expect_rows(&report, "route", &[("site", 6), ("tea", 1)]);
        expect_rows(&report, "host", &[("localhost", 7)]);
        let cache = super::rows(&report, "cache");
        assert!(cache.contains(&("hit".to_owned(), 2)), "{format}: {cache:?}");
        // Asked four times: each path once, and the POST.
        expect_rows(&report, "upstream", &[(&origin.addr().to_string(), 4)]);
        assert_eq!(report["latency"]["count"], 7);
        if format == "json" {
            same_times(&report, &fs::read_to_string(&log).unwrap());
        }
    }
}

/// Times and durations to the microsecond, read by another parser.
fn same_times(report: &Value, log: &str) {
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let us = |line: &Value, name: &str| {
        line[name].as_f64().map(|seconds| (seconds * 1e6).round() as u64)
    };
    let took: Vec<u64> = lines.iter().map(|line| us(line, "duration").unwrap()).collect();
    let latency = &report["latency"];
    assert_eq!(latency["max-us"].as_u64(), took.iter().max().copied());
    assert_eq!(latency["mean-us"].as_u64().unwrap(), took.iter().sum::<u64>() / 7);
    let mut slowest: Vec<u64> = took.clone();
    slowest.sort_unstable_by(|a, b| b.cmp(a));
    let listed = report["slowest"].as_array().unwrap().iter();
    let listed: Vec<u64> = listed.map(|slow| slow["duration-us"].as_u64().unwrap()).collect();
    assert_eq!(listed, slowest);
    let upstream = &report["panels"]["upstream"][0]["latency"];
    let waited = lines.iter().filter_map(|line| us(line, "ttfb")).max();
    assert_eq!(upstream["max-us"].as_u64(), waited);
    let starts = lines.iter().map(|line| line["start"].as_str().unwrap());
    assert_eq!(report["totals"]["first"].as_str(), starts.min());
}

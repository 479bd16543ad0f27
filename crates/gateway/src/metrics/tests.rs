//! What is written is valid by the format's own rules, and counts are where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;

/// A sample as Prometheus reads it.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn without_le(&self) -> Vec<(String, String)> {
        self.labels.iter().filter(|(name, _)| name != "le").cloned().collect()
    }
}

/// Families with their kind and samples, read by the rules of the text format, version 0.0.4
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
fn parse(text: &str) -> Vec<(String, String, Vec<Sample>)> {
    let mut families: Vec<(String, String, Vec<Sample>)> = Vec::new();
    let mut helped = BTreeSet::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(helped.insert(name.to_owned()), "{name} is begun twice");
            assert!(!words.contains('\\'), "{words}");
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name) && ["counter", "gauge", "histogram"].contains(&kind));
            families.push((name.to_owned(), kind.to_owned(), Vec::new()));
            continue;
        }
        let sample = parse_sample(line);
        let (family, kind, samples) = families.last_mut().unwrap();
        let suffix = sample.name.strip_prefix(family.as_str());
        match kind.as_str() {
            "histogram" => assert!(matches!(suffix, Some("_bucket" | "_sum" | "_count")), "{line}"),
            _ => assert_eq!(suffix, Some(""), "{line}"),
        }
        samples.push(sample);
    }
    families
}

fn parse_sample(line: &str) -> Sample {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let (mut value, mut chars) = (String::new(), after.char_indices());
            let close = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c @ ('"' | '\\') => c,
                        other => panic!("\\{other} in {line}"),
                    }),
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[close + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap();
    }
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
    Sample { name: name.to_owned(), labels, value }
}

const NASTY: &str = "a\\n\"b\\\n{c}=\u{202e},";

/// Two cores, some of everything, one name that is hard to write.
fn filled() -> (Registry, State) {
    let registry = Registry::new(2);
    let names = ["site", NASTY];
    let routes = names.map(|name| registry.route(name));
    let upstreams = names.map(|name| registry.upstream(name));
    let servers = names.map(|name| registry.server(name, NASTY));
    for ((route, upstream), server) in routes.iter().zip(&upstreams).zip(&servers) {
        for (core, status, took_us) in [(0, 200, 100), (1, 404, 101), (0, 503, 4_000_000_000)] {
            registry.core(core).request(&Over {
                route: Some(route),
                method: "GET",
                status,
                bytes_out: 10,
                bytes_in: 1,
                took_us,
                cache: Some("hit"),
                failure: (status == 503).then_some(FailureKind::RateLimited),
            });
        }
        upstream.count(UpstreamEvent::Hedge);
        server.attempt(1, AttemptResult::Ok, 3);
    }
    registry.core(0).request(&Over {
        route: None,
        method: "GET",
        status: 400,
        bytes_out: 0,
        bytes_in: 0,
        took_us: 1,
        cache: None,
        failure: Some(FailureKind::BadRequest),
    });
    let core = registry.core(1);
    for reason in REFUSALS {
        core.connection_refused(reason);
    }
    core.connection_refused("no such reason");
    core.connection_opened();
    core.tls_handshake();
    core.http2_stream();
    core.tunnel_opened();
    core.tunnel_closed(7);
    core.mirrored();
    core.mirror_dropped();
    registry.reloaded(true);
    registry.reloaded(false);
    let server = ServerState {
        id: NASTY.to_owned(),
        up: true,
        healthy: true,
        ejected: false,
        duty: "normal",
        weight: 3,
        tier: 0,
        in_flight: 2,
    };
    let upstream = UpstreamState {
        name: NASTY.to_owned(),
        breaker: Some("half-open"),
        waiting: 4,
        adaptive_limit: Some(5),
        servers: vec![server],
    };
    let store = StoreState { name: NASTY.to_owned(), entries: 1, bytes: 2, max_bytes: 3 };
    let state = State {
        upstreams: vec![upstream],
        stores: vec![store],
        connections: 6,
        draining: false,
        generation: 2,
        uptime_s: 1.5,
        log_lines: Some((8, 9)),
    };
    (registry, state)
}

#[test]
fn the_page_is_valid_and_as_declared() {
    let (registry, state) = filled();
    let families = parse(&registry.render_prometheus(&state));
    assert_eq!(families.len(), METRICS.len());
    for ((name, kind, samples), metric) in families.iter().zip(METRICS) {
        assert_eq!((name.as_str(), kind.as_str()), (metric.name, metric.kind));
        assert!(name.starts_with("tidegate_"));
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert!(!samples.is_empty(), "{name} has no sample");
        let mut seen = BTreeSet::new();
        for sample in samples {
            let names: Vec<String> =
                sample.without_le().into_iter().map(|(label, _)| label).collect();
            assert_eq!(names.join(", "), metric.labels, "{name}");
            let key = format!("{}{:?}", sample.name, sample.labels);
            assert!(seen.insert(key), "{sample:?} is there twice");
            assert!(sample.value.is_finite() && sample.value >= 0.0);
        }
        if kind == "histogram" {
            check_histograms(samples);
        }
    }
    let hard = families.iter().flat_map(|(_, _, samples)| samples);
    let hard = hard.filter(|sample| sample.labels.iter().any(|(_, value)| value == NASTY));
    assert!(hard.count() > 10);
}

/// Buckets rise to `+Inf`, which is the count.
fn check_histograms(samples: &[Sample]) {
    let mut last: BTreeMap<Vec<(String, String)>, (f64, f64)> = BTreeMap::new();
    for sample in samples {
        let key = sample.without_le();
        if sample.name.ends_with("_bucket") {
            let (_, bound) = sample.labels.iter().find(|(name, _)| name == "le").unwrap();
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            if let Some((bound_before, count_before)) = last.insert(key, (bound, sample.value)) {
                assert!(bound > bound_before && sample.value >= count_before);
            }
        } else if sample.name.ends_with("_count") {
            assert_eq!(last.get(&key), Some(&(f64::INFINITY, sample.value)));
        }
    }
}

#[test]
fn counts_are_added_up_over_cores_and_the_same_in_both_outputs() {
    let (registry, state) = filled();
    let families = parse(&registry.render_prometheus(&state));
    let value = |name: &str, labels: &[(&str, &str)]| {
        let fits = |sample: &&Sample| {
            sample.name == name
                && sample
                    .labels
                    .iter()
                    .map(|(l, v)| (l.as_str(), v.as_str()))
                    .eq(labels.iter().copied())
        };
        families.iter().flat_map(|(_, _, samples)| samples).find(fits).map(|sample| sample.value)
    };
    for (name, labels, expected) in [
        ("tidegate_requests_total", &[("route", NASTY), ("status", "2xx")][..], 1.0),
        ("tidegate_requests_total", &[("route", "site"), ("status", "4xx")], 1.0),
        ("tidegate_requests_unrouted_total", &[], 1.0),
        ("tidegate_request_duration_seconds_bucket", &[("route", "site"), ("le", "0.0001")], 1.0),
        ("tidegate_request_duration_seconds_bucket", &[("route", "site"), ("le", "0.00025")], 2.0),
        ("tidegate_request_duration_seconds_bucket", &[("route", "site"), ("le", "3600")], 2.0),
        ("tidegate_request_duration_seconds_bucket", &[("route", "site"), ("le", "+Inf")], 3.0),
        ("tidegate_request_duration_seconds_sum", &[("route", "site")], 4000.000201),
        ("tidegate_response_bytes_total", &[("route", "site")], 30.0),
        ("tidegate_failures_total", &[("owner", "client"), ("kind", "rate-limited")], 2.0),
        ("tidegate_failures_total", &[("owner", "client"), ("kind", "bad-request")], 1.0),
        ("tidegate_rate_limited_total", &[("route", "site")], 1.0),
        ("tidegate_cache_requests_total", &[("route", "site"), ("result", "hit")], 3.0),
        ("tidegate_upstream_events_total", &[("upstream", "site"), ("event", "hedge")], 1.0),
        ("tidegate_upstream_breaker_open", &[("upstream", NASTY)], 0.5),
        (
            "tidegate_server_attempts_total",
            &[("upstream", "site"), ("server", NASTY), ("result", "ok")],
            1.0,
        ),
        ("tidegate_connections_refused_total", &[("reason", "tls-handshake")], 1.0),
        ("tidegate_tunnels_open", &[], 0.0),
        ("tidegate_tunnel_bytes_total", &[], 7.0),
        ("tidegate_access_log_dropped_total", &[], 9.0),
        ("tidegate_config_reloads_total", &[("result", "failed")], 1.0),
    ] {
        assert_eq!(value(name, labels), Some(expected), "{name} {labels:?}");
    }
    let status = registry.status_json(&state);
    assert_eq!(status["routes"][1]["name"], "site");
    assert_eq!(status["routes"][1]["statuses"], serde_json::json!([0, 0, 1, 0, 1, 1]));
    assert_eq!(status["routes"][1]["response-bytes"], 30);
    assert_eq!(status["failures"]["rate-limited"], 2);
    assert_eq!(status["access-log"]["dropped"], 9);
    assert_eq!(status["upstreams"][0]["servers"][0]["in-flight"], 2);
}

#[test]
fn counters_live_as_long_as_their_name_is_used() {
    let registry = Registry::new(1);
    let before = registry.server("shop", "192.0.2.1:80");
    before.attempt(0, AttemptResult::Ok, 1);
    // A reload: the new configuration asks before the old one is gone.
    let after = registry.server("shop", "192.0.2.1:80");
    assert!(Arc::ptr_eq(&before, &after));
    drop(before);
    let other = registry.server("shop", "192.0.2.2:80");
    assert!(Arc::ptr_eq(&after, &registry.server("shop", "192.0.2.1:80")));
    // Addresses that come and go leave nothing behind.
    for number in 0..3 * NAMES_MAX {
        registry.server("shop", &format!("new-{number}"));
    }
    let page = registry.render_prometheus(&State::default());
    let attempts = page.lines().filter(|line| line.starts_with("tidegate_server_attempts_total{"));
    assert_eq!(attempts.count(), 3 * AttemptResult::ALL.len());
    drop((after, other));
}

#[test]
fn names_beyond_the_limit_share_one() {
    let registry = Registry::new(1);
    let mut held: Vec<_> =
        (0..NAMES_MAX).map(|number| registry.route(&number.to_string())).collect();
    held.push(registry.route("one too many"));
    assert!(Arc::ptr_eq(&registry.route("two too many"), &held[NAMES_MAX]));
    assert!(Arc::ptr_eq(&registry.route("7"), &held[7]));
}

//! Reports on small logs whose answer is known.

use logs::report::{
    Aggregate, ChangeKind, Filter, FindingKind, LogReport, Options, Panel, Row, Setup, Severity,
    compare,
};
use logs::{Record, Sink};

/// 2026-01-31T22:30:00Z, a Saturday.
const START_US: i64 = 1_769_898_600_000_000;
const SECOND_US: i64 = 1_000_000;
const CHROME: &[u8] =
    b"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/124.0 Safari/537.36";

fn hit(at_s: i64, client: &'static str, target: &'static str, status: u16) -> Record<'static> {
    Record {
        time_us: START_US + at_s * SECOND_US,
        client: client.as_bytes(),
        method: Some(b"GET"),
        target: Some(target.as_bytes()),
        protocol: Some(b"HTTP/1.1"),
        status: Some(status),
        bytes: Some(100),
        agent: Some(CHROME),
        weight: 1,
        ..Record::default()
    }
}

fn report_with(setup: &Setup, records: &[Record<'_>]) -> LogReport {
    let mut aggregate = Aggregate::new(setup);
    records.iter().for_each(|record| aggregate.record(record));
    aggregate.finish(&Options::default())
}

fn report(records: &[Record<'_>]) -> LogReport {
    report_with(&Setup::default(), records)
}

fn row<'a>(report: &'a LogReport, panel: Panel, key: &str) -> &'a Row {
    let found = report.panels[panel].iter().find(|row| row.key == key);
    found.unwrap_or_else(|| panic!("no {key} in {:?}", report.panels[panel]))
}

fn counts(report: &LogReport, panel: Panel) -> Vec<(&str, u64, u64)> {
    report.panels[panel].iter().map(|row| (row.key.as_str(), row.hits, row.visitors)).collect()
}

#[test]
fn nothing_at_all() {
    let report = report(&[]);
    assert_eq!((report.totals.read, report.totals.first), (0, None));
    assert!(report.panels.iter().all(|(_, rows)| rows.is_empty()));
    assert!(report.findings.is_empty() && report.timeline.points.is_empty());
    assert!(report.demand.arrivals.counts.is_empty());
}

#[test]
fn panels_of_a_small_log() {
    let report = report(&[
        hit(0, "192.0.2.1", "/user/1?tab=a", 200),
        hit(1, "192.0.2.1", "/user/2", 200),
        hit(1, "192.0.2.2", "/style.css", 304),
        hit(2, "192.0.2.2", "/missing", 404),
        hit(3600, "192.0.2.2", "/user/1", 500),
    ]);
    assert_eq!((report.totals.requests, report.totals.bytes), (5, 500));
    assert_eq!(report.totals.unique_visitors, 2);
    assert_eq!((report.totals.static_requests, report.totals.not_found), (1, 1));
    assert_eq!(report.totals.server_errors, 1);
    assert_eq!(
        counts(&report, Panel::Status),
        [("200", 2, 1), ("304", 1, 1), ("404", 1, 0), ("500", 1, 1)]
    );
    assert_eq!(
        counts(&report, Panel::Path),
        [("/user/1", 2, 2), ("/missing", 1, 0), ("/style.css", 1, 1), ("/user/2", 1, 1)]
    );
    assert!(row(&report, Panel::Path, "/style.css").is_static);
    assert_eq!(counts(&report, Panel::Template)[0], ("/user/{id}", 3, 2));
    assert_eq!(counts(&report, Panel::Static), [("/style.css", 1, 1)]);
    assert_eq!(counts(&report, Panel::NotFound), [("/missing", 1, 0)]);
    assert_eq!(counts(&report, Panel::Client), [("192.0.2.2", 3, 1), ("192.0.2.1", 2, 1)]);
    assert_eq!(counts(&report, Panel::Day), [("2026-01-31", 5, 2)]);
    assert_eq!(counts(&report, Panel::WeekdayHour), [("Sat 22", 4, 2), ("Sat 23", 1, 1)]);
    assert_eq!(report.panels[Panel::Hour].len(), 24);
    assert_eq!(row(&report, Panel::Hour, "23").hits, 1);
    assert_eq!(counts(&report, Panel::Browser), [("Chrome", 5, 2)]);
    assert_eq!(counts(&report, Panel::Os), [("Windows", 5, 2)]);
    assert_eq!(row(&report, Panel::Path, "/user/1").server_errors, 1);
    let busiest = report.busiest;
    assert_eq!(busiest.second.map(|peak| (peak.time - START_US, peak.hits)), Some((SECOND_US, 2)));
    assert_eq!(busiest.minute.map(|peak| peak.hits), Some(4));
}

#[test]
fn visitors_are_counted_by_date_in_the_zone_of_the_log() {
    let in_zone = |at_s, offset_min| Record { offset_min, ..hit(at_s, "192.0.2.1", "/", 200) };
    // An hour before midnight UTC, and an hour after.
    let midnight_between = [in_zone(1800, 0), in_zone(1800 + 7200, 0)];
    assert_eq!(report(&midnight_between).totals.unique_visitors, 2);
    let same_day = [in_zone(1800, 120), in_zone(1800 + 7200, 120)];
    let seen = report(&same_day);
    assert_eq!(seen.totals.unique_visitors, 1);
    assert_eq!(counts(&seen, Panel::Day), [("2026-02-01", 2, 1)]);
    assert_eq!(seen.notes, [""; 0]);
    let notes = report(&[in_zone(0, -210), in_zone(0, 120)]).notes;
    assert!(notes.len() == 1 && notes[0].contains("from -03:30 to +02:00"), "{notes:?}");
}

#[test]
fn crawlers_by_name_and_operator() {
    let agent = |agent: &'static str| Record {
        agent: Some(agent.as_bytes()),
        ..hit(0, "192.0.2.1", "/", 200)
    };
    let report = report(&[
        agent("Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"),
        agent("Mozilla/5.0 (compatible; GPTBot/1.1; +https://openai.com/gptbot)"),
        agent("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"),
    ]);
    assert_eq!(counts(&report, Panel::Crawler), [("GPTBot", 2, 2), ("bingbot", 1, 1)]);
    let gptbot = row(&report, Panel::Crawler, "GPTBot");
    assert_eq!((gptbot.operator, gptbot.ai), (Some("OpenAI"), true));
    assert!(!row(&report, Panel::Crawler, "bingbot").ai);
    assert_eq!(counts(&report, Panel::Browser), [("Crawlers", 3, 3)]);
}

#[test]
fn latency_concurrency_and_slowest() {
    let took = |at_s, ms: u64, upstream: &'static str| Record {
        duration_us: Some(ms * 1000),
        time_is_end: true,
        upstream: Some(upstream.as_bytes()),
        ..hit(at_s, "192.0.2.1", "/", 200)
    };
    // Under way from 0 to 4 s, 1 to 3 s, and 2 to 3 s.
    let report = report(&[took(4, 4000, "a"), took(3, 2000, "b"), took(3, 1000, "b")]);
    let concurrency = report.concurrency.as_ref().expect("durations are logged");
    assert_eq!((concurrency.peak, concurrency.mean), (3.0, 7.0 / 4.0));
    assert_eq!(row(&report, Panel::Upstream, "b").peak_concurrency, Some(2.0));
    let latency = row(&report, Panel::Status, "200").latency.expect("durations are logged");
    assert_eq!((latency.count, latency.max_us), (3, 4_000_000));
    assert!(latency.p50_us.abs_diff(2_000_000) < 40_000);
    let slowest: Vec<u64> = report.slowest.iter().map(|slow| slow.duration_us).collect();
    assert_eq!(slowest, [4_000_000, 2_000_000, 1_000_000]);
    // Arrivals are at the start.
    let arrivals = &report.demand.arrivals;
    assert_eq!((arrivals.start_s, arrivals.step_s), (START_US / SECOND_US, 1));
    assert_eq!(arrivals.counts, [1, 1, 1]);
    assert_eq!(report.demand.upstreams[0].latency.count(), 2);
    assert_eq!(report.demand.routes[0].key, "/");
}

#[test]
fn counts_stand_for_many_requests() {
    let minute =
        |at_s, weight| Record { time_us: START_US + at_s * SECOND_US, weight, ..Record::default() };
    let report = report(&[minute(0, 120), minute(60, 30)]);
    assert_eq!((report.totals.parsed, report.totals.requests), (2, 150));
    assert_eq!(report.totals.unique_visitors, 0);
    assert_eq!(report.demand.arrivals.counts.iter().sum::<u64>(), 150);
}

#[test]
fn filters_and_anonymising() {
    let setup = Setup {
        filter: Filter::parse(["status=2xx"]).expect("a condition"),
        anonymise: true,
        ..Setup::default()
    };
    let records = [
        hit(0, "192.0.2.7", "/", 200),
        hit(0, "192.0.2.8", "/", 201),
        hit(0, "192.0.2.9", "/", 500),
    ];
    let report = report_with(&setup, &records);
    assert_eq!((report.totals.parsed, report.totals.excluded, report.totals.requests), (3, 1, 2));
    assert_eq!(counts(&report, Panel::Client), [("192.0.2.0", 2, 1)]);
}

#[test]
fn a_scanner_is_found_with_a_rule() {
    let mut records: Vec<_> = ["/.env", "/.git/config", "/wp-login.php", "/actuator/env"]
        .map(|path| hit(0, "192.0.2.66", path, 404))
        .into();
    records.push(hit(0, "192.0.2.1", "/", 200));
    let report = report(&records);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((finding.kind, finding.severity), (FindingKind::Scanner, Severity::Medium));
    assert_eq!(finding.subject, "192.0.2.66");
    assert_eq!(finding.rule, "[route.site]\ndeny = [\"192.0.2.66\"]\n");
    assert_eq!(finding.nginx, "deny 192.0.2.66;\n");
    assert!(finding.evidence.contains("4 probes for"), "{}", finding.evidence);
}

#[test]
fn people_of_a_site_with_such_a_place_are_no_scanners() {
    let records: Vec<_> =
        (0..50).map(|at_s| hit(at_s, "192.0.2.1", "/wp-login.php", 200)).collect();
    assert_eq!(report(&records).findings, []);
}

#[test]
fn who_works_on_the_site_is_no_scanner() {
    let post = |at_s, path, status| Record {
        method: Some(b"POST"),
        ..hit(at_s, "198.51.100.7", path, status)
    };
    let get = |at_s, path, status| hit(at_s, "198.51.100.7", path, status);
    // Five mornings: the form, a mistyped password, an accepted one, and what was redirected to HTTPS.
    let records: Vec<_> = (0..5)
        .map(|day| day * 86_400)
        .flat_map(|at_s| {
            [
                get(at_s, "/wp-login.php", 301),
                get(at_s + 1, "/wp-login.php", 200),
                post(at_s + 2, "/wp-login.php", 403),
                post(at_s + 3, "/wp-login.php", 302),
                get(at_s + 4, "/phpmyadmin/", 301),
                get(at_s + 5, "/phpmyadmin/", 502),
            ]
        })
        .collect();
    assert_eq!(report(&records).findings, []);
}

#[test]
fn probes_that_were_all_answered_are_found() {
    let paths = ["/.env", "/.git/config", "/.aws/credentials", "/phpinfo.php"];
    let records = paths.map(|path| hit(0, "192.0.2.66", path, 200));
    let found = report(&records).findings;
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((finding.kind, finding.severity), (FindingKind::Scanner, Severity::High));
    assert!(finding.evidence.contains("4 of them answered with 2xx"), "{}", finding.evidence);
    // It is the site that must be looked at.
    assert_eq!(finding.rule, "");
    assert_eq!(report(&records[..2]).findings, []);
}

#[test]
fn brute_force_is_found() {
    let refused =
        |at_s| Record { method: Some(b"POST"), ..hit(at_s, "2001:db8::1", "/login", 401) };
    let report = report(&(0..60).map(refused).collect::<Vec<_>>());
    let found = report.findings.iter().find(|finding| finding.kind == FindingKind::BruteForce);
    let found = found.expect("60 refused logins in a minute");
    assert_eq!(found.severity, Severity::High);
    assert_eq!(found.evidence, "60 refused logins at /login, up to 60 within 60 s");
    assert_eq!(found.rule, "[route.site]\ndeny = [\"2001:db8::1\"]\n");
}

#[test]
fn claims_to_be_a_crawler() {
    let claim = |client, path, status| Record {
        agent: Some(b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ..hit(0, client, path, status)
    };
    let severity = |records: &[Record<'_>]| {
        let report = report(records);
        let found = report.findings.into_iter().find(|one| one.kind == FindingKind::SpoofedCrawler);
        found.map(|found| found.severity)
    };
    assert_eq!(severity(&[claim("66.249.66.1", "/", 200)]), None);
    assert_eq!(severity(&[claim("crawl-1.googlebot.com", "/", 200)]), None);
    assert_eq!(severity(&[claim("192.0.2.1", "/", 200)]), Some(Severity::Low));
    let one = &report(&[claim("192.0.2.1", "/", 200)]).findings[0];
    assert!(one.evidence.starts_with("1 request of 1 client claims to be"), "{}", one.evidence);
    assert_eq!(
        severity(&[claim("192.0.2.1", "/", 200), hit(1, "192.0.2.1", "/", 200)]),
        Some(Severity::Medium)
    );
    let probes = ["/.env", "/.git/x", "/phpmyadmin"].map(|path| claim("192.0.2.1", path, 404));
    assert_eq!(severity(&probes), Some(Severity::High));
}

#[test]
fn who_asks_far_more_than_the_others() {
    let names: Vec<String> = (1..=30).map(|n| format!("198.51.{n}.1")).collect();
    let from = |at_s, client: &'static str| hit(at_s, client, "/", 200);
    let mut records: Vec<_> = names
        .iter()
        .map(|name| Record { client: name.as_bytes(), ..hit(0, "", "/", 200) })
        .collect();
    records.extend((0..900).map(|n| from(n % 60, "203.0.113.5")));
    // A neighbour, who does not make them a network that asks often.
    records.push(from(0, "203.0.113.6"));
    // Ten clients of one network, none of which stands out much by itself.
    let network: Vec<String> = (1..=10).map(|n| format!("192.0.2.{n}")).collect();
    for name in &network {
        records.extend((0..40).map(|n| Record { client: name.as_bytes(), ..hit(n, "", "/", 200) }));
    }
    let report = report(&records);
    let subjects = |kind: FindingKind| -> Vec<&str> {
        report
            .findings
            .iter()
            .filter(|one| one.kind == kind)
            .map(|one| one.subject.as_str())
            .collect()
    };
    assert_eq!(subjects(FindingKind::ClientRate), ["203.0.113.5"]);
    assert_eq!(subjects(FindingKind::NetworkRate), ["192.0.2.0/24"]);
    let client =
        report.findings.iter().find(|one| one.kind == FindingKind::ClientRate).expect("one");
    assert!(client.evidence.starts_with("900 requests within 60 s"), "{}", client.evidence);
    assert!(client.rule.contains("rate = \"80/m\""), "{}", client.rule);
}

#[test]
fn a_burst_of_errors_is_found() {
    let mut records: Vec<_> = (0..3600).map(|at_s| hit(at_s, "192.0.2.1", "/", 200)).collect();
    for at_s in 1800..1860 {
        records[at_s as usize].status = Some(503);
    }
    let report = report(&records);
    let burst: Vec<_> =
        report.findings.iter().filter(|one| one.kind == FindingKind::ErrorBurst).collect();
    assert_eq!(burst.len(), 1, "{:?}", report.findings);
    assert_eq!(burst[0].severity, Severity::High);
    assert_eq!(burst[0].subject, "2026-01-31T23:00:00Z");
    assert!(
        burst[0].evidence.starts_with("60 of 60 requests failed with 5xx for 60 s"),
        "{}",
        burst[0].evidence
    );
}

#[test]
fn changes_between_two_reports() {
    let log = |errors: usize, path: &'static str| {
        let records: Vec<_> = (0..2000)
            .map(|n| {
                hit(
                    n as i64,
                    "192.0.2.1",
                    if n % 2 == 0 { path } else { "/" },
                    if n < errors { 500 } else { 200 },
                )
            })
            .collect();
        report(&records)
    };
    assert_eq!(compare(&log(10, "/a"), &log(10, "/a")), []);
    let changes = compare(&log(10, "/a"), &log(400, "/b"));
    let has = |kind, panel, key: &str| {
        changes
            .iter()
            .any(|change| (change.kind, change.panel, change.key.as_str()) == (kind, panel, key))
    };
    assert!(has(ChangeKind::Errors, None, ""));
    assert!(has(ChangeKind::New, Some(Panel::Path), "/b"));
    assert!(has(ChangeKind::Vanished, Some(Panel::Path), "/a"));
    assert!(!has(ChangeKind::Hits, Some(Panel::Path), "/"));
}

#[test]
fn json_has_the_documented_shape() {
    let report = report(&[hit(0, "192.0.2.1", "/a", 200)]);
    let json = serde_json::to_value(&report).expect("a report is JSON");
    assert_eq!(json["schema"], "tidegate.logs/1");
    assert_eq!(json["totals"]["unique-visitors"], 1);
    assert_eq!(json["totals"]["first"], "2026-01-31T22:30:00Z");
    assert_eq!(json["panels"]["path"][0]["key"], "/a");
    for panel in ["status", "host", "hour", "agent", "referrer", "method", "not-found", "crawler"] {
        assert!(json["panels"][panel].is_array(), "{panel}");
    }
    let keys: Vec<_> =
        json["panels"]["status"][0].as_object().expect("a row").keys().take(4).collect();
    assert_eq!(keys, ["key", "hits", "visitors", "bytes"]);
    assert!(json["findings"].is_array() && json["rejects"].is_array());
}

#[test]
fn hostile_records_do_no_harm() {
    let long = vec![b'/'; 100_000];
    let wild = Record {
        time_us: i64::MAX,
        offset_min: i16::MAX,
        time_is_end: true,
        client: b"\xff\x00\"",
        method: Some(b""),
        target: Some(&long),
        status: Some(u16::MAX),
        bytes: Some(u64::MAX),
        duration_us: Some(u64::MAX),
        upstream_us: Some(u64::MAX),
        upstream: Some(b"\n"),
        agent: Some(b"\xf0bot"),
        variants: Some(b",,="),
        weight: 1,
        ..Record::default()
    };
    let early = Record { time_us: i64::MIN, offset_min: i16::MIN, time_is_end: false, ..wild };
    let report = report(&[wild, early, hit(0, "", "", 0)]);
    assert_eq!(report.totals.requests, 3);
    assert!(report.timeline.points.len() <= 402);
    assert!(serde_json::to_string(&report).is_ok());
}

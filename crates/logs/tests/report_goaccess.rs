//! Reports on real logs against what GoAccess 1.7 counts on the same files, with `--no-query-string`,
//! `--http-method=no`, `--http-protocol=no` and, for host names as clients, `--no-ip-validation`.
//!
//! Where the two differ, and why:
//! - GoAccess lists a path under requests, static requests or not found; here the panel `path` has all of
//!   them, `static` those of static files, and `not-found` those answered with 404. So requests and bytes of
//!   a path are compared without its 404.
//! - GoAccess undoes percent encoding: two spellings of a path are one row. Here a path is as it was sent, so
//!   there are 66 paths not found, not 65.
//! - GoAccess counts the path of HTTP/0.9 requests, of which the common log has 11, as `-`.
//! - GoAccess refuses host names as clients unless told not to look; here they are clients like addresses.
//! - More endings are static here (fonts and images of later years). No path of these logs has one.

use std::path::PathBuf;

use logs::report::{Aggregate, Filter, LogReport, Options, Panel, Row, Setup};
use logs::{Record, Sink};

/// `offset_min` is the zone that all lines of the file are written in.
fn report(file: &str, offset_min: i16, conditions: &[&str]) -> Option<LogReport> {
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/logs")).join(file);
    if !path.exists() {
        println!("skipped: {file} is not here");
        return None;
    }
    let mut reader = logs::open(&path).expect("the file opens");
    let mut aggregate = Aggregate::new(&Setup {
        filter: Filter::parse(conditions).expect("conditions"),
        ..Setup::default()
    });
    reader
        .for_each(|line| match line {
            Err(reject) => aggregate.reject(&reject),
            Ok(hit) => aggregate.record(&Record {
                time_us: hit.start_us,
                offset_min,
                client: hit.client,
                user: hit.user,
                method: Some(hit.method),
                target: Some(hit.target),
                protocol: hit.protocol,
                status: Some(hit.status),
                bytes: hit.bytes,
                referrer: hit.referrer,
                agent: hit.agent,
                weight: 1,
                ..Record::default()
            }),
        })
        .expect("the file can be read");
    Some(aggregate.finish(&Options::default()))
}

fn counts(rows: &[Row]) -> Vec<(&str, u64, u64)> {
    rows.iter().map(|row| (row.key.as_str(), row.hits, row.visitors)).collect()
}

fn row<'a>(report: &'a LogReport, panel: Panel, key: &str) -> &'a Row {
    report.panels[panel].iter().find(|row| row.key == key).expect("the row is there")
}

#[test]
fn combined_log() {
    let Some(report) = report("elastic-examples/apache_logs.combined.log", 0, &[]) else { return };
    let totals = &report.totals;
    assert_eq!((totals.read, totals.parsed, totals.rejected), (10_000, 10_000, 0));
    assert_eq!(totals.unique_visitors, 2095);
    assert_eq!(totals.bytes, 2_747_282_740);
    assert_eq!(totals.not_found, 213);
    assert_eq!(
        counts(&report.panels[Panel::Status]),
        [
            ("200", 9126, 2030),
            ("304", 445, 91),
            ("404", 213, 0),
            ("301", 164, 69),
            ("206", 45, 14),
            ("500", 3, 2),
            ("403", 2, 0),
            ("416", 2, 0),
        ]
    );
    let days: Vec<_> = report.panels[Panel::Day]
        .iter()
        .map(|row| (row.key.as_str(), row.hits, row.visitors, row.bytes))
        .collect();
    assert_eq!(
        days,
        [
            ("2015-05-17", 1632, 359, 414_259_902),
            ("2015-05-18", 2893, 643, 788_636_158),
            ("2015-05-19", 2896, 570, 665_827_339),
            ("2015-05-20", 2579, 523, 878_559_341),
        ]
    );
    assert_eq!(report.panels.distinct(Panel::Client), 1753);
    assert_eq!(
        counts(&report.panels[Panel::Hour])[..3],
        [("00", 361, 119), ("01", 360, 81), ("02", 365, 118)]
    );
    check_paths(&report, COMBINED_PATHS);
    let missing: Vec<_> =
        report.panels[Panel::NotFound].iter().take(2).map(|row| (row.hits, row.bytes)).collect();
    assert_eq!(missing, [(61, 19764), (32, 11648)]);
    assert_eq!(report.panels.distinct(Panel::NotFound), 66);
}

/// The paths with most requests: requests and bytes without those answered with 404.
const COMBINED_PATHS: &[(&str, u64, u64)] = &[
    ("/favicon.ico", 807, 2866744),
    ("/", 575, 19178162),
    ("/style2.css", 546, 2594564),
    ("/reset.css", 538, 535920),
    ("/images/jordan-80.png", 533, 3208212),
    ("/images/web/2009/banner.png", 516, 26471390),
    ("/blog/tags/puppet", 489, 7279813),
    ("/projects/xdotool/", 224, 2704866),
    ("/robots.txt", 180, 0),
    ("/projects/xdotool/xdotool.xhtml", 154, 7366464),
];

fn check_paths(report: &LogReport, expected: &[(&str, u64, u64)]) {
    for (path, hits, bytes) in expected {
        let row = row(report, Panel::Path, path);
        let missing = report.panels[Panel::NotFound].iter().find(|row| row.key == *path);
        let missing = missing.map_or((0, 0), |row| (row.hits, row.bytes));
        assert_eq!((row.hits - missing.0, row.bytes - missing.1), (*hits, *bytes), "{path}");
    }
}

fn report_of_common(conditions: &[&str]) -> Option<LogReport> {
    report("hurence-nasa/nasa_jul95_first4000.log", -240, conditions)
}

#[test]
fn common_log_with_host_names() {
    let Some(report) = report_of_common(&[]) else { return };
    let totals = &report.totals;
    assert_eq!((totals.read, totals.parsed, totals.rejected), (4000, 4000, 0));
    assert_eq!((totals.unique_visitors, totals.bytes, totals.not_found), (414, 91_255_662, 25));
    assert_eq!(
        counts(&report.panels[Panel::Status]),
        [("200", 3566, 406), ("304", 216, 50), ("302", 193, 117), ("404", 25, 0)]
    );
    assert_eq!(counts(&report.panels[Panel::Hour])[..2], [("00", 3565, 376), ("01", 435, 81)]);
    assert_eq!(counts(&report.panels[Panel::Day]), [("1995-07-01", 4000, 414)]);
    let with_protocol = report_of_common(&["protocol~."]).expect("the file is here");
    assert_eq!(with_protocol.totals.excluded, 11);
    check_paths(&with_protocol, COMMON_PATHS);
}

/// As [`COMBINED_PATHS`].
const COMMON_PATHS: &[(&str, u64, u64)] = &[
    ("/images/NASA-logosmall.gif", 245, 154842),
    ("/images/KSC-logosmall.gif", 219, 239596),
    ("/shuttle/countdown/", 177, 665495),
    ("/shuttle/countdown/count.gif", 173, 6691460),
    ("/cgi-bin/imagemap/countdown", 168, 16247),
    ("/shuttle/missions/sts-71/sts-71-patch-small.gif", 125, 1458534),
    ("/shuttle/missions/sts-71/images/images.html", 108, 793936),
    ("/images/launch-logo.gif", 103, 169587),
    ("/shuttle/missions/sts-71/mission-sts-71.html", 95, 1131760),
    ("/images/WORLD-logosmall.gif", 86, 50844),
];

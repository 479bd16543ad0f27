//! Parity with GoAccess: the same logs give the same figures. Where the two mean different things, the
//! options say so, and `docs/reference/logs.md` why.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{report, write};
use crate::command::path;

/// Rows of each panel that are compared.
const TOP: usize = 50;

fn goaccess(log: &Path, format: &str, folder: &Path) -> Value {
    let out = folder.join("goaccess.json");
    let status = Command::new("goaccess")
        .arg(log)
        .args(["--no-global-config", "--no-progress", "--no-query-string", "--max-items=10000"])
        .args(["--http-method=no", "--http-protocol=no", "--no-ip-validation"])
        .args([&format!("--log-format={format}"), "--output", path(&out)])
        .env("TZ", "UTC")
        .output()
        .expect("goaccess is missing: cargo xtask test installs it");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    // It writes agents with bytes that are no UTF-8, and odd escapes of them.
    let text = String::from_utf8_lossy(&fs::read(out).unwrap()).replace("\\u", "u");
    serde_json::from_str(&text).unwrap()
}

/// Hits, visitors and bytes by key.
type Rows = BTreeMap<String, [u64; 3]>;

fn theirs(report: &Value, panel: &str) -> Rows {
    let count = |row: &Value, name: &str| row[name]["count"].as_u64().unwrap();
    let data = report[panel]["data"].as_array().unwrap();
    // Status codes are below their classes.
    let rows = data.iter().flat_map(|row| match (panel, row["items"].as_array()) {
        ("status_codes", Some(items)) => items.iter().collect(),
        _ => vec![row],
    });
    rows.map(|row| {
        let key = row["data"].as_str().unwrap();
        let key = if panel == "status_codes" { &key[..3] } else { key };
        (key.to_owned(), ["hits", "visitors", "bytes"].map(|name| count(row, name)))
    })
    .collect()
}

fn ours(report: &Value, panel: &str) -> Rows {
    let rows = report["panels"][panel].as_array().unwrap().iter();
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    rows.map(|row| {
        let figures = ["hits", "visitors", "bytes"].map(|name| number(row, name));
        (row["key"].as_str().unwrap().to_owned(), figures)
    })
    .collect()
}

/// The rows with most hits; those that share the last place are left out.
fn top(rows: &Rows) -> Rows {
    let mut hits: Vec<u64> = rows.values().map(|row| row[0]).collect();
    hits.sort_unstable_by(|a, b| b.cmp(a));
    let least = hits.get(TOP).map_or(0, |hits| hits + 1);
    rows.iter().filter(|(_, row)| row[0] >= least).map(|(k, row)| (k.clone(), *row)).collect()
}

/// Both have the same rows. GoAccess knows a row's visitor by the two numbers of row and visitor whatever
/// their order, so that it misses the few whose numbers are exchanged.
fn same(ours: &Rows, theirs: &Rows, what: &str) {
    let only = |these: &Rows, those: &Rows| -> Vec<String> {
        these.keys().filter(|key| !those.contains_key(*key)).cloned().collect()
    };
    assert_eq!((only(ours, theirs), only(theirs, ours)), (vec![], vec![]), "{what}");
    for (key, our) in ours {
        let their = theirs[key];
        assert_eq!((our[0], our[2]), (their[0], their[2]), "{what}: {key}");
        let missed = our[1].checked_sub(their[1]);
        assert!(
            missed.is_some_and(|missed| missed <= 2 + our[1] / 20),
            "{what}: {key} {our:?} {their:?}"
        );
    }
}

/// Paths without those answers that GoAccess counts as not found, with percent encoding undone.
fn found_paths(report: &Value) -> Rows {
    let missing = ours(report, "not-found");
    let mut paths = Rows::new();
    for (path, [hits, visitors, bytes]) in ours(report, "path") {
        let [less, _, less_bytes] = missing.get(&path).copied().unwrap_or_default();
        if hits > less {
            let row = paths.entry(decoded(&path)).or_default();
            *row = [row[0] + hits - less, row[1].max(visitors), row[2] + bytes - less_bytes];
        }
    }
    paths
}

/// Percent encoding undone (RFC 3986 §2.1), of ASCII.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if byte.is_ascii() => {
                text.push(char::from(byte));
                text.push_str(&part[2..]);
            }
            _ => text.extend(["%", part]),
        }
    }
    text
}

fn compare(log: &Path, format: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (ours_all, theirs_all) = (report(&[path(log)]), goaccess(log, format, folder.path()));
    let (totals, general) = (&ours_all["totals"], &theirs_all["general"]);
    for (our, their) in [
        ("read", "total_requests"),
        ("parsed", "valid_requests"),
        ("rejected", "failed_requests"),
        ("unique-visitors", "unique_visitors"),
        ("bytes", "bandwidth"),
    ] {
        assert_eq!(totals[our], general[their], "{our} of {}", log.display());
    }
    for (our, their) in [("status", "status_codes"), ("hour", "visit_time"), ("client", "hosts")] {
        let mut rows = ours(&ours_all, our);
        rows.retain(|_, row| row[0] > 0);
        same(&top(&rows), &top(&theirs(&theirs_all, their)), our);
    }
    let mut days = theirs(&theirs_all, "visitors");
    days = days
        .into_iter()
        .map(|(day, row)| (format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]), row))
        .collect();
    same(&ours(&ours_all, "day"), &days, "day");
    let mut requests = theirs(&theirs_all, "requests");
    requests.extend(theirs(&theirs_all, "static_requests"));
    // GoAccess shows no path for requests of HTTP/0.9.
    requests.remove("-");
    let with_protocol = report(&[path(log), "--where", "protocol~."]);
    same(&top(&found_paths(&with_protocol)), &top(&requests), "path");
    let not_found = ours(&ours_all, "not-found");
    let sums = |rows: &Rows| [0, 2].map(|at| rows.values().map(|row| row[at]).sum::<u64>());
    assert_eq!(sums(&not_found), sums(&theirs(&theirs_all, "not_found")), "{}", log.display());
}

/// Numbers that look drawn (Knuth's MMIX generator).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, n: u64) -> u64 {
        let first = self.below(n);
        self.below(first + 1)
    }
}

/// Three days of a site, some lines of which are none; with or without referrer and agent.
fn site(is_combined: bool) -> String {
    let mut draw = Draw(8);
    let mut text = String::new();
    for n in 0..8000_u64 {
        let second = n * 32;
        let (day, hour, minute) = (10 + second / 86_400, second / 3600 % 24, second / 60 % 60);
        let client = format!("192.0.{}.{}", draw.skewed(4), draw.skewed(250));
        let target = match draw.skewed(8) {
            0 => "/".to_owned(),
            1 => format!("/style{}.css", draw.below(3)),
            2 => format!("/img/{}.png?v={}", draw.skewed(40), draw.below(3)),
            3 => format!("/item/{}?ref=a&b=c", draw.skewed(300)),
            4 => format!("/download/{}.tar.gz", draw.below(5)),
            5 => "/robots.txt".to_owned(),
            _ => format!("/missing/{}", draw.skewed(60)),
        };
        let status = match draw.below(20) {
            _ if target.starts_with("/missing") => 404,
            0 => 301,
            1 => 304,
            2 => 500,
            3 => 403,
            _ => 200,
        };
        let size = if status == 304 { "-".to_owned() } else { draw.below(90_000).to_string() };
        let method = ["GET", "GET", "GET", "POST", "HEAD"][draw.below(5) as usize];
        text += &format!(
            "{client} - - [{day}/Oct/2026:{hour:02}:{minute:02}:{:02} +0000] \"{method} {target} HTTP/1.1\" {status} {size}",
            second % 60
        );
        if is_combined {
            let referrer = ["-", "http://a.example/x", "https://www.b.example/?q=1"];
            let agent = [
                "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36",
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "curl/8.5.0",
                "-",
            ];
            let (referrer, agent) =
                (referrer[draw.below(3) as usize], agent[draw.skewed(5) as usize]);
            text += &format!(" \"{referrer}\" \"{agent}\"");
        }
        text.push('\n');
        if n % 997 == 500 {
            text += "this is no line of an access log\n";
        }
    }
    text
}

#[test]
fn generated_logs() {
    let folder = tempfile::tempdir().unwrap();
    compare(&write(folder.path(), "combined.log", site(true)), "COMBINED");
    compare(&write(folder.path(), "common.log", site(false)), "COMMON");
}

/// The sample data is not part of the repository; where it is absent, the test above stands for it.
#[test]
fn real_logs() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/logs");
    for (name, format) in [
        ("elastic-examples/apache_logs.combined.log", "COMBINED"),
        ("hurence-nasa/nasa_jul95_first4000.log", "COMMON"),
        ("lnav/logfile_shop_access_log.0", "COMBINED"),
    ] {
        let log: PathBuf = samples.join(name);
        if log.exists() {
            compare(&log, format);
        } else {
            let _ = writeln!(std::io::stderr(), "NOT TESTED: {} is not there", log.display());
        }
    }
}

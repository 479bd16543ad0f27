//! The shapes of what comes out.

use std::fs::{self, File};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde_json::Value;

use super::{gzip, line, lines, logs, report, rows, totals, write};
use crate::command::{path, tidegate};

fn is_rfc3339(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z')
}

#[test]
fn json_has_the_promised_shape() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = lines(0..50) + &line("192.0.2.8", 1, "/none", 404, "Googlebot/2.1");
    text += "what is this\n\n";
    for probe in ["/.env", "/.git/config", "/wp-config.php", "/actuator/env"] {
        text += &line("192.0.2.66", 2, probe, 404, "-");
    }
    let log = write(folder.path(), "access.log", text);
    let report = report(&[path(&log)]);
    assert_eq!(report["schema"], "tidegate.logs/1");
    assert_eq!(totals(&report), [57, 55, 2]);
    for name in ["unique-visitors", "bytes", "requests"] {
        assert!(report["totals"][name].is_u64(), "{name}");
    }
    for name in ["first", "last"] {
        assert!(is_rfc3339(&report["totals"][name]), "{}", report["totals"]);
    }
    assert_eq!(report["totals"]["first"], "2026-10-10T11:00:00Z");
    let rejects = report["rejects"].as_array().unwrap();
    assert_eq!(rejects.iter().map(|reject| reject["count"].as_u64().unwrap()).sum::<u64>(), 2);
    assert!(rejects.iter().all(|reject| reject["reason"].is_string()), "{rejects:?}");
    for panel in
        ["status", "path", "host", "hour", "agent", "referrer", "method", "not-found", "crawler"]
    {
        for row in report["panels"][panel].as_array().unwrap() {
            assert!(row["key"].is_string(), "{panel}: {row}");
            for name in ["hits", "visitors", "bytes"] {
                assert!(row[name].is_u64(), "{panel}: {row}");
            }
        }
    }
    let sum = |panel| rows(&report, panel).iter().map(|row| row.1).sum::<u64>();
    assert_eq!((sum("status"), sum("hour"), sum("not-found"), sum("crawler")), (55, 55, 5, 1));
    let findings = report["findings"].as_array().unwrap();
    assert!(!findings.is_empty());
    for finding in findings {
        for name in ["kind", "severity", "evidence", "rule", "subject", "nginx"] {
            assert!(finding[name].is_string(), "{finding}");
        }
    }
}

#[test]
fn nothing_that_a_client_sent_reaches_a_terminal_or_a_spreadsheet_as_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let hostile =
        ["\x1b]0;x\x07", "\u{9b}31m", "\u{202e}x", "\0", "\r", "=cmd|' /C calc'!A0", "@SUM(1)"];
    let text: String =
        hostile.iter().map(|agent| line("+1", 0, &format!("{agent}/"), 200, agent)).collect();
    let log = write(folder.path(), "access.log", text);
    let kept = folder.path().join("rejected.txt");
    let shown = tidegate(&["logs", path(&log), "--rejected", path(&kept)]);
    let csv = tidegate(&["logs", path(&log), "--csv", "-"]);
    let json = tidegate(&["logs", path(&log), "--json", "-"]);
    for ran in [&shown, &csv, &json] {
        assert_eq!(ran.code, 0);
        let is_obeyed = |character: char| character.is_control() && character != '\n';
        assert!(!ran.stdout.contains(is_obeyed), "{:?}", ran.stdout);
    }
    assert!(!shown.stdout.contains('\u{202e}') && !csv.stdout.contains('\u{202e}'));
    for row in csv.stdout.lines() {
        let key = row.split(',').nth(1).unwrap().trim_start_matches('"');
        assert!(!key.starts_with(['=', '+', '-', '@']), "{row}");
    }
    assert!(csv.stdout.contains("agent,'=cmd|' /C calc'!A0,1,"), "{}", csv.stdout);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let agents = rows(&report, "agent");
    for agent in hostile {
        assert!(agents.contains(&(agent.to_owned(), 1)), "{agent:?}: {agents:?}");
    }
}

#[test]
fn csv_has_every_row_of_every_panel() {
    let folder = tempfile::tempdir().unwrap();
    let odd = line("192.0.2.7", 1, "/a,b", 200, "x, y") + &lines(0..20);
    let log = write(folder.path(), "access.log", odd);
    let csv = folder.path().join("report.csv");
    let report = report(&[path(&log), "--csv", path(&csv)]);
    let text = fs::read_to_string(csv).unwrap();
    let panels = report["panels"].as_object().unwrap();
    let all: usize = panels.values().map(|rows| rows.as_array().unwrap().len()).sum();
    assert_eq!(text.lines().count(), 1 + all);
    assert!(text.starts_with("panel,key,hits,visitors,bytes,client-errors,server-errors,p50-ms,"));
    assert!(text.contains("\npath,\"/a,b\",1,1,100,0,0,,,\n"), "{text}");
    let both = tidegate(&["logs", path(&log), "--csv", "-", "--json", "-"]);
    assert_eq!(both.code, 2);
}

#[test]
fn parquet_holds_every_record_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let log = lines(0..300) + &line("192.0.2.9", 5, "/x?y=1", 503, "é \\x22") + "rubbish\n";
    let log = write(folder.path(), "access.log.gz", gzip(&log));
    let file = folder.path().join("hits.parquet");
    let read = |more: &[&str]| {
        let args = [&[path(&log), "--parquet", path(&file)], more].concat();
        let report = report(&args);
        let reader = SerializedFileReader::new(File::open(&file).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        (report, rows)
    };
    let (report, rows) = read(&["--jobs", "3"]);
    assert_eq!(totals(&report), [302, 301, 1]);
    assert_eq!(rows.len(), 301);
    let names: Vec<&str> = rows[0].get_column_iter().map(|(name, _)| name.as_str()).collect();
    let documented = include_str!("../../../../../docs/reference/logs-parquet.md");
    for name in &names {
        assert!(documented.contains(&format!("| `{name}` |")), "{name} is not documented");
    }
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let failed = rows.iter().find(|row| row.get_int(at("status")).unwrap() == 503).unwrap();
    assert_eq!(failed.get_string(at("client")).unwrap(), "192.0.2.9");
    assert_eq!(failed.get_string(at("target")).unwrap(), "/x?y=1");
    assert_eq!(failed.get_string(at("agent")).unwrap(), "é \"");
    assert_eq!(failed.get_int(at("zone_minutes")).unwrap(), 120);
    assert_eq!(failed.get_long(at("requests")).unwrap(), 1);
    let (_, rows) = read(&["--where", "status=5xx", "--anonymise"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get_string(at("client")).unwrap(), "192.0.2.0");
}

#[test]
fn nothing_in_a_log_can_speak_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let evil = "\x1b]0;owned\x07\x1b[2J\u{202e}\u{9b}31m";
    let mut text = String::new();
    for n in 0..40 {
        text += &format!(
            "h{evil}.example:80 192.0.2.66{evil} - u{evil} [10/Oct/2026:13:00:{n:02} +0200] \"GET /.env/{n}{evil} HTTP/1.1\" 404 1 \"http://{evil}/\" \"{evil}bot\"\n"
        );
        text += &format!(
            "{{\"ts\":{},\"client\":\"192.0.2.67\",\"request\":{{\"method\":\"G\\u001b[0m\",\"uri\":\"/wp-login.php{n}\\u001b]0;x\\u0007\",\"host\":\"a\\u009b1m\"}},\"status\":404,\"duration\":9.5,\"upstream_addr\":\"\\u001b[2J\"}}\n",
            1_791_600_000 + n
        );
    }
    text += &format!("{evil}\n");
    let log = write(folder.path(), "access.log", text);
    let ran = tidegate(&["logs", path(&log), "--rows", "50"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("Findings") && ran.stdout.contains("Slowest"), "{}", ran.stdout);
    let is_hidden = |c: &char| c.is_control() && *c != '\n' || *c == '\u{202e}';
    let hidden: Vec<char> = (ran.stdout + &ran.stderr).chars().filter(is_hidden).collect();
    assert_eq!(hidden, []);
    let ran = tidegate(&["logs", path(&log), "--split", "2026-10-10T13:00:20"]);
    assert!(ran.stdout.contains("Before and after"), "{}", ran.stdout);
    assert_eq!(ran.stdout.chars().find(is_hidden), None);
}

#[test]
fn the_terminal_report_tells_the_figures_of_the_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = lines(0..1200);
    for probe in ["/.env", "/.git/config", "/wp-config.php"] {
        text += &line("192.0.2.66", 2, probe, 404, "probe/1");
    }
    let log = write(folder.path(), "access.log", text + "broken\n");
    let ran = tidegate(&["logs", path(&log), "--rows", "3"]);
    for text in [
        "Lines: 1,204 read, 1,203 parsed, 1 rejected",
        "Requests: 1,203, 1 unique visitors, 120 kB sent",
        "Paths, 1,203 in all",
        "medium scanner, 192.0.2.66: 3 requests, 3 not found on 3 paths",
        "deny = [\"192.0.2.66\"]",
        "deny 192.0.2.66;",
    ] {
        assert!(ran.stdout.contains(text), "`{text}` is not in\n{}", ran.stdout);
    }
    // Only the panel that is asked for.
    let ran = tidegate(&["logs", path(&log), "--panel", "agent", "--rows", "1"]);
    assert!(ran.stdout.contains("User agents, 2 in all") && !ran.stdout.contains("\nPaths"));
    let ran = tidegate(&["logs", path(&log), "--panel", "agents"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("agent"), "{}", ran.stderr);
}

#[test]
fn the_report_does_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "access.log", lines(0..30_000) + "x\n");
    let one = report(&[path(&log), "--jobs", "1"]);
    let (four, ran) = logs(&[path(&log), "--jobs", "4"]);
    assert_eq!(ran.code, 0);
    assert_eq!(one, four);
}

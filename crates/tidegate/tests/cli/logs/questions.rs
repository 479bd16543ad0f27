//! Which lines count, and what changed.

use super::{expect_rows, line, lines, report, totals, write};
use crate::command::{path, tidegate};

const BOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

#[test]
fn questions_that_nothing_can_answer_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "access.log", lines(0..1));
    for (args, text) in [
        (&["--since", "2026-10-11", "--until", "2026-10-10"][..], "no record can be between"),
        (&["--where", "client=203.0.113.*"], "write an address"),
        (&["--where", "foo=1"], "there are client"),
    ] {
        let ran = tidegate(&[&["logs", path(&log)], args].concat());
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    let pattern = folder.path().join("*.log");
    let ran = tidegate(&["logs", "--follow", path(&pattern)]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("pattern"), "{}", ran.stderr);
    // What there is not is told once.
    let ran = tidegate(&["plan", path(&folder.path().join("nope.csv")), "--capacity", "85/s"]);
    assert_eq!((ran.code, ran.stderr.matches("No such file").count()), (3, 1), "{}", ran.stderr);
}

#[test]
fn conditions_choose_lines() {
    let folder = tempfile::tempdir().unwrap();
    let text = [
        line("192.0.2.7", 0, "/api/a?x=1", 200, "curl/8.5"),
        line("192.0.2.8", 60, "/api/b", 503, "curl/8.5"),
        line("198.51.100.1", 120, "/shop", 404, BOT),
        line("2001:db8::1", 180, "/shop", 301, "curl/8.5"),
    ];
    let log = write(folder.path(), "access.log", text.concat());
    for (args, paths) in [
        (&["--where", "status=5xx"][..], &["/api/b"][..]),
        (&["--where", "status=404,301"], &["/shop"]),
        (&["--where", "path~^/api/", "--where", "status!=503"], &["/api/a"]),
        (&["--where", "target~x=1"], &["/api/a"]),
        (&["--where", "client=192.0.2.0/24,2001:db8::/32", "--where", "path=/shop"], &["/shop"]),
        (&["--where", "client!=192.0.2.0/24"], &["/shop"]),
        (&["--since", "2026-10-10T13:01:00", "--until", "2026-10-10T13:02:00"], &["/api/b"]),
        (&["--since", "2026-10-10T11:03:00Z"], &["/shop"]),
        (&["--until", "2026-10-10"], &[]),
        (&["--bots", "only"], &["/shop"]),
        (&["--bots", "no", "--where", "path!~shop"], &["/api/a", "/api/b"]),
        (&["--where", "bytes>1kB"], &[]),
        (&["--where", "duration>1s"], &[]),
    ] {
        let report = report(&[&[path(&log)], args].concat());
        assert_eq!(totals(&report), [4, 4, 0], "{args:?}");
        let found: Vec<&str> = report["panels"]["path"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["key"].as_str().unwrap())
            .collect();
        assert_eq!(found, paths, "{args:?}");
        let (requests, excluded) = (&report["totals"]["requests"], &report["totals"]["excluded"]);
        assert_eq!(requests.as_u64().unwrap() + excluded.as_u64().unwrap(), 4);
    }
}

#[test]
fn wrong_conditions_say_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "access.log", lines(0..1));
    for (args, text) in [
        (&["--where", "statsu=200"][..], "did you mean `status`?"),
        (&["--where", "status"], "no operator"),
        (&["--where", "status=many"], "404, 5xx or 400-499"),
        (&["--where", "path~("], "`path`"),
        (&["--where", "client=10.0.0.0/99"], "10.0.0.0/8"),
        (&["--where", "method>GET"], "cannot be compared"),
        (&["--since", "yesterday"], "RFC 3339"),
        (&["--split", "noon"], "RFC 3339"),
        (&["--bots", "maybe"], "only"),
        (&["--zone", "CET"], "+02:00"),
        (&["--anonymise", "--rejected", "x"], "--anonymise"),
    ] {
        let ran = tidegate(&[&["logs", path(&log)], args].concat());
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(ran.stderr.contains(text), "{args:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn addresses_are_shortened_before_anything_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let text = line("192.0.2.7", 0, "/", 200, "x") + &line("2001:db8:1:2::3", 0, "/", 200, "x");
    let log = write(folder.path(), "access.log", text);
    let report = report(&[path(&log), "--anonymise"]);
    expect_rows(&report, "client", &[("192.0.2.0", 1), ("2001:db8:1::", 1)]);
    assert!(!report.to_string().contains("192.0.2.7"));
    assert!(!report.to_string().contains("2001:db8:1:2"));
}

#[test]
fn clients_behind_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let with = |client: &str| {
        line("10.0.0.1", 0, "/", 200, "x").replace("\"x\"\n", &format!("\"x\" \"{client}\"\n"))
    };
    let log = write(
        folder.path(),
        "access.log",
        with("203.0.113.9, 10.0.0.1") + &with("203.0.113.8") + &line("10.0.0.1", 1, "/", 200, "x"),
    );
    expect_rows(&report(&[path(&log)]), "client", &[("10.0.0.1", 3)]);
    let forwarded = report(&[path(&log), "--forwarded"]);
    expect_rows(&forwarded, "client", &[("10.0.0.1", 1), ("203.0.113.8", 1), ("203.0.113.9", 1)]);
    let chosen = report(&[path(&log), "--forwarded", "--where", "client=203.0.113.0/24"]);
    assert_eq!(chosen["totals"]["requests"], 2);
}

#[test]
fn times_without_a_zone() {
    let folder = tempfile::tempdir().unwrap();
    let text = "#Fields: date time c-ip cs-uri-stem\n2026-10-10 00:30:00 192.0.2.7 /\n";
    let log = write(folder.path(), "w3c.log", text);
    let report = report(&[path(&log), "--zone", "+02:00"]);
    assert_eq!(report["totals"]["first"], "2026-10-09T22:30:00Z");
    expect_rows(&report, "day", &[("2026-10-10", 1)]);
}

/// Two hours of which the second has errors, a page that is new and one that is gone.
fn two_periods() -> [String; 2] {
    let hour = |hour: &str, old: &str, failing: u32| -> String {
        (0..2000)
            .map(|n| {
                let target = if n % 4 == 0 { old } else { "/" };
                let status = if n % 100 < failing { 500 } else { 200 };
                line("192.0.2.7", n, target, status, "x")
                    .replace("2026:13", &format!("2026:{hour}"))
            })
            .collect()
    };
    [hour("13", "/old", 0), hour("14", "/new", 20)]
}

#[test]
fn periods_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let [before, after] = two_periods();
    let both = write(folder.path(), "both.log", before.clone() + &after);
    let before = write(folder.path(), "before.log", before);
    let after = write(folder.path(), "after.log", after);
    let split = report(&[path(&both), "--split", "2026-10-10T14:00:00"]);
    let against = report(&[path(&after), "--against", path(&before)]);
    for changes in [&split, &against] {
        assert_eq!(changes["schema"], "tidegate.logs-changes/1");
        assert_eq!(changes["before"]["requests"], 2000);
        assert_eq!(changes["after"]["server-errors"], 400);
        let has = |kind: &str, panel: &str, key: &str| {
            changes["changes"].as_array().unwrap().iter().any(|change| {
                change["kind"] == kind && change["panel"] == panel && change["key"] == key
            })
        };
        assert!(has("new", "path", "/new") && has("vanished", "path", "/old"), "{changes}");
        assert!(has("errors", "path", "/"), "{changes}");
        assert!(!has("hits", "path", "/"), "{changes}");
    }
    assert_eq!(split["changes"], against["changes"]);
    let shown = tidegate(&["logs", path(&after), "--against", path(&before)]);
    for text in ["Before and after", "vanished", "path /new", "share of 5xx"] {
        assert!(shown.stdout.contains(text), "{text}: {}", shown.stdout);
    }
    // The same time compared with itself, and a time that nothing precedes.
    let same = tidegate(&["logs", path(&before), "--against", path(&before)]);
    assert!(same.stdout.contains("Nothing changed by more than chance"), "{}", same.stdout);
    for flag in ["--csv", "--parquet"] {
        let ran = tidegate(&["logs", path(&both), "--split", "2026-10-10", flag, "x"]);
        assert_eq!(ran.code, 2);
    }
}

#[test]
fn a_split_stream_is_read_once() {
    let [before, after] = two_periods();
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "both.log", before + &after + "x\n");
    let kept = folder.path().join("rejected.txt");
    let mut command = crate::command::command(&[
        "logs",
        "-",
        "--split",
        "2026-10-10T14:00:00",
        "--json",
        "-",
        "--rejected",
        path(&kept),
    ]);
    let output = command.stdin(std::fs::File::open(&log).unwrap()).output().unwrap();
    let changes: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&changes["before"]["requests"], &changes["after"]["requests"]),
        (&2000.into(), &2000.into())
    );
    assert_eq!(std::fs::read_to_string(kept).unwrap().lines().count(), 1);
}

//! `tidegate plan` as people run it: counts, logs, manifests, refusals, recorded traces.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Ran, path, tidegate};

/// 2 March 2026, a Monday, 00:00 UTC.
const MONDAY_S: i64 = 1_772_409_600;

/// Nights of 100/s, and from eight to six o'clock suddenly 2000/s, every day.
fn office(minute: i64) -> f64 {
    if (480..1080).contains(&(minute % 1440)) { 120_000.0 } else { 6000.0 }
}

fn csv(minutes: impl Iterator<Item = i64>, count: impl Fn(i64) -> f64) -> String {
    let mut text = String::from("timestamp,requests\n");
    for minute in minutes {
        let _ = writeln!(text, "{},{}", MONDAY_S + minute * 60, count(minute));
    }
    text
}

/// A folder and a file in it.
fn file(name: &str, text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// Counts of `days` of [`office`].
pub(crate) fn office_csv(days: i64) -> (TempDir, PathBuf) {
    file("counts.csv", &csv(0..days * 1440, office))
}

fn plan(file: &Path, more: &[&str]) -> Ran {
    tidegate(&[&["plan", path(file)], more].concat())
}

fn plan_json(file: &Path, more: &[&str]) -> (i32, Value) {
    let ran = plan(file, &[more, &["--json", "-"]].concat());
    let json = serde_json::from_str(&ran.stdout);
    (ran.code, json.unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr)))
}

#[test]
fn what_contradicts_itself_is_refused() {
    let (_folder, counts) = office_csv(3);
    let two = tidegate(&["plan", path(&counts), path(&counts), "--capacity", "50/s"]);
    assert_eq!(two.code, 2);
    assert!(two.stderr.contains("one is read at a time"), "{}", two.stderr);
    let both = ["--capacity", "50/s", "--slo", "p99<800ms", "--late-after", "2s"];
    let both = plan(&counts, &both);
    assert_eq!(both.code, 2);
    assert!(both.stderr.contains("leave one out"), "{}", both.stderr);
}

#[test]
fn daily_jumps_are_planned_for() {
    let (folder, counts) = office_csv(14);
    let flags = ["--capacity", "50/s", "--timezone", "UTC", "--price", "0.05", "--boot", "2m"];
    let file = folder.path().join("plan.json");
    let Ran { code, stdout: text, .. } =
        plan(&counts, &[&flags[..], &["--json", path(&file)]].concat());
    let json: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(code, 0, "{json:#}");
    assert_eq!(
        (&json["schema"], &json["gain"]),
        (&"tidegate.plan/1".into(), &"significant".into())
    );
    assert_eq!(json["recommended"]["controller"], "keda");
    assert_eq!(json["hours"].as_array().unwrap().len(), 168);
    for key in ["instance-hours", "late-ratio", "regret", "monthly-cost"] {
        assert!(json["held-out"][key].is_number(), "{key}");
    }
    let hours = json["held-out"]["instance-hours"].as_f64().unwrap();
    let days = json["held-out"]["days"].as_f64().unwrap();
    let cost = json["held-out"]["monthly-cost"].as_f64().unwrap();
    assert!((cost - hours / (days * 24.0) * 730.5 * 0.05).abs() < 1e-6 * cost);
    assert_eq!(json["demand"]["daily"]["significant"], true);
    assert!((json["demand"]["mean-per-s"].as_f64().unwrap() - 891.666).abs() < 0.01);
    assert_eq!(json["forecast"]["requests"].as_array().unwrap().len(), 168);
    assert_eq!(json["system"]["capacity-per-s"], 50.0);

    assert!(text.starts_with("Plan\nRecommended: keda at"), "{text}");
    for part in
        ["Instances by hour of the day", "provisioned", "fixed-peak", "slow-boot-x2", "Concurrency"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn manifests_go_to_stdout_and_the_plan_to_stderr() {
    let (folder, counts) = office_csv(4);
    let flags =
        ["--capacity", "50/s", "--timezone", "Europe/Paris", "--boot", "2m", "--name", "shop"];
    for (format, first) in [
        ("keda", "kind: ScaledObject"),
        ("hpa", "kind: HorizontalPodAutoscaler"),
        ("knative", "kind: Service"),
        ("aws", "aws application-autoscaling put-scheduled-action"),
        ("lambda", "\"ResourceId\": \"function:shop:live\""),
        ("cron", "CRON_TZ=Europe/Paris"),
        ("gateway", "[upstream.\"shop\"]"),
    ] {
        let ran = plan(&counts, &[&flags[..], &["--emit", format]].concat());
        assert!(matches!(ran.code, 0 | 1), "{format}: {}", ran.stderr);
        assert!(
            ran.stdout.contains(first) && ran.stdout.contains("shop"),
            "{format}: {}",
            ran.stdout
        );
        assert!(ran.stderr.starts_with("Plan"), "{format}: {}", ran.stderr);
        assert!(!ran.stdout.contains("Alternatives"));
        if format == "gateway" {
            let file = folder.path().join("gateway.toml");
            fs::write(&file, ran.stdout).unwrap();
            let checked = tidegate(&["config", "check", path(&file)]);
            assert_eq!(checked.code, 0, "{}", checked.stderr);
        }
    }
    assert_eq!(plan(&counts, &["--capacity", "50/s", "--emit", "nomad"]).code, 2);
    assert_eq!(plan(&counts, &["--capacity", "50/s", "--emit", "hpa", "--json", "-"]).code, 2);
}

/// Everything about which a confident plan would be wrong.
#[test]
fn what_cannot_be_planned_from_is_refused_with_a_reason() {
    let row = |second: i64, count: i64| format!("{},{count}\n", MONDAY_S + second);
    let header = "timestamp,requests\n";
    for (name, text, code, reason) in [
        ("nothing at all", String::new(), 2, "empty"),
        ("a header alone", header.to_owned(), 2, "empty"),
        ("one line", format!("{header}{}", row(0, 5)), 4, "too few"),
        ("an hour", csv(0..60, office), 4, "too few"),
        ("two days less an hour", csv(0..47 * 60, office), 4, "needs at least 2"),
        ("no requests", csv(0..4 * 1440, |_| 0.0), 4, "no demand"),
        ("negative", format!("{header}{}{}", row(0, 5), row(60, -1)), 2, "negative"),
        (
            "a week of days",
            (0..60).fold(header.to_owned(), |text, day| text + &row(day * 86_400, day)),
            4,
            "by the hour",
        ),
        ("no numbers", "timestamp,requests\na,b\nc,d\n".to_owned(), 2, "cannot be read"),
        ("prose", "to be or not to be\nthat is the question\n".to_owned(), 2, "none of 2 lines"),
        ("binary", "\u{0}\u{1}\u{fffd}".to_owned(), 2, "none of 1 lines"),
    ] {
        let (_folder, path) = file("counts.csv", &text);
        let ran = plan(&path, &["--capacity", "50/s"]);
        assert_eq!(ran.code, code, "{name}: {}{}", ran.stdout, ran.stderr);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(reason), "{name}: {said}");
        assert!(!said.contains("Recommended:"), "{name}: {said}");
    }
}

#[test]
fn too_short_a_log_is_described_all_the_same() {
    let (_folder, path) = file("counts.csv", &csv(0..1440, office));
    let (code, json) = plan_json(&path, &["--capacity", "50/s"]);
    assert_eq!(code, 4);
    assert!(json["refused"].as_str().unwrap().contains("needs at least 2"), "{json:#}");
    assert!(json["demand"]["mean-per-s"].as_f64().unwrap() > 0.0);
    assert_eq!(json["recommended"], Value::Null);
    let text = plan(&path, &["--capacity", "50/s"]).stdout;
    assert!(text.starts_with("No policy is recommended: "), "{text}");
    assert!(text.contains("busiest over the mean"), "{text}");
}

/// Odd, but enough to plan from: said, not hidden.
#[test]
fn oddities_of_the_input_are_found() {
    let days = |days: i64| csv(0..days * 1440, office);
    let gaps = csv((0..6 * 1440).filter(|minute| !(2000..2900).contains(minute)), office);
    let mut lines: Vec<String> = days(5).lines().map(str::to_owned).collect();
    lines.swap(100, 2000);
    let unsorted = lines.join("\n");
    let jumped = format!("{}{},7\n", days(5), MONDAY_S + 4000 * 86_400);
    let mut zones = String::from("timestamp,requests\n");
    for hour in 0..120 {
        let zone = if hour < 60 { "+00:00" } else { "+05:00" };
        let time =
            jiff::Timestamp::from_second(MONDAY_S + (hour + if hour < 60 { 0 } else { 5 }) * 3600);
        let time = time.unwrap().to_string();
        let _ =
            writeln!(zones, "{}{zone},{}", time.trim_end_matches('Z'), office(hour * 60) * 60.0);
    }
    for (name, text, finding) in [
        ("constant", csv(0..5 * 1440, |_| 6000.0), "all counts are 6000"),
        ("gaps", gaps, "nothing is known of 900 steps"),
        ("unsorted", unsorted, "earlier than the line before"),
        ("a jump", jumped, "a clock that jumped?"),
        ("two zones", zones, "zones between"),
    ] {
        let (_folder, path) = file("counts.csv", &text);
        let (code, json) = plan_json(&path, &["--capacity", "50/s"]);
        assert!(matches!(code, 0 | 1), "{name}: {code} {json:#}");
        let findings = json["findings"].to_string();
        assert!(findings.contains(finding), "{name}: {findings}");
        assert!(json["recommended"]["controller"].is_string(), "{name}");
    }
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let (_folder, counts) = office_csv(3);
    for (flags, reason) in [
        (&["--capacity", "fast"][..], "no such file"),
        (&["--capacity", "0/s"], "capacity"),
        (&["--capacity", "50/s", "--slo", "p95"], "objective"),
        (&["--capacity", "50/s", "--slo", "late<1%", "--slo", "late<2%"], "once"),
        (&["--capacity", "50/s", "--late-after", "10ms"], "late"),
        (&["--capacity", "50/s", "--timezone", "Europe/Atlantis"], "no time zone"),
        (&["--capacity", "50/s", "--controllers", "nomad"], "no controller"),
        (&["--capacity", "50/s", "--min", "9", "--max", "3"], "instances"),
        (&["--capacity", "50/s", "--where", "status=500"], "conditions"),
        (&[], "--capacity 85/s"),
    ] {
        let ran = plan(&counts, flags);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, 2, "{flags:?}: {said}");
        assert!(said.contains(reason), "{flags:?}: {said}");
    }
    assert_eq!(tidegate(&["plan", "missing.csv", "--capacity", "50/s"]).code, 3);
    assert_eq!(tidegate(&["plan"]).code, 2);
    assert_eq!(plan(&counts, &["--capacity", "50/s", "--holidays", "missing.txt"]).code, 3);
}

#[test]
fn an_impossible_objective_is_told_by_the_exit_code() {
    let (_folder, counts) = office_csv(6);
    let ran = plan(&counts, &["--capacity", "50/s", "--max", "20"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("misses the objective"), "{}", ran.stdout);
}

#[test]
fn a_measured_capacity_is_taken() {
    let (folder, counts) = office_csv(4);
    let capacity = folder.path().join("capacity.json");
    let result = |bound_by: &str, rate: f64| {
        let trial = |load: f64, rate: f64, in_flight: f64| {
            serde_json::json!({
                "load": load, "requests-per-s": rate, "in-flight": in_flight, "mean-ms": 80.0,
                "generator-limited": null,
            })
        };
        serde_json::json!({
            "schema": "tidegate.capacity/1",
            "capacity": { "requests-per-s": rate },
            "bound-by": bound_by,
            "trials": [trial(10.0, 10.0, 0.8), trial(40.0, 38.0, 3.5), trial(80.0, 50.0, 8.0)],
        })
    };
    let with = |value: &Value| {
        fs::write(&capacity, value.to_string()).unwrap();
        plan_json(&counts, &["--capacity", path(&capacity)])
    };
    let (code, json) = with(&result("target", 50.0));
    assert!(matches!(code, 0 | 1), "{json:#}");
    assert_eq!(json["system"]["capacity-per-s"], 50.0);
    assert_eq!(json["system"]["service"]["lognormal"]["mean"], 0.08);
    assert_eq!(json["concurrency"]["by-littles-law"], 4.0);
    assert!(json["concurrency"]["usl-r-squared"].is_number());
    let (code, json) = with(&result("generator", 50.0));
    assert_eq!(code, 4);
    assert!(json["findings"].to_string().contains("bound by the generator"));
    for wrong in [serde_json::json!({}), result("target", 0.0)] {
        fs::write(&capacity, wrong.to_string()).unwrap();
        assert_eq!(plan(&counts, &["--capacity", path(&capacity)]).code, 2);
    }
}

/// Three days of a log with durations and upstream servers, twelve times busier by day.
#[test]
fn logs_are_read_with_their_durations_and_zone() {
    let mut text = String::new();
    for minute in 0..3 * 1440_i64 {
        let (day, hour) = (2 + minute / 1440, minute / 60 % 24);
        let lines = if (8..18).contains(&hour) { 12 } else { 1 };
        for line in 0..lines {
            let number = minute * 12 + line;
            let _ = writeln!(
                text,
                "192.0.2.{} - - [{day:02}/Mar/2026:{hour:02}:{:02}:00 +0200] \"GET /item/{} HTTP/1.1\" 200 512 \"-\" \"test\" {:.3} 10.0.0.{}:80",
                number % 200,
                minute % 60,
                number % 7,
                0.05 + (number % 11) as f64 / 100.0,
                number % 3 + 1,
            );
        }
    }
    let (_folder, log) = file("access.log", &text);
    let format = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                  \"$http_referer\" \"$http_user_agent\" $request_time $upstream_addr";
    let flags = ["--log-format", format, "--capacity", "100/s", "--controllers", "hpa"];
    let (code, json) = plan_json(&log, &flags);
    assert!(matches!(code, 0 | 1), "{json:#}");
    assert_eq!(json["demand"]["requests"].as_f64(), Some(text.lines().count() as f64));
    assert_eq!(json["demand"]["zone"], "Etc/GMT-2");
    assert_eq!(json["demand"]["upstreams"].as_array().unwrap().len(), 3);
    let mean = json["system"]["service"]["quantiles"].as_array().unwrap();
    let (least, most) = (mean[0].as_f64().unwrap(), mean[mean.len() - 1].as_f64().unwrap());
    assert!((least - 0.05).abs() < 0.002 && (most - 0.15).abs() < 0.003, "{least} {most}");
    // Monday eight o'clock of the log's own clock.
    let hours = json["demand"]["hours-per-s"].as_array().unwrap();
    assert!(hours[8].as_f64().unwrap() > 5.0 * hours[7].as_f64().unwrap());
    let (_, json) = plan_json(&log, &[&flags[..], &["--until", "2026-03-03"]].concat());
    assert!(json["refused"].is_string(), "{json:#}");
}

/// The same counts, packed in every way that is read.
#[test]
fn compressed_counts_are_counts() {
    let text = csv(0..2880, office);
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let bzip2 = {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let xz = {
        let options = lzma_rust2::XzOptions::with_preset(1);
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("gz", gzip), ("bz2", bzip2), ("xz", xz), ("zst", zstd)] {
        let file = folder.path().join(format!("counts.csv.{name}"));
        fs::write(&file, bytes).unwrap();
        let ran = plan(&file, &["--json", "-"]);
        let json: Value = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{name}: {error}: {}", ran.stderr));
        assert_eq!(
            (&json["demand"]["step-s"], json["demand"]["requests"].as_f64()),
            (&60.into(), Some(2.0 * (600.0 * 120_000.0 + 840.0 * 6000.0))),
            "{name}"
        );
    }
}

/// Two servers that answer 20/s for one request in flight, at most 85/s for 9.7 and less for more:
/// half a minute of each hour at one of eight loads, else hardly anything to do. A third one joins on
/// the second day.
#[test]
fn instances_of_a_log_give_the_concurrency_limit() {
    const LOADS: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 13.0, 16.0];
    const STEP_S: f64 = 30.0;
    let law = |n: f64| 20.0 * n / (1.0 + 0.05 * (n - 1.0) + 0.01 * n * (n - 1.0));
    let mut lines: Vec<(f64, String)> = Vec::new();
    for hour in 0..52_u32 {
        let load = LOADS[hour as usize % LOADS.len()];
        let servers = if hour < 26 { 2 } else { 3 };
        let requests = (law(load) * STEP_S).floor() as u32;
        for (server, request) in (1..=servers).flat_map(|s| (6..720).map(move |r| (s, r))) {
            let end = f64::from(hour) * 3600.0 + f64::from(request) * 5.0 + 1.0;
            let line = format!("192.0.2.1 GET /a 200 0.047 10.0.0.{server}:80");
            lines.push((end, format!("{:.3} {line}", MONDAY_S as f64 + end)));
        }
        for (server, request) in (1..=servers).flat_map(|s| (0..requests).map(move |r| (s, r))) {
            let took = load / law(load);
            let end = f64::from(hour) * 3600.0 + f64::from(request) / law(load) + took;
            let line = format!("192.0.2.1 GET /a 200 {took:.3} 10.0.0.{server}:80");
            lines.push((end, format!("{:.3} {line}", MONDAY_S as f64 + end)));
        }
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
    let (folder, log) = file("access.log", &text);
    let format = "$msec $remote_addr $request_method $uri $status $request_time $upstream_addr";
    let out = folder.path().join("plan.json");
    let ran = plan(
        &log,
        &[
            "--log-format",
            format,
            "--capacity",
            "100/s",
            "--timezone",
            "UTC",
            "--controllers",
            "hpa",
            "--late-after",
            "2s",
            "--json",
            path(&out),
        ],
    );
    assert!(matches!(ran.code, 0 | 1), "{}", ran.stderr);
    let json: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    let instances = &json["demand"]["instances"];
    assert_eq!((&instances["least"], &instances["most"]), (&2.into(), &3.into()), "{instances:#}");
    assert_eq!(instances["new"][0]["key"], "10.0.0.3:80");
    assert_eq!(instances["no-fit"], Value::Null);
    for point in instances["curve"].as_array().unwrap() {
        let [n, x] = ["in-flight", "per-s"].map(|key| point[key].as_f64().unwrap());
        assert!((x / law(n) - 1.0).abs() < 0.06, "{point}");
    }
    let advice = &json["concurrency"];
    let turn = advice["by-usl"].as_f64().unwrap();
    assert!((turn - 9.75).abs() < 0.8, "{advice:#}");
    assert_eq!(advice["limit"].as_f64(), Some(turn.floor()), "{advice:#}");
    let findings = json["findings"].to_string();
    assert!(findings.contains("measured instances answer at most"), "{findings}");
    for part in ["upstream servers at a time: 2 to 3", "throughput turns at 9", "[upstream.NAME]"] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
}

/// Every recorded trace is planned for or refused with a reason: what becomes of which is stored, with
/// a capacity of a tenth of its mean demand.
fn check_traces(folder: &str) {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/traces"));
    if !root.is_dir() {
        println!("skipped: {} is not there", root.display());
        return;
    }
    let mut found: Vec<String> = fs::read_dir(root.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".csv") || name.ends_with(".tbz2"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    found.sort();
    let rows = include_str!("plan_traces.csv").lines().skip(1);
    let rows = rows.map(|line| line.split(',').collect::<Vec<&str>>());
    let rows: Vec<Vec<&str>> =
        rows.filter(|row| row[0].split('/').next() == Some(folder)).collect();
    assert_eq!(found, rows.iter().map(|row| row[0]).collect::<Vec<&str>>());
    for row in rows {
        assert_eq!(outcome(&root.join(row[0]), row[1]), row[2], "{}", row[0]);
    }
}

/// `planned`, or `refused N` with the exit code.
fn outcome(trace: &Path, capacity: &str) -> String {
    let capacity = format!("{capacity}/s");
    let ran = plan(trace, &["--capacity", &capacity, "--controllers", "hpa", "--json", "-"]);
    let Ok(json) = serde_json::from_str::<Value>(&ran.stdout) else {
        assert!(ran.stderr.starts_with("error: "), "{}: {}", trace.display(), ran.stderr);
        return format!("refused {}", ran.code);
    };
    if json["refused"].is_string() {
        return format!("refused {}", ran.code);
    }
    assert!(matches!(ran.code, 0 | 1) && json["hours"].is_array(), "{}: {json:#}", trace.display());
    "planned".to_owned()
}

#[test]
fn traces_of_crane() {
    check_traces("gocrane");
}

#[test]
fn traces_of_functions() {
    check_traces("invitro");
}

#[test]
fn traces_of_nab() {
    check_traces("nab");
}

#[test]
fn traces_of_nasa() {
    check_traces("nasa");
}

#[test]
fn traces_of_wikipedia() {
    check_traces("wikipedia");
}

#[test]
fn traces_of_worldcup98() {
    check_traces("worldcup98");
}

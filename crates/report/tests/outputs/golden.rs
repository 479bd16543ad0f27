//! Whole outputs compared with the files in `tests/golden`. `UPDATE_GOLDEN=1` writes them anew, to
//! be read before they are kept.

use std::path::Path;

use load::capacity::SearchBy;
use report::Style;
use report::csv::{HistoryCsv, write_failures, write_stats};
use report::json::{capacity_json, run_json};
use report::terminal::{capacity_text, run_text};
use serde_json::Value;

use crate::sample;

pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(expected == text, "{name} differs; it is now:\n{text}");
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[test]
fn reports_of_runs() {
    let plain = Style::default();
    assert_golden("closed.txt", &run_text(&sample::closed_run(), plain));
    assert_golden("replay.txt", &run_text(&sample::replay_run(), plain));
    assert_golden("burst.txt", &run_text(&sample::burst_run(), plain));
}

#[test]
fn colour_changes_no_word() {
    let run = sample::closed_run();
    let coloured = run_text(&run, Style { color: true });
    let plain = without_colour(&coloured);
    assert_ne!(coloured, plain);
    assert_eq!(plain, run_text(&run, Style::default()));
}

/// The text without `ESC [ … m`.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').unwrap().1)
}

#[test]
fn no_line_of_a_table_is_wider_than_a_terminal() {
    for run in [sample::closed_run(), sample::replay_run(), sample::burst_run()] {
        let text = run_text(&run, Style::default());
        let tables =
            text.lines().filter(|line| line.starts_with("  ") && !line.contains("because"));
        for line in tables {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }
}

#[test]
fn json_of_runs() {
    assert_golden("closed.json", &pretty(&run_json(&sample::closed_run())));
    assert_golden("replay.json", &pretty(&run_json(&sample::replay_run())));
}

#[test]
fn json_keeps_the_contract() {
    let run = run_json(&sample::burst_run());
    let times: Vec<&str> = ["min", "mean", "stdev", "max"]
        .into_iter()
        .chain(["p50", "p66", "p75", "p80", "p90", "p95", "p98", "p99", "p99.9", "p99.99"])
        .collect();
    for of in std::iter::once(&run["totals"]).chain(run["tasks"].as_array().unwrap()) {
        for key in
            ["requests", "failures", "requests-per-s", "duration-s", "bytes-received", "unsent"]
        {
            assert!(of[key].is_number(), "{key}");
        }
        for clock in ["response-time-ms", "service-time-ms", "send-delay-ms"] {
            let keys: Vec<&String> = of[clock].as_object().unwrap().keys().collect();
            assert_eq!(keys, times);
            assert!(of[clock].as_object().unwrap().values().all(Value::is_number));
        }
    }
}

#[test]
fn a_replay_adds_up() {
    let run = run_json(&sample::replay_run());
    let (replay, number) = (&run["replay"], |value: &Value| value.as_u64().unwrap());
    assert_eq!(number(&replay["parsed"]) + number(&replay["rejected"]), number(&replay["lines"]));
    assert_eq!(number(&replay["sent"]) + number(&replay["unsent"]), number(&replay["parsed"]));
    assert_eq!(run["totals"]["unsent"], replay["unsent"]);
}

#[test]
fn empty_runs_have_numbers_everywhere() {
    let mut run = sample::burst_run();
    (run.totals, run.tasks, run.duration) = Default::default();
    let value = run_json(&run);
    assert_eq!(value["totals"]["response-time-ms"]["p99.99"], 0.0);
    assert_eq!(value["totals"]["requests-per-s"], 0.0);
    assert!(run_text(&run, Style::default()).contains("0 requests"));
}

#[test]
fn capacity_answers() {
    for (name, result) in [
        ("capacity-users", sample::capacity(SearchBy::Users)),
        ("capacity-rate", sample::capacity(SearchBy::Rate)),
        ("capacity-none", sample::no_capacity()),
    ] {
        assert_golden(&format!("{name}.txt"), &capacity_text(&result, Style::default()));
        assert_golden(&format!("{name}.json"), &pretty(&capacity_json(&result)));
    }
}

#[test]
fn csv_as_locust_writes_it() {
    let run = sample::closed_run();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (mut stats, mut failures, mut history) = (Vec::new(), Vec::new(), Vec::new());
    write_stats(&mut stats, &run).unwrap();
    write_failures(&mut failures, &run).unwrap();
    let mut writer = HistoryCsv::new(&mut history, sample::STARTED).unwrap();
    sample::play_short(|tick| writer.tick(tick).unwrap());
    drop(writer);
    assert_golden("run_stats.csv", &text(stats));
    assert_golden("run_failures.csv", &text(failures));
    assert_golden("run_stats_history.csv", &text(history));
}

#[test]
fn metrics() {
    let mut page = String::new();
    sample::play_short(|tick| {
        page = report::prometheus::exposition(tick, &[("run", "a\"b"), ("host", "h")]);
    });
    assert_golden("metrics.txt", &page);
}

#[test]
fn capacity_says_what_failed_even_where_trials_keep_no_figure() {
    let text = |failed_first: Option<&str>, slo: &str| {
        let mut result = sample::capacity(SearchBy::Users);
        result.slo = load::slo::parse_slo(slo).unwrap();
        result.failed_first = failed_first.map(str::to_owned);
        capacity_text(&result, Style::default())
    };
    for (failed_first, slo, expected) in [
        (Some("failures<1%"), "failures<1%", "at 440 users 0.25 % failed (missed failures<1%)"),
        (Some("max<2s"), "max<2s", "at 440 users it missed max<2s;"),
        (Some("no answers"), "p95<1s", "at 440 users no answers;"),
        (None, "p95<1s", "at 440 users it failed;"),
    ] {
        let text = text(failed_first, slo);
        assert!(text.contains(expected), "{text}");
    }
}

//! Any text is a scenario or gateway, or gets errors with places, and nothing panics: generated
//! texts, and the corpus of the fuzz targets.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/check.rs"]
mod check;

/// The files that generated gateways may name.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ok");

#[test]
fn corpus_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut replayed = 0;
    let folders = [
        "fuzz/corpus/parse_scenario",
        "fuzz/corpus/parse_experiments",
        "tests/ok",
        "tests/bad",
        "tests/experiments/ok",
        "tests/experiments/bad",
    ];
    for folder in folders {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.is_file()) {
            let text = fs::read(path).unwrap();
            check::any_scenario(&text);
            check::any_gateway(&text, FILES);
            check::any_experiments(&text, FILES);
            replayed += 1;
        }
    }
    assert!(replayed > 60, "only {replayed} files");
}

/// Keys and values of scenarios, right and wrong, so that generated files come close to real ones.
fn line() -> impl Strategy<Value = String> {
    let keys = prop::sample::select(vec![
        "host",
        "wait",
        "headers",
        "auth",
        "name",
        "weight",
        "get",
        "post",
        "method",
        "path",
        "query",
        "json",
        "form",
        "body",
        "body-file",
        "expect",
        "save",
        "timeout",
        "users",
        "spawn-rate",
        "run-time",
        "rate",
        "requests",
        "stages",
        "preset",
        "burst",
        "arrivals",
        "seed",
        "csv",
        "pick",
        "p95",
        "failures",
        "version",
        "connect-to",
        "limits",
        "ca",
        "pids",
        "prometheus",
        "zzz",
    ]);
    let values = prop::sample::select(vec![
        "1",
        "-1",
        "0",
        "1.5",
        "true",
        "\"1s\"",
        "\"10/s\"",
        "\"/\"",
        "\"/{{uuid}}?x={{now}}\"",
        "\"http://h/\"",
        "\"{{nope}}\"",
        "\"{{\"",
        "{}",
        "[]",
        "{ json = \"/t\" }",
        "{ x = { json = \"/t\" } }",
        "{ status = 200, json = { \"/a\" = 1 } }",
        "{ between = [\"1s\", \"4s\"] }",
        "{ basic = { user = \"a\", password = \"b\" } }",
        "[{ target = 1, duration = \"1s\" }]",
        "{ size = 3 }",
        "\"light\"",
        "'\\d+('",
        "2024-01-01",
        "\"\\u0000\"",
        "\"\u{e9}\"",
        "inf",
    ]);
    let headers = prop::sample::select(vec![
        "[[task]]",
        "[[task.step]]",
        "[[on-start]]",
        "[[on-stop]]",
        "[load]",
        "[http]",
        "[tls]",
        "[slo]",
        "[slo.task.x]",
        "[data.x]",
        "[watch]",
        "[task]",
        "[[load]]",
    ]);
    prop_oneof![
        5 => (keys, values).prop_map(|(key, value)| format!("{key} = {value}")),
        2 => headers.prop_map(str::to_owned),
        1 => "[ -~\u{e4}\n]{0,12}",
    ]
}

const GATEWAY: &str = include_str!("ok/gateway-everything.toml");
const EXPERIMENTS: &str = include_str!("experiments/ok/everything.toml");

/// The same for other files: valid pieces of a file that has everything, some of which have another value put in.
fn piece_of(everything: &'static str) -> impl Strategy<Value = String> {
    let lines: Vec<&str> = everything.lines().filter(|line| !line.is_empty()).collect();
    let keys: Vec<&str> =
        everything.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect();
    let values = prop::sample::select(vec![
        "1",
        "-1",
        "0",
        "1.5",
        "true",
        "false",
        "\"1s\"",
        "\"10/s\"",
        "\"10%\"",
        "\"1MiB/s\"",
        "\"/\"",
        "\"/%\"",
        "\"{uri\"",
        "\"{\u{e9}}\"",
        "\"https://[::1\"",
        "\"unix:\"",
        "\"*.\"",
        "\"a:1\"",
        "\"\"",
        "{}",
        "[]",
        "[\"a:1\", { address = \"b:2\" }]",
        "{ hash = { cookie = \"a\" } }",
        "{ shop = 0 }",
        "{ \"404\" = \"1s\" }",
        "2024-01-01",
        "\"\\u0000\"",
        "inf",
    ]);
    prop_oneof![
        6 => prop::sample::select(lines).prop_map(str::to_owned),
        3 => (prop::sample::select(keys), values)
            .prop_map(|(key, value)| format!("{key} = {value}")),
        1 => "[ -~\u{e4}\n]{0,12}",
    ]
}

/// The file with one line replaced.
fn changed(everything: &str, line: usize, new: &str) -> String {
    let mut lines: Vec<&str> = everything.lines().collect();
    let line = line % lines.len();
    lines[line] = new;
    lines.join("\n")
}

proptest! {
    #[test]
    fn gateway_like_text_never_panics(lines in prop::collection::vec(piece_of(GATEWAY), 0..24)) {
        check::any_gateway(lines.join("\n").as_bytes(), FILES);
    }

    #[test]
    fn a_changed_gateway_never_panics(line in 0_usize..200, new in piece_of(GATEWAY)) {
        check::any_gateway(changed(GATEWAY, line, &new).as_bytes(), FILES);
    }

    #[test]
    fn experiment_like_text_never_panics(
        lines in prop::collection::vec(piece_of(EXPERIMENTS), 0..24),
    ) {
        check::any_experiments(lines.join("\n").as_bytes(), FILES);
    }

    #[test]
    fn a_changed_experiment_never_panics(line in 0_usize..200, new in piece_of(EXPERIMENTS)) {
        check::any_experiments(changed(EXPERIMENTS, line, &new).as_bytes(), FILES);
    }

    #[test]
    fn scenario_like_text_never_panics(lines in prop::collection::vec(line(), 0..24)) {
        check::any_scenario(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,80}") {
        check::any_scenario(text.as_bytes());
        check::any_gateway(text.as_bytes(), FILES);
        check::any_experiments(text.as_bytes(), FILES);
    }
}

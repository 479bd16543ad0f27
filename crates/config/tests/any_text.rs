//! Any text is a scenario or gets errors with places, and nothing panics: generated texts, and the
//! corpus of the fuzz target.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/check.rs"]
mod check;

#[test]
fn corpus_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut replayed = 0;
    for folder in ["fuzz/corpus/parse_scenario", "tests/ok", "tests/bad"] {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.is_file()) {
            check::any_scenario(&fs::read(path).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed > 40, "only {replayed} files");
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

proptest! {
    #[test]
    fn scenario_like_text_never_panics(lines in prop::collection::vec(line(), 0..24)) {
        check::any_scenario(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,80}") {
        check::any_scenario(text.as_bytes());
    }
}

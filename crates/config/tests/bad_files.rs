//! Broken scenario and gateway files and what is said about each. The expected text stands beside the file;
//! `TIDEGATE_BLESS=1 cargo test -p config --test bad_files` writes it anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use config::{Code, Look, parse_gateway, parse_scenario, resolve};

/// Codes of scenarios that no file of its own can bring about; they are tested below.
const TESTED_ELSEWHERE: [Code; 2] = [Code::NoHost, Code::TooMany];

fn bad_files() -> Vec<PathBuf> {
    // Relative, so that reports hold no folder of this machine.
    let entries = fs::read_dir("tests/bad").unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn is_gateway(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().starts_with("gateway-")
}

/// The whole report about a file.
fn report(path: &Path) -> String {
    let folder = path.parent().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let errors = if is_gateway(path) {
        parse_gateway(name, &text, folder).err()
    } else {
        parse_scenario(name, &text, folder).err()
    };
    errors.unwrap_or_else(|| panic!("{name} is accepted")).render(Look::Plain)
}

#[test]
fn every_file_gets_its_whole_report() {
    let files = bad_files();
    assert!(files.len() >= 25, "only {} files", files.len());
    let mut differing = Vec::new();
    for path in files {
        let (report, expected) = (report(&path), path.with_extension("stderr"));
        if std::env::var_os("TIDEGATE_BLESS").is_some() {
            fs::write(&expected, &report).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if report != expected {
            differing
                .push(format!("{}\n--- expected\n{expected}\n--- got\n{report}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// The codes in the table of a page of the reference.
fn documented(page: &str, prefix: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let codes = rows.filter_map(|row| row.split('`').next());
    codes.filter_map(|code| code.strip_prefix(prefix)).map(str::to_owned).collect()
}

fn occurring(prefix: &str, of_gateways: bool) -> BTreeSet<String> {
    let files = bad_files().into_iter().filter(|path| is_gateway(path) == of_gateways);
    let reports: String = files.map(|path| report(&path)).collect();
    let codes = reports.lines().filter_map(|line| line.trim().strip_prefix(prefix));
    codes.map(str::to_owned).collect()
}

#[test]
fn every_code_of_scenarios_occurs_and_is_documented() {
    let page = include_str!("../../../docs/reference/scenario-errors.md");
    let mut codes = occurring("scenario::", false);
    codes.extend(TESTED_ELSEWHERE.map(|code| code.as_str().to_owned()));
    assert_eq!(codes, documented(page, "scenario::"));
}

#[test]
fn every_code_of_gateways_occurs_and_is_documented() {
    let page = include_str!("../../../docs/reference/gateway.md");
    assert_eq!(occurring("config::", true), documented(page, "config::"));
}

#[test]
fn a_host_is_needed_in_the_end() {
    let file = parse_scenario("s.toml", "[[task]]\nget = '/'", Path::new("")).unwrap();
    let errors = resolve(file.scenario, file.settings).unwrap_err();
    assert_eq!(errors.iter().map(config::Problem::code).collect::<Vec<_>>(), [Code::NoHost]);
}

#[test]
fn too_many_endpoints_are_refused() {
    let tasks: String = (0..2001).map(|n| format!("[[task]]\nget = '/{n}'\n")).collect();
    let errors = parse_scenario("s.toml", &tasks, Path::new("")).unwrap_err();
    assert_eq!(errors.iter().map(config::Problem::code).collect::<Vec<_>>(), [Code::TooMany]);
}

#[test]
fn a_missing_or_binary_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = config::read_scenario(&folder.path().join("none.toml")).unwrap_err();
    assert!(missing.to_string().contains("cannot read"), "{missing}");
    let binary = folder.path().join("binary.toml");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    let binary = config::read_scenario(&binary).unwrap_err();
    assert!(binary.to_string().contains("not UTF-8"), "{binary}");
}

#[test]
fn a_long_report_is_cut() {
    let keys: String = (0..60).map(|n| format!("zzz{n} = 1\n")).collect();
    let text = format!("{keys}[[task]]\nget = '/'");
    let errors = parse_scenario("s.toml", &text, Path::new("")).unwrap_err();
    assert_eq!(errors.iter().count(), 60);
    let report = errors.render(Look::Plain);
    assert!(report.ends_with("... and 10 more\n60 errors\n"), "{report}");
}

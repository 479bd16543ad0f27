//! The resilience decisions in virtual time: each file in `tests/lab/resilience` describes servers,
//! what goes wrong with them, and arrivals; which decisions are at work; and the ranges in which
//! the outcome must lie.

mod outcome;
mod scenario;
mod server;
mod sim;

use std::fs;
use std::path::Path;

use scenario::Scenario;

#[test]
fn outcomes_lie_in_the_allowed_ranges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/resilience");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!scenario.expect.is_empty(), "{name}: nothing is expected");
        let trace = sim::run(&scenario);
        for expect in &scenario.expect {
            let period = format!("{name}, {}..{} s", expect.from_s, expect.to_s);
            let outcome = outcome::measure(&trace, expect.from_s..expect.to_s);
            println!("{period}: {outcome:.3?}");
            for (what, [low, high]) in &expect.ranges {
                let got = outcome.get(what.as_str());
                let got = got.unwrap_or_else(|| panic!("{name}: {what} is not measured"));
                // NaN, for what did not happen, lies in no range.
                if !(low..=high).contains(&got) {
                    wrong.push(format!("{period}: {what} {got:.3} not in {low}..{high}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "outside of the allowed range:\n{}", wrong.join("\n"));
}

#[test]
fn a_scenario_gives_the_same_outcome_each_time() {
    let scenario: Scenario =
        toml::from_str(include_str!("../lab/resilience/flapping.toml")).unwrap();
    assert_eq!(sim::run(&scenario), sim::run(&scenario));
}

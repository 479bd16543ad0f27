//! The balancers in virtual time: each file in `tests/lab/balance` describes servers and arrivals,
//! and the ranges in which the outcome of each balancer must lie.

mod outcome;
mod scenario;
mod sim;

use std::fs;
use std::path::Path;

use scenario::Scenario;

#[test]
fn outcomes_lie_in_the_allowed_ranges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/balance");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for expect in &scenario.expect {
            assert_eq!(expect.share.len() % scenario.server.len(), 0, "{name}: shares");
            for balance in &expect.balance {
                let requests = sim::run(&scenario, balance.algorithm());
                let outcome = outcome::measure(&requests, scenario.server.len(), expect);
                let outside = outcome.outside(expect);
                println!("{name}, {balance:?}, {}..{} s: {outcome:?}", expect.from_s, expect.to_s);
                wrong.extend(outside.iter().map(|what| format!("{name}, {balance:?}: {what}")));
            }
        }
    }
    assert!(wrong.is_empty(), "outside of the allowed range:\n{}", wrong.join("\n"));
}

#[test]
fn a_scenario_gives_the_same_outcome_each_time() {
    let text = include_str!("../lab/balance/slow_server.toml");
    let scenario: Scenario = toml::from_str(text).unwrap();
    let algorithm = scenario.expect[0].balance[0].algorithm();
    assert_eq!(sim::run(&scenario, algorithm), sim::run(&scenario, algorithm));
}

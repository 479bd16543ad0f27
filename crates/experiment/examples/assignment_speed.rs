//! Prints how long a decision takes: `cargo run --release -p experiment --example assignment_speed`.

use experiment::evaluate::{Context, Set, Unit};
use experiment::model::ExperimentSet;
use experiment::targeting::PlainFacts;
use policy::assign::{Assigner, HashVersion, Spec};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 9;
const UNITS: usize = 100_000;

/// The median over rounds of nanoseconds per unit.
fn measure(name: &str, units: &[String], mut each: impl FnMut(&str) -> Option<u16>) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for unit in units {
                black_box(each(black_box(unit)));
            }
            start.elapsed().as_nanos() as f64 / units.len() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{:>8.1} ns  {name}", times[ROUNDS / 2]);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let units: Vec<String> = (0..UNITS)
        .map(|n| format!("{:08x}-0000-4000-8000-{:012x}", n * 2_654_435_761, n))
        .collect();
    let numbers: Vec<String> = (0..UNITS).map(|n| n.to_string()).collect();
    for hash in HashVersion::ALL {
        let mut spec = Spec::new(hash, "checkout", &[1, 1]);
        if hash == HashVersion::Native1 {
            spec.coverage = 500_000;
        }
        let assigner = Assigner::new(&spec)?;
        let units = if hash == HashVersion::Modulo { &numbers } else { &units };
        measure(&format!("assign, {}", hash.name()), units, |unit| assigner.assign(unit).variant);
    }
    for (name, extra) in [
        ("plain", ""),
        (
            "coverage, a layer, a holdout",
            r#", "coverage": 0.5, "layers": [{"layer": "l", "ranges": [[0, 1]]}]"#,
        ),
        (
            "targeting of the path",
            r#", "targeting": {"match": {"field": "path", "is": {"prefix": "/shop"}}}"#,
        ),
    ] {
        let holdouts =
            if extra.contains("layer") { r#"[{"key": "h", "share": 0.01}]"# } else { "[]" };
        let text = format!(
            r#"{{"layers": [{{"key": "l"}}], "holdouts": {holdouts}, "experiments": [{{
                "key": "e", "status": "running", "unit": {{"device": {{"cookie": "uid"}}}},
                "variants": [{{"key": "a"}}, {{"key": "b"}}],
                "phases": [{{"since": 0, "weights": [1, 1]}}]{extra} }}]}}"#
        );
        let set: ExperimentSet = serde_json::from_str(&text)?;
        let set = Set::new(&set).map_err(|problems| format!("{problems:?}"))?;
        let facts = PlainFacts { path: "/shop/cart".to_owned(), ..PlainFacts::default() };
        let context = Context { facts: &facts, ..Context::default() };
        measure(&format!("decide, {name}"), &units, |id| {
            let unit = Unit { device: Some(id), ..Unit::default() };
            set.decide_at(0, &unit, &context, None, 1_000)?.variant
        });
    }
    Ok(())
}

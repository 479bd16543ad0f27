//! The scenario reference: its examples are accepted, and it names every key.

use std::path::Path;

use config::parse_scenario;

const REFERENCE: &str = include_str!("../../../docs/reference/scenario.md");

#[test]
fn examples_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ok");
    let blocks: Vec<&str> = REFERENCE
        .split("```toml\n")
        .skip(1)
        .map(|rest| &rest[..rest.find("```").unwrap()])
        .collect();
    assert!(blocks.len() >= 7, "only {} examples", blocks.len());
    for block in blocks {
        // A fragment about settings needs a task to be a scenario.
        let task = if block.contains("[[task]]") { "" } else { "\n[[task]]\nget = \"/\"\n" };
        let errors = parse_scenario("example.toml", &format!("{block}{task}"), &folder).err();
        assert!(errors.is_none(), "{block}\n{}", errors.unwrap());
    }
}

#[test]
fn every_key_is_described() {
    // This file has every key once; its first words of lines are the keys.
    let everything = include_str!("ok/everything.toml");
    let keys = everything.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    let mut described = 0;
    for key in keys {
        assert!(REFERENCE.contains(&format!("`{key}`")), "{key}");
        described += 1;
    }
    assert!(described > 40, "only {described} keys");
}

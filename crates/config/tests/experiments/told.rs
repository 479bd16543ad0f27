//! What is imported decides as the SDK does (`scripts/growthbook-import-vectors.py`).

use config::experiment::import::{ImportOptions, System, import};
use experiment::evaluate::{Context, Set, Unit};
use experiment::model::Status;
use experiment::targeting::PlainFacts;
use serde_json::Value;

#[test]
fn whoever_has_a_variation_of_growthbooks_keeps_it() {
    let text = std::fs::read_to_string("tests/experiments/import/growthbook-told.json").unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let options = ImportOptions::default();
    let imported = import(System::Growthbook, &file["payload"], &options).unwrap();
    let mut declared = imported.declared.set.clone();
    for experiment in &mut declared.experiments {
        experiment.status = Status::Running;
    }
    let set = Set::new(&declared).unwrap();
    let left_out = |key: &str| {
        imported.notes.iter().any(|note| note.starts_with(&format!("{key}: left out:")))
    };
    for key in ["other-id", "no-group", "rolled-out", "second"] {
        assert!(left_out(key) && set.experiment(key).is_none(), "{key}: {:?}", imported.notes);
    }
    let features = file["payload"]["features"].as_object().unwrap();
    let mut differing = Vec::new();
    for key in features.keys().filter(|key| !left_out(key)) {
        let hash_company = key == "named";
        assert!(set.experiment(key).is_some(), "{key}: {:?}", imported.notes);
        for user in file["users"].as_array().unwrap() {
            let attributes = user["attributes"].as_object().unwrap();
            let id = attributes[if hash_company { "company" } else { "id" }].as_str();
            let unit = Unit { device: id, ..Unit::default() };
            let facts = PlainFacts { attributes: attributes.clone(), ..PlainFacts::default() };
            let context = Context { facts: &facts, ..Context::default() };
            let found = set.decide(key, &unit, &context, None, 1).unwrap();
            let found = found.served().map(|variant| variant.key.as_str());
            if found != user["told"][key].as_str() {
                differing.push(format!("{key} {id:?}: {found:?}, {} told", user["told"][key]));
            }
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

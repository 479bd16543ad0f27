//! Conditions and features say what GrowthBook's SDKs say (`scripts/growthbook-vectors.py`). The
//! JavaScript SDK is the reference; where the Python SDK differs from it, the file shows both.

use experiment::evaluate::growthbook::{Features, StickyDocs, User};
use experiment::targeting::growthbook::{Condition, ConditionError, SavedGroups};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn json_file<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn rows(name: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_path(path(name)).unwrap();
    let row = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn parse<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn conditions() {
    let groups: Map<String, Value> = json_file("growthbook_groups.json");
    let groups = SavedGroups::new(&groups).unwrap();
    let rows = rows("growthbook_conditions.csv");
    assert!(rows.len() > 5_000);
    let mut wrong = Vec::new();
    let (mut agree, mut holds) = (0, 0);
    for row in &rows {
        let [condition, attributes, javascript, python] = &row[..] else { panic!("{row:?}") };
        let expected: bool = parse(javascript);
        let found = match Condition::new(&parse(condition)) {
            Ok(condition) => condition.matches(&parse(attributes), &groups),
            // An expression that is not one: the SDK says no.
            Err(ConditionError::Regex(_)) => false,
            Err(error) => panic!("{condition}: {error}"),
        };
        if found != expected {
            wrong.push(format!("{condition} {attributes}: {expected} expected"));
        }
        agree += usize::from(python == javascript);
        holds += usize::from(expected);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    // The vectors say something: both answers, and mostly one in both languages.
    assert!(holds > rows.len() / 5 && holds < rows.len() * 4 / 5, "{holds}");
    assert!(agree * 10 > rows.len() * 8, "{agree} of {}", rows.len());
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    payload: Value,
    users: Vec<VectorUser>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct VectorUser {
    attributes: Map<String, Value>,
    url: String,
    forced_variations: Option<HashMap<String, i64>>,
    sticky: Option<HashMap<String, VectorDoc>>,
    qa_mode: bool,
}

#[derive(serde::Deserialize)]
struct VectorDoc {
    assignments: HashMap<String, String>,
}

/// Numbers as JavaScript sees them: 1 and 1.0 are one.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

#[test]
fn features() {
    let vectors: Vectors = json_file("growthbook_payload.json");
    let features = Features::new(&vectors.payload).unwrap();
    let docs: Vec<Option<StickyDocs>> = vectors
        .users
        .iter()
        .map(|user| {
            let docs = user.sticky.as_ref()?;
            Some(docs.iter().map(|(key, doc)| (key.clone(), doc.assignments.clone())).collect())
        })
        .collect();
    let rows = rows("growthbook_features.csv");
    assert!(rows.len() > 2_000);
    let mut wrong = Vec::new();
    let mut sources = HashMap::new();
    for row in &rows {
        let index: usize = parse(&row[1]);
        let user = &vectors.users[index];
        let user = User {
            url: &user.url,
            forced_variations: user.forced_variations.as_ref(),
            sticky: docs[index].as_ref(),
            qa_mode: user.qa_mode,
            ..User::new(&user.attributes)
        };
        let found = features.evaluate(&row[0], &user);
        let result = &found.result;
        let mut shown = vec![
            result.value.clone(),
            serde_json::to_value(result.source).unwrap(),
            json!(result.rule_id),
            json!(result.experiment),
        ];
        shown.extend(match &result.experiment_result {
            Some(result) => vec![
                json!(result.in_experiment),
                json!(result.hash_used),
                json!(result.variation_id),
                json!(result.key),
                json!(result.hash_attribute),
                result.hash_value.clone(),
                json!(result.bucket),
                json!(result.sticky_bucket_used),
            ],
            None => vec![Value::Null; 8],
        });
        shown.extend([json!(found.exposures.len()), json!(found.keep.len())]);
        let expected: Vec<Value> = row[2..16].iter().map(|text| parse(text)).collect();
        if !shown.iter().zip(&expected).all(|(one, other)| same(one, other)) {
            wrong.push(format!("{} of user {index}: {shown:?}, not {expected:?}", row[0]));
        }
        *sources.entry(row[3].clone()).or_insert(0) += 1;
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(sources.len() >= 6, "{sources:?}");
    assert!(sources.values().all(|&count| count > 20), "{sources:?}");
}

#[test]
fn forced_features_and_rules_that_force_null() {
    let payload = json!({"features": {
        "f": {"defaultValue": 1, "rules": [{"force": null, "coverage": 1}]},
    }});
    let features = Features::new(&payload).unwrap();
    let attributes = json!({"id": "1"}).as_object().unwrap().clone();
    let user = User::new(&attributes);
    let found = features.evaluate("f", &user).result;
    assert_eq!(serde_json::to_value(found.source).unwrap(), json!("force"));
    assert_eq!(found.value, Value::Null);
    assert!(!found.on());

    let forced = json!({"f": "mine"}).as_object().unwrap().clone();
    let found = features.evaluate("f", &User { forced_features: Some(&forced), ..user }).result;
    assert_eq!(serde_json::to_value(found.source).unwrap(), json!("override"));
    assert_eq!(found.value, json!("mine"));
}

#[test]
fn prerequisites_that_branch_do_not_take_for_ever() {
    let mut features = Map::new();
    for index in 0..40 {
        let parents = vec![json!({"id": format!("f{}", index + 1), "condition": {}}); 2];
        let rule = json!({"parentConditions": parents, "force": true});
        features.insert(format!("f{index}"), json!({"defaultValue": false, "rules": [rule]}));
    }
    let features = Features::new(&json!({"features": features})).unwrap();
    let found = features.evaluate("f0", &User::new(&Map::new())).result;
    assert_eq!(serde_json::to_value(found.source).unwrap(), json!("cyclicPrerequisite"));
}

#[test]
fn malformed_payloads_are_refused() {
    let mut deep = json!({"a": 1});
    for _ in 0..100 {
        deep = json!({"$not": deep});
    }
    for (payload, message) in [
        (json!([]), "payload: must be an object"),
        (json!({"features": {"f": 1}}), "features.f: must be an object"),
        (
            json!({"features": {"f": {"rules": [{"coverage": "all"}]}}}),
            "features.f.rules[0]: invalid type",
        ),
        (
            json!({"features": {"f": {"rules": [{"force": 1, "condition": {"$or": 1}}]}}}),
            "features.f.rules[0]: $or must have a list of conditions",
        ),
        (
            json!({"features": {"f": {"rules": [{"force": 1, "condition": {"a": {"$regex": "(?=a)"}}}]}}}),
            "features.f.rules[0]: the regular expression \"(?=a)\" is not valid",
        ),
        (
            json!({"features": {"f": {"rules": [{"force": 1, "condition": deep}]}}}),
            "features.f.rules[0]: conditions may nest",
        ),
        (
            json!({"features": {"f": {"rules": vec![json!({}); 300]}}}),
            "features.f.rules: at most 200 are allowed",
        ),
    ] {
        let error = Features::new(&payload).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

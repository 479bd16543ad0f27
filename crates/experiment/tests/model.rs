//! Validation finds everything at once, says where, and lets nothing through.

use experiment::model::{ExperimentSet, changes, shared_changes, validate};
use serde_json::{Value, json};

fn base() -> Value {
    json!({
        "key": "e",
        "status": "running",
        "unit": {"device": {"cookie": "uid"}, "create": true},
        "variants": [
            {"key": "control"},
            {"key": "new", "actions": [
                {"upstream": "shop-v2"},
                {"path-rewrite": {"prefix": "/a", "replacement": "/b"}},
                {"request-header": {"name": "x-variant", "value": "new"}},
                {"redirect": {"location": "/new", "status": 302}},
                {"value": {"colour": "blue"}},
            ]},
        ],
        "phases": [{"since": 0, "weights": [1, 1]}],
        "primary": "purchase-rate",
        "guardrails": ["p95-latency"],
    })
}

fn with(changes: Value) -> ExperimentSet {
    let mut experiment = base();
    let Value::Object(changes) = changes else { panic!("{changes}") };
    experiment.as_object_mut().unwrap().extend(changes);
    serde_json::from_value(json!({"experiments": [experiment]})).unwrap()
}

fn problems(set: &ExperimentSet) -> Vec<String> {
    validate(set).iter().map(ToString::to_string).collect()
}

#[test]
fn a_whole_experiment_is_read_and_written() {
    let set = with(json!({}));
    assert_eq!(problems(&set), [""; 0]);
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<ExperimentSet>(&text).unwrap(), set);
    assert!(text.contains(r#""hash":"native-1""#));
}

#[test]
fn unknown_fields_and_hashes_are_refused() {
    for (change, message) in [
        (json!({"wieght": 1}), "unknown field `wieght`"),
        (json!({"hash": "md5"}), "unknown hash \"md5\"; there are native-1"),
        (json!({"coverage": 1.5}), "a share is a fraction of 0 to 1"),
        (
            json!({"targeting": {"match": {"field": "body", "is": {"eq": "a"}}}}),
            "unknown field \"body\"; there are path",
        ),
    ] {
        let mut experiment = base();
        experiment.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let text = json!({"experiments": [experiment]}).to_string();
        let error = serde_json::from_str::<ExperimentSet>(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn each_problem_is_named() {
    let many: Vec<Value> = (0..65).map(|index| json!({"key": format!("v{index}")})).collect();
    for (change, expected) in [
        (json!({"key": "a b"}), "experiments[0].key: \"a b\" is no key"),
        (json!({"key": ""}), "experiments[0].key: \"\" is no key"),
        (
            json!({"variants": [{"key": "a"}], "phases": [{"since": 0, "weights": [1]}]}),
            "experiments[0].variants: an experiment compares two variants at least",
        ),
        (
            json!({"variants": [{"key": "a"}, {"key": "a"}]}),
            "experiments[0].variants[1].key: \"a\" is there twice",
        ),
        (
            json!({"variants": many, "phases": [{"since": 0, "weights": vec![1; 65]}]}),
            "experiments[0].variants: 65 variants are too many; at most 64 are allowed",
        ),
        (json!({"phases": []}), "experiments[0].phases: an experiment needs a phase"),
        (
            json!({"phases": [{"since": 0, "weights": [1]}]}),
            "experiments[0].phases[0]: 1 weights or ranges do not fit 2 variants",
        ),
        (
            json!({"phases": [{"since": 0, "weights": [0, 0]}]}),
            "experiments[0].phases[0]: at least one weight must be above 0",
        ),
        (
            json!({"phases": [{"since": 5, "weights": [1, 1]}, {"since": 5, "weights": [1, 2]}]}),
            "experiments[0].phases: each phase must begin after the one before",
        ),
        (
            json!({"phases": [{"since": 0, "ranges": [[[0.0, 0.6]], [[0.5, 1.0]]]}]}),
            "experiments[0].phases[0]: ranges must lie within 0 to 1",
        ),
        (
            json!({"hash": "optimizely", "coverage": 0.5}),
            "experiments[0].phases[0]: the hash \"optimizely\" has no coverage",
        ),
        (
            json!({"unit": {"user": {"claim": "sub"}}}),
            "experiments[0].unit: this identity needs to know where the id of the device is",
        ),
        (
            json!({"unit": {"device": {"header": "x"}, "create": true}}),
            "experiments[0].unit: only a cookie can be created",
        ),
        (
            json!({"layers": [{"layer": "x", "ranges": [[0.0, 0.5]]}]}),
            "experiments[0].layers[0]: there is no layer \"x\"",
        ),
        (
            json!({"prerequisites": [{"experiment": "x", "variants": ["a"]}]}),
            "experiments[0].prerequisites[0]: there is no experiment \"x\"",
        ),
        (
            json!({"prerequisites": [{"experiment": "e", "variants": ["new"]}]}),
            "experiments[0].prerequisites: the prerequisites of \"e\" go round in a circle",
        ),
        (
            json!({"schedule": {"start": 5, "end": 5}}),
            "experiments[0].schedule: the end must come after the start",
        ),
        (
            json!({"sticky": {"version": 1, "min-version": 2}}),
            "experiments[0].sticky: min-version must not be above version",
        ),
        (
            json!({"overrides": [{"unit": "u", "variant": "x"}]}),
            "experiments[0].overrides[0]: \"e\" has no variant \"x\"; it has control, new",
        ),
        (json!({"primary": "a b"}), "experiments[0].metrics: \"a b\" is no name of a metric"),
        (
            json!({"policy": {"min-days": 10}}),
            "experiments[0].policy: min-days must be whole weeks",
        ),
        (
            json!({"policy": {"ramp": [0.5, 0.1]}}),
            "experiments[0].policy: the steps of the ramp must rise",
        ),
        (json!({"policy": {"alpha": 0.0}}), "experiments[0].policy: alpha must be above 0"),
        (
            json!({"targeting": {"match": {"field": "path", "is": {"regex": "("}}}}),
            "experiments[0].targeting: path: the regular expression cannot be compiled",
        ),
        (
            json!({"targeting": {"match": {"field": "attribute:v", "is": {"version": ["lt", "x"]}}}}),
            "experiments[0].targeting: attribute:v: \"x\" is no version",
        ),
        (
            json!({"targeting": {"growthbook": {"$or": 1}}}),
            "experiments[0].targeting: $or must have a list of conditions",
        ),
    ] {
        let found = problems(&with(change.clone()));
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{change}: {found:?}");
    }
}

#[test]
fn actions_cannot_smuggle_headers_or_bad_redirects() {
    for (action, expected) in [
        (json!({"upstream": "a b"}), "is no upstream"),
        (json!({"path-rewrite": {"prefix": "a", "replacement": "/b"}}), "paths begin with '/'"),
        (json!({"request-header": {"name": "x y", "value": "v"}}), "is no name of a header"),
        (json!({"response-header": {"name": "x", "value": "v\r\nset-cookie: a=b"}}), "visible"),
        (json!({"redirect": {"location": "/a", "status": 301}}), "301 is not 302, 303 or 307"),
        (json!({"redirect": {"location": "/a b", "status": 302}}), "location must be visible"),
        (json!({"value": "x".repeat(70_000)}), "bytes at most"),
    ] {
        let variants = json!([{"key": "a"}, {"key": "b", "actions": [action]}]);
        let found = problems(&with(json!({"variants": variants})));
        assert_eq!(found.len(), 1, "{action}: {found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let set = with(json!({
        "key": "a b", "phases": [], "schedule": {"start": 2, "end": 1}, "primary": "x y",
    }));
    assert_eq!(problems(&set).len(), 4, "{:?}", problems(&set));
}

#[test]
fn layers_do_not_overlap_and_hash_one_id() {
    let layered = |key: &str, status: &str, ranges: Value, unit: &str| {
        let mut experiment = base();
        let fields = experiment.as_object_mut().unwrap();
        fields["key"] = json!(key);
        fields["status"] = json!(status);
        fields["unit"] = json!({"device": {"cookie": unit}});
        fields.insert("layers".to_owned(), json!([{"layer": "l", "ranges": ranges}]));
        experiment
    };
    let found = |experiments: Vec<Value>| {
        let set = json!({"layers": [{"key": "l"}], "experiments": experiments});
        problems(&serde_json::from_value(set).unwrap())
    };
    let (low, high) = (json!([[0.0, 0.5]]), json!([[0.5, 1.0]]));
    let apart = vec![
        layered("a", "running", low.clone(), "uid"),
        layered("b", "running", high.clone(), "uid"),
    ];
    assert_eq!(found(apart), [""; 0]);
    let over = layered("b", "running", json!([[0.4, 1.0]]), "uid");
    let problem = found(vec![layered("a", "running", low.clone(), "uid"), over.clone()]);
    assert_eq!(problem, ["layers[0]: the ranges of \"a\" and \"b\" overlap at 0.4"]);
    assert_eq!(found(vec![layered("a", "stopped", low.clone(), "uid"), over]), [""; 0]);
    let problem =
        found(vec![layered("a", "running", low, "uid"), layered("b", "running", high, "sid")]);
    assert!(problem[0].contains("hash different ids"), "{problem:?}");
}

/// The id of one would decide the other for somebody else.
#[test]
fn prerequisites_hash_the_same_id() {
    let experiment = |key: &str, more: Value| {
        let mut experiment = base();
        let fields = experiment.as_object_mut().unwrap();
        fields["key"] = json!(key);
        fields.extend(more.as_object().unwrap().clone());
        experiment
    };
    let needs = json!([{ "experiment": "a", "variants": ["new"] }]);
    let own = base()["unit"].clone();
    for (unit, count) in [
        (own, 0),
        (json!({ "device": {"header": "x-other"} }), 1),
        (json!({ "user": {"claim": "sub"}, "identity": "user" }), 1),
    ] {
        let child = experiment("b", json!({ "unit": unit, "prerequisites": needs }));
        let set = json!({ "experiments": [experiment("a", json!({})), child] });
        let found = problems(&serde_json::from_value(set).unwrap());
        assert_eq!(found.len(), count, "{found:?}");
        assert!(found.iter().all(|it| it.contains("hash different ids")), "{found:?}");
    }
}

#[test]
fn prerequisites_that_are_too_dear_are_refused() {
    let experiment = |index: usize| {
        let mut experiment = base();
        let fields = experiment.as_object_mut().unwrap();
        fields["key"] = json!(format!("e{index}"));
        let others = (0..index).rev().take(2);
        let others =
            others.map(|other| json!({"experiment": format!("e{other}"), "variants": ["new"]}));
        fields.insert("prerequisites".to_owned(), others.collect());
        experiment
    };
    let set = json!({"experiments": (0..40).map(experiment).collect::<Vec<_>>()});
    let found = problems(&serde_json::from_value(set).unwrap());
    assert!(!found.is_empty());
    assert!(found.iter().all(|problem| problem.contains("more than 64 decisions")), "{found:?}");
}

#[test]
fn what_may_change_while_an_experiment_lives() {
    let old = with(json!({})).experiments.remove(0);
    let changed = |change: Value| {
        let new = with(change).experiments.remove(0);
        changes(&old, &new, 100).iter().map(|problem| problem.place.clone()).collect::<Vec<_>>()
    };
    assert_eq!(changed(json!({})), [""; 0]);
    assert_eq!(changed(json!({"coverage": 0.5, "status": "paused"})), [""; 0]);
    assert_eq!(changed(json!({"hash": "growthbook-2"})), ["hash"]);
    assert_eq!(changed(json!({"salts": {"variant": "x"}})), ["salts"]);
    assert_eq!(changed(json!({"unit": {"device": {"header": "x"}}})), ["unit"]);
    assert_eq!(changed(json!({"variants": [{"key": "new"}, {"key": "control"}]})), ["variants"]);
    assert_eq!(changed(json!({"status": "draft"})), ["status"]);
    assert_eq!(changed(json!({"primary": "other"})), ["primary"]);
    assert_eq!(changed(json!({"phases": [{"since": 0, "weights": [1, 2]}]})), ["phases"]);
    let next = |since: u64| json!({"phases": [{"since": 0, "weights": [1, 1]}, {"since": since, "weights": [1, 2]}]});
    assert_eq!(changed(next(100)), [""; 0]);
    assert_eq!(changed(next(99)), ["phases"]);

    let mut new = old.clone();
    new.begin_phase(vec![1, 9], 100);
    assert!(changes(&old, &new, 100).is_empty());
    assert_eq!((new.phase_at(99), new.phase_at(100)), (0, 1));
    assert_eq!(new.phases[1].shares(), [0.1, 0.9]);
}

#[test]
fn what_experiments_are_in_deals_on() {
    let set = |status: &str, layer: Value, holdout: Value| -> ExperimentSet {
        let mut experiment = base();
        experiment["status"] = json!(status);
        experiment["layers"] = json!([{"layer": "pages", "ranges": [[0.0, 0.5]]}]);
        let set = json!({"experiments": [experiment], "layers": [layer], "holdouts": [holdout]});
        serde_json::from_value(set).unwrap()
    };
    let layer = json!({"key": "pages"});
    let holdout = json!({"key": "none", "share": 0.1});
    let old = |status| set(status, layer.clone(), holdout.clone());
    let places = |status, new: &ExperimentSet| -> Vec<String> {
        shared_changes(&old(status), new).into_iter().map(|problem| problem.place).collect()
    };
    let same = json!({"key": "pages", "salt": "pages"});
    let more = json!({"key": "none", "share": 0.2});
    assert_eq!(places("running", &set("running", same, more)), [""; 0]);
    for other in
        [json!({"key": "pages", "salt": "other"}), json!({"key": "pages", "hash": "growthbook-1"})]
    {
        let new = set("running", other, holdout.clone());
        assert_eq!(places("running", &new), ["layer pages"]);
        assert_eq!(places("paused", &new), ["layer pages"]);
        assert_eq!(places("draft", &new), [""; 0]);
    }
    let new = set("running", layer.clone(), json!({"key": "none", "share": 0.1, "salt": "other"}));
    assert_eq!(places("running", &new), ["holdout none"]);
    assert_eq!(places("draft", &new), [""; 0]);
}

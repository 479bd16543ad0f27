//! Decisions: the order of reasons, and laws over many units.

use experiment::evaluate::{Context, Decision, Reason, Set, StickyRecord, Uncounted, Unit};
use experiment::model::ExperimentSet;
use experiment::targeting::PlainFacts;
use proptest::prelude::*;
use serde_json::{Value, json};
use stats::goodness::chi_square_gof;
use std::collections::HashMap;

const NOW: u64 = 1_000_000;

fn set(value: Value) -> Set {
    let set: ExperimentSet = serde_json::from_value(value).unwrap();
    Set::new(&set).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A running experiment with two even variants, changed by `extra`.
fn experiment(key: &str, extra: Value) -> Value {
    let mut experiment = json!({
        "key": key,
        "status": "running",
        "unit": {"device": {"cookie": "uid"}, "user": {"claim": "sub"}},
        "variants": [{"key": "control"}, {"key": "new"}],
        "phases": [{"since": 0, "weights": [1, 1]}],
    });
    let Value::Object(extra) = extra else { panic!("{extra}") };
    experiment.as_object_mut().unwrap().extend(extra);
    experiment
}

fn one(extra: Value) -> Set {
    set(json!({"experiments": [experiment("e", extra)]}))
}

fn device(id: &str) -> Unit<'_> {
    Unit { device: Some(id), ..Unit::default() }
}

fn decide<'a>(set: &'a Set, key: &str, id: &'a str) -> Decision<'a> {
    set.decide(key, &device(id), &Context::default(), None, NOW).unwrap()
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("user-{index}")).collect()
}

#[test]
fn reasons_of_status_and_schedule() {
    for (extra, reason) in [
        (json!({}), Reason::Split),
        (json!({"status": "draft"}), Reason::Draft),
        (json!({"status": "paused"}), Reason::Paused),
        (json!({"status": "stopped"}), Reason::Stopped),
        (json!({"schedule": {"start": NOW + 1}}), Reason::NotStarted),
        (json!({"schedule": {"start": NOW}}), Reason::Split),
        (json!({"schedule": {"end": NOW}}), Reason::Ended),
        (json!({"schedule": {"end": NOW + 1}}), Reason::Split),
        (json!({"phases": [{"since": NOW + 1, "weights": [1, 1]}]}), Reason::NotStarted),
        (json!({"coverage": 0.0}), Reason::Coverage),
        (json!({"unit": {"user": {"claim": "sub"}, "identity": "user"}}), Reason::NoUnit),
        (json!({"hash": "modulo"}), Reason::BadUnit),
    ] {
        let set = one(extra.clone());
        let decision = decide(&set, "e", "somebody");
        assert_eq!(decision.reason, reason, "{extra}");
        assert_eq!(decision.in_experiment(), reason == Reason::Split, "{extra}");
        assert_eq!(decision.counted(), decision.in_experiment());
    }
    assert!(one(json!({})).decide("x", &device("a"), &Context::default(), None, NOW).is_none());
}

#[test]
fn shares_follow_the_weights() {
    let set = one(json!({"phases": [{"since": 0, "weights": [1, 4]}], "coverage": 0.5}));
    let mut counts = [0, 0, 0];
    for id in ids(40_000) {
        let variant = decide(&set, "e", &id).variant;
        counts[variant.map_or(2, usize::from)] += 1;
    }
    let p = chi_square_gof(&counts, &[0.1, 0.4, 0.5]).unwrap().p_value;
    assert!(p > 1e-6, "{counts:?}");
}

#[test]
fn layers_exclude_and_share_everybody_out() {
    let layered = |key: &str, ranges: Value| {
        experiment(key, json!({"layers": [{"layer": "page", "ranges": ranges}]}))
    };
    let set = set(json!({
        "layers": [{"key": "page"}],
        "experiments": [
            layered("a", json!([[0.0, 0.2], [0.5, 0.6]])),
            layered("b", json!([[0.2, 0.5]])),
            layered("c", json!([[0.6, 1.0]])),
            experiment("free", json!({})),
        ],
    }));
    let mut counts = [0; 3];
    let mut joint = [[0; 2]; 3];
    for id in ids(40_000) {
        let unit = device(&id);
        let context = Context::default();
        let decisions: Vec<_> = set.decide_all(&unit, &context, None, NOW).collect();
        let inside: Vec<usize> = (0..3).filter(|&at| decisions[at].in_experiment()).collect();
        let [only] = inside[..] else { panic!("{id} is in {inside:?}") };
        counts[only] += 1;
        joint[only][usize::from(decisions[3].variant.unwrap())] += 1;
        assert!(decisions.iter().take(3).filter(|each| each.reason == Reason::Layer).count() == 2);
    }
    assert!(chi_square_gof(&counts, &[0.3, 0.3, 0.4]).unwrap().p_value > 1e-6, "{counts:?}");
    // What a layer does tells nothing about an experiment outside of it.
    for split in joint {
        assert!(chi_square_gof(&split, &[0.5, 0.5]).unwrap().p_value > 1e-6, "{split:?}");
    }
}

#[test]
fn an_experiment_in_two_layers_needs_both() {
    let slot = |layer: &str| json!({"layer": layer, "ranges": [[0.0, 0.5]]});
    let set = set(json!({
        "layers": [{"key": "one"}, {"key": "two"}],
        "experiments": [experiment("e", json!({"layers": [slot("one"), slot("two")]}))],
    }));
    let inside = ids(20_000).iter().filter(|id| decide(&set, "e", id).in_experiment()).count();
    let p = chi_square_gof(&[inside as u64, 20_000 - inside as u64], &[0.25, 0.75]).unwrap();
    assert!(p.p_value > 1e-6, "{inside}");
}

#[test]
fn holdouts_keep_out_of_everything_they_name() {
    let set = set(json!({
        "holdouts": [{"key": "all", "share": 0.1}, {"key": "some", "share": 0.2, "experiments": ["b"]}],
        "experiments": [experiment("a", json!({})), experiment("b", json!({}))],
    }));
    let held = |key| {
        let reasons = ids(20_000).into_iter().map(|id| decide(&set, key, &id).reason);
        reasons.filter(|reason| *reason == Reason::Holdout).count()
    };
    assert!((1_850..2_150).contains(&held("a")), "{}", held("a"));
    assert!((5_400..5_800).contains(&held("b")), "{}", held("b"));
}

#[test]
fn prerequisites_follow_the_other_experiment() {
    let needs = json!({"prerequisites": [{"experiment": "base", "variants": ["new"]}]});
    let set =
        set(json!({"experiments": [experiment("next", needs), experiment("base", json!({}))]}));
    for id in ids(200) {
        let base = decide(&set, "base", &id).variant;
        let next = decide(&set, "next", &id);
        assert_eq!(next.in_experiment(), base == Some(1));
        let expected = if base == Some(1) { Reason::Split } else { Reason::Prerequisite };
        assert_eq!(next.reason, expected);
    }
}

#[test]
fn sticky_units_stay() {
    let sticky = json!({"version": 1, "min-version": 1});
    let set = one(json!({"sticky": sticky, "coverage": 0.0, "phases": [
        {"since": 0, "weights": [1, 1]}, {"since": 10, "weights": [1, 0]},
    ]}));
    let record = |version, variant: &str| {
        let record = StickyRecord { version, variant: variant.to_owned(), phase: 0 };
        HashMap::from([("e".to_owned(), record)])
    };
    let unit = device("somebody");
    let ask = |kept: &HashMap<String, StickyRecord>| {
        let decision = set.decide("e", &unit, &Context::default(), Some(kept), NOW).unwrap();
        (decision.reason, decision.variant, decision.phase)
    };
    assert_eq!(ask(&record(1, "new")), (Reason::Sticky, Some(1), 0));
    assert_eq!(ask(&record(0, "new")), (Reason::Blocked, None, 1));
    assert_eq!(ask(&record(2, "new")), (Reason::Coverage, None, 1));
    assert_eq!(ask(&record(1, "gone")), (Reason::Coverage, None, 1));
}

#[test]
fn targeting_holds_for_sticky_units_unless_told_otherwise() {
    for (ignore, reason) in [(false, Reason::Targeting), (true, Reason::Sticky)] {
        let set = one(json!({
            "sticky": {"ignore-targeting": ignore},
            "targeting": {"match": {"field": "path", "is": {"prefix": "/shop"}}},
        }));
        let record = StickyRecord { version: 0, variant: "new".to_owned(), phase: 0 };
        let kept = HashMap::from([("e".to_owned(), record)]);
        let facts = PlainFacts { path: "/blog".to_owned(), ..PlainFacts::default() };
        let context = Context { facts: &facts, ..Context::default() };
        let decision = set.decide("e", &device("a"), &context, Some(&kept), NOW).unwrap();
        assert_eq!(decision.reason, reason);
    }
}

#[test]
fn the_first_writer_wins() {
    let set = one(json!({"sticky": {}}));
    let decision = decide(&set, "e", "somebody");
    let mine = decision.keep.clone().unwrap();
    let other = if mine.variant == "new" { "control" } else { "new" };
    let settled = decision.clone().settle(&mine);
    assert_eq!((settled.reason, settled.variant), (Reason::Split, decision.variant));
    let winner = StickyRecord { variant: other.to_owned(), ..mine };
    let settled = decision.settle(&winner);
    assert_eq!(settled.reason, Reason::Sticky);
    assert_eq!(settled.served().unwrap().key, other);
    assert_eq!(settled.keep, None);
}

#[test]
fn what_is_never_counted() {
    let set = one(json!({"sticky": {}, "overrides": [{"unit": "tester", "variant": "new"}]}));
    let ask = |id, context: &Context<'_>| {
        let decision = set.decide("e", &device(id), context, None, NOW).unwrap();
        assert!(decision.in_experiment() && !decision.counted() && decision.keep.is_none());
        (decision.uncounted, decision.variant)
    };
    let plain = Context::default();
    assert_eq!(ask("tester", &plain), (Some(Uncounted::Override), Some(1)));
    let own = decide(&set, "e", "somebody").variant;
    let bot = Context { bot: true, ..plain };
    assert_eq!(ask("somebody", &bot), (Some(Uncounted::Bot), own));
    let prefetch = Context { prefetch: true, ..plain };
    assert_eq!(ask("somebody", &prefetch), (Some(Uncounted::Prefetch), own));
    for (index, variant) in ["control", "new"].into_iter().enumerate() {
        let overrides = [("other", "new"), ("e", variant)];
        let context = Context { overrides: &overrides, ..plain };
        let index = u16::try_from(index).unwrap();
        assert_eq!(ask("somebody", &context), (Some(Uncounted::Override), Some(index)));
    }
    // A variant that does not exist forces nothing.
    let overrides = [("e", "gone")];
    let context = Context { overrides: &overrides, ..plain };
    assert!(set.decide("e", &device("somebody"), &context, None, NOW).unwrap().counted());
}

#[test]
fn drafts_can_be_looked_at() {
    let set = one(json!({"status": "draft"}));
    let context = Context { overrides: &[("e", "new")], ..Context::default() };
    let decision = set.decide("e", &Unit::default(), &context, None, NOW).unwrap();
    assert_eq!((decision.variant, decision.unit), (Some(1), None));
    assert!(!decision.counted());
}

#[test]
fn login_keeps_the_variant() {
    let set = one(json!({"unit": {
        "device": {"cookie": "uid"}, "user": {"claim": "sub"}, "identity": "linked",
    }}));
    for id in ids(100) {
        let before = device(&id);
        let after = Unit { user: Some("account"), ..before };
        let elsewhere = Unit { device: Some("d2"), linked: Some(&id), user: Some("account") };
        let decisions = [before, after, elsewhere]
            .map(|unit| set.decide("e", &unit, &Context::default(), None, NOW).unwrap());
        assert!(decisions.iter().all(|each| each.variant == decisions[0].variant));
        assert!(decisions.iter().all(|each| each.unit == Some(id.as_str())));
    }
}

#[test]
fn phases_change_weights_and_salts() {
    let phases = json!([
        {"since": 0, "weights": [1, 1]},
        {"since": 100, "weights": [1, 9]},
        {"since": 200, "weights": [1, 9], "salt": "again"},
    ]);
    let set = one(json!({"phases": phases}));
    let at = |id: &str, now| {
        let decision = set.decide("e", &device(id), &Context::default(), None, now).unwrap();
        (decision.phase, decision.variant.unwrap())
    };
    let (mut moved_back, mut changed) = (0, 0);
    for id in ids(2_000) {
        let (first, second, third) = (at(&id, 99), at(&id, 100), at(&id, 200));
        assert_eq!([first.0, second.0, third.0], [0, 1, 2]);
        moved_back += usize::from(first.1 == 1 && second.1 == 0);
        changed += usize::from(second.1 != third.1);
    }
    // Weights move only who must move; a new salt deals everybody anew.
    assert_eq!(moved_back, 0);
    assert!((250..500).contains(&changed), "{changed}");
}

#[test]
fn growthbook_experiments_go_on_without_moving_anybody() {
    use policy::assign::growthbook::{
        Version, bucket_ranges, choose_variation, hash, in_namespace,
    };
    let set = set(json!({
        "layers": [{"key": "ns", "hash": "growthbook-1", "salt": "__pricing"}],
        "experiments": [experiment("exp", json!({
            "hash": "growthbook-2",
            "salts": {"variant": "seed-1"},
            "coverage": 0.4,
            "phases": [{"since": 0, "weights": [333, 667]}],
            "layers": [{"layer": "ns", "ranges": [[0.2, 0.9]]}],
        }))],
    }));
    let ranges = bucket_ranges(2, 0.4, Some(&[0.333, 0.667]));
    for id in ids(5_000).iter().map(String::as_str).chain(["josé", "用户42"]) {
        let expected = in_namespace(id, "pricing", 0.2, 0.9)
            .then(|| choose_variation(hash("seed-1", id, Version::V2), &ranges))
            .flatten();
        assert_eq!(decide(&set, "exp", id).variant.map(usize::from), expected, "{id}");
    }
}

proptest! {
    /// More coverage adds units; nobody who took part moves or leaves.
    #[test]
    fn a_ramp_moves_nobody(id in "[a-zA-Z0-9@.-]{1,40}", steps in prop::collection::vec(0.0..=1.0, 2..6)) {
        let mut steps: Vec<f64> = steps;
        steps.sort_by(f64::total_cmp);
        let variants: Vec<_> = steps
            .iter()
            .map(|coverage| decide(&one(json!({"coverage": coverage})), "e", &id).variant)
            .collect();
        for pair in variants.windows(2) {
            prop_assert!(pair[0].is_none() || pair[0] == pair[1]);
        }
    }

    /// The same question has the same answer, and JSON changes nothing.
    #[test]
    fn decisions_are_functions(id in ".{0,40}", weights in prop::collection::vec(1u32..100, 2)) {
        let value = json!({"experiments": [experiment("e", json!({
            "phases": [{"since": 0, "weights": weights}], "coverage": 0.7,
        }))]});
        let parsed: ExperimentSet = serde_json::from_value(value).unwrap();
        let again = serde_json::from_str(&serde_json::to_string(&parsed).unwrap()).unwrap();
        prop_assert_eq!(&parsed, &again);
        let sets = [parsed, again].map(|set| Set::new(&set).unwrap());
        prop_assert_eq!(decide(&sets[0], "e", &id), decide(&sets[1], "e", &id));
    }
}

use super::params::ServiceLimits;
use super::*;
use crate::evaluate::{Context, Reason};
use crate::event::{Encoded, Entry, Record, UnixMicros, decode};
use crate::ledger::{Acknowledge, Definition, Journal, JournalError, Ledger, Outcome, Settings};
use crate::model::ExperimentSet;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

const NOW_US: UnixMicros = 1_800_000_000_000_000;

fn clock() -> UnixMicros {
    NOW_US
}

/// A journal in memory that can fail, and be held up.
#[derive(Default)]
struct Memory {
    entries: Mutex<Vec<Vec<u8>>>,
    kept: Mutex<Vec<Kept>>,
    failing: AtomicBool,
    held_up: Mutex<bool>,
    go_on: Condvar,
}

impl Memory {
    /// The state that its entries make.
    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new(Settings { shards: 2, ..Settings::default() });
        for (position, bytes) in self.entries.lock().unwrap().iter().enumerate() {
            ledger.apply(position as u64, NOW_US, &decode(bytes).unwrap());
        }
        ledger
    }

    /// Unit and variant of every exposure in it.
    fn exposures(&self) -> Vec<(String, u16)> {
        let entries = self.entries.lock().unwrap();
        let mut all = Vec::new();
        for bytes in entries.iter() {
            let Entry::Batch { records, .. } = decode(bytes).unwrap() else { continue };
            for record in records {
                if let Record::Exposure(exposure) = record {
                    all.push((exposure.unit.to_owned(), exposure.variant));
                }
            }
        }
        all
    }

    fn hold_up(&self, held_up: bool) {
        *self.held_up.lock().unwrap() = held_up;
        self.go_on.notify_all();
    }
}

impl Journal for Memory {
    fn submit(&self, entry: Encoded, done: Acknowledge) -> Result<(), JournalError> {
        let held_up = self.held_up.lock().unwrap();
        drop(self.go_on.wait_while(held_up, |held_up| *held_up).unwrap());
        if self.failing.load(Ordering::Relaxed) {
            let (place, cause) = ("journal".to_owned(), "no space".to_owned());
            done(Err(JournalError::Full { place, cause }));
            return Ok(());
        }
        let position = self.entries.lock().unwrap().len() as u64;
        let outcome = self.ledger().apply(position, NOW_US, &decode(entry.as_bytes()).unwrap());
        self.entries.lock().unwrap().push(entry.as_bytes().to_vec());
        done(Ok(outcome));
        Ok(())
    }
}

impl Keeper for Memory {
    fn keep(&self, kept: &[Kept]) -> Result<(), String> {
        self.kept.lock().unwrap().extend_from_slice(kept);
        Ok(())
    }

    fn each(&self, see: &mut dyn FnMut(&Kept)) -> Result<(), String> {
        self.kept.lock().unwrap().iter().for_each(see);
        Ok(())
    }
}

fn set(change: Value) -> ExperimentSet {
    let mut experiment = json!({
        "key": "checkout", "status": "running", "unit": {"device": {"cookie": "uid"}},
        "variants": [{"key": "control"}, {"key": "new"}],
        "phases": [{"since": 0, "weights": [1, 1]}],
    });
    if let (Value::Object(change), Some(experiment)) = (change, experiment.as_object_mut()) {
        experiment.extend(change);
    }
    serde_json::from_value(json!({ "experiments": [experiment] })).unwrap()
}

fn definitions(set: &ExperimentSet) -> Vec<Definition> {
    set.experiments.iter().map(|each| Definition::new(each, Vec::new())).collect()
}

fn start(memory: &Arc<Memory>, set: ExperimentSet, limits: ServiceLimits) -> Live {
    let definitions = definitions(&set);
    let store = (Arc::clone(memory) as Arc<dyn Journal>, Arc::clone(memory) as Arc<dyn Keeper>);
    let signer = Signer::new(&secret_of("tests"));
    Live::start(store, signer, limits, (set, &definitions), clock).unwrap()
}

fn decide(live: &Live, device: Option<&str>, user: Option<&str>) -> Decided {
    let current = live.current();
    live.decide(&current, 0, (device, user), &Context::default(), live.now()).unwrap()
}

fn served(unit: &str, variant: u16) -> Served<'_> {
    Served {
        experiment: "checkout",
        unit,
        variant,
        phase: 0,
        time_us: NOW_US,
        browser: "firefox",
        route: "site",
        country: "DE",
        cache: "",
    }
}

#[test]
fn a_unit_is_exposed_once() {
    let memory = Arc::new(Memory::default());
    let live = start(&memory, set(json!({})), ServiceLimits::default());
    for _ in 0..1_000 {
        live.expose(&served("u", 1));
    }
    live.flush();
    assert_eq!(memory.exposures(), [("u".to_owned(), 1)]);
    live.expose(&served("u", 0));
    live.flush();
    assert_eq!(memory.exposures().len(), 2, "a second variant is for the ledger to judge");
    let numbers = live.numbers();
    assert_eq!((numbers.queued, numbers.recorded, numbers.failed), (2, 2, 0));
    let summary = memory.ledger();
    let arms = crate::ledger::Ledger::summary(&summary, "checkout").unwrap();
    assert_eq!(arms.arms.iter().map(|arm| arm.units).sum::<u64>(), 0, "and it is quarantined");
}

/// A new salt deals the units anew: those who keep their variant belong to the new deal as well.
#[test]
fn whoever_keeps_a_variant_counts_in_a_new_deal() {
    let memory = Arc::new(Memory::default());
    let phases = json!({ "phases": [
        {"since": 0, "weights": [1, 1]}, {"since": 1, "weights": [1, 1], "salt": "two"},
        {"since": 2, "weights": [1, 2], "salt": "two"},
    ] });
    let live = start(&memory, set(phases), ServiceLimits::default());
    for phase in [0, 1, 1, 2] {
        for unit in ["a", "b"] {
            live.expose(&Served { phase, ..served(unit, 1) });
        }
    }
    live.flush();
    let summary = memory.ledger();
    let summary = crate::ledger::Ledger::summary(&summary, "checkout").unwrap();
    let units = |phase| summary.arms.iter().filter(|it| it.phase == phase).map(|it| it.units).sum();
    let units: [u64; 3] = [units(0), units(1), units(2)];
    assert_eq!((units, summary.quarantined), ([2, 2, 0], 0));
    assert_eq!(memory.exposures().len(), 6, "once in each phase");
}

#[test]
fn what_the_journal_does_not_take_is_tried_again() {
    let memory = Arc::new(Memory::default());
    let live = start(&memory, set(json!({})), ServiceLimits::default());
    memory.failing.store(true, Ordering::Relaxed);
    live.expose(&served("u", 1));
    live.flush();
    assert_eq!(memory.exposures(), []);
    assert!(live.numbers().failing);
    memory.failing.store(false, Ordering::Relaxed);
    live.expose(&served("u", 1));
    live.flush();
    assert_eq!(memory.exposures(), [("u".to_owned(), 1)]);
    assert!(!live.numbers().failing);
    assert_eq!(live.numbers().failed, 1);
}

#[test]
fn nobody_waits_for_the_journal() {
    let memory = Arc::new(Memory::default());
    let limits = ServiceLimits { queue: 4, ..ServiceLimits::default() };
    let live = start(&memory, set(json!({})), limits);
    memory.hold_up(true);
    // At most one batch is with the journal, of what was in the queue at that time.
    let units: Vec<String> = (0..100).map(|unit| unit.to_string()).collect();
    units.iter().for_each(|unit| live.expose(&served(unit, 0)));
    let lost = live.numbers().overflowed;
    assert!((1..100).contains(&lost), "{lost}");
    memory.hold_up(false);
    live.flush();
    for unit in &units {
        live.expose(&served(unit, 0));
        live.flush();
    }
    let mut recorded: Vec<String> = memory.exposures().into_iter().map(|each| each.0).collect();
    recorded.sort_by_key(|unit| unit.parse::<u32>().unwrap());
    assert_eq!(recorded, units, "each once, in the end");
}

#[test]
fn traffic_is_written_with_a_flush() {
    let memory = Arc::new(Memory::default());
    let live = start(&memory, set(json!({})), ServiceLimits::default());
    live.saw("checkout", 1, 0, Request { duration_us: 2_000, bytes: 5, failed: true });
    live.flush();
    let summary = memory.ledger();
    let summary = summary.summary("checkout").unwrap();
    let traffic: u64 = summary.traffic.iter().map(|arm| arm.totals.requests).sum();
    assert_eq!(traffic, 1);
}

#[test]
fn sticky_units_stay_through_changes_and_restarts() {
    let memory = Arc::new(Memory::default());
    let sticky = json!({ "sticky": {} });
    let units: Vec<String> = (0..100).map(|unit| unit.to_string()).collect();
    let variants = |live: &Live| -> Vec<Option<u16>> {
        units.iter().map(|unit| decide(live, Some(unit), None).variant).collect()
    };
    let live = start(&memory, set(sticky.clone()), ServiceLimits::default());
    let before = variants(&live);
    assert!(before.contains(&Some(0)) && before.contains(&Some(1)));
    let mut moved = set(sticky.clone());
    moved.experiments[0].phases[0].weights = vec![0, 1];
    live.replace(moved.clone(), &[]).unwrap();
    assert_eq!(variants(&live), before);
    live.stop();
    let live = start(&memory, moved, ServiceLimits::default());
    assert_eq!(variants(&live), before, "after a restart");
    assert_eq!(live.numbers().held, 100);
    let full = ServiceLimits { kept: 0, ..ServiceLimits::default() };
    let live = start(&Arc::default(), set(sticky), full);
    variants(&live);
    assert_eq!(live.numbers().unkept, 100);
}

/// A kept variant counts for those that depend on it, too.
#[test]
fn prerequisites_see_what_was_kept() {
    let with_child = |sticky: ExperimentSet| {
        let mut child = sticky.experiments[0].clone();
        child.key = "child".to_owned();
        child.sticky = None;
        child.prerequisites = serde_json::from_value(json!([
            { "experiment": "checkout", "variants": ["new"] },
        ]))
        .unwrap();
        ExperimentSet { experiments: vec![sticky.experiments[0].clone(), child], ..sticky }
    };
    let live = start(&Arc::default(), with_child(set(json!({ "sticky": {} }))), Default::default());
    let takes_part = |live: &Live, unit: &str| {
        let current = live.current();
        let ids = (Some(unit), None);
        let decided = live.decide(&current, 1, ids, &Context::default(), live.now()).unwrap();
        decided.variant.is_some()
    };
    let units: Vec<String> = (0..50).map(|unit| unit.to_string()).collect();
    let is_new = |live: &Live, unit: &str| decide(live, Some(unit), None).variant == Some(1);
    let before: Vec<bool> = units.iter().map(|unit| is_new(&live, unit)).collect();
    let mut moved = with_child(set(json!({ "sticky": {} })));
    moved.experiments[0].phases[0].weights = vec![0, 1];
    live.replace(moved, &[]).unwrap();
    let after: Vec<bool> = units.iter().map(|unit| takes_part(&live, unit)).collect();
    assert!(before.contains(&true) && before.contains(&false));
    assert_eq!(after, before);
}

#[test]
fn login_keeps_the_variant_on_every_device() {
    let memory = Arc::new(Memory::default());
    let unit = json!({ "unit": {
        "device": {"cookie": "uid"}, "user": {"claim": "sub"}, "identity": "linked",
    } });
    let live = start(&memory, set(unit), ServiceLimits::default());
    let anonymous = decide(&live, Some("d1"), None);
    let logged_in = decide(&live, Some("d1"), Some("user"));
    let elsewhere = decide(&live, Some("d2"), Some("user"));
    for decided in [&anonymous, &logged_in, &elsewhere] {
        assert_eq!(decided.unit.as_deref(), Some("d1"));
    }
    live.flush();
    assert_eq!(memory.kept.lock().unwrap().len(), 1);
}

#[test]
fn bots_prefetches_and_links_are_not_counted_and_not_kept() {
    let memory = Arc::new(Memory::default());
    let live = start(&memory, set(json!({ "sticky": {} })), ServiceLimits::default());
    let current = live.current();
    let now = live.now();
    let link = live.signer().link("checkout", "new", now + 1_000);
    let choices = live.signer().choices(&link, now);
    let contexts = [
        Context { bot: true, ..Context::default() },
        Context { prefetch: true, ..Context::default() },
        Context { overrides: &choices.variants, ..Context::default() },
    ];
    for context in &contexts {
        let decided = live.decide(&current, 0, (Some("u"), None), context, now).unwrap();
        assert!(decided.variant.is_some() && !decided.counted(), "{context:?}");
    }
    let chosen = live.decide(&current, 0, (Some("u"), None), &contexts[2], now).unwrap();
    assert_eq!((chosen.variant, chosen.reason), (Some(1), Reason::Override));
    assert_eq!(live.numbers().held, 0);
}

#[test]
fn a_change_is_taken_whole_or_not_at_all() {
    let memory = Arc::new(Memory::default());
    let live = start(&memory, set(json!({})), ServiceLimits::default());
    let (sender, woken) = std::sync::mpsc::channel();
    live.watch(Box::new(move || sender.send(()).unwrap()));
    let version = live.current().version().to_owned();
    let wrong = set(json!({ "variants": [{"key": "control"}] }));
    assert!(matches!(live.replace(wrong, &[]), Err(ReplaceError::Problems(_))));
    let three = set(json!({
        "variants": [{"key": "a"}, {"key": "b"}, {"key": "c"}],
        "phases": [{"since": 0, "weights": [1, 1, 1]}],
    }));
    let refused = live.replace(three.clone(), &definitions(&three));
    assert!(matches!(refused, Err(ReplaceError::Definition { .. })), "{refused:?}");
    assert_eq!(live.current().version(), version);
    live.replace(set(json!({})), &[]).unwrap();
    assert!(woken.try_recv().is_err(), "the same again is no change");
    live.replace(set(json!({ "status": "paused" })), &[]).unwrap();
    assert!(woken.try_recv().is_ok());
    assert_eq!(decide(&live, Some("u"), None).reason, Reason::Paused);
}

#[test]
fn batches_count_once() {
    let memory = Arc::new(Memory::default());
    let live = start(&memory, set(json!({})), ServiceLimits::default());
    let record = |sequence| {
        let id = crate::event::BatchId { producer: "p", epoch: 0, sequence };
        let entry = Entry::Batch { id: Some(id), records: vec![] };
        let (sender, receiver) = std::sync::mpsc::channel();
        let entry = crate::event::encode(&entry).unwrap();
        live.record(entry, Box::new(move |result| sender.send(result).unwrap())).unwrap();
        receiver.recv().unwrap().unwrap()
    };
    assert!(matches!(record(0), Outcome::Applied(_)));
    assert_eq!(record(0), Outcome::Duplicate);
    assert_eq!(record(2), Outcome::Gap { expected: 1 });
}

/// What clients evaluate themselves must be what is decided here.
#[test]
fn the_payload_decides_as_we_do() {
    use crate::evaluate::growthbook::{Features, User};
    for version in [1, 2] {
        let source: ExperimentSet = serde_json::from_value(json!({
            "layers": [{"key": "page", "hash": format!("growthbook-{version}")}],
            "experiments": [{
                "key": "checkout", "status": "running", "unit": {"user": {"claim": "id"},
                "identity": "user"}, "hash": format!("growthbook-{version}"),
                "salts": {"variant": "seed"}, "coverage": 0.8,
                "variants": [{"key": "a"}, {"key": "b"}, {"key": "c", "actions": [{"value": 3}]}],
                "phases": [{"since": 0, "weights": [2, 1, 1]}],
                "layers": [{"layer": "page", "ranges": [[0.0, 0.3], [0.5, 1.0]]}],
                "overrides": [{"unit": "7", "variant": "c"}],
                "targeting": {"any": [
                    {"match": {"field": "attribute:plan", "is": {"in": ["pro", "team"]}}},
                    {"not": {"match": {"field": "attribute:beta", "is": {"exists": false}}}},
                ]},
            }],
        }))
        .unwrap();
        let memory = Arc::new(Memory::default());
        let live = start(&memory, source, ServiceLimits::default());
        let current = live.current();
        let payload: Value = serde_json::from_str(&current.growthbook_payload(live.now())).unwrap();
        let features = Features::new(&payload).unwrap();
        let mut taking_part = 0;
        for unit in 0..3_000 {
            let attributes = match unit % 3 {
                0 => json!({ "id": unit.to_string(), "plan": "pro" }),
                1 => json!({ "id": unit.to_string(), "beta": true }),
                _ => json!({ "id": unit.to_string(), "plan": "free" }),
            };
            let attributes = attributes.as_object().unwrap();
            let theirs = features.evaluate("checkout", &User::new(attributes));
            let facts = crate::targeting::PlainFacts {
                attributes: attributes.clone(),
                ..Default::default()
            };
            let context = Context { facts: &facts, ..Context::default() };
            let ids = ids(&current.experiment(0).unwrap().unit, &Named::default(), attributes);
            let ours = live.decide(&current, 0, ids, &context, live.now()).unwrap();
            let variant = ours.variant.map(usize::from);
            let value = variant
                .map_or(Value::Null, |index| [json!("a"), json!("b"), json!(3)][index].clone());
            assert_eq!(theirs.result.value, value, "{unit} {:?}", ours.reason);
            assert_eq!(theirs.exposures.len(), usize::from(ours.counted()), "{unit}");
            taking_part += usize::from(ours.counted());
        }
        assert!((1_000..1_500).contains(&taking_part), "{taking_part}");
    }
}

#[test]
fn what_clients_cannot_evaluate_is_not_in_the_payload() {
    let memory = Arc::new(Memory::default());
    let live = start(&memory, set(json!({})), ServiceLimits::default());
    let keys = |change: Value| {
        live.replace(set(change), &[]).unwrap();
        let payload = live.current().growthbook_payload(live.now());
        let payload: Value = serde_json::from_str(&payload).unwrap();
        payload["features"].as_object().unwrap().len()
    };
    let hash = json!("growthbook-2");
    assert_eq!(keys(json!({ "hash": hash })), 1);
    for change in [
        json!({}),
        json!({ "hash": hash, "status": "paused" }),
        json!({ "hash": hash, "schedule": { "end": 1 } }),
        json!({ "hash": hash, "unit": {
            "device": {"cookie": "uid"}, "user": {"claim": "sub"}, "identity": "linked" } }),
        json!({ "hash": hash, "targeting":
            {"match": {"field": "path", "is": {"prefix": "/checkout"}}} }),
        json!({ "hash": hash, "targeting":
            {"match": {"field": "attribute:age", "is": {"number": ["ge", 18]}}} }),
    ] {
        assert_eq!(keys(change.clone()), 0, "{change}");
    }
}

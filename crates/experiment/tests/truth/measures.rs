//! Every kind of metric, from records through a ledger to the analysis, against what plain
//! statistics of the same units say.

use crate::world::{DAY, START};
use experiment::analysis::{Analysis, Data, Depth, Plan, Question, analyse};
use experiment::event::{Attributes, Entry, Event, Exposure, Record, Traffic};
use experiment::ledger::{DAY_US, Ledger, MetricKind, Settings, Term, bucket};
use experiment::metric::{Better, Measure, MetricSpec, Role, definition, resolve};
use experiment::model::Experiment;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use stats::experiment::{Comparison, Moments, cuped};
use std::collections::BTreeMap;

pub(crate) fn spec(name: &str, kind: MetricKind, lookback_us: i64) -> MetricSpec {
    MetricSpec {
        name: name.into(),
        description: String::new(),
        measure: Measure::Events { kind, delay_us: 0, window_us: 3 * DAY_US, lookback_us },
        better: Better::Higher,
        margin: 0.05,
    }
}

fn declared() -> Vec<MetricSpec> {
    let buy = || "buy".to_owned();
    let view = || "view".to_owned();
    vec![
        spec("bought", MetricKind::Conversion { event: buy() }, 0),
        spec("views", MetricKind::Count { event: view() }, 0),
        spec("spent", MetricKind::Mean { event: buy() }, DAY_US),
        spec("revenue", MetricKind::Revenue { event: buy(), cap: 60_000_000, percentile: None }, 0),
        spec(
            "per-view",
            MetricKind::Ratio {
                numerator: Term::Total { event: buy() },
                denominator: Term::Count { event: view() },
            },
            0,
        ),
        spec("wait", MetricKind::Quantile { event: view(), ppm: 900_000 }, 0),
    ]
}

fn experiment() -> Experiment {
    serde_json::from_value(json!({
        "key": "shop", "status": "running", "unit": {"device": {"cookie": "uid"}},
        "variants": [{"key": "control"}, {"key": "new"}],
        "phases": [{"since": START, "weights": [1, 1]}],
        "primary": "bought", "metrics": ["views", "spent", "revenue", "per-view", "wait"],
        "guardrails": ["error-rate", "p95-latency"],
    }))
    .unwrap()
}

/// What a unit did: spent before, spent after by purchase, waits of its views.
struct Visitor {
    variant: u16,
    before: i64,
    purchases: Vec<i64>,
    waits: Vec<i64>,
}

fn visitors() -> Vec<Visitor> {
    let mut draws = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut uniform = move || draws.random::<f64>();
    (0..1_200)
        .map(|number| {
            let variant = number % 2;
            let habit = uniform();
            let better = if variant == 1 { 1.3 } else { 1.0 };
            let purchases = (0..2).filter(|_| uniform() < 0.2 * better);
            let purchases = purchases.collect::<Vec<_>>();
            let spend = |noise: f64| ((habit + 0.3 * noise) * 50.0 * 1e6) as i64;
            Visitor {
                variant,
                before: (habit * 40.0 * 1e6) as i64,
                purchases: purchases.into_iter().map(|_| spend(uniform())).collect(),
                waits: (0..3).map(|_| (-(1.0 - uniform()).ln() * 200.0 * 1e6) as i64).collect(),
            }
        })
        .collect()
}

fn store(visitors: &[Visitor]) -> (Ledger, Vec<(Role, MetricSpec)>) {
    let metrics = resolve(&experiment(), &declared()).unwrap();
    let definition = definition(&experiment(), &metrics, None).unwrap();
    let mut ledger = Ledger::new(Settings { shards: 3, ..Settings::default() });
    let start_us = START as i64 * 1_000;
    ledger.apply(0, start_us, &Entry::Define(&serde_json::to_string(&definition).unwrap()));
    let names: Vec<String> = (0..visitors.len()).map(|number| format!("u{number}")).collect();
    let mut records = Vec::new();
    for (name, visitor) in names.iter().zip(visitors) {
        let mut event = |name_of: &'static str, value, time_us| {
            records.push(Record::Event(Event {
                unit: name,
                name: name_of,
                value,
                time_us,
                event_id: None,
            }));
        };
        event("buy", visitor.before, start_us - 1_000);
        visitor.purchases.iter().for_each(|&value| event("buy", value, start_us + DAY_US / 2));
        visitor.waits.iter().for_each(|&value| event("view", value, start_us + 2_000));
        records.push(Record::Exposure(Exposure {
            experiment: "shop",
            unit: name,
            variant: visitor.variant,
            phase: 0,
            time_us: start_us,
            attributes: Attributes { browser: "firefox", ..Attributes::default() },
        }));
    }
    for (variant, micros) in [(0, 100_000), (1, 150_000)] {
        let latency = (0..1_000).map(|step| (bucket(micros + step * 100), 2)).fold(
            BTreeMap::new(),
            |mut all, (bucket, count)| {
                *all.entry(bucket).or_insert(0) += count;
                all
            },
        );
        records.push(Record::Traffic(Traffic {
            experiment: "shop",
            variant,
            phase: 0,
            time_us: start_us,
            requests: 2_000,
            errors: if variant == 1 { 700 } else { 10 },
            bytes: 0,
            latency: latency.into_iter().collect(),
        }));
    }
    let entry = Entry::Batch { id: None, records };
    ledger.apply(1, start_us + 10 * DAY_US, &entry);
    (ledger, metrics)
}

fn analysis(plan: &Plan) -> Analysis {
    let visitors = visitors();
    let (store, metrics) = store(&visitors);
    let experiment = experiment();
    let question = Question::new(&experiment, &metrics, plan, START + 10 * DAY);
    let data = Data::gather(&store, &question, Depth::Units).unwrap();
    analyse(&question, &data)
}

#[test]
fn every_kind_is_what_plain_statistics_say() {
    let visitors = visitors();
    let analysis = analysis(&Plan::default());
    let plain = |value: &dyn Fn(&Visitor) -> f64| {
        let of = |variant: u16| {
            let own = visitors.iter().filter(|visitor| visitor.variant == variant);
            Moments::of_values(own.map(value)).unwrap()
        };
        Comparison::new(&of(1), &of(0)).unwrap()
    };
    let spent = |visitor: &Visitor| visitor.purchases.iter().sum::<i64>() as f64 / 1e6;
    let expected = [
        ("bought", plain(&|it| f64::from(u8::from(!it.purchases.is_empty())))),
        ("revenue", plain(&|it| spent(it).min(60.0))),
    ];
    for (name, expected) in expected {
        let metric = analysis.metrics.iter().find(|metric| metric.name == name).unwrap();
        let effect = &metric.effects[0];
        assert!((effect.difference.unwrap() - expected.difference()).abs() < 1e-9, "{name}");
        let error = effect.standard_error.unwrap() / expected.standard_error();
        assert!((error - 1.0).abs() < 1e-9, "{name}");
        assert!(effect.interval.is_some() && effect.lift_interval.is_some(), "{name}");
    }
    let views = analysis.metrics.iter().find(|metric| metric.name == "views").unwrap();
    assert!(views.effects[0].note.as_ref().unwrap().contains("same value"), "3 views each");
    let ratio = analysis.metrics.iter().find(|metric| metric.name == "per-view").unwrap();
    let value = visitors.iter().filter(|it| it.variant == 1).map(spent).sum::<f64>() / 1_800.0;
    assert!((ratio.effects[0].value.unwrap() - value).abs() < 1e-9);
    let wait = analysis.metrics.iter().find(|metric| metric.name == "wait").unwrap();
    let mut waits: Vec<i64> =
        visitors.iter().filter(|it| it.variant == 0).flat_map(|it| it.waits.clone()).collect();
    waits.sort_unstable();
    let exact = waits[waits.len() * 9 / 10] as f64 / 1e6;
    assert!((wait.effects[0].control.unwrap() / exact - 1.0).abs() < 0.03);
    assert!(wait.effects[0].interval.is_some());
}

#[test]
fn a_covariate_narrows_and_does_not_move() {
    let visitors = visitors();
    let analysis = analysis(&Plan::default());
    let spent = analysis.metrics.iter().find(|metric| metric.name == "spent").unwrap();
    let effect = &spent.effects[0];
    let moments = |variant: u16| {
        let mut sums = stats::experiment::Sums::<2>::default();
        for visitor in visitors.iter().filter(|it| it.variant == variant) {
            sums.add([visitor.purchases.iter().sum(), visitor.before]).unwrap();
        }
        sums.moments([1e6, 1e6]).unwrap()
    };
    let adjusted = cuped::adjust(&moments(1), &moments(0)).unwrap();
    assert!((effect.difference.unwrap() - adjusted.comparison.difference()).abs() < 1e-9);
    let reduction = effect.variance_reduction.unwrap();
    assert!((reduction - adjusted.variance_reduction).abs() < 1e-9 && reduction > 0.05);
}

#[test]
fn requests_are_judged_as_if_those_of_a_unit_were_alike() {
    let analysis = analysis(&Plan::default());
    let [errors, latency] = analysis.guardrails.as_slice() else { panic!("two guardrails") };
    assert_eq!((errors.control, errors.value), (Some(0.005), Some(0.35)));
    assert!(errors.harmful && errors.exceeded);
    let value = latency.value.unwrap();
    assert!((value / 0.245 - 1.0).abs() < 0.02, "{value} s");
    assert!(latency.harmful && latency.lift.unwrap() > 0.2);
}

#[test]
fn days_since_exposure_are_told_apart() {
    let analysis = analysis(&Plan::default());
    let days: Vec<_> = analysis.novelty.iter().map(|day| day.day).collect();
    // Everything happened on the first day, so later ones have no variance and there is no series.
    assert!(days.is_empty(), "{days:?}");
}

#[test]
fn an_analysis_survives_its_json() {
    let analysis = analysis(&Plan::default());
    let text = serde_json::to_string_pretty(&analysis).unwrap();
    assert!(text.contains("\"schema\": \"tidegate.experiment/1\""));
    let read: Analysis = serde_json::from_str(&text).unwrap();
    let close = |one: &Analysis| {
        (one.verdict.clone(), one.health.issues.clone(), one.metrics.len(), one.guardrails.len())
    };
    assert_eq!(close(&read), close(&analysis));
}

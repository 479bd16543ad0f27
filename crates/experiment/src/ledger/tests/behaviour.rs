//! One rule each.

use super::*;
use crate::event::Traffic;
use stats::experiment::Sums;

fn sums(ledger: &Ledger, phase: u16, variant: u16, metric: &str) -> Sums<2> {
    let summary = ledger.summary("checkout").unwrap();
    let index = summary.definition.metrics.iter().position(|it| it.name == metric).unwrap();
    let mut arms = summary.arms.iter();
    let arm = arms.find(|arm| (arm.phase, arm.variant) == (phase, variant)).unwrap();
    match &arm.metrics[index] {
        MetricSums::Single(sums) => *sums,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_waits_for_its_exposure() {
    let mut ledger = ledger(settings(3));
    let records = vec![
        Record::Event(event("ada", "buy", 5, START + 20)),
        Record::Event(event("ada", "buy", 3, START + 5)),
    ];
    assert_eq!(record(&mut ledger, records).of(Fate::Counted), 2);
    assert_eq!(sums(&ledger, 0, 0, "revenue").units, 0);
    record(&mut ledger, vec![Record::Exposure(exposure("ada", 0, START + 10))]);
    let revenue = sums(&ledger, 0, 0, "revenue");
    assert_eq!((revenue.units, revenue.sums), (1, [5, 3]));
    assert_eq!(revenue.products[0][1], 15);
}

#[test]
fn a_second_variant_ends_the_counting_of_a_unit() {
    let mut ledger = ledger(settings(3));
    record(
        &mut ledger,
        vec![
            Record::Exposure(exposure("ada", 0, START)),
            Record::Exposure(exposure("bob", 0, START)),
            Record::Event(event("ada", "buy", 5, START + 1)),
            Record::Exposure(exposure("ada", 1, START + 2)),
            Record::Exposure(exposure("ada", 0, START + 3)),
            Record::Event(event("ada", "buy", 5, START + 4)),
        ],
    );
    let summary = ledger.summary("checkout").unwrap();
    assert_eq!(summary.quarantined, 1);
    assert_eq!(sums(&ledger, 0, 0, "spent").units, 1);
    assert_eq!(sums(&ledger, 0, 0, "spent").sums, [0, 0]);
    assert_eq!(sums(&ledger, 0, 1, "spent").units, 0);
}

#[test]
fn units_that_are_dealt_anew_are_not_quarantined() {
    let mut ledger = ledger(settings(3));
    let anew = Exposure { phase: 2, ..exposure("ada", 1, START + HOUR) };
    record(&mut ledger, vec![Record::Exposure(exposure("ada", 0, START)), Record::Exposure(anew)]);
    assert_eq!(ledger.summary("checkout").unwrap().quarantined, 0);
    assert_eq!(sums(&ledger, 0, 0, "spent").units, 1);
    assert_eq!(sums(&ledger, 2, 1, "spent").units, 1);
}

#[test]
fn batches_count_once_and_in_order() {
    let mut ledger = ledger(settings(3));
    record(&mut ledger, vec![Record::Exposure(exposure("ada", 0, START))]);
    let mut send = |epoch, sequence| {
        let records = vec![Record::Event(event("ada", "buy", 1, START + 1))];
        let id = Some(BatchId { producer: "shop", epoch, sequence });
        let outcome = ledger.apply(ledger.position(), START, &Entry::Batch { id, records });
        (outcome, sums(&ledger, 0, 0, "spent").sums[0])
    };
    assert_eq!(send(1, 1), (Outcome::Gap { expected: 0 }, 0));
    assert_eq!(send(1, 0).1, 1);
    assert_eq!(send(1, 0), (Outcome::Duplicate, 1));
    assert_eq!(send(1, 1).1, 2);
    assert_eq!(send(0, 2), (Outcome::Fenced { epoch: 1 }, 2));
    assert_eq!(send(2, 0).1, 3);
    assert_eq!(send(2, 0), (Outcome::Duplicate, 3));
}

#[test]
fn ids_of_events_belong_to_their_unit() {
    let mut ledger = ledger(settings(3));
    let with =
        |unit, id| Record::Event(Event { event_id: Some(id), ..event(unit, "buy", 1, START) });
    let records = vec![with("ada", "1"), with("ada", "1"), with("bob", "1"), with("ada1", "")];
    let fates = record(&mut ledger, records);
    assert_eq!((fates.of(Fate::Counted), fates.of(Fate::Duplicate)), (3, 1));
    assert_eq!(ledger.fates(), fates);
}

#[test]
fn what_is_late_early_unknown_or_unused_is_told() {
    let mut ledger = ledger(settings(3));
    let horizon = settings(3).horizon_us;
    record(&mut ledger, vec![Record::Exposure(exposure("ada", 0, START))]);
    let fates = record(
        &mut ledger,
        vec![
            Record::Event(event("ada", "buy", 1, START - horizon)),
            Record::Event(event("ada", "buy", 1, START - horizon - 1)),
            Record::Exposure(exposure("bob", 0, START - horizon - 1)),
            Record::Event(event("ada", "buy", 1, START + 30 * DAY_US + FUTURE_US_MAX + 1)),
            Record::Event(event("ada", "sneeze", 1, START)),
            Record::Exposure(Exposure { experiment: "other", ..exposure("ada", 0, START) }),
            Record::Exposure(exposure("ada", 2, START)),
            Record::Exposure(Exposure { phase: 3, ..exposure("ada", 0, START) }),
        ],
    );
    let counts = Fate::ALL.map(|fate| fates.of(fate));
    assert_eq!(counts, [1, 1, 3, 0, 2, 1, 0]);
    assert_eq!(ledger.progress().final_through_us, Some(START - horizon));
    // A late exposure of a unit that takes part still tells of a second variant.
    record(&mut ledger, vec![Record::Exposure(exposure("ada", 1, START - horizon - 1))]);
    assert_eq!(ledger.summary("checkout").unwrap().quarantined, 1);
}

#[test]
fn a_record_cannot_drag_the_horizon_into_the_future() {
    let mut ledger = ledger(settings(3));
    let far = Record::Exposure(exposure("eve", 0, START + 300 * DAY_US));
    assert_eq!(record(&mut ledger, vec![far]).of(Fate::Future), 1);
    let fates = record(&mut ledger, vec![Record::Exposure(exposure("ada", 0, START))]);
    assert_eq!(fates.of(Fate::Counted), 1);
}

#[test]
fn what_is_old_is_dropped_and_what_it_counted_stays() {
    let mut ledger = ledger(Settings { horizon_us: 24 * HOUR, ..settings(1) });
    record(
        &mut ledger,
        vec![
            Record::Exposure(exposure("ada", 0, START)),
            Record::Event(event("ada", "buy", 5, START + 1)),
            Record::Event(event("bob", "buy", 5, START + 1)),
        ],
    );
    assert_eq!(ledger.units(), 2);
    // The horizon and the longest lookback later, the hand of the sweep comes round.
    for step in 0..4 {
        let time = START + 49 * HOUR + step;
        record(&mut ledger, vec![Record::Event(event("cleo", "buy", 1, time))]);
    }
    assert_eq!(ledger.units(), 2, "bob is forgotten");
    assert_eq!(sums(&ledger, 0, 0, "spent").sums, [5, 0]);
    record(&mut ledger, vec![Record::Exposure(exposure("bob", 0, START + 49 * HOUR))]);
    assert_eq!(sums(&ledger, 0, 0, "spent").units, 2);
    assert_eq!(sums(&ledger, 0, 0, "revenue").sums, [5, 0]);
}

#[test]
fn limits_hold() {
    let settings = Settings { shards: 1, units_max: 2, recent_max: 3, ..settings(1) };
    let mut ledger = ledger(settings);
    let exposures = ["ada", "bob", "cleo"].map(|unit| Record::Exposure(exposure(unit, 0, START)));
    assert_eq!(record(&mut ledger, exposures.into()).of(Fate::Full), 1);
    let events = (0..5).map(|step| Record::Event(event("ada", "buy", 1, START + step)));
    // Units that take part are counted though their events are no longer kept.
    assert_eq!(record(&mut ledger, events.collect()).of(Fate::Counted), 5);
    assert_eq!(sums(&ledger, 0, 0, "spent").sums, [5, 0]);
    let fates = record(&mut ledger, vec![Record::Event(event("dan", "buy", 1, START))]);
    assert_eq!(fates.of(Fate::Full), 1);
    // Repeating what was not taken takes it when there is room: it was not noted as counted.
    let with_id = Event { event_id: Some("x"), ..event("dan", "buy", 1, START) };
    for _ in 0..2 {
        assert_eq!(record(&mut ledger, vec![Record::Event(with_id)]).of(Fate::Full), 1);
    }
}

#[test]
fn a_metric_that_is_added_counts_units_from_then_on() {
    let mut ledger = ledger(settings(3));
    let old = Exposure { time_us: START - HOUR, ..exposure("ada", 0, START) };
    record(&mut ledger, vec![Record::Exposure(old), Record::Event(event("ada", "buy", 4, START))]);
    let mut wider = definition();
    wider.deals.push(1);
    wider.metrics.push(metric("clicks", MetricKind::Count { event: "click".into() }));
    define(&mut ledger, &wider);
    let since = ledger.received_us().unwrap();
    record(
        &mut ledger,
        vec![
            Record::Exposure(exposure("bob", 0, since)),
            Record::Event(event("bob", "click", 0, since)),
            Record::Event(event("ada", "click", 0, since)),
            Record::Event(event("ada", "buy", 4, START)),
        ],
    );
    assert_eq!(sums(&ledger, 0, 0, "clicks").units, 1);
    assert_eq!(sums(&ledger, 0, 0, "clicks").sums, [1, 0]);
    assert_eq!(sums(&ledger, 0, 0, "spent").sums, [8, 0]);
    assert_eq!(sums(&ledger, 0, 0, "spent").units, 2);
    assert_eq!(sums(&ledger, 3, 0, "spent").units, 0);
}

#[test]
fn what_is_measured_cannot_be_changed() {
    let mut ledger = ledger(settings(3));
    let mut refused = |change: &dyn Fn(&mut Definition)| {
        let mut definition = definition();
        change(&mut definition);
        let text = serde_json::to_string(&definition).unwrap();
        let outcome = ledger.apply(ledger.position(), START, &Entry::Define(&text));
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    };
    refused(&|it| it.variants = 3);
    refused(&|it| it.deals = vec![0, 0]);
    refused(&|it| it.deals = vec![0, 0, 1, 3]);
    refused(&|it| it.metrics[0].window_us += 1);
    refused(&|it| it.metrics.truncate(2));
    refused(&|it| it.metrics.push(it.metrics[0].clone()));
    refused(&|it| it.experiment = String::new());
    let outcome = ledger.apply(ledger.position(), START, &Entry::Define("{}"));
    assert!(matches!(outcome, Outcome::Refused(_)));
    define(&mut ledger, &definition());
}

#[test]
fn an_experiment_that_is_forgotten_leaves_nothing() {
    let mut ledger = ledger(settings(3));
    record(&mut ledger, vec![Record::Exposure(exposure("ada", 0, START))]);
    let outcome = ledger.apply(ledger.position(), START, &Entry::Forget("checkout"));
    assert_eq!(outcome, Outcome::Applied(Fates::default()));
    assert_eq!((ledger.units(), ledger.summary("checkout")), (0, None));
    assert!(matches!(
        ledger.apply(ledger.position(), START, &Entry::Forget("checkout")),
        Outcome::Refused(_)
    ));
    define(&mut ledger, &definition());
    assert_eq!(sums(&ledger, 0, 0, "spent").units, 0);
    let parts: Vec<_> = (0..ledger.parts()).map(|part| ledger.part(part)).collect();
    let mut ledger = Ledger::restore(settings(3), &parts).unwrap();
    record(&mut ledger, vec![Record::Exposure(exposure("ada", 0, START))]);
    assert_eq!(sums(&ledger, 0, 0, "spent").units, 1);
}

#[test]
fn what_the_gateway_saw_adds_up() {
    let mut ledger = ledger(settings(3));
    let traffic = |requests, latency| {
        Record::Traffic(Traffic {
            experiment: "checkout",
            variant: 1,
            phase: 0,
            time_us: START,
            requests,
            errors: 1,
            bytes: 10,
            latency,
        })
    };
    let records = vec![
        traffic(2, vec![(bucket(100), 2)]),
        traffic(2, vec![(bucket(100), 1), (bucket(900), 1)]),
    ];
    record(&mut ledger, records);
    let summary = ledger.summary("checkout").unwrap();
    let [arm] = &summary.traffic[..] else { panic!("{:?}", summary.traffic) };
    assert_eq!((arm.phase, arm.variant, arm.totals.requests, arm.totals.errors), (0, 1, 4, 2));
    assert_eq!(arm.totals.latency_quantile(0.75), Some(100.0));
    assert_eq!(arm.totals.latency_quantile(1.0), Some(bucket_value(bucket(900))));
    assert_eq!(arm.totals.latency_quantile(1.1), None);
}

#[test]
fn a_definition_follows_from_an_experiment() {
    let text = r#"{"key": "checkout", "unit": {"device": {"cookie": "uid"}},
        "variants": [{"key": "a"}, {"key": "b"}],
        "phases": [{"since": 0, "weights": [1, 1]}, {"since": 1, "weights": [1, 2]},
            {"since": 2, "weights": [1, 1], "salt": "x"}]}"#;
    let experiment = serde_json::from_str(text).unwrap();
    assert_eq!(Definition::new(&experiment, metrics()), definition());
}

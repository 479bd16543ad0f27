//! The sums are what a plain reading of the rules gives, whatever the order, the shards and the
//! repetitions; a ledger that was written down goes on as if it had not been.

mod behaviour;
mod laws;
mod steps;

use super::*;
use crate::event::{Attributes, Event, Exposure};

pub(super) const HOUR: i64 = 3_600_000_000;
pub(super) const START: i64 = 20_000 * DAY_US;

pub(super) fn metric(name: &str, kind: MetricKind) -> Metric {
    Metric { name: name.into(), kind, delay_us: 0, window_us: 24 * HOUR, lookback_us: 0 }
}

/// Every kind of metric, over the events `buy` and `view`.
pub(super) fn metrics() -> Vec<Metric> {
    let buy = || "buy".to_owned();
    let view = || "view".to_owned();
    let with_lookback = |metric| Metric { lookback_us: 24 * HOUR, ..metric };
    vec![
        with_lookback(metric("bought", MetricKind::Conversion { event: buy() })),
        metric("views", MetricKind::Count { event: view() }),
        metric("spent", MetricKind::Mean { event: buy() }),
        with_lookback(metric(
            "revenue",
            MetricKind::Revenue { event: buy(), cap: 7, percentile: None },
        )),
        with_lookback(metric(
            "per-view",
            MetricKind::Ratio {
                numerator: Term::Total { event: buy() },
                denominator: Term::Count { event: view() },
            },
        )),
        metric("median", MetricKind::Quantile { event: view(), ppm: 500_000 }),
        Metric {
            delay_us: 6 * HOUR,
            ..metric("returned", MetricKind::Retention { event: view() })
        },
    ]
}

pub(super) fn definition() -> Definition {
    Definition {
        experiment: "checkout".into(),
        variants: 2,
        deals: vec![0, 0, 1],
        metrics: metrics(),
    }
}

pub(super) fn exposure(unit: &str, variant: u16, time_us: i64) -> Exposure<'_> {
    let attributes = Attributes { browser: "firefox", ..Attributes::default() };
    Exposure { experiment: "checkout", unit, variant, phase: 0, time_us, attributes }
}

pub(super) fn event<'a>(unit: &'a str, name: &'a str, value: i64, time_us: i64) -> Event<'a> {
    Event { unit, name, value, time_us, event_id: None }
}

pub(super) fn settings(shards: usize) -> Settings {
    Settings { shards, ..Settings::default() }
}

/// A ledger that measures [`definition`]; its first entry is applied.
pub(super) fn ledger(settings: Settings) -> Ledger {
    let mut ledger = Ledger::new(settings);
    define(&mut ledger, &definition());
    ledger
}

pub(super) fn define(ledger: &mut Ledger, definition: &Definition) {
    let text = serde_json::to_string(definition).unwrap();
    let outcome = ledger.apply(ledger.position(), START, &Entry::Define(&text));
    assert_eq!(outcome, Outcome::Applied(Fates::default()));
}

/// Applies records long after they happened, as far as the clock is concerned.
pub(super) fn record(ledger: &mut Ledger, records: Vec<Record<'_>>) -> Fates {
    let entry = Entry::Batch { id: None, records };
    match ledger.apply(ledger.position(), START + 30 * DAY_US, &entry) {
        Outcome::Applied(fates) => fates,
        other => panic!("{other:?}"),
    }
}

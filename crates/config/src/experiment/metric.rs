//! `[metric.NAME]`.

use experiment::ledger::{MetricKind, TOTAL_MAX, Term};
use experiment::metric::{
    Better, ERROR_MARGIN, LATENCY_MARGIN, MARGIN, Measure, MetricSpec, WINDOW_US,
};
use toml::de::DeValue;

use super::places::Places;
use super::value::{fraction, micros, number};
use crate::errors::{Code, Problem};
use crate::gateway::value::check_name;
use crate::read::{Node, Table};

const KINDS: [(&str, &str); 9] = [
    ("conversion", "conversion"),
    ("mean", "mean"),
    ("count", "count"),
    ("revenue", "revenue"),
    ("ratio", "ratio"),
    ("quantile", "quantile"),
    ("retention", "retention"),
    ("error-rate", "error-rate"),
    ("latency", "latency"),
];

/// Reads one.
pub(super) fn read(node: &Node<'_>, place: &str, places: &mut Places) -> Option<MetricSpec> {
    check_name(node);
    let name = node.key.text.to_owned();
    node.table("a metric", |table| {
        for key in ["kind", "cap", "window", "delay", "lookback", "margin"] {
            let at = table.get(key).map(|node| node.at());
            places.add(format!("{place}.{key}"), at);
        }
        let description = table.get("description").and_then(|node| node.owned_text());
        let kind = table.required("kind").and_then(|node| node.choice(&KINDS));
        let choices = [("higher", Better::Higher), ("lower", Better::Lower)];
        let better = table.get("better").and_then(|node| node.choice(&choices));
        let margin = table.get("margin").and_then(|node| fraction(&node));
        let kind = kind?;
        let measure = read_measure(table, kind);
        let requests = matches!(kind, "error-rate" | "latency");
        let by_default = match kind {
            "error-rate" => ERROR_MARGIN,
            "latency" => LATENCY_MARGIN,
            _ => MARGIN,
        };
        Some(MetricSpec {
            name,
            description: description.unwrap_or_default(),
            measure: measure?,
            better: better.unwrap_or(if requests { Better::Lower } else { Better::Higher }),
            margin: margin.unwrap_or(by_default),
        })
    })
}

fn read_measure(table: &mut Table<'_>, kind: &str) -> Option<Measure> {
    match kind {
        "error-rate" => return Some(Measure::ErrorRate),
        "latency" => return Some(Measure::Latency { ppm: quantile(table)? }),
        _ => {}
    }
    let kind = read_kind(table, kind);
    let mut time = |key, default| table.get(key).map_or(Some(default), |node| micros(&node));
    let (window_us, delay_us) = (time("window", WINDOW_US), time("delay", 0));
    let lookback_us = time("lookback", 0);
    Some(Measure::Events {
        kind: kind?,
        delay_us: delay_us?,
        window_us: window_us?,
        lookback_us: lookback_us?,
    })
}

fn read_kind(table: &mut Table<'_>, kind: &str) -> Option<MetricKind> {
    if kind == "ratio" {
        let numerator = table.required("numerator").and_then(|node| term(&node));
        let denominator = table.required("denominator").and_then(|node| term(&node));
        return Some(MetricKind::Ratio { numerator: numerator?, denominator: denominator? });
    }
    let event = table.required("event").and_then(|node| node.owned_text());
    Some(match kind {
        "conversion" => MetricKind::Conversion { event: event? },
        "mean" => MetricKind::Mean { event: event? },
        "count" => MetricKind::Count { event: event? },
        "retention" => MetricKind::Retention { event: event? },
        "quantile" => MetricKind::Quantile { ppm: quantile(table)?, event: event? },
        _ => {
            let (cap, percentile) = table.required("cap").and_then(|node| cap(&node))?;
            MetricKind::Revenue { event: event?, cap, percentile }
        }
    })
}

/// An amount, or a percentile that is taken later. Limits are checked with the rest.
fn cap(node: &Node<'_>) -> Option<(i64, Option<u32>)> {
    if matches!(node.value(), DeValue::String(_)) {
        return Some((TOTAL_MAX, Some((fraction(node)? * 1e6).round() as u32)));
    }
    Some(((number(node)? * 1e6).round() as i64, None))
}

fn quantile(table: &mut Table<'_>) -> Option<u32> {
    let node = table.required("quantile")?;
    let value = number(&node)?;
    let ppm = (value * 1e6).round();
    if !(1.0..1e6).contains(&ppm) {
        let message = "`quantile` must be above 0 and below 1";
        node.sink.add(node.problem(Code::BadNumber, message, "out of range"));
        return None;
    }
    Some(ppm as u32)
}

fn term(node: &Node<'_>) -> Option<Term> {
    node.table("a part of a ratio", |table| {
        let found = table.one_of(&["count", "total"]);
        if found.is_none() && table.rest().is_empty() {
            let problem = Problem::new(Code::MissingKey, "a part of a ratio counts nothing");
            let problem = problem.at(Some(table.at), "");
            table.sink.add(problem.help("write `{ count = \"view\" }` or `{ total = \"buy\" }`"));
        }
        let node = found?;
        let event = node.owned_text()?;
        Some(if node.key.text == "count" { Term::Count { event } } else { Term::Total { event } })
    })
}

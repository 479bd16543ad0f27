//! What the log tells about instances, in words and as JSON.

use plan::instances::{CurvePoint, Instances, Newcomer};
use serde_json::{Value, json};

use super::demand::time;
use crate::format;
use crate::table::Table;

/// Columns of the plot of instances over time.
const PLOT_WIDTH: usize = 84;
/// Rows of the curve that are shown.
const CURVE_ROWS_MAX: usize = 8;
/// New instances that are told, and those that JSON has.
const NEW_TOLD_MAX: usize = 5;
const JSON_NEW_MAX: usize = 1000;

/// How many there were, how latency rises with concurrency, and how new ones began.
pub(super) fn text(instances: &Instances) -> String {
    let live = &instances.live;
    let counts: Vec<Option<f64>> =
        live.over_time.iter().map(|point| Some(f64::from(point.instances))).collect();
    let mut text = format!(
        "\n  upstream servers at a time: {} to {}, {} on average\n    {}\n",
        live.least,
        live.most,
        format::amount(live.mean),
        format::sparkline(&format::thinned(&counts, PLOT_WIDTH)),
    );
    text.push_str(&curve(instances));
    let new = &instances.new;
    for newcomer in new.iter().take(NEW_TOLD_MAX) {
        text.push_str(&format!("  {}\n", begin(newcomer)));
    }
    if new.len() > NEW_TOLD_MAX {
        text.push_str(&format!("  and {} more new ones\n", new.len() - NEW_TOLD_MAX));
    }
    text
}

fn curve(instances: &Instances) -> String {
    let points = &instances.curve;
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    if points.len() < 2 {
        return format!(
            "  each had {} requests in flight, {} and {} a request, at all times\n",
            format::amount(first.in_flight),
            format::rate(first.per_s),
            format::time(first.latency_s * 1e6),
        );
    }
    let mut table = Table::new(&["one server, in flight"], &["per s", "latency", "stretches"]);
    let step = points.len().div_ceil(CURVE_ROWS_MAX);
    let is_shown = |at: usize, point: &CurvePoint| at.is_multiple_of(step) || point == last;
    for (_, point) in points.iter().enumerate().filter(|(at, point)| is_shown(*at, point)) {
        table.row([
            format::amount(point.in_flight),
            format::amount(point.per_s),
            format::time(point.latency_s * 1e6),
            format::count(point.stretches as u64),
        ]);
    }
    let why = instances.no_fit.map(|why| format!("  no concurrency limit from these: {why}\n"));
    format!("\n{}{}", table.render(), why.unwrap_or_default())
}

fn begin(newcomer: &Newcomer) -> String {
    let mut told = vec![format!("{} was new at {}", newcomer.key, time(newcomer.first_s as i64))];
    match newcomer.failing_s {
        Some(0.0) => {}
        Some(seconds) => {
            told.push(format!("first without error after {}", format::length(seconds)));
        }
        None => told.push("never without error".to_owned()),
    }
    match newcomer.warm_up_s {
        Some(0.0) => told.push("as fast as later from the first request on".to_owned()),
        Some(seconds) => told.push(format!("as fast as later after {}", format::length(seconds))),
        None => {}
    }
    told.join(", ")
}

/// The same for programs.
pub(super) fn json(instances: &Instances) -> Value {
    let live = &instances.live;
    let over_time = live.over_time.iter();
    let new = |newcomer: &Newcomer| {
        json!({
            "key": newcomer.key,
            "first": time(newcomer.first_s as i64),
            "failing-s": newcomer.failing_s,
            "warm-up-s": newcomer.warm_up_s,
        })
    };
    json!({
        "window-s": instances.window_s,
        "least": live.least,
        "mean": live.mean,
        "most": live.most,
        "over-time": over_time
            .map(|point| json!({ "time": time(point.start_s), "instances": point.instances }))
            .collect::<Vec<_>>(),
        "curve": instances.curve,
        "no-fit": instances.no_fit.map(|why| why.to_string()),
        "new": instances.new.iter().take(JSON_NEW_MAX).map(new).collect::<Vec<_>>(),
        "begins-s": instances.begins_s(),
    })
}

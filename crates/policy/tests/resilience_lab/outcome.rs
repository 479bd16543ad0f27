//! What came out of a simulation.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::sim::{End, Event, Trace};

/// Measures by name, for requests that arrived and events that happened within a period. NaN where
/// there was nothing to measure.
pub(crate) fn measure(trace: &Trace, period: Range<f64>) -> BTreeMap<&'static str, f64> {
    let requests = || trace.requests.iter().filter(|r| period.contains(&r.arrived_s));
    let count = |end: End| requests().filter(|r| r.end == end).count() as f64;
    let tried = count(End::Ok) + count(End::Failed);
    // Those that ended.
    let all = tried + count(End::Limited) + count(End::Broken) + count(End::Shed);
    let mut latencies: Vec<f64> =
        requests().filter(|r| r.end == End::Ok).map(|r| r.latency_s * 1e3).collect();
    latencies.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let rank = (q * latencies.len().saturating_sub(1) as f64) as usize;
        latencies.get(rank).copied().unwrap_or(f64::NAN)
    };

    let during = || trace.events.iter().filter(|(at, _)| period.contains(at));
    let times = |wanted: fn(&Event) -> bool| -> Vec<f64> {
        during().filter(|(_, event)| wanted(event)).map(|(at, _)| *at).collect()
    };
    let first = |times: &[f64]| times.first().copied().unwrap_or(f64::NAN);
    let attempts = times(|e| matches!(e, Event::Attempt { .. }));
    let retries = times(|e| matches!(e, Event::Attempt { retry: true, .. }));
    let probes = times(|e| matches!(e, Event::Attempt { probe: true, .. }));
    let at_first = times(|e| matches!(e, Event::Attempt { server: 0, .. }));
    let opened = times(|e| *e == Event::Opened);
    let closed = times(|e| *e == Event::Closed);
    let ejected = times(|e| *e == Event::Ejected);
    let downs = times(|e| *e == Event::Health { up: false });
    let ups = times(|e| *e == Event::Health { up: true });
    let answers: Vec<(f64, f64)> = during()
        .filter_map(|(_, event)| match event {
            Event::Answer { limit, in_flight } => Some((f64::from(*limit), f64::from(*in_flight))),
            _ => None,
        })
        .collect();
    let mut limits: Vec<f64> = answers.iter().map(|(limit, _)| *limit).collect();
    limits.sort_by(f64::total_cmp);
    let limit = |q: f64| {
        let rank = (q * limits.len().saturating_sub(1) as f64) as usize;
        limits.get(rank).copied().unwrap_or(f64::NAN)
    };

    BTreeMap::from([
        ("requests", all),
        // Counts, then parts of the requests.
        ("passed", count(End::Ok)),
        ("failed", count(End::Failed)),
        ("ok_share", count(End::Ok) / all),
        ("failed_share", count(End::Failed) / all),
        ("limited_share", count(End::Limited) / all),
        ("broken_share", count(End::Broken) / all),
        ("shed_share", count(End::Shed) / all),
        // Latency of requests that succeeded.
        ("p50_ms", quantile(0.5)),
        ("p99_ms", quantile(0.99)),
        ("attempts", attempts.len() as f64),
        ("retries", retries.len() as f64),
        ("retries_per_request", retries.len() as f64 / tried),
        // The part of the attempts that the first server gets.
        ("first_server_share", at_first.len() as f64 / attempts.len() as f64),
        ("probes", probes.len() as f64),
        ("opened", opened.len() as f64),
        ("opened_at_s", first(&opened)),
        ("closed", closed.len() as f64),
        ("closed_at_s", first(&closed)),
        ("ejected", ejected.len() as f64),
        ("ejected_at_s", first(&ejected)),
        ("down", downs.len() as f64),
        ("down_at_s", first(&downs)),
        ("up_at_s", first(&ups)),
        // The adaptive limit, seen at each answer.
        ("limit_p50", limit(0.5)),
        ("limit_min", limit(0.0)),
        ("limit_max", limit(1.0)),
        ("in_flight_max", answers.iter().map(|(_, n)| *n).fold(0.0, f64::max)),
    ])
}

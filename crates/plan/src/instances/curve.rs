//! Latency over concurrency: windows of all instances, put together by what was in flight.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Instance, Newcomer, Window};

/// Most points of a curve.
pub const CURVE_POINTS_MAX: usize = 24;
/// Fewest windows that make a point.
pub const WINDOWS_MIN: usize = 5;
/// Fewest points of a curve that a law is fitted to: it has three parameters.
const POINTS_MIN: usize = 4;
/// Smallest ratio of the loads of neighbouring points.
const RATIO_MIN: f64 = 1.15;
/// Least ratio of the greatest load to the smallest that says anything about how one depends on the
/// other.
const SPREAD_MIN: f64 = 2.0;
/// Least ratio of the highest latency to the lowest that is more than chance.
const RISE_MIN: f64 = 1.5;

/// One instance under a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CurvePoint {
    /// Requests in flight, on average.
    pub in_flight: f64,
    /// Requests answered per second.
    pub per_s: f64,
    /// Mean time that a request took, in seconds: in flight over per second, by Little's law.
    pub latency_s: f64,
    /// Windows that it is the mean of.
    pub windows: usize,
}

/// Why a curve does not support a concurrency limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NoFit {
    /// The log has no durations.
    #[error("the log does not tell how long requests took")]
    NoDurations,
    /// Fewer points than a fit needs.
    #[error("too few windows of time at different loads")]
    TooFew,
    /// The load of an instance hardly changed.
    #[error("the load of an instance hardly changed")]
    SameLoad,
    /// Latency did not depend on the load.
    #[error(
        "latency did not rise with the load: the instances were never busy enough to show a knee"
    )]
    NoRise,
}

/// The curve of all windows but those in which a new instance was not yet warm.
pub(super) fn curve(instances: &[Instance], new: &[Newcomer], window_s: u32) -> Vec<CurvePoint> {
    let window_s = f64::from(window_s);
    let warm = |instance: &Instance, window: &Window| {
        let own = new.iter().find(|newcomer| newcomer.key == instance.key);
        own.is_none_or(|own| window.start_s as f64 >= own.first_s + own.begins_s().unwrap_or(0.0))
    };
    // Its first and its last window an instance may not have been there from begin to end.
    let whole = instances.iter().flat_map(|instance| {
        let inner = instance.windows.len().saturating_sub(2);
        let windows = instance.windows.iter().skip(1).take(inner);
        windows.filter(move |window| warm(instance, window))
    });
    let known: Vec<(f64, f64)> = whole
        .filter_map(|window| Some((window.busy_s?, window.ended)))
        .filter(|(busy_s, ended)| *busy_s > 0.0 && *ended > 0.0)
        .collect();
    let busy = || known.iter().map(|(busy_s, _)| *busy_s);
    let (least, most) = (busy().fold(f64::INFINITY, f64::min), busy().fold(0.0, f64::max));
    if known.is_empty() {
        return Vec::new();
    }
    let ratio = (most / least).powf(1.0 / CURVE_POINTS_MAX as f64).max(RATIO_MIN);
    let last = CURVE_POINTS_MAX - 1;
    let mut bins: BTreeMap<usize, (usize, f64, f64)> = BTreeMap::new();
    for (busy_s, ended) in known {
        let bin = ((busy_s / least).ln() / ratio.ln()).floor().clamp(0.0, last as f64) as usize;
        let (windows, all_busy_s, all_ended) = bins.entry(bin).or_default();
        (*windows, *all_busy_s, *all_ended) =
            (*windows + 1, *all_busy_s + busy_s, *all_ended + ended);
    }
    let enough = bins.into_values().filter(|(windows, _, _)| *windows >= WINDOWS_MIN);
    let point = |(windows, busy_s, ended): (usize, f64, f64)| {
        let length_s = windows as f64 * window_s;
        CurvePoint {
            in_flight: busy_s / length_s,
            per_s: ended / length_s,
            latency_s: busy_s / ended,
            windows,
        }
    };
    enough.map(point).collect()
}

/// Why `curve` says too little; `None` where it says enough.
pub(super) fn no_fit(curve: &[CurvePoint]) -> Option<NoFit> {
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else {
        return Some(NoFit::NoDurations);
    };
    let lowest = curve.iter().map(|point| point.latency_s).fold(f64::INFINITY, f64::min);
    if curve.len() < POINTS_MIN {
        Some(NoFit::TooFew)
    } else if last.in_flight < SPREAD_MIN * first.in_flight {
        Some(NoFit::SameLoad)
    } else if last.latency_s < RISE_MIN * lowest {
        Some(NoFit::NoRise)
    } else {
        None
    }
}

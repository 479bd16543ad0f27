//! Latency over concurrency: stretches of all instances, put together by what was in flight.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Instance, Newcomer, Window};

/// Most points of a curve.
pub const CURVE_POINTS_MAX: usize = 24;
/// Fewest stretches that make a point.
pub const STRETCHES_MIN: usize = 5;
/// Requests of a stretch: what chance does to their mean is then about a twentieth.
const STRETCH_REQUESTS: f64 = 400.0;
/// Length of a stretch that ends sooner, in seconds, and the requests that it must have.
const STRETCH_S_MAX: i64 = 600;
const STRETCH_REQUESTS_MIN: f64 = 100.0;
/// How far the requests of a window may be from those of the stretch before it to belong to it, in
/// standard deviations of a Poisson process.
const CHANCE: f64 = 5.0;
/// Fewest points of a curve that a law is fitted to: it has three parameters.
const POINTS_MIN: usize = 4;
/// Smallest ratio of the loads of neighbouring points.
const RATIO_MIN: f64 = 1.15;
/// Least ratio of the greatest load to the smallest that says anything about how one depends on the
/// other.
const SPREAD_MIN: f64 = 2.0;
/// Least ratio of the highest latency to the lowest that is more than chance.
const RISE_MIN: f64 = 1.3;

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
    /// Stretches of time that it is the mean of.
    pub stretches: usize,
}

/// Why a curve does not support a concurrency limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NoFit {
    /// The log has no durations.
    #[error("the log does not tell how long requests took")]
    NoDurations,
    /// Fewer points than a fit needs.
    #[error("too few stretches of time at different loads")]
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
    let stretches: Vec<Stretch> = instances
        .iter()
        .flat_map(|instance| {
            let own = new.iter().find(|newcomer| newcomer.key == instance.key);
            let warm_s = own.map(|own| own.first_s + own.begins_s().unwrap_or(0.0));
            stretches(&instance.windows, warm_s.unwrap_or(f64::MIN), i64::from(window_s))
        })
        .collect();
    let loads = || stretches.iter().map(Stretch::in_flight);
    let (least, most) = (loads().fold(f64::INFINITY, f64::min), loads().fold(0.0, f64::max));
    let ratio = (most / least).powf(1.0 / CURVE_POINTS_MAX as f64).max(RATIO_MIN);
    let last = CURVE_POINTS_MAX - 1;
    let mut bins: BTreeMap<usize, (usize, Stretch)> = BTreeMap::new();
    for stretch in &stretches {
        let bin = ((stretch.in_flight() / least).ln() / ratio.ln()).floor().clamp(0.0, last as f64);
        let (count, sum) = bins.entry(bin as usize).or_default();
        *count += 1;
        sum.add(stretch);
    }
    let enough = bins.into_values().filter(|(count, _)| *count >= STRETCHES_MIN);
    let point = |(stretches, sum): (usize, Stretch)| CurvePoint {
        in_flight: sum.in_flight(),
        per_s: sum.ended / sum.length_s as f64,
        latency_s: sum.busy_s / sum.ended,
        stretches,
    };
    enough.map(point).collect()
}

/// Windows of one instance that follow each other.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    length_s: i64,
    ended: f64,
    busy_s: f64,
}

impl Stretch {
    fn in_flight(&self) -> f64 {
        self.busy_s / self.length_s as f64
    }

    /// Whether `next` differs from this by chance only. Nothing is like everything.
    fn is_like(&self, next: &Self) -> bool {
        let expected = self.ended / self.length_s.max(1) as f64 * next.length_s as f64;
        self.length_s == 0 || (next.ended - expected).abs() <= CHANCE * expected.max(1.0).sqrt()
    }

    fn add(&mut self, other: &Self) {
        self.length_s += other.length_s;
        self.ended += other.ended;
        self.busy_s += other.busy_s;
    }
}

/// `windows` from `warm_s` on, put together until they hold enough requests or the load changes.
fn stretches(windows: &[Window], warm_s: f64, window_s: i64) -> Vec<Stretch> {
    // Its first and its last window an instance may not have been there from begin to end.
    let whole = windows.iter().skip(1).take(windows.len().saturating_sub(2));
    let mut done = Vec::new();
    let mut open = Stretch::default();
    let mut end_s = i64::MIN;
    for window in whole.filter(|window| window.start_s as f64 >= warm_s) {
        let Some(busy_s) = window.busy_s.filter(|busy_s| *busy_s > 0.0) else { continue };
        let next = Stretch { length_s: window_s, ended: window.ended, busy_s };
        if window.start_s != end_s || !open.is_like(&next) {
            done.push(std::mem::take(&mut open));
        }
        end_s = window.start_s + window_s;
        open.add(&next);
        if open.ended >= STRETCH_REQUESTS || open.length_s >= STRETCH_S_MAX {
            done.push(std::mem::take(&mut open));
        }
    }
    done.push(open);
    done.retain(|stretch| stretch.ended >= STRETCH_REQUESTS_MIN);
    done
}

/// Why `curve` of `instances` says too little; `None` where it says enough.
pub(super) fn no_fit(curve: &[CurvePoint], instances: &[Instance]) -> Option<NoFit> {
    let mut windows = instances.iter().flat_map(|instance| &instance.windows);
    if windows.all(|window| window.busy_s.is_none()) {
        return Some(NoFit::NoDurations);
    }
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else {
        return Some(NoFit::TooFew);
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

//! How many requests an instance should work on at a time.

use serde::{Deserialize, Serialize};
use stats::knee::{DEFAULT_SENSITIVITY, Shape, knee};
use stats::usl::{self, UslFit};

use super::params::Params;

/// Most requests at a time that are advised.
pub const LIMIT_MAX: u32 = 100_000;

/// How far beyond the greatest measured load a law is believed, as a factor.
pub const EXTRAPOLATION_MAX: f64 = 1.5;

/// How much more than the most that an instance was seen to answer its capacity may be given as.
const CAPACITY_ABOVE: f64 = 1.1;

/// Advice on the concurrency limit of an instance, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Concurrency {
    /// Requests in flight at the capacity, by Little's law: capacity × mean service time.
    pub by_littles_law: f64,
    /// Requests in flight at which throughput is highest, by the fitted universal scalability law;
    /// `None` without points, or where it lies further than [`EXTRAPOLATION_MAX`] beyond them.
    pub by_usl: Option<f64>,
    /// Requests in flight up to which the fitted law answers within the limit of the objective;
    /// `None` as above.
    pub by_objective: Option<f64>,
    /// Requests in flight of the measured point at which response times bend upwards (Kneedle);
    /// `None` where they do not.
    pub knee: Option<f64>,
    /// Greatest measured load, in requests in flight; `None` without enough points.
    pub measured_to: Option<f64>,
    /// Requests per second where throughput is highest, by the fitted law.
    pub usl_peak_per_s: Option<f64>,
    /// The advised limit: requests in flight at the capacity and the square root of it above, for
    /// chance, but no more than the fitted law bears.
    pub limit: u32,
    /// The same as a bounded concurrency of the gateway: requests to an upstream server at a time.
    pub gateway_max_requests_per_server: u32,
    /// Requests that may wait in the gateway for each server without being late: those an instance
    /// serves during the patience of the objective.
    pub gateway_queue: u32,
    /// How long one may wait there, in seconds: the patience of the objective.
    pub gateway_queue_timeout_s: f64,
    /// Share of the variance of throughput that the law explains; `None` without points.
    pub usl_r_squared: Option<f64>,
}

/// The advice for the system of `params`, with measured `points` of one instance: requests in
/// flight and requests per second. Fewer than three different ones are not enough for a fit.
#[must_use]
pub fn advise(params: &Params, points: &[(f64, f64)]) -> Concurrency {
    let busy = params.capacity_per_s * params.service.mean();
    let fit = usl::fit(points);
    let most = points.iter().map(|point| point.0).fold(0.0, f64::max);
    let believed = |load: &f64| *load <= most * EXTRAPOLATION_MAX;
    let by_usl = fit.and_then(|fit| fit.n_star()).filter(believed);
    let by_objective =
        fit.and_then(|fit| greatest_within(&fit, params.late_after_s)).filter(believed);
    let staffed = stats::queueing::square_root_staffing(busy.max(0.0), 1.0).map_or(1.0, f64::from);
    let bounds = [by_usl, by_objective].into_iter().flatten();
    let limit =
        bounds.fold(staffed.max(1.0), f64::min).floor().clamp(1.0, f64::from(LIMIT_MAX)) as u32;
    let patience_s = (params.late_after_s - params.service.mean()).max(0.0);
    let waiting = (params.capacity_per_s * patience_s).floor().clamp(0.0, f64::from(LIMIT_MAX));
    Concurrency {
        by_littles_law: busy,
        by_usl,
        by_objective,
        knee: fit.and_then(|_| bend(points)),
        measured_to: fit.map(|_| most),
        usl_peak_per_s: fit.and_then(|fit| Some(fit.throughput(by_usl?))),
        limit,
        gateway_max_requests_per_server: limit,
        gateway_queue: waiting as u32,
        gateway_queue_timeout_s: patience_s,
        usl_r_squared: fit.map(|fit| fit.r_squared),
    }
}

impl Concurrency {
    /// What does not fit together: more capacity than an instance was ever seen to have.
    pub(super) fn doubt(&self, params: &Params) -> Option<String> {
        let peak =
            self.usl_peak_per_s.filter(|peak| params.capacity_per_s > peak * CAPACITY_ABOVE)?;
        Some(format!(
            "a capacity of {:.0}/s was given, but measured instances answer at most {peak:.0}/s: check --capacity",
            params.capacity_per_s
        ))
    }
}

/// Requests in flight where response times N/X bend upwards.
fn bend(points: &[(f64, f64)]) -> Option<f64> {
    let mut times: Vec<(f64, f64)> =
        points.iter().map(|&(load, throughput)| (load, load / throughput)).collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times.dedup_by_key(|point| point.0);
    knee(&times, Shape::Convex, DEFAULT_SENSITIVITY).and_then(|at| times.get(at)).map(|at| at.0)
}

/// The greatest load at which the response time N/X(N) of the law is within `limit_s`, by
/// bisection; it rises with N. `None` where even one request takes longer.
fn greatest_within(fit: &UslFit, limit_s: f64) -> Option<f64> {
    let within = |load: f64| load / fit.throughput(load) <= limit_s;
    if !within(1.0) {
        return None;
    }
    let (mut low, mut high) = (1.0, f64::from(LIMIT_MAX));
    if within(high) {
        return Some(high);
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if within(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

//! How many requests an instance should work on at a time.

use serde::{Deserialize, Serialize};
use stats::usl::{self, UslFit};

use super::params::Params;

/// Most requests at a time that are advised.
pub const LIMIT_MAX: u32 = 100_000;

/// Advice on the concurrency limit of an instance, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Concurrency {
    /// Requests in flight at the capacity, by Little's law: capacity × mean service time.
    pub by_littles_law: f64,
    /// Requests in flight at which throughput is highest, by the fitted universal scalability law;
    /// `None` without points, or where throughput does not turn.
    pub by_usl: Option<f64>,
    /// Requests in flight at which the fitted law still answers within the limit of the objective.
    pub by_objective: Option<f64>,
    /// The advised limit: requests in flight at the capacity and the square root of it above, for
    /// chance, but no more than the fitted law bears.
    pub limit: u32,
    /// The same as a bounded concurrency of the gateway: requests to an upstream server at a time.
    pub gateway_max_requests_per_server: u32,
    /// Requests that may wait in the gateway without being late: those an instance serves during
    /// the patience of the objective.
    pub gateway_queue: u32,
    /// Share of the variance of throughput that the law explains; `None` without points.
    pub usl_r_squared: Option<f64>,
}

/// The advice for the system of `params`, with measured `points` of one instance: requests in
/// flight and requests per second. Fewer than three different ones are not enough for a fit.
#[must_use]
pub fn advise(params: &Params, points: &[(f64, f64)]) -> Concurrency {
    let busy = params.capacity_per_s * params.service.mean();
    let fit = usl::fit(points);
    let by_usl = fit.and_then(|fit| fit.n_star());
    let by_objective = fit.and_then(|fit| greatest_within(&fit, params.late_after_s));
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
        limit,
        gateway_max_requests_per_server: limit,
        gateway_queue: waiting as u32,
        usl_r_squared: fit.map(|fit| fit.r_squared),
    }
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

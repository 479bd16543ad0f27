//! Metrics of requests, from what the gateway saw.
//!
//! Requests of one unit resemble each other, and how much is not recorded. So every unit counts as
//! one observation, as if all of its requests were alike: the standard error is then too large
//! rather than too small, as long as no few units make most of the requests.

use crate::ledger::TrafficTotals;
use crate::metric::Measure;
use stats::experiment::{Error, Moments};

/// Critical value of the order statistics around a quantile.
const Z: f64 = 1.96;
/// Relative width of a bucket of response times (1/64), as the standard deviation of a uniform
/// value within it: no estimate is more exact than that.
const BUCKET_DEVIATION: f64 = 1.0 / 64.0 / 3.464;

/// Units that an arm needs for its order statistics to lie within the sample.
pub(super) fn needed(measure: &Measure) -> u64 {
    let Measure::Latency { ppm } = measure else { return 2 };
    let nu = f64::from(*ppm) / 1e6;
    let odds = nu / (1.0 - nu);
    (Z * Z * odds.max(1.0 / odds)).ceil() as u64 + 1
}

/// Estimate and variance of one arm; `None` while it has too few units.
pub(super) fn moments(
    measure: &Measure,
    totals: &TrafficTotals,
    units: u64,
) -> Result<Option<Moments<1>>, Error> {
    let units = units.min(totals.requests);
    if units < 2 {
        return Ok(None);
    }
    let n = units as f64;
    let moments =
        |value: f64, variance: f64| Moments { units, mean: [value], covariance: [[variance]] };
    match measure {
        Measure::Events { .. } => Ok(None),
        Measure::ErrorRate => {
            let rate = totals.errors.min(totals.requests) as f64 / totals.requests as f64;
            Ok(Some(moments(rate, rate * (1.0 - rate) * n / (n - 1.0))))
        }
        Measure::Latency { ppm } => {
            let nu = f64::from(*ppm) / 1e6;
            let spread = Z * (nu * (1.0 - nu) / n).sqrt();
            if nu - spread <= 0.0 || nu + spread >= 1.0 {
                return Ok(None);
            }
            let at = |q: f64| totals.latency_quantile(q).map(|us| us / 1e6);
            let (Some(value), Some(low), Some(high)) = (at(nu), at(nu - spread), at(nu + spread))
            else {
                return Ok(None);
            };
            let sampling = ((high - low) / (2.0 * Z)).powi(2);
            let bucket = (value * BUCKET_DEVIATION).powi(2);
            Ok(Some(moments(value, (sampling + bucket) * n)))
        }
    }
}

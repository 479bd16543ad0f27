//! The figures that every output shows, in the same order and by the same estimator.

use std::time::Duration;

use load::results::{RunResult, SeriesPoint};
use stats::LatencyHistogram;

/// How percentiles are computed, as shown in every output.
pub const ESTIMATOR: &str = "nearest rank on HDR histograms (3 significant digits): \
     never below the exact percentile, above it by at most 0.1 % + 1 µs";

/// The percentiles shown, with the name and the quantile of each.
pub(crate) const PERCENTILES: [(&str, f64); 10] = [
    ("p50", 0.50),
    ("p66", 0.66),
    ("p75", 0.75),
    ("p80", 0.80),
    ("p90", 0.90),
    ("p95", 0.95),
    ("p98", 0.98),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

/// Microseconds of quantile `q`; `None` when empty.
pub(crate) fn quantile(histogram: &LatencyHistogram, q: f64) -> Option<f64> {
    histogram.quantile_us(q).map(|us| us as f64)
}

/// Microseconds of a duration.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Arrivals that were never sent, by cause. A log that is replayed once adds up: requests sent plus
/// [`Unsent::total`] are the parsed lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// Due, but given up.
    pub(crate) late: u64,
    /// Not sent because the method may change the target.
    pub(crate) skipped: u64,
    /// Not due before the run ended.
    pub(crate) not_reached: u64,
}

impl Unsent {
    pub(crate) fn of(run: &RunResult) -> Unsent {
        let late = run.totals.unsent;
        let (skipped, parsed) =
            run.replay.as_ref().map_or((0, 0), |replay| (replay.skipped_total(), replay.parsed));
        let not_reached = parsed.saturating_sub(run.totals.requests + late + skipped);
        Unsent { late, skipped, not_reached }
    }

    pub(crate) fn total(self) -> u64 {
        self.late + self.skipped + self.not_reached
    }
}

/// Mean and maximum of a watched series, weighted by the length of its points; `None` when it was
/// never seen.
pub(crate) fn watched_summary(series: &[SeriesPoint], index: usize) -> Option<(f64, f64)> {
    let (mut sum, mut seconds, mut max) = (0.0, 0.0, f64::NEG_INFINITY);
    for point in series {
        if let Some(value) = point.watched.get(index).copied().flatten() {
            sum += value * point.interval.as_secs_f64();
            seconds += point.interval.as_secs_f64();
            max = max.max(value);
        }
    }
    (seconds > 0.0).then(|| (sum / seconds, max))
}

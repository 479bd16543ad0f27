//! Metrics as they are declared: what is measured, which direction is good, and how much worse a
//! guardrail may get. [`definition`] says what the ledger must count for an experiment.

mod define;
mod validate;

pub(crate) use define::novelty_days;
pub use define::{NOVELTY_DAYS, Role, definition, resolve};
pub use validate::validate;

use crate::ledger::{DAY_US, Metric, MetricKind};
use serde::{Deserialize, Serialize};

/// The window of a metric that does not say: a week.
pub const WINDOW_US: i64 = 7 * DAY_US;
/// Relative margin of guardrails that do not say.
pub const MARGIN: f64 = 0.05;
/// Relative margin of the built-in response times.
pub const LATENCY_MARGIN: f64 = 0.10;
/// Relative margin of the built-in rate of errors.
pub const ERROR_MARGIN: f64 = 0.25;
/// Units with any total, and their windows over, before a cap that is a percentile is taken.
pub const CAP_UNITS_MIN: usize = 200;
/// The name of the built-in share of requests that failed.
pub const ERROR_RATE: &str = "error-rate";

/// Which values are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More is better, as for conversions.
    #[default]
    Higher,
    /// Less is better, as for errors.
    Lower,
}

impl From<Better> for stats::experiment::Better {
    fn from(better: Better) -> stats::experiment::Better {
        match better {
            Better::Higher => stats::experiment::Better::Higher,
            Better::Lower => stats::experiment::Better::Lower,
        }
    }
}

/// Where the numbers come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Measure {
    /// Events of units. Times count from a unit's first exposure.
    Events {
        /// What is made of the events of one unit.
        kind: MetricKind,
        /// Events count from this long after the exposure, microseconds.
        #[serde(default)]
        delay_us: i64,
        /// For so long, microseconds.
        window_us: i64,
        /// Events from this long before the exposure are the covariate (CUPED), microseconds; 0
        /// for none.
        #[serde(default)]
        lookback_us: i64,
    },
    /// Share of the requests that failed, as the gateway saw them.
    ErrorRate,
    /// A quantile of the response times, as the gateway saw them, in seconds.
    Latency {
        /// Which, in parts per million.
        ppm: u32,
    },
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MetricSpec {
    /// Its name.
    pub name: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where the numbers come from.
    pub measure: Measure,
    /// Which values are good.
    #[serde(default)]
    pub better: Better,
    /// How much worse it may get as a guardrail, relative to the control (0.05 for 5 %).
    #[serde(default = "margin")]
    pub margin: f64,
}

fn margin() -> f64 {
    MARGIN
}

impl MetricSpec {
    /// A metric that is there without being declared: `error-rate`, and response times `p50-latency`,
    /// `p95-latency`, `p99.9-latency` …
    #[must_use]
    pub fn built_in(name: &str) -> Option<MetricSpec> {
        let (measure, margin) = if name == ERROR_RATE {
            (Measure::ErrorRate, ERROR_MARGIN)
        } else {
            let percent: f64 = name.strip_prefix('p')?.strip_suffix("-latency")?.parse().ok()?;
            let ppm = (percent * 1e4).round();
            if !(1.0..1e6).contains(&ppm) {
                return None;
            }
            (Measure::Latency { ppm: ppm as u32 }, LATENCY_MARGIN)
        };
        let (name, description) = (name.to_owned(), String::new());
        Some(MetricSpec { name, description, measure, better: Better::Lower, margin })
    }

    /// What the ledger counts for it; `None` for what the gateway sees anyway.
    #[must_use]
    pub fn counted(&self) -> Option<Metric> {
        let Measure::Events { kind, delay_us, window_us, lookback_us } = &self.measure else {
            return None;
        };
        Some(Metric {
            name: self.name.clone(),
            kind: kind.clone(),
            delay_us: *delay_us,
            window_us: *window_us,
            lookback_us: *lookback_us,
        })
    }

    /// The word for its kind.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match &self.measure {
            Measure::ErrorRate => "error-rate",
            Measure::Latency { .. } => "latency",
            Measure::Events { kind, .. } => match kind {
                MetricKind::Conversion { .. } => "conversion",
                MetricKind::Count { .. } => "count",
                MetricKind::Mean { .. } => "mean",
                MetricKind::Revenue { .. } => "revenue",
                MetricKind::Ratio { .. } => "ratio",
                MetricKind::Quantile { .. } => "quantile",
                MetricKind::Retention { .. } => "retention",
            },
        }
    }

    /// Whether its value is a share of units or requests.
    #[must_use]
    pub fn is_share(&self) -> bool {
        matches!(self.kind_name(), "conversion" | "retention" | "error-rate")
    }
}

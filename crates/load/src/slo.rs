//! Service level objectives: what must hold for a run to be good enough.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use traffic::units::{format_duration, parse_duration};
use traffic::{Rate, Ratio};

use crate::results::{RequestStats, SloResult, per_second};

/// Most objectives of one run.
pub const OBJECTIVES_MAX: usize = 1_000;

/// One objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// The endpoint or task it is about; `None`: all requests together.
    pub scope: Option<String>,
    /// What is measured, and its bound.
    pub target: SloTarget,
    /// Whether the run is stopped as soon as the objective is missed.
    pub abort: bool,
}

/// A measured figure and the bound it must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SloTarget {
    /// The response time quantile `q` (0 < q < 1) is at most this.
    Quantile(f64, Duration),
    /// The mean response time is at most this.
    Mean(Duration),
    /// The longest response time is at most this.
    Max(Duration),
    /// The share of failed or unsent requests is at most this.
    Failures(Ratio),
    /// Successful responses per second are at least this.
    Throughput(Rate),
}

/// A text that is not an objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an objective: {problem}")]
pub struct SloError {
    /// The text.
    pub text: String,
    /// What is wrong.
    pub problem: String,
}

impl SloTarget {
    /// Builds a target from its configuration key (`p95`, `p99.9`, `mean`, `max`, `failures`,
    /// `throughput`) and the text of its bound.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn from_key(key: &str, bound: &str) -> Result<SloTarget, String> {
        let duration = || parse_duration(bound).map_err(|error| error.to_string());
        Ok(match key {
            "mean" | "avg" => SloTarget::Mean(duration()?),
            "max" => SloTarget::Max(duration()?),
            "failures" | "errors" => {
                SloTarget::Failures(bound.parse::<Ratio>().map_err(|error| error.to_string())?)
            }
            "throughput" | "rps" => {
                SloTarget::Throughput(bound.parse::<Rate>().map_err(|error| error.to_string())?)
            }
            "median" => SloTarget::Quantile(0.5, duration()?),
            _ => {
                let percent: f64 = key
                    .strip_prefix('p')
                    .and_then(|digits| digits.parse().ok())
                    .filter(|percent| *percent > 0.0 && *percent < 100.0)
                    .ok_or_else(|| {
                        format!("unknown figure `{key}`; use a percentile such as p95, mean, max, failures or throughput")
                    })?;
                SloTarget::Quantile(percent / 100.0, duration()?)
            }
        })
    }

    /// Whether a measured figure (seconds, a share, or a rate per second) keeps the bound.
    pub fn is_met_by(&self, measured: f64) -> bool {
        match self {
            SloTarget::Quantile(_, bound) | SloTarget::Mean(bound) | SloTarget::Max(bound) => {
                measured <= bound.as_secs_f64()
            }
            SloTarget::Failures(bound) => measured <= bound.get(),
            SloTarget::Throughput(bound) => measured >= bound.as_per_s(),
        }
    }

    /// The configuration key, such as `p95`.
    pub fn key(&self) -> String {
        match self {
            SloTarget::Quantile(q, _) => {
                // 0.999 · 100 is 99.9 only after rounding.
                format!("p{}", (q * 100.0 * 1e9).round() / 1e9)
            }
            SloTarget::Mean(_) => "mean".to_owned(),
            SloTarget::Max(_) => "max".to_owned(),
            SloTarget::Failures(_) => "failures".to_owned(),
            SloTarget::Throughput(_) => "throughput".to_owned(),
        }
    }
}

impl fmt::Display for SloTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key();
        match self {
            SloTarget::Quantile(_, bound) | SloTarget::Mean(bound) | SloTarget::Max(bound) => {
                write!(f, "{key}<{}", format_duration(*bound))
            }
            SloTarget::Failures(bound) => write!(f, "{key}<{}%", (bound.get() * 1e8).round() / 1e6),
            SloTarget::Throughput(bound) => write!(f, "{key}>{bound}"),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Some(scope) => write!(f, "{scope}: {}", self.target),
            None => self.target.fmt(f),
        }
    }
}

impl FromStr for Objective {
    type Err = SloError;

    /// Reads `p95<1s`, `failures<1%`, `mean<=200ms`, `throughput>100/s`.
    fn from_str(text: &str) -> Result<Objective, SloError> {
        let fail = |problem: String| SloError { text: text.trim().to_owned(), problem };
        let at = text
            .find(['<', '>'])
            .ok_or_else(|| fail("it needs `<` or `>`, as in `p95<1s`".to_owned()))?;
        let key = text[..at].trim();
        let bound = text[at + 1..].trim_start_matches('=').trim();
        let target = SloTarget::from_key(key, bound).map_err(fail)?;
        let wants_more = matches!(target, SloTarget::Throughput(_));
        if wants_more != text[at..].starts_with('>') {
            let sign = if wants_more { '>' } else { '<' };
            return Err(fail(format!("`{key}` is bounded with `{sign}`")));
        }
        Ok(Objective { scope: None, target, abort: false })
    }
}

/// Reads a comma-separated list, such as `p95<1s,failures<1%`.
///
/// # Errors
/// [`SloError`] for the first part that is not an objective, or when there is none or too many.
pub fn parse_slo(text: &str) -> Result<Vec<Objective>, SloError> {
    let objectives: Vec<Objective> = text
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    if objectives.is_empty() || objectives.len() > OBJECTIVES_MAX {
        let problem = "give at least one, such as `p95<1s,failures<1%`".to_owned();
        return Err(SloError { text: text.to_owned(), problem });
    }
    Ok(objectives)
}

/// Measures an objective. `scoped` holds the requests that it is about, when not all of them.
pub(crate) fn evaluate(
    objective: &Objective,
    totals: &RequestStats,
    scoped: Option<&RequestStats>,
    duration: Duration,
) -> SloResult {
    let stats = scoped.unwrap_or(totals);
    let seconds = |us: u64| us as f64 / 1e6;
    let measured = match objective.target {
        _ if stats.is_empty() => None,
        SloTarget::Quantile(q, _) => stats.response.quantile_us(q).map(seconds),
        SloTarget::Mean(_) => stats.response.mean_us().map(|us| us / 1e6),
        SloTarget::Max(_) => stats.response.max_us().map(seconds),
        SloTarget::Failures(_) => Some(stats.failure_ratio()),
        SloTarget::Throughput(_) => {
            Some(per_second(stats.requests.saturating_sub(stats.failures), duration))
        }
    };
    let met = measured.is_some_and(|measured| objective.target.is_met_by(measured));
    SloResult { objective: objective.clone(), measured, met }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_round_trip() {
        for text in
            ["p95<1s", "p99.9<250ms", "failures<1%", "mean<200ms", "max<2s", "throughput>100/s"]
        {
            assert_eq!(text.parse::<Objective>().unwrap().to_string(), text);
        }
        assert_eq!(parse_slo("p95 <= 1s, failures<0.5%").unwrap().len(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, problem) in [
            ("p95", "it needs"),
            ("p100<1s", "unknown figure"),
            ("p95>1s", "bounded with `<`"),
            ("throughput<1/s", "bounded with `>`"),
            ("p95<fast", "not a duration"),
            ("failures<200%", "not a share"),
        ] {
            let error = text.parse::<Objective>().unwrap_err();
            assert!(error.problem.contains(problem), "{text}: {error}");
        }
        assert!(parse_slo(" , ").is_err());
    }
}

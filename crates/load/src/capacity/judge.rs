//! Whether a trial's load was held: by its objectives, and by the queue that it left.

use std::time::Duration;

use stats::trend::{mser5, ordinary_least_squares};
use traffic::Ratio;

use super::resample::relative_excesses;
use super::result::{SearchBy, Trial, TrialPurpose};
use super::trial::{GeneratorFacts, TrialInterval, TrialMeasurement};
use crate::judge::{LAG_MAX, LAG_SHARE_MAX, WORKER_CPU_MAX};
use crate::results::{RequestStats, per_second};
use crate::slo::{Objective, SloTarget, evaluate};

/// Share of failed or unsent requests that is put up with when no objective speaks of failures: a
/// target that keeps up answers at least 98 % of what it is offered.
const FAILURES_IMPLIED: f64 = 0.02;
/// Growth of the requests in flight, as a share of the arrivals, from which on it matters: the same
/// 98 %.
const GROWTH_SHARE: f64 = 0.02;
/// Growth that chance explains, in standard deviations of a queue exactly at its limit.
const GROWTH_SIGMAS: f64 = 2.0;
/// What a trial with a growing queue is above the objectives, at least: twice what is allowed.
const GROWTH_EXCESS: f64 = 1.0;
/// Significance level of the slope.
const GROWTH_P_VALUE: f64 = 0.01;
/// How far the mean of a warm-up stands out from the rest of a trial, in standard deviations of it.
const WARM_UP_DEVIATIONS: f64 = 2.0;
/// Rounding error of a relative excess.
const EXCESS_TOLERANCE: f64 = 1e-9;
/// Share of arrivals not sent by idle users that is tolerable.
const GENERATOR_UNSENT: f64 = 0.001;

/// What a trial says when the requests in flight gave it away.
const GROWTH_TEXT: &str = "in-flight growth";

/// A trial, judged, with what the answer needs to know of it beyond its figures.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) trial: Trial,
    /// How long the trial was asked to last: its weight against others.
    pub(super) length: Duration,
    /// Whether requests in flight kept growing.
    pub(super) growth: bool,
    /// Whether an objective on failures did not hold.
    pub(super) errors: bool,
    /// Responses measured.
    pub(super) responses: u64,
    /// Replicates of what it was above the objectives: see [`relative_excesses`].
    pub(super) excesses: Vec<f64>,
}

impl Judged {
    /// The chance that a trial like this one meets the objectives.
    pub(super) fn met_probability(&self) -> f64 {
        let met = self.excesses.partition_point(|&excess| excess <= EXCESS_TOLERANCE);
        met as f64 / self.excesses.len().max(1) as f64
    }
}

/// The objectives that a trial is judged by: those given, and one on failures when they have none.
/// Throughput is not among them: a low load misses it too, so it says nothing about the highest.
pub(super) fn judged_objectives(slo: &[Objective]) -> Vec<Objective> {
    let on_all_failures = |objective: &Objective| {
        objective.scope.is_none() && matches!(objective.target, SloTarget::Failures(_))
    };
    let mut objectives = slo.to_vec();
    objectives.retain(|objective| !matches!(objective.target, SloTarget::Throughput(_)));
    if !slo.iter().any(on_all_failures)
        && let Some(share) = Ratio::new(FAILURES_IMPLIED)
    {
        let target = SloTarget::Failures(share);
        objectives.push(Objective { scope: None, target, abort: false });
    }
    objectives
}

/// Judges a trial of `length` at `load`. At least `warm_up` is cut off its start, at most half;
/// `seed` is for resampling what is left.
pub(super) fn judge(
    by: SearchBy,
    (load, length, purpose): (f64, Duration, TrialPurpose),
    objectives: &[Objective],
    warm_up: Duration,
    measurement: &TrialMeasurement,
    seed: u64,
) -> Judged {
    let started = after_fixed_warm_up(&measurement.intervals, warm_up);
    let steady = after_warm_up(started, measurement.intervals.len());
    let growth = by == SearchBy::Rate && queue_grows(started);

    let duration: Duration = steady.iter().map(|interval| interval.length).sum();
    let totals = merged(steady.iter().map(|interval| &interval.totals));
    let missed: Vec<&Objective> = objectives
        .iter()
        .filter(|objective| {
            let scoped = objective
                .scope
                .as_ref()
                .map(|scope| merged(steady.iter().filter_map(|interval| scoped(interval, scope))));
            !evaluate(objective, &totals, scoped.as_ref(), duration).met
        })
        .collect();
    let failed = match missed.first() {
        _ if totals.is_empty() => Some("no answers".to_owned()),
        Some(objective) => Some(objective.to_string()),
        None => growth.then(|| GROWTH_TEXT.to_owned()),
    };

    let ms = |q: f64| totals.response.quantile_us(q).unwrap_or(0) as f64 / 1e3;
    let offered: Option<u64> = steady.iter().map(|interval| interval.offered).sum();
    let in_flight: f64 = steady.iter().map(|i| i.in_flight as f64 * i.length.as_secs_f64()).sum();
    let trial = Trial {
        load,
        purpose,
        duration,
        requests_per_s: per_second(totals.requests.saturating_sub(totals.failures), duration),
        offered_per_s: offered.map(|offered| per_second(offered, duration)),
        p50_ms: ms(0.5),
        p95_ms: ms(0.95),
        p99_ms: ms(0.99),
        mean_ms: totals.response.mean_us().unwrap_or(0.0) / 1e3,
        in_flight: in_flight / duration.as_secs_f64().max(f64::MIN_POSITIVE),
        failures: totals.failure_ratio(),
        met: failed.is_none(),
        failed,
        generator_limited: generator_limit(measurement, totals.response.quantile_us(0.5)),
    };
    // A queue that grows misses, however fast the answers still are.
    let least = if growth || totals.is_empty() { GROWTH_EXCESS } else { f64::NEG_INFINITY };
    let mut excesses = relative_excesses(objectives, steady, seed);
    excesses.iter_mut().for_each(|excess| *excess = excess.max(least));
    Judged {
        trial,
        length,
        growth,
        errors: missed.iter().any(|missed| matches!(missed.target, SloTarget::Failures(_))),
        responses: totals.response.count(),
        excesses,
    }
}

fn merged<'a>(parts: impl Iterator<Item = &'a RequestStats>) -> RequestStats {
    let mut whole = RequestStats::default();
    parts.for_each(|part| whole.merge(part));
    whole
}

pub(super) fn scoped<'a>(interval: &'a TrialInterval, scope: &str) -> Option<&'a RequestStats> {
    interval.scoped.iter().find(|(name, _)| name == scope).map(|(_, stats)| stats)
}

/// Without the intervals of the fixed warm-up, at most half of all.
fn after_fixed_warm_up(intervals: &[TrialInterval], warm_up: Duration) -> &[TrialInterval] {
    let mut end = Duration::ZERO;
    let cut = intervals.iter().take_while(|interval| {
        end += interval.length;
        end <= warm_up
    });
    &intervals[cut.count().min(intervals.len() / 2)..]
}

/// Without the rest of the warm-up, by MSER-5 on the requests in flight: what warms up answers
/// slowly, and by Little's law slow answers are many requests in flight. A queue that comes and goes
/// also makes MSER-5 cut, for no reason, so the cut is made only where what it takes off stands out
/// from the rest. At most half of the `all` intervals of the trial are cut off in total.
fn after_warm_up(intervals: &[TrialInterval], all: usize) -> &[TrialInterval] {
    let in_flight: Vec<f64> = intervals.iter().map(|interval| interval.in_flight as f64).collect();
    let most = intervals.len().saturating_sub(all.div_ceil(2));
    let cut = mser5(&in_flight).min(most);
    let (start, rest) = in_flight.split_at(cut);
    let moments = |values: &[f64]| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt())
    };
    let ((start_mean, _), (mean, deviation)) = (moments(start), moments(rest));
    let stands_out = (start_mean - mean).abs() > WARM_UP_DEVIATIONS * deviation;
    &intervals[if stands_out { cut } else { 0 }..]
}

/// Whether the requests in flight grow at a constant offered rate, as a queue does that never
/// empties. All of this must hold:
/// - the least-squares slope is significant;
/// - over the whole time the growth is a material share of the arrivals;
/// - it is more than chance would do to a queue exactly at its limit. That is a random walk of
///   variance 2λ per second (Poisson arrivals and departures), and the least-squares slope of a
///   Brownian path of variance v per second over T seconds has variance 6v/5T;
/// - the queue never came back to where it started, as it does between stalls of a target that
///   keeps up in the long run.
fn queue_grows(intervals: &[TrialInterval]) -> bool {
    let mut at = 0.0;
    let points: Vec<(f64, f64)> = intervals
        .iter()
        .map(|interval| {
            at += interval.length.as_secs_f64();
            (at, interval.in_flight as f64)
        })
        .collect();
    let third = points.len() / 3;
    let Some(line) = ordinary_least_squares(&points) else { return false };
    let offered = intervals.iter().filter_map(|interval| interval.offered).sum::<u64>() as f64;
    let growth = line.slope * at;
    let chance = (6.0 / 5.0 * 2.0 * offered).sqrt();
    let early = points[..third].iter().map(|point| point.1).sum::<f64>() / third as f64;
    let late = points[points.len() - third..].iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    line.p_value < GROWTH_P_VALUE
        && growth > GROWTH_SHARE * offered
        && growth > GROWTH_SIGMAS * chance
        && late > early
}

/// Why the trial says more about the generator than about the target, if it does.
fn generator_limit(measurement: &TrialMeasurement, median_us: Option<u64>) -> Option<String> {
    let GeneratorFacts { cpu, lag_p99, unsent_while_idle, out_of_resources } =
        measurement.generator;
    let offered: u64 = measurement.intervals.iter().filter_map(|interval| interval.offered).sum();
    let median = Duration::from_micros(median_us.unwrap_or(0));
    if out_of_resources > 0 {
        Some(format!("{out_of_resources} requests found no descriptor or local port"))
    } else if cpu > WORKER_CPU_MAX {
        Some(format!("a worker used {:.0} % of its CPU", cpu * 100.0))
    } else if unsent_while_idle as f64 > GENERATOR_UNSENT * offered as f64 {
        Some(format!("{unsent_while_idle} arrivals were not sent although users were idle"))
    } else if lag_p99 > LAG_MAX.max(median.mul_f64(LAG_SHARE_MAX)) {
        Some(format!("timers were {:.1} ms late (p99)", lag_p99.as_secs_f64() * 1e3))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intervals of 100 ms with these many requests in flight, at 1,000 arrivals per second.
    fn series(in_flight: impl IntoIterator<Item = u64>) -> Vec<TrialInterval> {
        let interval = |in_flight| TrialInterval {
            length: Duration::from_millis(100),
            in_flight,
            offered: Some(100),
            ..TrialInterval::default()
        };
        in_flight.into_iter().map(interval).collect()
    }

    #[test]
    fn a_queue_grows() {
        assert!(queue_grows(&series((0..100).map(|i| 10 * i))));
        // Material, but no more than chance would do.
        assert!(!queue_grows(&series((0..100).map(|i| 10 + 21 * i / 10))));
        assert!(!queue_grows(&series([10; 100])));
        assert!(!queue_grows(&series((0..100).map(|i| 1000 - 10 * i))));
        assert!(!queue_grows(&series([])));
        assert!(!queue_grows(&series([0, 100, 200])[..2]));
    }

    #[test]
    fn stalls_are_no_growth() {
        // The stalls get longer, yet the queue empties in between.
        let stalls = series((0..100).map(|i| if i % 10 < 5 { 15 * i } else { 3 }));
        let points = |i: &[TrialInterval]| i.iter().map(|i| i.in_flight).sum::<u64>();
        assert!(points(&stalls[50..]) > 2 * points(&stalls[..50]));
        assert!(!queue_grows(&stalls));
    }

    #[test]
    fn warm_up_is_cut_but_never_more_than_half() {
        let warm = series((0..40).map(|i| 5 + 200 / (i + 1)));
        let fixed = after_fixed_warm_up(&warm, Duration::from_millis(350));
        assert_eq!(fixed.len(), 37);
        let steady = after_warm_up(fixed, warm.len());
        assert!((20..=35).contains(&steady.len()), "{}", steady.len());
        assert_eq!(after_fixed_warm_up(&warm, Duration::from_secs(60)).len(), 20);

        let drift = series(0..40);
        assert_eq!(after_warm_up(&drift[3..], drift.len()).len(), 22);
        assert!(after_warm_up(&[], 0).is_empty());
    }
}

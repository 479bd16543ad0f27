//! The verdict on a run: a pure function of what was measured.

use std::time::Duration;

use crate::failure::FailureKind;
use crate::params::{LoadParams, Model};
use crate::results::{ErrorGroup, GeneratorHealth, RequestStats, SeriesPoint, SloResult};
use crate::verdict::{BoundBy, SloVerdict, Verdict};

/// A worker thread busier than this is a bottleneck of its own.
pub(crate) const WORKER_CPU_MAX: f64 = 0.85;
/// Timers that fire later than this at the 99th percentile, and later than
/// [`LAG_SHARE_MAX`] of the median response time, distort the result.
pub(crate) const LAG_MAX: Duration = Duration::from_millis(5);
/// See [`LAG_MAX`].
pub(crate) const LAG_SHARE_MAX: f64 = 0.10;
/// Share of failures for want of descriptors or ports that spoils a run.
pub(crate) const RESOURCE_FAILURES_MAX: f64 = 0.001;
/// Offered load below this share of what the schedule asked for was not delivered.
pub(crate) const ACHIEVED_MIN: f64 = 0.98;
/// Share of retransmitted segments that points at the network.
pub(crate) const RETRANSMIT_MAX: f64 = 0.02;
/// Coefficient of variation of the requests per second beyond which there is no steady state.
pub(crate) const VARIATION_MAX: f64 = 0.5;
/// A run must be this long, and have this many whole points, before its generator or its
/// steadiness is judged.
pub(crate) const JUDGED_MIN: Duration = Duration::from_secs(2);

/// What the verdict is based on.
pub(crate) struct Evidence<'a> {
    pub(crate) params: &'a LoadParams,
    pub(crate) totals: &'a RequestStats,
    pub(crate) series: &'a [SeriesPoint],
    pub(crate) generator: &'a GeneratorHealth,
    pub(crate) errors: &'a [ErrorGroup],
    pub(crate) slo: &'a [SloResult],
    pub(crate) duration: Duration,
}

/// Judges a run.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Verdict {
    let slo = match evidence.slo {
        [] => SloVerdict::None,
        results if results.iter().all(|result| result.met) => SloVerdict::Met,
        _ => SloVerdict::Missed,
    };
    let generator = generator_limits(evidence);
    if !generator.is_empty() {
        return Verdict { bound_by: BoundBy::Generator, slo, valid: false, reasons: generator };
    }
    let (bound_by, reasons) = if let Some(reason) = network_limit(evidence) {
        (BoundBy::Network, vec![reason])
    } else {
        let target = target_limits(evidence, slo);
        match unsteadiness(evidence) {
            Some(reason) => (BoundBy::Unstable, [vec![reason], target].concat()),
            None if target.is_empty() => {
                let reason = "the target answered everything it was asked, as asked".to_owned();
                (BoundBy::Nothing, vec![reason])
            }
            None => (BoundBy::Target, target),
        }
    };
    Verdict { bound_by, slo, valid: true, reasons }
}

/// Why the generator, not the target, set the figures.
fn generator_limits(evidence: &Evidence<'_>) -> Vec<String> {
    let (generator, totals) = (evidence.generator, evidence.totals);
    let mut reasons = Vec::new();
    let lost = generator.out_of_descriptors + generator.out_of_ports;
    if totals.requests > 0 && lost as f64 > RESOURCE_FAILURES_MAX * totals.requests as f64 {
        let limit =
            generator.descriptor_limit.map_or(String::new(), |limit| format!(" of {limit}"));
        reasons.push(if generator.out_of_descriptors > 0 {
            format!(
                "{} requests failed because the generator reached its limit{limit} open descriptors",
                generator.out_of_descriptors
            )
        } else {
            format!("{} requests failed because the generator ran out of local ports", generator.out_of_ports)
        });
    }
    if evidence.duration < JUDGED_MIN {
        return reasons;
    }
    let busiest = generator.worker_cpu.iter().copied().fold(0.0, f64::max);
    if busiest > WORKER_CPU_MAX {
        reasons.push(format!(
            "a worker thread of the generator used {:.0} % of its CPU; add workers or generators",
            busiest * 100.0
        ));
    }
    let lag = Duration::from_micros(generator.lag.quantile_us(0.99).unwrap_or(0));
    let median = Duration::from_micros(totals.response.quantile_us(0.5).unwrap_or(0));
    if lag > LAG_MAX && lag > median.mul_f64(LAG_SHARE_MAX) {
        reasons.push(format!(
            "the generator was late: its timers fired up to {lag:.1?} late (p99) while the median response time was {median:.1?}"
        ));
    }
    reasons
}

/// Why the network set the figures.
fn network_limit(evidence: &Evidence<'_>) -> Option<String> {
    let totals = evidence.totals;
    let count = |kinds: &[FailureKind]| -> u64 {
        evidence
            .errors
            .iter()
            .filter(|group| kinds.contains(&group.kind))
            .map(|group| group.count)
            .sum()
    };
    let unreachable = count(&[FailureKind::Dns, FailureKind::ConnectTimeout]);
    if totals.requests > 0 && unreachable * 2 > totals.requests {
        return Some(format!(
            "{unreachable} of {} requests found no way to the target",
            totals.requests
        ));
    }
    let ratio = evidence.generator.retransmit_ratio.filter(|ratio| *ratio > RETRANSMIT_MAX)?;
    Some(format!("{:.1} % of the TCP segments had to be sent again", ratio * 100.0))
}

/// Why the target set the figures.
fn target_limits(evidence: &Evidence<'_>, slo: SloVerdict) -> Vec<String> {
    let totals = evidence.totals;
    let mut reasons = Vec::new();
    if slo == SloVerdict::Missed {
        for result in evidence.slo.iter().filter(|result| !result.met) {
            reasons.push(format!("missed {}", result.objective));
        }
    }
    if totals.unsent > 0 {
        let offered = totals.requests + totals.unsent;
        reasons.push(format!("{} of {offered} arrivals could not be sent in time", totals.unsent));
    }
    if let Some(achieved) = achieved_ratio(evidence).filter(|ratio| *ratio < ACHIEVED_MIN) {
        reasons
            .push(format!("it answered {:.1} % of the load that was asked for", achieved * 100.0));
    }
    let failures = totals.failure_ratio();
    if failures > 0.01 {
        reasons.push(format!("{:.1} % of the requests failed", failures * 100.0));
    }
    if let Some(slope) = in_flight_growth(evidence) {
        reasons.push(format!("requests in flight kept growing, by {slope:.1} per second"));
    }
    let waits = evidence.params.scenario.wait.mean_s();
    if matches!(evidence.params.model, Model::Closed { .. }) && waits == 0.0 && totals.requests > 0
    {
        reasons.push("users without waits always push as far as the target answers".to_owned());
    }
    reasons
}

/// Requests finished over requests due, in an open model of constant rate.
fn achieved_ratio(evidence: &Evidence<'_>) -> Option<f64> {
    let Model::Open { rate, .. } = &evidence.params.model else { return None };
    if !rate.is_constant() || evidence.duration < JUDGED_MIN {
        return None;
    }
    let due = rate.max() * evidence.duration.as_secs_f64();
    // With few arrivals, chance alone misses the mark (Poisson: σ = √due).
    (due >= 100.0).then(|| (evidence.totals.requests as f64 + 3.0 * due.sqrt()) / due)
}

/// Growth of requests in flight per second at a constant offered rate, when it is significant and
/// large: a queue that never empties.
fn in_flight_growth(evidence: &Evidence<'_>) -> Option<f64> {
    let Model::Open { rate, .. } = &evidence.params.model else { return None };
    let points = steady_points(evidence);
    if !rate.is_constant() || points.len() < 8 {
        return None;
    }
    let points: Vec<(f64, f64)> =
        points.iter().map(|point| (point.at.as_secs_f64(), point.in_flight as f64)).collect();
    let line = stats::trend::ordinary_least_squares(&points)?;
    let grown = line.slope * (points[points.len() - 1].0 - points[0].0);
    let mean = points.iter().map(|(_, in_flight)| in_flight).sum::<f64>() / points.len() as f64;
    (line.p_value < 0.01 && grown > 5.0 && grown > 0.5 * mean).then_some(line.slope)
}

/// Points that cover a whole interval, after the load has reached its level.
fn steady_points<'a>(evidence: &Evidence<'a>) -> Vec<&'a SeriesPoint> {
    let from = match &evidence.params.model {
        Model::Closed { users } => users.end(),
        Model::Open { rate, .. } => rate.end(),
        Model::Burst(_) | Model::Replay { .. } => Duration::ZERO,
    };
    evidence
        .series
        .iter()
        .filter(|point| {
            point.at > from + Duration::from_secs(1) && point.interval >= Duration::from_secs(1)
        })
        .filter(|point| point.at <= evidence.duration)
        .collect()
}

/// Why there is no steady state: throughput that jumps while the load stays the same.
fn unsteadiness(evidence: &Evidence<'_>) -> Option<String> {
    if !matches!(evidence.params.model, Model::Closed { .. } | Model::Open { .. }) {
        return None;
    }
    let points = steady_points(evidence);
    if points.len() < 10 {
        return None;
    }
    let rates: Vec<f64> = points.iter().map(|point| point.requests_per_s).collect();
    let n = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / n;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / (n - 1.0);
    // Counts vary by chance alone (Poisson: variance = mean).
    let excess = (variance - mean).max(0.0).sqrt() / mean;
    (mean >= 10.0 && excess > VARIATION_MAX).then(|| {
        format!(
            "requests per second swung by {:.0} % around their mean at a constant load",
            excess * 100.0
        )
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use policy::{ArrivalKind, Curve, Wait};
    use stats::LatencyHistogram;

    use super::*;
    use crate::params::{HttpParams, Stop, Watch};
    use crate::scenario::{Origin, Scenario};

    pub(crate) fn params(model: Model) -> LoadParams {
        let scenario = Scenario {
            tasks: Vec::new(),
            on_start: Vec::new(),
            on_stop: Vec::new(),
            wait: Wait::Constant(Duration::from_secs(1)),
            data: Arc::new([]),
            saved_names: Vec::new(),
            endpoints: Vec::new(),
        };
        LoadParams {
            scenario: Arc::new(scenario),
            model,
            stop: Stop::default(),
            http: HttpParams::new(Origin { tls: false, host: "h".to_owned(), port: 80 }),
            slo: Vec::new(),
            workers: 1,
            seed: 1,
            drain: Duration::from_secs(1),
            watch: Watch::default(),
        }
    }

    pub(crate) fn open(per_s: f64) -> Model {
        let rate = Curve::constant(per_s).unwrap();
        Model::Open { rate, arrivals: ArrivalKind::Poisson, users_max: 100 }
    }

    pub(crate) fn histogram(values_ms: &[u64]) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::default();
        values_ms.iter().for_each(|ms| histogram.record(ms * 1000));
        histogram
    }

    pub(crate) struct Case {
        pub(crate) params: LoadParams,
        pub(crate) totals: RequestStats,
        pub(crate) series: Vec<SeriesPoint>,
        pub(crate) generator: GeneratorHealth,
    }

    impl Case {
        /// Twenty seconds at 100/s, all well.
        pub(crate) fn healthy() -> Case {
            let response = histogram(&[20; 2000]);
            let totals = RequestStats { requests: 2000, response, ..RequestStats::default() };
            let series = (1..=20)
                .map(|second| SeriesPoint {
                    at: Duration::from_secs(second),
                    interval: Duration::from_secs(1),
                    in_flight: 2,
                    requests_per_s: 100.0 + (second % 3) as f64,
                    ..SeriesPoint::default()
                })
                .collect();
            let generator = GeneratorHealth { worker_cpu: vec![0.2], ..GeneratorHealth::default() };
            Case { params: params(open(100.0)), totals, series, generator }
        }

        pub(crate) fn evidence(&self) -> Evidence<'_> {
            Evidence {
                params: &self.params,
                totals: &self.totals,
                series: &self.series,
                generator: &self.generator,
                errors: &[],
                slo: &[],
                duration: Duration::from_secs(20),
            }
        }

        fn bound_by(&self) -> BoundBy {
            judge(&self.evidence()).bound_by
        }
    }

    #[test]
    fn a_healthy_run_is_bound_by_nothing() {
        let verdict = judge(&Case::healthy().evidence());
        assert_eq!((verdict.bound_by, verdict.valid), (BoundBy::Nothing, true), "{verdict:?}");
    }

    #[test]
    fn a_busy_or_late_generator_spoils_the_run() {
        let mut case = Case::healthy();
        case.generator.worker_cpu = vec![0.3, 0.9];
        let verdict = judge(&case.evidence());
        assert_eq!((verdict.bound_by, verdict.valid), (BoundBy::Generator, false));
        let mut case = Case::healthy();
        case.generator.lag = histogram(&[30; 100]);
        assert_eq!(case.bound_by(), BoundBy::Generator);
        // The same lag means nothing beside answers that take a second.
        case.totals.response = histogram(&[1000; 2000]);
        assert_eq!(case.bound_by(), BoundBy::Nothing);
        let mut case = Case::healthy();
        case.generator.out_of_descriptors = 50;
        assert_eq!(case.bound_by(), BoundBy::Generator);
    }

    #[test]
    fn a_growing_queue_or_a_shortfall_is_the_targets() {
        let mut case = Case::healthy();
        for (point, in_flight) in case.series.iter_mut().zip((2..).step_by(5)) {
            point.in_flight = in_flight;
        }
        assert_eq!(case.bound_by(), BoundBy::Target);
        let mut case = Case::healthy();
        case.totals.requests = 1500;
        assert_eq!(case.bound_by(), BoundBy::Target);
    }

    #[test]
    fn swings_are_unstable_and_loss_is_the_networks() {
        let mut case = Case::healthy();
        for point in case.series.iter_mut().step_by(2) {
            point.requests_per_s = 0.0;
        }
        assert_eq!(case.bound_by(), BoundBy::Unstable);
        let mut case = Case::healthy();
        case.generator.retransmit_ratio = Some(0.05);
        assert_eq!(case.bound_by(), BoundBy::Network);
    }
}

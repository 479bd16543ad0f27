//! The answer of a search, from all its trials.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use stats::bootstrap::percentile_interval;
use stats::knee::{DEFAULT_SENSITIVITY, Shape, knee};
use stats::{UslFit, usl};

use super::judge::Judged;
use super::result::{CapacityResult, Signal, Trial};
use super::search::SearchParams;
use crate::slo::SloTarget;
use crate::verdict::BoundBy;

/// Replicates behind the confidence interval.
const REPLICATES: usize = 400;
const CONFIDENCE: f64 = 0.95;
/// How far above the answer a load must be for its throughput to be compared.
const FLAT_DISTANCE: f64 = 1.1;
/// Relative gain of throughput per relative gain of load below which throughput is called flat.
const FLAT_ELASTICITY: f64 = 0.5;
/// Responses that must lie above a quantile for it to be believed.
const TAIL_RESPONSES: f64 = 10.0;

/// Puts the answer together. `limits` are the highest met and the lowest missed load; `complete`
/// says whether the search ended because both were confirmed.
pub(super) fn conclude(
    params: &SearchParams,
    trials: &[Judged],
    limits: [Option<f64>; 2],
    complete: bool,
) -> CapacityResult {
    let [met_load, failed_load] = limits;
    let load = met_load.unwrap_or(0.0);
    let at_answer = longest(trials, |trial| trial.load == load && trial.met);
    let failing: Vec<&Judged> = trials
        .iter()
        .filter(|judged| Some(judged.trial.load) == failed_load && !judged.trial.met)
        .collect();
    let bound_by = match failed_load {
        None => BoundBy::Nothing,
        Some(_) if is_generator_limited(&failing) => BoundBy::Generator,
        Some(_) => BoundBy::Target,
    };
    CapacityResult {
        by: params.by,
        slo: params.slo.clone(),
        load,
        requests_per_s: at_answer.map_or(0.0, |judged| judged.trial.requests_per_s),
        ci: confidence_interval(params, trials, limits),
        bound_by,
        failed_first: failing
            .iter()
            .max_by_key(|judged| (judged.trial.generator_limited.is_none(), judged.length))
            .and_then(|judged| judged.trial.failed.clone()),
        failed_load,
        signal: (bound_by == BoundBy::Target).then(|| signal(trials, &failing, at_answer)),
        usl: usl_fit(trials),
        knee: latency_knee(trials),
        trials: trials.iter().map(|judged| judged.trial.clone()).collect(),
        doubts: doubts(params, trials, limits, complete, at_answer),
    }
}

fn longest(trials: &[Judged], wanted: impl Fn(&Trial) -> bool) -> Option<&Judged> {
    trials.iter().filter(|judged| wanted(&judged.trial)).max_by_key(|judged| judged.length)
}

/// Whether most of the time of these trials was the generator's fault.
fn is_generator_limited(failing: &[&Judged]) -> bool {
    let seconds = |limited: bool| {
        let those = failing.iter().filter(|j| j.trial.generator_limited.is_some() == limited);
        those.map(|judged| judged.length.as_secs_f64()).sum::<f64>()
    };
    seconds(true) > seconds(false)
}

/// Confidence interval of the capacity: where the excess over the objectives crosses zero.
///
/// Each replicate draws, for every trial, one of the bootstrap replicates of its relative excess,
/// makes them rise with the load by isotonic regression, weighted by responses (pool adjacent
/// violators: Ayer et al., 1955), and interpolates the load at which they change sign. The interval
/// is that of percentiles, widened to the bracket of the highest met and the lowest missed load,
/// between which nothing was tried, and by half a step of precision on either side: resampling does
/// not see that the search stopped where chance let it. Against simulated servers this contains
/// the truth as often as it should; without the half step it does not.
fn confidence_interval(
    params: &SearchParams,
    trials: &[Judged],
    [met, missed]: [Option<f64>; 2],
) -> (f64, f64) {
    let answer = met.unwrap_or(0.0);
    let Some(missed) = missed else { return (answer, answer) };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(params.seed);
    let mut rising: Vec<&Judged> =
        trials.iter().filter(|judged| !judged.excesses.is_empty()).collect();
    rising.sort_by(|a, b| a.trial.load.total_cmp(&b.trial.load));
    let mut crossings: Vec<f64> = (0..REPLICATES)
        .map(|_| {
            let drawn = rising.iter().map(|judged| Pool {
                first: judged.trial.load,
                last: judged.trial.load,
                weight: judged.responses.max(1) as f64,
                excess: judged.excesses[rng.random_range(0..judged.excesses.len())],
            });
            zero_crossing(&isotonic(drawn))
        })
        .collect();
    crossings.sort_by(f64::total_cmp);
    let (low, high) = percentile_interval(&crossings, CONFIDENCE)
        .map_or((answer, missed), |ci| (ci.low.min(answer), ci.high.max(missed)));
    let half_step = (1.0 + params.precision).sqrt();
    (low / half_step, high * half_step)
}

/// Loads that share one value of the excess.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pool {
    first: f64,
    last: f64,
    weight: f64,
    excess: f64,
}

impl Pool {
    fn join(self, next: Pool) -> Pool {
        let weight = self.weight + next.weight;
        let sum = self.excess * self.weight + next.excess * next.weight;
        Pool { first: self.first, last: next.last, weight, excess: sum / weight }
    }
}

/// Isotonic regression of points in rising order of load.
fn isotonic(points: impl Iterator<Item = Pool>) -> Vec<Pool> {
    let mut levels: Vec<Pool> = Vec::new();
    for point in points {
        match levels.pop_if(|level| level.last == point.first) {
            Some(level) => levels.push(level.join(point)),
            None => levels.push(point),
        }
    }
    let mut pools: Vec<Pool> = Vec::new();
    for mut pool in levels {
        while let Some(before) = pools.pop_if(|before| before.excess > pool.excess) {
            pool = before.join(pool);
        }
        pools.push(pool);
    }
    pools
}

/// The load at which the excess changes from negative to positive, by linear interpolation over
/// the logarithm of the load; the end of the range when it does not change: 0 below the lowest.
fn zero_crossing(pools: &[Pool]) -> f64 {
    let missed = pools.partition_point(|pool| pool.excess <= 0.0);
    match (missed.checked_sub(1).map(|index| pools[index]), pools.get(missed)) {
        (Some(below), Some(above)) => {
            let share = -below.excess / (above.excess - below.excess);
            below.last * (above.first / below.last).powf(share)
        }
        (Some(below), None) => below.last,
        (None, _) => 0.0,
    }
}

/// How the target showed that it was at its limit.
fn signal(trials: &[Judged], failing: &[&Judged], at_answer: Option<&Judged>) -> Signal {
    let flat = |answer: &Judged| {
        let base = &answer.trial;
        let beyond = trials
            .iter()
            .map(|judged| &judged.trial)
            .filter(|trial| !trial.met && trial.generator_limited.is_none())
            .filter(|trial| trial.load >= base.load * FLAT_DISTANCE)
            .min_by(|a, b| a.load.total_cmp(&b.load));
        beyond.is_some_and(|beyond| {
            let gain = (beyond.requests_per_s / base.requests_per_s).ln();
            gain < FLAT_ELASTICITY * (beyond.load / base.load).ln() && beyond.p95_ms > base.p95_ms
        })
    };
    if failing.iter().any(|judged| judged.growth) {
        Signal::QueueGrowth
    } else if failing.iter().any(|judged| judged.errors) {
        Signal::Errors
    } else if at_answer.is_some_and(flat) {
        Signal::FlatThroughput
    } else {
        Signal::SloOnly
    }
}

/// The scalability law over the mean concurrency, from trials in a steady state that were the
/// target's own.
fn usl_fit(trials: &[Judged]) -> Option<UslFit> {
    let points: Vec<(f64, f64)> = trials
        .iter()
        .filter(|judged| !judged.growth && judged.trial.generator_limited.is_none())
        .map(|judged| (judged.trial.in_flight, judged.trial.requests_per_s))
        .filter(|&(in_flight, throughput)| in_flight > 0.0 && throughput > 0.0)
        .collect();
    usl::fit(&points)
}

/// The load at which the 95th percentile bends upwards.
fn latency_knee(trials: &[Judged]) -> Option<f64> {
    let mut valid: Vec<&Trial> = trials
        .iter()
        .map(|judged| &judged.trial)
        .filter(|trial| trial.generator_limited.is_none())
        .collect();
    valid.sort_by(|a, b| a.load.total_cmp(&b.load));
    let points: Vec<(f64, f64)> = valid
        .chunk_by(|a, b| a.load == b.load)
        .map(|same| {
            let sum: f64 = same.iter().map(|trial| trial.p95_ms).sum();
            (same[0].load, sum / same.len() as f64)
        })
        .collect();
    knee(&points, Shape::Convex, DEFAULT_SENSITIVITY).map(|index| points[index].0)
}

/// Why the answer should be doubted.
fn doubts(
    params: &SearchParams,
    trials: &[Judged],
    limits: [Option<f64>; 2],
    complete: bool,
    at_answer: Option<&Judged>,
) -> Vec<String> {
    let unit = params.by.unit();
    let mut doubts = Vec::new();
    if !complete {
        let bracket = match limits {
            [met, Some(missed)] => format!("between {} and {missed}", met.unwrap_or(0.0)),
            [met, None] => format!("above {}", met.unwrap_or(0.0)),
        };
        let count = trials.len();
        doubts.push(format!("stopped after {count} trials; the limit lies {bracket} {unit}"));
    }
    for load in limits.into_iter().flatten() {
        let here = || trials.iter().filter(|judged| judged.trial.load == load);
        let (met, all) = (here().filter(|judged| judged.trial.met).count(), here().count());
        if met != 0 && met != all {
            doubts.push(format!(
                "trials at {load} {unit} contradict each other: {met} of {all} met the objectives"
            ));
        }
    }
    let limited = trials.iter().filter_map(|judged| judged.trial.generator_limited.as_ref());
    if let Some(reason) = limited.clone().next_back() {
        doubts.push(format!(
            "the generator was at its own limit in {} of {} trials: {reason}",
            limited.count(),
            trials.len(),
        ));
    }
    for objective in &params.slo {
        if let (SloTarget::Throughput(wanted), Some(judged)) = (objective.target, at_answer)
            && judged.trial.requests_per_s < wanted.as_per_s()
        {
            doubts.push(format!("{objective} does not hold at the answer, nor at any lower load"));
        }
        if let (SloTarget::Quantile(q, _), Some(judged)) = (objective.target, at_answer)
            && judged.responses as f64 * (1.0 - q) < TAIL_RESPONSES
        {
            doubts.push(format!(
                "{} rests on {} responses; longer trials tell more",
                objective.target.key(),
                judged.responses,
            ));
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(load: f64, excess: f64) -> Pool {
        Pool { first: load, last: load, weight: 1.0, excess }
    }

    #[test]
    fn isotonic_regression_pools_violators() {
        let points = [(1.0, -0.5), (2.0, 0.25), (4.0, -0.75), (4.0, -0.25), (8.0, 1.0)];
        let pools = isotonic(points.into_iter().map(|(load, excess)| point(load, excess)));
        // The level at 4 is −0.5 of weight 2; with 0.25 at 2 it makes −0.25.
        assert_eq!(pools.len(), 3);
        assert_eq!(pools[0], point(1.0, -0.5));
        assert_eq!(pools[1], Pool { first: 2.0, last: 4.0, weight: 3.0, excess: -0.25 });
        assert_eq!(pools[2], point(8.0, 1.0));
    }

    #[test]
    fn crossing_is_interpolated_between_loads() {
        let crossing = |points: &[(f64, f64)]| {
            zero_crossing(&points.iter().map(|&(l, e)| point(l, e)).collect::<Vec<_>>())
        };
        assert!((crossing(&[(1.0, -0.9), (10.0, -0.5), (40.0, 0.5)]) - 20.0).abs() < 1e-9);
        assert_eq!(crossing(&[(1.0, -0.9), (10.0, 0.0)]), 10.0);
        assert_eq!(crossing(&[(1.0, 0.1)]), 0.0);
        assert_eq!(crossing(&[]), 0.0);
    }
}

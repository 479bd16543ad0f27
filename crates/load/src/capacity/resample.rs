//! By how much a trial misses its objectives, and how sure that is.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use stats::bootstrap::{block_length_of, circular_block_bootstrap};

use super::judge::scoped;
use super::trial::TrialInterval;
use crate::results::RequestStats;
use crate::slo::{Objective, SloTarget};

/// Bootstrap replicates of a trial.
pub(super) const REPLICATES: usize = 400;
/// Smallest allowance that an excess is related to, such as one request where none may fail.
const ALLOWED_MIN: f64 = 1.0;

/// The relative excess of a trial over the worst of its objectives, as replicates of a circular
/// block bootstrap over its intervals, sorted. An objective holds where the excess is not positive;
/// −1 is nothing at all of what is bounded, 1 is twice what is allowed.
///
/// Excess and allowance (see [`Excess`]) are sums over the intervals, so a replicate costs additions
/// only. Blocks are as long as the series with the strongest autocorrelation asks for.
pub(super) fn relative_excesses(
    objectives: &[Objective],
    intervals: &[TrialInterval],
    seed: u64,
) -> Vec<f64> {
    let series: Vec<Vec<Excess>> = objectives
        .iter()
        .map(|objective| {
            intervals.iter().map(|interval| of_interval(objective, interval)).collect()
        })
        .collect();
    let blocks = series.iter().map(|series| {
        block_length_of(&series.iter().map(|excess| excess.over).collect::<Vec<_>>())
    });
    let block = blocks.max().unwrap_or(1);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    circular_block_bootstrap(intervals.len(), block, REPLICATES, &mut rng, |indices| {
        let relative = series.iter().map(|series| {
            let over: f64 = indices.iter().map(|&index| series[index].over).sum();
            let allowed: f64 = indices.iter().map(|&index| series[index].allowed).sum();
            over / allowed.max(ALLOWED_MIN)
        });
        relative.fold(f64::NEG_INFINITY, f64::max)
    })
}

/// How far an objective is exceeded in one interval.
#[derive(Debug, Clone, Copy, Default)]
struct Excess {
    /// What is over the bound, in units that add up over intervals: the objective holds for all of
    /// them together when the sum is not positive.
    over: f64,
    /// The bound, in the same units.
    allowed: f64,
}

fn of_interval(objective: &Objective, interval: &TrialInterval) -> Excess {
    let stats = match &objective.scope {
        None => Some(&interval.totals),
        Some(scope) => scoped(interval, scope),
    };
    stats.map_or(Excess::default(), |stats| excess(objective.target, stats, interval.length))
}

fn excess(target: SloTarget, stats: &RequestStats, length: Duration) -> Excess {
    let above = |bound: Duration| stats.response.count_above_us(bound.as_micros() as u64) as f64;
    let responses = stats.response.count() as f64;
    let (measured, allowed) = match target {
        SloTarget::Quantile(q, bound) => (above(bound), (1.0 - q) * responses),
        SloTarget::Mean(bound) => {
            (stats.response.sum_us() as f64, bound.as_secs_f64() * 1e6 * responses)
        }
        SloTarget::Max(bound) => (above(bound), 0.0),
        SloTarget::Failures(share) => {
            let all = (stats.requests + stats.unsent) as f64;
            ((stats.failures + stats.unsent) as f64, share.get() * all)
        }
        SloTarget::Throughput(rate) => {
            let good = stats.requests.saturating_sub(stats.failures) as f64;
            (rate.as_per_s() * length.as_secs_f64(), good)
        }
    };
    Excess { over: measured - allowed, allowed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::evaluate;

    #[test]
    fn excess_agrees_with_the_objective() {
        let mut stats =
            RequestStats { requests: 100, failures: 3, unsent: 1, ..Default::default() };
        for us in 1..=100 {
            stats.response.record(us * 1000);
        }
        let second = Duration::from_secs(1);
        for (text, met) in [
            ("p95<96ms", true),
            ("p95<94ms", false),
            ("p90<91ms", true),
            ("mean<51ms", true),
            ("mean<50ms", false),
            ("max<100ms", true),
            ("max<99ms", false),
            ("failures<4%", true),
            ("failures<3%", false),
            ("throughput>97/s", true),
            ("throughput>98/s", false),
        ] {
            let objective: Objective = text.parse().unwrap();
            assert_eq!(evaluate(&objective, &stats, None, second).met, met, "{text}");
            assert_eq!(excess(objective.target, &stats, second).over < 1e-6, met, "{text}");
        }
    }

    #[test]
    fn replicates_tell_narrow_from_clear() {
        let objective: Objective = "failures<10%".parse().unwrap();
        let interval = |failures| {
            let totals = RequestStats { requests: 100, failures, ..Default::default() };
            TrialInterval { totals, ..TrialInterval::default() }
        };
        let range = |failures: [u64; 2]| {
            let intervals: Vec<TrialInterval> =
                (0..50).map(|index| interval(failures[index / 7 % 2])).collect();
            let excesses = relative_excesses(std::slice::from_ref(&objective), &intervals, 1);
            assert_eq!(excesses.len(), REPLICATES);
            (excesses[0], excesses[REPLICATES - 1])
        };
        let (low, high) = range([2, 8]);
        assert!(low >= -0.8 && high < 0.0);
        let (low, high) = range([12, 18]);
        assert!(low > 0.0 && high <= 0.8);
        let (low, high) = range([4, 16]);
        assert!(low < 0.0 && high > 0.0);
    }
}

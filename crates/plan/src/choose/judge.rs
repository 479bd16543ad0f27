//! Is a policy better than plain HPA on weeks that it was not chosen on?

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use stats::bootstrap::{circular_block_bootstrap, percentile_interval};

use crate::simulate::{Block, Outcome};

/// Replicates of a bootstrap.
const REPLICATES: usize = 2000;
/// Confidence of all intervals.
pub const CONFIDENCE: f64 = 0.95;

/// Whether a policy is better than plain HPA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gain {
    /// It meets the objective and costs less, not by chance; or plain HPA misses the objective, and it
    /// meets it or is late less often, not by chance.
    Significant,
    /// It may be chance.
    None,
    /// It is worse, and not by chance.
    Negative,
}

/// A policy beside plain HPA on the same hours: 95 % intervals of the paired differences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// Cost of the policy above that of plain HPA, as a share of the latter.
    pub cost_difference_ci: [f64; 2],
    /// Share of late requests of the policy above that of plain HPA.
    pub late_difference_ci: [f64; 2],
}

/// Length of the blocks of the bootstrap over hours: a day, or the cube root of their number where
/// there are fewer than five days.
fn block_length(hours: usize) -> usize {
    if hours >= 120 { 24 } else { stats::bootstrap::block_length(hours) }
}

/// 95 % interval of a ratio of sums over hours; both ends the ratio itself without any hour.
fn interval(hours: usize, seed: u64, ratio: impl Fn(&[usize]) -> f64) -> [f64; 2] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let drawn = circular_block_bootstrap(hours, block_length(hours), REPLICATES, &mut rng, ratio);
    percentile_interval(&drawn, CONFIDENCE).map_or([0.0, 0.0], |ci| [ci.low, ci.high])
}

fn sum(blocks: &[Block], hours: &[usize], of: impl Fn(&Block) -> f64) -> f64 {
    hours.iter().map(|&hour| of(&blocks[hour])).sum()
}

/// 95 % interval of the share of late requests, by the circular block bootstrap over hours.
#[must_use]
pub fn late_ratio_ci(outcome: &Outcome, seed: u64) -> [f64; 2] {
    let blocks = &outcome.blocks;
    interval(blocks.len(), seed, |hours| {
        sum(blocks, hours, |block| block.late) / sum(blocks, hours, |block| block.requests)
    })
}

/// Compares `policy` with `plain`, which must be of the same demand: the same resampled hours for
/// both.
#[must_use]
pub fn compare(policy: &Outcome, plain: &Outcome, seed: u64) -> Comparison {
    let (ours, theirs) = (&policy.blocks, &plain.blocks);
    let hours = ours.len().min(theirs.len());
    let late = |blocks: &[Block], hours: &[usize]| {
        sum(blocks, hours, |block| block.late) / sum(blocks, hours, |block| block.requests)
    };
    let cost = |blocks: &[Block], hours: &[usize]| sum(blocks, hours, |block| block.instance_s);
    Comparison {
        cost_difference_ci: interval(hours, seed, |at| cost(ours, at) / cost(theirs, at) - 1.0),
        late_difference_ci: interval(hours, seed, |at| late(ours, at) - late(theirs, at)),
    }
}

/// The verdict on a policy beside plain HPA, from their difference and whether each of them meets the
/// objective.
#[must_use]
pub fn gain(found: &Comparison, [policy_meets, plain_meets]: [bool; 2]) -> Gain {
    let ([cheapest, dearest], [earliest, latest]) =
        (found.cost_difference_ci, found.late_difference_ci);
    let cheaper = policy_meets && dearest < 0.0;
    let more_punctual = !plain_meets && (policy_meets || latest < 0.0);
    let dearer = cheapest > 0.0 && !more_punctual;
    let less_punctual = !policy_meets && earliest > 0.0;
    if cheaper || more_punctual {
        Gain::Significant
    } else if dearer || less_punctual {
        Gain::Negative
    } else {
        Gain::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(hours: usize, late: f64, instance_s: impl Fn(usize) -> f64) -> Outcome {
        let mut outcome = Outcome::default();
        for hour in 0..hours {
            outcome.count((hour as f64 * 3600.0, 3600.0), 1000.0, late, instance_s(hour));
        }
        outcome
    }

    fn verdict(policy: &Outcome, plain: &Outcome) -> Gain {
        gain(&compare(policy, plain, 3), [policy, plain].map(|it| it.late_ratio() <= 0.001))
    }

    #[test]
    fn verdicts() {
        let wave = |hour: usize| 100.0 + (hour % 24) as f64;
        let plain = outcome(240, 0.5, wave);
        assert_eq!(verdict(&outcome(240, 0.9, |hour| 0.9 * wave(hour)), &plain), Gain::Significant);
        assert_eq!(verdict(&outcome(240, 0.0, |hour| 1.1 * wave(hour)), &plain), Gain::Negative);
        assert_eq!(verdict(&plain, &plain), Gain::None);
        // Cheaper on some days, dearer on others.
        let mixed =
            |hour: usize| wave(hour) * if (hour / 24).is_multiple_of(2) { 0.9 } else { 1.1 };
        assert_eq!(verdict(&outcome(240, 0.5, mixed), &plain), Gain::None);
        // Cheaper, but the objective is missed.
        assert_eq!(verdict(&outcome(240, 2.0, |hour| 0.5 * wave(hour)), &plain), Gain::Negative);
        // Dearer, but plain HPA misses the objective.
        let late = outcome(240, 20.0, wave);
        assert_eq!(verdict(&outcome(240, 0.0, |hour| 1.5 * wave(hour)), &late), Gain::Significant);
        // Dearer, and the fluid model sees no difference: only in the queue plain HPA is late.
        let dearer =
            compare(&outcome(240, 0.0, |hour| 1.3 * wave(hour)), &outcome(240, 0.0, wave), 3);
        assert_eq!(gain(&dearer, [true, false]), Gain::Significant);
        assert_eq!(gain(&dearer, [false, false]), Gain::Negative);
    }

    #[test]
    fn intervals_hold_the_ratio() {
        let [low, high] = late_ratio_ci(&outcome(50, 1.0, |_| 1.0), 1);
        assert!((low - 0.001).abs() < 1e-12 && (high - 0.001).abs() < 1e-12);
        assert_eq!(late_ratio_ci(&Outcome::default(), 1), [0.0, 0.0]);
    }
}

//! Days from which on there was lastingly more or less demand.

use super::days::{Day, median};

/// Fewest days between two changes, and before the first and after the last.
pub const DAYS_BETWEEN_MIN: usize = 5;

/// Most days that are looked at; the latest.
const DAYS_MAX: usize = 4000;

/// Price of a change in units of the variance of a day times ln n. A change adds two parameters
/// (where, and how much); Yao's (1988) 2·ln n, times 2 as days are seldom independent.
const PENALTY: f64 = 4.0;

/// Smallest change that is told, as a share of the level before: less moves no decision.
const EFFECT_MIN: f64 = 0.05;

/// A change of the level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// First local day of the new level, in days since 1970-01-01.
    pub day: i64,
    /// Mean rate from the change before on, in requests per second.
    pub before: f64,
    /// Mean rate until the next change, in requests per second.
    pub after: f64,
}

/// The changes of the mean of `days` (with the rhythm of weeks taken out) by least squares with a
/// price on each change, found exactly by pruned dynamic programming (PELT; Killick, Fearnhead &
/// Eckley, 2012). The variance of a day is that of the differences of neighbours, by their median,
/// so that the changes themselves do not count. Of those, the ones of 5 % and more.
#[must_use]
pub fn changes(days: &[Day]) -> Vec<Change> {
    let days = &days[days.len().saturating_sub(DAYS_MAX)..];
    let n = days.len();
    if n < 2 * DAYS_BETWEEN_MIN {
        return Vec::new();
    }
    let mut steps: Vec<f64> =
        days.windows(2).map(|pair| (pair[1].rate - pair[0].rate).abs()).collect();
    // Median absolute deviation of a normal difference of two days: 0.6745·√2 deviations of a day.
    let deviation = median(&mut steps) / (0.674_489_75 * std::f64::consts::SQRT_2);
    let level = median(&mut days.iter().map(|day| day.rate).collect::<Vec<_>>());
    // Exactly equal days would make any rounding a change.
    let deviation = deviation.max(level.abs() * 1e-6).max(f64::MIN_POSITIVE);
    let price = PENALTY * (n as f64).ln();

    let mut sums = vec![(0.0, 0.0)];
    for day in days {
        let value = (day.rate - level) / deviation;
        let (sum, squares) = sums[sums.len() - 1];
        sums.push((sum + value, squares + value * value));
    }
    let cost = |from: usize, to: usize| {
        let (sum, squares) = (sums[to].0 - sums[from].0, sums[to].1 - sums[from].1);
        squares - sum * sum / (to - from) as f64
    };
    let mut best = vec![f64::INFINITY; n + 1];
    best[0] = -price;
    let mut last = vec![0; n + 1];
    let mut candidates = vec![0];
    for to in DAYS_BETWEEN_MIN..=n {
        for &from in &candidates {
            let total = best[from] + cost(from, to) + price;
            if total < best[to] {
                (best[to], last[to]) = (total, from);
            }
        }
        candidates.retain(|&from| best[from] + cost(from, to) <= best[to]);
        candidates.push(to + 1 - DAYS_BETWEEN_MIN);
    }

    let mut bounds = vec![n];
    while let Some(&to) = bounds.last().filter(|&&to| to > 0) {
        bounds.push(last[to]);
    }
    bounds.reverse();
    let mean = |from: usize, to: usize| {
        days[from..to].iter().map(|day| day.rate).sum::<f64>() / (to - from) as f64
    };
    let change = |at: &[usize]| Change {
        day: days[at[1]].day,
        before: mean(at[0], at[1]),
        after: mean(at[1], at[2]),
    };
    let is_worth_telling =
        |it: &Change| (it.after - it.before).abs() >= EFFECT_MIN * it.before.abs();
    bounds.windows(3).map(change).filter(is_worth_telling).collect()
}

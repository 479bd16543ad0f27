//! Rhythms of days and weeks, and whether they could be chance.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::Series;
use crate::series::DAY_S;

use super::days::Day;

/// Permutations of a test; the smallest p-value is one part of one more.
pub const PERMUTATIONS: usize = 199;

/// Fewest days that a daily rhythm is looked for in.
pub const DAYS_MIN: usize = 3;

/// Fewest days that a weekly rhythm is looked for in.
pub const WEEKLY_DAYS_MIN: usize = 14;

/// Most hours that are looked at; the latest.
const HOURS_MAX: usize = 2 * 366 * 24;

/// Level of significance.
const ALPHA: f64 = 0.05;

/// A rhythm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Season {
    /// Share of the variance, around the moving mean of one period, that the time within the period
    /// explains, 0..=1.
    pub strength: f64,
    /// Autocorrelation at the lag of the period; `NaN` where it does not exist.
    pub autocorrelation: f64,
    /// Share of permutations, counting the series itself, with at least such strength.
    pub p_value: f64,
}

impl Season {
    /// Whether the rhythm is there at a level of 5 %.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.p_value <= ALPHA
    }
}

/// The rhythm of the local days of `series` (hours or longer steps that part a day). `None` for
/// less than [`DAYS_MIN`] days, for longer steps than six hours, or without variance.
///
/// The moving mean of a day is taken out first, so that growth is no rhythm. In the permutations
/// every day is turned by a random time: what is alike within a day stays, what is alike at the same
/// time of different days goes.
#[must_use]
pub fn daily(series: &Series, seed: u64) -> Option<Season> {
    let per_day = (DAY_S / i64::from(series.step_s)) as usize;
    if per_day < 4 || !(DAY_S as u32).is_multiple_of(series.step_s) {
        return None;
    }
    let series = series.slice(series.len().saturating_sub(HOURS_MAX)..series.len());
    let around = around_moving_mean(&series.counts, per_day);
    // Whole local days; the hour that a change of the clock adds or takes is no matter.
    let clock = series.clock(0);
    let slot = |index| clock.second_of_day(series.time_s(index)) / i64::from(series.step_s);
    let begin = (0..series.len()).find(|&index| slot(index) == 0)?;
    let mut days: Vec<Vec<f64>> = Vec::new();
    for (index, value) in around.iter().enumerate().skip(begin) {
        let at = slot(index) as usize;
        if at == 0 || days.is_empty() {
            days.push(vec![f64::NAN; per_day]);
        }
        if let Some(cell) = days.last_mut().and_then(|day| day.get_mut(at)) {
            *cell = *value;
        }
    }
    if days.len() < DAYS_MIN {
        return None;
    }
    let flat = |days: &[Vec<f64>]| explained(&days.concat(), per_day);
    let strength = flat(&days)?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let p_value = p_value(strength, || {
        days.iter_mut().for_each(|day| day.rotate_left(rng.random_range(0..per_day)));
        flat(&days)
    });
    Some(Season { strength, autocorrelation: autocorrelation(&series.counts, per_day), p_value })
}

/// The rhythm of weeks in `days`. `None` for less than [`WEEKLY_DAYS_MIN`] days, or without
/// variance.
///
/// In the permutations the days are shuffled, before the moving mean of a week is taken out.
#[must_use]
pub fn weekly(days: &[Day], seed: u64) -> Option<Season> {
    let (first, last) = (days.first()?.day, days.last()?.day);
    if days.len() < WEEKLY_DAYS_MIN {
        return None;
    }
    let length = usize::try_from(last - first).ok()?.min(HOURS_MAX);
    let mut rates = vec![f64::NAN; length + 1];
    for day in days {
        if let Some(cell) = usize::try_from(day.day - first).ok().and_then(|at| rates.get_mut(at)) {
            *cell = day.rate;
        }
    }
    let strength_of = |rates: &[f64]| explained(&around_moving_mean(rates, 7), 7);
    let strength = strength_of(&rates)?;
    let autocorrelation = autocorrelation(&rates, 7);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let p_value = p_value(strength, || {
        rates.shuffle(&mut rng);
        strength_of(&rates)
    });
    Some(Season { strength, autocorrelation, p_value })
}

/// Share of the draws that are at least `observed`, itself counted.
fn p_value(observed: f64, mut draw: impl FnMut() -> Option<f64>) -> f64 {
    let as_strong = (0..PERMUTATIONS).filter(|_| draw().is_some_and(|drawn| drawn >= observed));
    (1 + as_strong.count()) as f64 / (1 + PERMUTATIONS) as f64
}

/// The known values less the mean of the known values within half a `period` on either side.
fn around_moving_mean(values: &[f64], period: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0)];
    for value in values {
        let (sum, n) = sums[sums.len() - 1];
        sums.push(if value.is_finite() { (sum + value, n + 1.0) } else { (sum, n) });
    }
    let half = period / 2;
    let around = |(index, value): (usize, &f64)| {
        let from = index.saturating_sub(half);
        let to = (index + period - half).min(values.len());
        value - (sums[to].0 - sums[from].0) / (sums[to].1 - sums[from].1)
    };
    values.iter().enumerate().map(around).collect()
}

/// Share of the variance of `values` that their position within `period` explains. `None` without
/// variance.
fn explained(values: &[f64], period: usize) -> Option<f64> {
    let known = || values.iter().enumerate().filter(|(_, value)| value.is_finite());
    let mut positions = vec![(0.0, 0.0); period];
    let (mut sum, mut n) = (0.0, 0.0);
    for (index, value) in known() {
        let position = &mut positions[index % period];
        *position = (position.0 + value, position.1 + 1.0);
        (sum, n) = (sum + value, n + 1.0);
    }
    let mean = sum / n;
    let total = known().map(|(_, value)| (value - mean).powi(2)).sum::<f64>();
    let between = positions.iter().filter(|(_, n)| *n > 0.0);
    let between = between.map(|(sum, n)| n * (sum / n - mean).powi(2)).sum::<f64>();
    let share = between / total;
    (total > 0.0 && share.is_finite()).then_some(share.min(1.0))
}

/// Autocorrelation of the known values at `lag`, −1..=1, by the usual estimator: the sum over the
/// pairs of which both are known, over the sum of all squares. `NaN` without variance.
#[must_use]
pub fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    let known = || values.iter().copied().filter(|value| value.is_finite());
    let mean = known().sum::<f64>() / known().count() as f64;
    let squares = known().map(|value| (value - mean).powi(2)).sum::<f64>();
    let pairs = values.iter().zip(values.iter().skip(lag));
    let products = pairs.map(|(a, b)| (a - mean) * (b - mean)).filter(|p| p.is_finite());
    products.sum::<f64>() / squares
}

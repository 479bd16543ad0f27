//! The steps that forecasters work in: cells of the local clock, without holes.
//!
//! A day of local cells always has the same length. Where a change of the clock repeats an hour, its
//! two passes are averaged; the hour that it skips is filled like any gap. So a forecaster needs to
//! know nothing of clocks.

use crate::Series;
use crate::series::{DAY_S, LocalClock, second_of_week};

/// Lengths of cells, in seconds; all part a day.
const CELLS_S: [i64; 12] =
    [60, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, DAY_S];

/// Most cells, except of a history of more than as many days: a year of hours.
pub(super) const CELLS_MAX: usize = 9_000;

/// Shortest cell of a history of [`LONG_S`] or more, in seconds. What lasts shorter is noise to a
/// forecast of days, and is in its quantiles.
const CELL_S_MIN: i64 = 600;

/// See [`CELL_S_MIN`].
const LONG_S: i64 = 2 * DAY_S;

/// Most neighbouring days or weeks on either side that a hole is filled from.
const NEIGHBOURS_MAX: usize = 4;

/// A history in local cells.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    /// Length of a cell, in seconds.
    cell_s: i64,
    /// Local time of the end of the last cell; that of the history.
    end_local_s: i64,
    /// Mean rate of each cell, in requests per second. Holes are filled.
    pub(crate) rates: Vec<f64>,
    /// Cells of a day.
    per_day: usize,
}

impl Grid {
    /// The grid of `train`. `None` where nothing is known.
    pub(crate) fn new(train: &Series) -> Option<Self> {
        if train.known() == 0 {
            return None;
        }
        let step_s = i64::from(train.step_s);
        let span_s = train.end_s() - train.start_s;
        let least_s = if span_s < LONG_S { step_s } else { step_s.max(CELL_S_MIN) };
        let fits = |cell_s: &i64| *cell_s >= least_s && span_s / cell_s < CELLS_MAX as i64;
        let cell_s = CELLS_S.into_iter().find(fits).unwrap_or(DAY_S);
        let clock = train.clock(0);
        let local = |index: usize| clock.local_s(train.time_s(index));
        let end_local_s = local(train.len() - 1) + step_s;
        let n = ((end_local_s - local(0)) as u64).div_ceil(cell_s as u64).max(1) as usize;
        let begin_local_s = end_local_s - n as i64 * cell_s;

        let mut sums = vec![(0.0, 0.0); n];
        for (index, count) in train.counts.iter().enumerate().filter(|(_, c)| c.is_finite()) {
            let cell = (local(index) - begin_local_s).div_euclid(cell_s).clamp(0, n as i64 - 1);
            let (sum, steps) = &mut sums[cell as usize];
            *sum += count;
            *steps += 1.0;
        }
        let rate = |&(sum, steps): &(f64, f64)| sum / steps / step_s as f64;
        let per_day = (DAY_S / cell_s) as usize;
        let known: Vec<f64> = sums.iter().map(rate).collect();
        Some(Self { cell_s, end_local_s, rates: filled(&known, per_day), per_day })
    }

    /// Cells of a day, where there are at least two days of more than one.
    pub(crate) fn day(&self) -> Option<usize> {
        (self.per_day > 1 && self.rates.len() >= 2 * self.per_day).then_some(self.per_day)
    }

    /// Cells of a week, where there are at least two weeks.
    pub(crate) fn week(&self) -> Option<usize> {
        let week = 7 * self.per_day;
        (self.rates.len() >= 2 * week).then_some(week)
    }

    /// Cells of the longest rhythm that can be told from chance: a week, given three of them, else a
    /// day.
    pub(crate) fn season(&self) -> Option<usize> {
        self.week().filter(|week| self.rates.len() >= 3 * week).or(self.day())
    }

    /// Cell of the week of cell `index`, which may lie beyond the end.
    pub(crate) fn cell_of_week(&self, index: usize) -> usize {
        let begin_s = self.end_local_s - self.rates.len() as i64 * self.cell_s;
        let local_s = begin_s + index as i64 * self.cell_s;
        (second_of_week(local_s) / self.cell_s) as usize
    }

    /// Cells that a forecast of the `horizon` steps after `train` needs.
    pub(crate) fn cells_ahead(&self, train: &Series, horizon: usize) -> usize {
        let ahead_s = horizon as i64 * i64::from(train.step_s) + 2 * 3600;
        (ahead_s / self.cell_s) as usize + 2
    }

    /// Counts of the `horizon` steps after `train` out of the rates of the cells after its end:
    /// straight lines between the middles of cells, never below zero.
    pub(crate) fn counts(&self, cells: &[f64], train: &Series, horizon: usize) -> Vec<f64> {
        let clock: LocalClock = train.clock(horizon);
        let step_s = f64::from(train.step_s);
        let count = |index: usize| {
            let local_s = clock.local_s(train.time_s(train.len() + index)) - self.end_local_s;
            let at = (local_s as f64 + step_s / 2.0) / self.cell_s as f64 - 0.5;
            let at = at.clamp(0.0, cells.len().saturating_sub(1) as f64);
            let low = at.floor() as usize;
            let (Some(&left), right) = (cells.get(low), cells.get(low + 1)) else { return 0.0 };
            let rate = left + (right.copied().unwrap_or(left) - left) * at.fract();
            rate.max(0.0) * step_s
        };
        (0..horizon).map(count).collect()
    }
}

/// `known` without holes: each gets the mean of the nearest known values of the same time of the
/// week on either side, failing that of the same time of day, failing that lies on the line between
/// its known neighbours.
fn filled(known: &[f64], per_day: usize) -> Vec<f64> {
    let nearest = |index: usize, period: usize| {
        let value = |at: Option<usize>| {
            at.and_then(|at| known.get(at)).copied().filter(|value| value.is_finite())
        };
        let distances = || (1..=NEIGHBOURS_MAX).map(|k| k * period);
        let before = distances().find_map(|distance| value(index.checked_sub(distance)));
        let after = distances().find_map(|distance| value(index.checked_add(distance)));
        match (before, after) {
            (Some(before), Some(after)) => Some(f64::midpoint(before, after)),
            (one, other) => one.or(other),
        }
    };
    let fill = |index: usize| {
        if known[index].is_finite() {
            return known[index];
        }
        let periods = [7 * per_day, per_day];
        periods.into_iter().filter(|&p| p > 1).find_map(|p| nearest(index, p)).unwrap_or(f64::NAN)
    };
    let mut values: Vec<f64> = (0..known.len()).map(fill).collect();
    let mut last: Option<(usize, f64)> = None;
    for index in 0..values.len() {
        let value = values[index];
        if !value.is_finite() {
            continue;
        }
        let hole = last.map_or(0, |(at, _)| at + 1)..index;
        let (from, start) = last.map_or((0.0, value), |(at, start)| (at as f64, start));
        for at in hole {
            let share = (at as f64 - from) / (index as f64 - from);
            values[at] = start + (value - start) * share;
        }
        last = Some((index, value));
    }
    if let Some((at, value)) = last {
        values[at + 1..].fill(value);
    }
    values
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn holes_are_filled_by_week_day_and_line() {
        let nan = f64::NAN;
        assert_eq!(filled(&[nan, 1.0, nan, 3.0, nan], 1), [1.0, 1.0, 2.0, 3.0, 3.0]);
        // Two cells a day: the same time on other days.
        assert_eq!(filled(&[1.0, 5.0, nan, 6.0, 3.0, nan], 2), [1.0, 5.0, 2.0, 6.0, 3.0, 6.0]);
        let mut weeks: Vec<f64> = (0..28).map(|day| f64::from(day % 7 * 10 + day / 7)).collect();
        weeks[9] = nan;
        assert_eq!(filled(&weeks, 1)[9], 21.0);
    }

    #[test]
    fn local_days_have_one_length() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        // 2024-03-04 05:00 UTC, Monday midnight; clocks change on the Sunday after.
        let start_s = 1_709_528_400;
        let mut series = Series { start_s, step_s: 3600, counts: vec![0.0; 14 * 24 - 1], zone };
        let clock = series.clock(48);
        let hour = |index: usize| (clock.second_of_day(series.time_s(index)) / 3600) as f64;
        let counts: Vec<f64> = (0..series.len()).map(|index| 3600.0 * hour(index)).collect();
        let next: Vec<f64> = (0..48).map(|ahead| 3600.0 * hour(series.len() + ahead)).collect();
        series.counts = counts;
        let grid = Grid::new(&series).unwrap();
        assert_eq!(grid.rates.len(), 14 * 24);
        assert_eq!((grid.day(), grid.week(), grid.season()), (Some(24), Some(168), Some(24)));
        assert!((0..14 * 24).all(|cell| grid.rates[cell] == (cell % 24) as f64));
        assert_eq!(grid.cell_of_week(14 * 24), 0);
        let cells = grid.cells_ahead(&series, 48);
        let cells: Vec<f64> = (0..cells).map(|cell| (cell % 24) as f64).collect();
        assert_eq!(grid.counts(&cells, &series, 48), next);
    }

    #[test]
    fn fine_steps_are_gathered_and_spread() {
        let counts = vec![60.0; 3 * 1440];
        let mut series = Series { start_s: 0, step_s: 60, counts, zone: TimeZone::UTC };
        series.counts[5] = f64::NAN;
        let grid = Grid::new(&series).unwrap();
        assert_eq!((grid.cell_s, grid.rates.len()), (600, 432));
        assert!(grid.rates.iter().all(|rate| (rate - 1.0).abs() < 1e-12));
        let counts = grid.counts(&[1.0, 2.0, -8.0], &series, 40);
        assert_eq!((counts[0], counts[39]), (60.0, 0.0));
        assert!((counts[9] - 60.0 * 1.45).abs() < 1e-9, "{}", counts[9]);
    }
}

//! The usual rate of the time of the week.

use super::grid::Grid;
use super::profile::weighted_quantile;

/// Weeks after which a value counts half.
const HALF_LIFE_WEEKS: f64 = 3.0;

/// The median of the values of the same time of the week (of the day, for less than two weeks), the
/// later ones weighing more. The last value without two days.
pub(super) fn forecast(grid: &Grid, cells: usize) -> Vec<f64> {
    let Some(day) = grid.day().or(grid.week().map(|week| week / 7)) else {
        return super::naive::forecast(grid, None, cells);
    };
    let period = grid.week().unwrap_or(day);
    let n = grid.rates.len();
    let mut positions = vec![Vec::new(); period];
    for (index, &rate) in grid.rates.iter().enumerate() {
        let age_weeks = (n - index) as f64 / (7 * day) as f64;
        let weight = (-age_weeks / HALF_LIFE_WEEKS).exp2();
        positions[grid.cell_of_week(index) % period].push((rate, weight));
    }
    let median = |values: &mut Vec<(f64, f64)>| {
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        weighted_quantile(values, 0.5).unwrap_or(0.0)
    };
    let medians: Vec<f64> = positions.iter_mut().map(median).collect();
    (n..n + cells).map(|index| medians[grid.cell_of_week(index) % period]).collect()
}

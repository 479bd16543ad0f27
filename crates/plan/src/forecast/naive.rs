//! What was is what will be.

use super::grid::Grid;

/// The last value; with a `period`, the last value of the same position in it, if there is one.
pub(super) fn forecast(grid: &Grid, period: Option<usize>, cells: usize) -> Vec<f64> {
    let n = grid.rates.len();
    let period = period.unwrap_or(1).clamp(1, n.max(1));
    (0..cells).filter_map(|ahead| grid.rates.get(n - period + ahead % period)).copied().collect()
}

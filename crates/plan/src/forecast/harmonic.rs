//! Harmonic regression: a line and waves of the day and the week, by least squares.

use std::f64::consts::TAU;

use super::grid::Grid;

/// Waves of the day.
const DAY_WAVES: usize = 8;

/// Waves of the week, beside those that are waves of the day.
const WEEK_WAVES: usize = 20;

/// Added to the diagonal of the equations, as a share of it, so that they always have a solution.
const RIDGE: f64 = 1e-9;

/// Mean, waves as far as the rhythms are seen twice, and a line where the longest is. The line goes
/// on level after the end of the history: what grew may not grow on.
pub(super) fn forecast(grid: &Grid, cells: usize) -> Vec<f64> {
    let n = grid.rates.len();
    let mut frequencies = Vec::new();
    if let Some(day) = grid.day() {
        frequencies.extend((1..=DAY_WAVES.min((day - 1) / 2)).map(|k| k as f64 / day as f64));
    }
    if let Some(week) = grid.week() {
        let waves =
            (1..=WEEK_WAVES.min((week - 1) / 2)).filter(|k| grid.day().is_none() || k % 7 > 0);
        frequencies.extend(waves.map(|k| k as f64 / week as f64));
    }
    let row = |at: usize| {
        let mut row = vec![1.0];
        if !frequencies.is_empty() {
            row.push(at.min(n) as f64 / n as f64 - 0.5);
        }
        for frequency in &frequencies {
            let (sin, cos) = (TAU * (frequency * at as f64).fract()).sin_cos();
            row.extend([sin, cos]);
        }
        row
    };
    let coefficients = least_squares(grid.rates.iter().enumerate().map(|(at, &y)| (row(at), y)));
    let value = |at| row(at).iter().zip(&coefficients).map(|(x, b)| x * b).sum();
    (n..n + cells).map(value).collect()
}

/// Coefficients b that make Σ(y − x·b)² least, by Cholesky's factors of the normal equations.
fn least_squares(rows: impl Iterator<Item = (Vec<f64>, f64)>) -> Vec<f64> {
    let mut matrix: Vec<Vec<f64>> = Vec::new();
    let mut right = Vec::new();
    for (x, y) in rows {
        if matrix.is_empty() {
            matrix = vec![vec![0.0; x.len()]; x.len()];
            right = vec![0.0; x.len()];
        }
        for (i, line) in matrix.iter_mut().enumerate() {
            right[i] += x[i] * y;
            line[..=i].iter_mut().zip(&x).for_each(|(sum, other)| *sum += x[i] * other);
        }
    }
    let n = right.len();
    for i in 0..n {
        matrix[i][i] *= 1.0 + RIDGE;
        for j in 0..=i {
            let products: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            let rest = matrix[i][j] - products;
            matrix[i][j] =
                if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / matrix[j][j] };
        }
    }
    for i in 0..n {
        let known: f64 = (0..i).map(|k| matrix[i][k] * right[k]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| matrix[k][i] * right[k]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_are_found_again() {
        let rows = (0..50).map(|at| {
            let x = vec![1.0, f64::from(at), f64::from(at * at % 17)];
            let y = 3.0 - 0.5 * x[1] + 2.0 * x[2];
            (x, y)
        });
        let found = least_squares(rows);
        for (found, exact) in found.iter().zip([3.0, -0.5, 2.0]) {
            assert!((found - exact).abs() < 1e-5, "{found}");
        }
    }
}

//! Is a series level? A straight line through it, and where its warm-up ends.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A least-squares line y = intercept + slope·x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Value at x = 0, in units of y.
    pub intercept: f64,
    /// Change of y per unit of x.
    pub slope: f64,
    /// Standard error of the slope.
    pub slope_error: f64,
    /// slope / slope_error: infinite for points exactly on a sloping line, 0 on a level one.
    pub t: f64,
    /// Two-sided p-value of "the slope is zero" by Student's t with n−2 degrees of freedom.
    pub p_value: f64,
}

/// Ordinary least squares through the points (x, y).
///
/// The p-value assumes independent errors of equal variance; autocorrelated series look more
/// significant than they are. `None` for fewer than three points, for one single x, or for values
/// that are not finite.
#[must_use]
pub fn ordinary_least_squares(points: &[(f64, f64)]) -> Option<Line> {
    let &(first_x, _) = points.first()?;
    if points.len() < 3 || points.iter().all(|point| point.0 == first_x) {
        return None;
    }
    let n = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / n;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / n;
    let around = |&(x, y): &(f64, f64)| (x - mean_x, y - mean_y);
    let sum_xx: f64 = points.iter().map(around).map(|(dx, _)| dx * dx).sum();
    let sum_xy: f64 = points.iter().map(around).map(|(dx, dy)| dx * dy).sum();
    let slope = sum_xy / sum_xx;
    let residuals = points.iter().map(around).map(|(dx, dy)| dy - slope * dx);
    let degrees = n - 2.0;
    let slope_error = (residuals.map(|r| r * r).sum::<f64>() / degrees / sum_xx).sqrt();
    if !slope.is_finite() || !slope_error.is_finite() {
        return None;
    }
    let t = if slope == 0.0 { 0.0 } else { slope / slope_error };
    let p_value = if t.is_infinite() {
        0.0
    } else {
        (2.0 * StudentsT::new(0.0, 1.0, degrees).ok()?.sf(t.abs())).min(1.0)
    };
    Some(Line { intercept: mean_y - slope * mean_x, slope, slope_error, t, p_value })
}

/// Values per batch in [`mser5`].
const BATCH: usize = 5;

/// Index of the first value after the warm-up by MSER-5 (White, Cobb & Spratt, 2000): the series
/// is averaged in batches of 5, and the cut is the one that minimises the squared standard error
/// of the mean of what remains.
///
/// Only the first half is searched; a result at or next to half the length says that the series
/// never settled. Values beyond the last full batch are ignored; 0 for fewer than 10 values.
#[must_use]
pub fn mser5(series: &[f64]) -> usize {
    let (batches, _) = series.as_chunks::<BATCH>();
    let means: Vec<f64> = batches.iter().map(|b| b.iter().sum::<f64>() / BATCH as f64).collect();
    // From the back, so that mean and squared deviations of each remainder grow by one batch
    // (Welford, 1962).
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    let (mut best, mut cut) = (f64::INFINITY, 0);
    for (index, &value) in means.iter().enumerate().rev() {
        count += 1.0;
        let step = value - mean;
        mean += step / count;
        squares += step * (value - mean);
        let error = squares / (count * count);
        // The earliest of equal cuts keeps the most values.
        if index <= means.len() / 2 && error <= best {
            (best, cut) = (error, index);
        }
    }
    cut * BATCH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn invalid_input_has_no_line() {
        assert_eq!(ordinary_least_squares(&[(0.0, 0.0), (1.0, 1.0)]), None);
        assert_eq!(ordinary_least_squares(&[(0.1, 0.0), (0.1, 1.0), (0.1, 2.0)]), None);
        assert_eq!(ordinary_least_squares(&[(0.0, 0.0), (1.0, f64::NAN), (2.0, 2.0)]), None);
    }

    #[test]
    fn exact_lines() {
        let rising = ordinary_least_squares(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]).unwrap();
        assert_eq!((rising.slope, rising.intercept, rising.p_value), (2.0, 1.0, 0.0));
        assert_eq!(rising.t, f64::INFINITY);
        let level = ordinary_least_squares(&[(0.0, 4.0), (1.0, 4.0), (2.0, 4.0)]).unwrap();
        assert_eq!((level.slope, level.t, level.p_value), (0.0, 0.0, 1.0));
    }

    #[test]
    fn warm_up_is_cut() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut noise = || rng.random_range(-1.0..1.0);
        let warm: Vec<f64> = (0..60)
            .map(|i| 50.0 * f64::exp(-f64::from(i) / 10.0))
            .chain(std::iter::repeat_n(0.0, 540))
            .map(|level| 100.0 + level + noise())
            .collect();
        let cut = mser5(&warm);
        assert!((25..=80).contains(&cut), "{cut}");
    }

    #[test]
    fn level_series_keep_everything_and_drifting_ones_half() {
        assert_eq!(mser5(&[]), 0);
        assert_eq!(mser5(&[1.0; 4]), 0);
        assert_eq!(mser5(&[1.0; 100]), 0);
        let drift: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(mser5(&drift), 50);
        let step: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i >= 50))).collect();
        assert_eq!(mser5(&step), 50);
    }

    proptest! {
        #[test]
        fn cut_is_the_minimum_by_definition(
            series in proptest::collection::vec(-100.0..100.0_f64, 0..120),
        ) {
            let means: Vec<f64> =
                series.chunks_exact(5).map(|b| b.iter().sum::<f64>() / 5.0).collect();
            let error = |cut: usize| {
                let rest = &means[cut..];
                let n = rest.len() as f64;
                let mean = rest.iter().sum::<f64>() / n;
                rest.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n * n)
            };
            let cut = mser5(&series);
            prop_assert_eq!(cut % 5, 0);
            if means.len() >= 2 {
                prop_assert!(cut / 5 <= means.len() / 2);
                let least = (0..=means.len() / 2).map(error).fold(f64::INFINITY, f64::min);
                prop_assert!(error(cut / 5) <= least + 1e-9);
            }
        }
    }
}

//! How good a forecast was.

/// Sums that errors of several folds are scored by. Steps of unknown count are left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Errors {
    absolute: f64,
    actual: f64,
    scaled: f64,
    steps: f64,
}

impl Errors {
    /// Adds a fold whose training errors of the seasonal naive forecast have the mean `naive`.
    pub(super) fn add(&mut self, actual: &[f64], forecast: &[f64], naive: f64) {
        for (y, f) in actual.iter().zip(forecast).filter(|(y, f)| y.is_finite() && f.is_finite()) {
            self.absolute += (y - f).abs();
            self.scaled += (y - f).abs() / naive;
            self.actual += y.abs();
            self.steps += 1.0;
        }
    }

    pub(super) fn wmape(&self) -> f64 {
        self.absolute / self.actual
    }

    pub(super) fn mase(&self) -> f64 {
        self.scaled / self.steps
    }

    pub(super) fn mean_actual(&self) -> f64 {
        self.actual / self.steps
    }
}

/// Sum of absolute errors over the sum of actual values; steps of which one is unknown are left out.
/// `NaN` without any.
#[must_use]
pub fn wmape(actual: &[f64], forecast: &[f64]) -> f64 {
    let mut errors = Errors::default();
    errors.add(actual, forecast, 1.0);
    errors.wmape()
}

/// wMAPE of taking the count of `lag` steps before, over the steps from `from` on: how much a known
/// yesterday tells of today.
#[must_use]
pub fn lag_wmape(counts: &[f64], lag: usize, from: usize) -> f64 {
    let from = from.max(lag).min(counts.len());
    wmape(&counts[from..], &counts[from - lag.min(from)..])
}

/// Mean absolute difference of the known counts to those `lag` steps before: the scale of MASE
/// (Hyndman & Koehler, 2006). `NaN` without any.
#[must_use]
pub fn naive_error(counts: &[f64], lag: usize) -> f64 {
    let pairs = counts.iter().zip(counts.iter().skip(lag));
    let errors = pairs.map(|(before, after)| (after - before).abs()).filter(|e| e.is_finite());
    let (mut sum, mut n) = (0.0, 0.0);
    for error in errors {
        (sum, n) = (sum + error, n + 1.0);
    }
    sum / n
}

/// The loss of a quantile forecast, summed over the known steps, and their number (Koenker &
/// Bassett, 1978): q times what lies above it, 1 − q times what lies below.
#[must_use]
pub fn pinball(actual: &[f64], quantile: &[f64], q: f64) -> (f64, usize) {
    let known = actual.iter().zip(quantile).filter(|(y, _)| y.is_finite());
    let losses: Vec<f64> =
        known.map(|(y, f)| if y >= f { q * (y - f) } else { (1.0 - q) * (f - y) }).collect();
    (losses.iter().sum(), losses.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        let actual = [10.0, 20.0, f64::NAN, 30.0];
        let forecast = [12.0, 17.0, 5.0, 30.0];
        assert_eq!(wmape(&actual, &forecast), 5.0 / 60.0);
        assert_eq!(lag_wmape(&[1.0, 2.0, 4.0, 4.0], 1, 2), 2.0 / 8.0);
        assert_eq!(lag_wmape(&[1.0, 2.0, 4.0, 4.0], 3, 0), 3.0 / 4.0);
        assert!(lag_wmape(&[1.0], 3, 0).is_nan());
        assert_eq!(naive_error(&[1.0, 4.0, f64::NAN, 5.0, 6.0], 1), 2.0);
        let (loss, steps) = pinball(&actual, &forecast, 0.9);
        assert!((loss - (0.1 * 2.0 + 0.9 * 3.0)).abs() < 1e-12 && steps == 3);
        let mut errors = Errors::default();
        errors.add(&actual, &forecast, 2.0);
        assert_eq!((errors.mase(), errors.mean_actual()), (5.0 / 6.0, 20.0));
    }

    /// The constant with the least pinball loss is the quantile.
    #[test]
    fn pinball_is_least_at_the_quantile() {
        let actual: Vec<f64> = (1..=9).map(f64::from).collect();
        let loss = |at: f64| pinball(&actual, &[at; 9], 0.7).0;
        assert!((0..100).map(|at| f64::from(at) / 10.0).all(|at| loss(7.0) <= loss(at) + 1e-12));
    }
}

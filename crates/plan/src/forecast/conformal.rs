//! Quantiles of a forecast out of the errors that it made before.

/// Share of the mean rate that is added to a forecast as the scale of its error, so that errors near
/// zero demand have one.
const SCALE_FLOOR: f64 = 0.1;

/// Change of the level of a quantile for a whole fold on the wrong side.
const GAMMA: f64 = 0.2;

/// Errors of past forecasts relative to their scale, the split-conformal scores (Lei, G'Sell,
/// Rinaldo, Tibshirani & Wasserman, 2018, §5.2): (actual − forecast) / (forecast + a tenth of the
/// mean). Busy hours have greater errors than quiet ones.
///
/// Errors of all horizons are pooled.
#[derive(Debug, Clone, Default)]
pub struct Residuals {
    sorted: Vec<f64>,
}

impl Residuals {
    /// Adds the errors of one fold; unknown counts have none. `mean` is that of the training counts.
    pub fn add(&mut self, actual: &[f64], forecast: &[f64], mean: f64) {
        let errors = actual.iter().zip(forecast).map(|(y, f)| (y - f) / scale(*f, mean));
        self.sorted.extend(errors.filter(|error| error.is_finite()));
        self.sorted.sort_by(f64::total_cmp);
    }

    /// Number of errors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is no error.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The relative error that a new one exceeds with probability of at most 1 − `level` if errors
    /// are exchangeable: the ⌈(n+1)·level⌉-th smallest, below the median the ⌊(n+1)·level⌋-th. The
    /// extreme one where that rank does not exist; 0 without errors.
    #[must_use]
    pub fn quantile(&self, level: f64) -> f64 {
        let rank = (self.sorted.len() + 1) as f64 * level;
        let rank = if level < 0.5 { rank.floor() } else { rank.ceil() };
        let index = (rank as usize).clamp(1, self.sorted.len().max(1)) - 1;
        self.sorted.get(index).copied().unwrap_or(0.0)
    }

    /// The `level` quantile of what `forecast` foretells, never below 0.
    #[must_use]
    pub fn around(&self, forecast: &[f64], level: f64, mean: f64) -> Vec<f64> {
        let error = self.quantile(level);
        forecast.iter().map(|f| (f + error * scale(*f, mean)).max(0.0)).collect()
    }
}

fn scale(forecast: f64, mean: f64) -> f64 {
    (forecast + SCALE_FLOOR * mean).max(f64::MIN_POSITIVE)
}

/// Adaptive conformal inference (Gibbs & Candès, 2021): the level at which a quantile is taken moves
/// against the share that it missed, so that coverage holds in the long run even where errors grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adaptive {
    target: f64,
    level: f64,
}

impl Adaptive {
    /// Aims at the quantile `target`, 0..=1.
    #[must_use]
    pub fn new(target: f64) -> Self {
        Self { target, level: target }
    }

    /// The level to take the next quantile at, 0..=1.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Learns that the share `below` of a fold was at most the quantile.
    pub fn update(&mut self, below: f64) {
        if below.is_finite() {
            self.level = (self.level + GAMMA * (self.target - below)).clamp(0.0, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_by_hand() {
        let mut residuals = Residuals::default();
        assert_eq!(residuals.quantile(0.9), 0.0);
        // Forecast 0 and mean 10: a scale of 1.
        let actual: Vec<f64> = (1..=9).map(f64::from).chain([f64::NAN]).collect();
        residuals.add(&actual, &[0.0; 10], 10.0);
        assert_eq!(residuals.len(), 9);
        assert_eq!(
            [0.0, 0.1, 0.19, 0.5, 0.81, 0.9, 1.0].map(|q| residuals.quantile(q)),
            [1.0, 1.0, 1.0, 5.0, 9.0, 9.0, 9.0]
        );
        // Forecast 9: a scale of 10.
        assert_eq!(residuals.around(&[9.0], 0.5, 10.0), [59.0]);
    }

    proptest! {
        /// Of n + 1 exchangeable errors, at least the share `level` is at most the quantile of the
        /// others: every one of them is left out in turn.
        #[test]
        fn coverage_of_exchangeable_errors(
            errors in prop::collection::vec(-5.0..5.0_f64, 10..60), level in 0.5..0.9_f64,
        ) {
            let covered = (0..errors.len()).filter(|&out| {
                let mut others = errors.clone();
                let left_out = others.remove(out);
                others.sort_by(f64::total_cmp);
                left_out <= Residuals { sorted: others }.quantile(level)
            });
            prop_assert!(covered.count() as f64 >= level * errors.len() as f64 - 1e-9);
        }
    }

    /// Where errors are greater than those that the quantile is taken from, the plain quantile keeps
    /// missing its target and the adaptive one reaches it.
    #[test]
    fn levels_adapt() {
        let mut residuals = Residuals::default();
        let old: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
        residuals.add(&old, &[0.0; 1000], 10.0);
        let drifted: Vec<f64> = old.iter().map(|error| error.sqrt()).collect();
        let share = |level| {
            let quantile = residuals.quantile(level);
            drifted.iter().filter(|error| **error <= quantile).count() as f64 / 1000.0
        };
        let mut adaptive = Adaptive::new(0.8);
        for _ in 0..100 {
            adaptive.update(share(adaptive.level()));
        }
        assert!(share(0.8) < 0.66);
        assert!((share(adaptive.level()) - 0.8).abs() < 0.01);
    }
}

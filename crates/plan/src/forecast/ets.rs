//! Exponential smoothing in its state-space form (Hyndman, Koehler, Snyder & Grose, 2002).

use augurs_core::Predict;
use augurs_ets::model::{ErrorComponent, ModelType, SeasonalComponent, TrendComponent, Unfit};

use super::adjust::adjust;
use super::grid::Grid;

/// Latest values that a model is fitted to; older ones are forgotten by smoothing anyway.
const VALUES_MAX: usize = 1_000;

/// Fewest values that a model is fitted to.
const VALUES_MIN: usize = 20;

/// Iterations of the fit of a candidate.
const ITERATIONS_MAX: usize = 500;

/// ETS of the seasonally adjusted values, the rhythm added again.
pub(super) fn forecast(grid: &Grid, cells: usize) -> Vec<f64> {
    let (adjusted, seasonal) = adjust(&grid.rates, grid.season());
    let n = adjusted.len();
    let level = smooth(&adjusted, cells);
    level.iter().enumerate().map(|(ahead, level)| level + seasonal.at(n + ahead)).collect()
}

/// Values to come of a series without rhythm, by the model with additive errors, without trend or
/// with a damped one, that has the least AICc. The last value where none can be fitted.
///
/// Trends that are not damped are left out: the slope of some hours, drawn out over weeks.
pub(super) fn smooth(values: &[f64], ahead: usize) -> Vec<f64> {
    let level = vec![values.last().copied().unwrap_or(0.0); ahead];
    let latest = &values[values.len().saturating_sub(VALUES_MAX)..];
    let lowest = latest.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = latest.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let varies = highest - lowest > 1e-9 * highest.abs().max(lowest.abs());
    if !varies || latest.len() < VALUES_MIN {
        return level;
    }
    let fit = |trend: TrendComponent| {
        let (error, season) = (ErrorComponent::Additive, SeasonalComponent::None);
        let model = Unfit::new(ModelType { error, trend, season }).damped(trend.included());
        model
            .max_iterations(ITERATIONS_MAX)
            .fit(latest)
            .ok()
            .filter(|model| model.aicc().is_finite())
    };
    let fitted = [TrendComponent::None, TrendComponent::Additive].into_iter().filter_map(fit);
    let best = fitted.min_by(|a, b| a.aicc().total_cmp(&b.aicc()));
    let predicted = best.and_then(|model| model.predict(ahead, None).ok()).map(|f| f.point);
    predicted.filter(|point| point.iter().all(|value| value.is_finite())).unwrap_or(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::theta::tests::NILE;

    /// statsmodels 0.15.0, `ETSModel(y, error="add")`: forecast 804.997, AICc 1282.47; with a damped
    /// trend 1289.14, so the level wins. `SimpleExpSmoothing`, which squares only, says 805.316.
    #[test]
    fn the_nile() {
        let ahead = smooth(&NILE, 3);
        assert!(ahead.iter().all(|value| *value == ahead[0]));
        assert!((ahead[0] - 805.2).abs() < 0.5, "{ahead:?}");
    }

    #[test]
    fn little_or_level_values_stay() {
        assert_eq!(smooth(&[], 2), [0.0, 0.0]);
        assert_eq!(smooth(&[5.0; 100], 2), [5.0, 5.0]);
        assert_eq!(smooth(&[1.0, 2.0, 4.0], 1), [4.0]);
    }
}

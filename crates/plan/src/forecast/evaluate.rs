//! Forecasters tried on the past: from several origins, each knowing only what was before.

use crate::Series;
use crate::series::{DAY_S, WEEK_S};

use super::conformal::{Adaptive, Residuals};
use super::score::{Errors, naive_error, pinball};
use super::{Forecaster, fit_predict};

/// Origins from which the past is forecast, where it is long enough.
pub const FOLDS_MAX: usize = 6;

/// Fewest steps of a fold.
const FOLD_STEPS_MIN: usize = 4;

/// Share of the history before the first origin.
const FIRST_ORIGIN: f64 = 0.5;

/// What a forecaster is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Name of the forecaster.
    pub name: &'static str,
    /// Sum of absolute errors over the sum of actual counts.
    pub wmape: f64,
    /// Mean absolute error over that of the seasonal naive forecast (day) on the training data.
    pub mase: f64,
    /// For each quantile, its mean pinball loss over the mean of the actual counts; `NaN` with a
    /// single fold.
    pub pinball: Vec<(f64, f64)>,
    /// For each quantile, the share of actual counts at or below it; `NaN` with a single fold.
    pub below: Vec<(f64, f64)>,
    /// Share of actual counts between the least and the greatest quantile; `NaN` with a single fold.
    pub coverage: f64,
}

/// One origin.
pub(super) struct Fold {
    pub(super) actual: Vec<f64>,
    /// Mean of the known counts before.
    pub(super) mean: f64,
    /// Scale of MASE.
    pub(super) naive: f64,
    /// What each forecaster said.
    pub(super) predicted: Vec<Vec<f64>>,
}

/// Origins in the second half of `series`, evenly spread and where possible after two weeks or else two
/// days, without which no rhythm can be learnt; each with `horizon` steps to come, or a
/// quarter of the series where that is shorter. The last ends with the series.
pub(super) fn origins(series: &Series, horizon: usize) -> (Vec<usize>, usize) {
    let n = series.len();
    let length = horizon.min(n / 4).max(1);
    let steps = |time_s: i64| (2 * time_s / i64::from(series.step_s.max(1))) as usize;
    let learnt = [steps(WEEK_S), steps(DAY_S)].into_iter().find(|&steps| steps + length <= n);
    let first = ((n as f64 * FIRST_ORIGIN) as usize).max(learnt.unwrap_or(0));
    if length < FOLD_STEPS_MIN || first == 0 {
        return (Vec::new(), length);
    }
    let room = (n - length).saturating_sub(first);
    let folds = FOLDS_MAX.min(1 + room / FOLD_STEPS_MIN).max(1);
    let origin = |fold: usize| n - length - room * fold / (folds - 1).max(1);
    let mut origins: Vec<usize> = (0..folds).rev().map(origin).collect();
    origins.dedup();
    (origins, length)
}

/// Forecasts from every origin by every one of `forecasters`.
pub(super) fn folds(series: &Series, forecasters: &[Forecaster], horizon: usize) -> Vec<Fold> {
    let (origins, length) = origins(series, horizon);
    let day = (DAY_S / i64::from(series.step_s)).max(1) as usize;
    let fold = |origin: usize| {
        let train = series.slice(0..origin);
        let naive = naive_error(&train.counts, day);
        let naive = if naive > 0.0 { naive } else { naive_error(&train.counts, 1) };
        Fold {
            actual: series.counts[origin..origin + length].to_vec(),
            mean: train.total() / train.known() as f64,
            naive,
            predicted: fit_predict(forecasters, &train, length),
        }
    };
    origins.into_iter().map(fold).filter(Fold::is_known).collect()
}

impl Fold {
    /// Whether there is something to learn from and to compare with.
    fn is_known(&self) -> bool {
        self.mean > 0.0 && self.actual.iter().any(|count| count.is_finite() && *count > 0.0)
    }
}

/// A forecaster's score, and what its forecast needs for quantiles.
pub(super) struct Judged {
    pub(super) score: Score,
    pub(super) residuals: Residuals,
    /// One for each quantile.
    pub(super) levels: Vec<Adaptive>,
}

/// Scores what was `predicted` in each of `folds`. Quantiles of a fold are made of the errors of the
/// folds before it, so none are scored in the first.
pub(super) fn judge(
    name: &'static str,
    folds: &[Fold],
    predicted: &[&[f64]],
    quantiles: &[f64],
) -> Judged {
    let mut errors = Errors::default();
    let mut residuals = Residuals::default();
    let mut levels: Vec<Adaptive> = quantiles.iter().map(|&q| Adaptive::new(q)).collect();
    let mut losses = vec![(0.0, 0, 0); quantiles.len()];
    let mut inside = 0;
    for (fold, predicted) in folds.iter().zip(predicted) {
        errors.add(&fold.actual, predicted, fold.naive);
        if !residuals.is_empty() {
            let curves = curves(&residuals, &levels, predicted, fold.mean);
            for (((curve, q), level), loss) in
                curves.iter().zip(quantiles).zip(&mut levels).zip(&mut losses)
            {
                let (sum, steps) = pinball(&fold.actual, curve, *q);
                let below = fold.actual.iter().zip(curve).filter(|(y, f)| y <= f).count();
                *loss = (loss.0 + sum, loss.1 + steps, loss.2 + below);
                level.update(below as f64 / steps as f64);
            }
            inside += covered(&fold.actual, &curves);
        }
        residuals.add(&fold.actual, predicted, fold.mean);
    }
    let steps = losses.first().map_or(0, |loss| loss.1) as f64;
    let mean = errors.mean_actual();
    let of = |value: fn(&(f64, usize, usize)) -> f64, scale: f64| {
        quantiles.iter().zip(&losses).map(|(q, loss)| (*q, value(loss) / scale)).collect()
    };
    let score = Score {
        name,
        wmape: errors.wmape(),
        mase: errors.mase(),
        pinball: of(|loss| loss.0, steps * mean),
        below: of(|loss| loss.2 as f64, steps),
        coverage: inside as f64 / steps,
    };
    Judged { score, residuals, levels }
}

/// The quantiles of a forecast, none of them below one of a smaller share.
pub(super) fn curves(
    residuals: &Residuals,
    levels: &[Adaptive],
    predicted: &[f64],
    mean: f64,
) -> Vec<Vec<f64>> {
    let mut curves: Vec<Vec<f64>> = Vec::with_capacity(levels.len());
    for level in levels {
        let mut curve = residuals.around(predicted, level.level(), mean);
        if let Some(lower) = curves.last() {
            curve.iter_mut().zip(lower).for_each(|(value, lower)| *value = value.max(*lower));
        }
        curves.push(curve);
    }
    curves
}

/// Steps of which the actual count lies between the first and the last curve.
fn covered(actual: &[f64], curves: &[Vec<f64>]) -> usize {
    let (Some(low), Some(high)) = (curves.first(), curves.last()) else { return 0 };
    let within = actual.iter().zip(low.iter().zip(high));
    within.filter(|(y, (low, high))| *low <= *y && *y <= *high).count()
}

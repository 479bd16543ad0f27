//! Forecasts: several forecasters, tried on the past, and quantiles out of their errors.
//!
//! Forecasters work in cells of the local clock ([`grid`](self) below): ten minutes to an hour for
//! histories of days to a year. Forecasts of finer steps lie on straight lines between the middles
//! of cells; what happens within a cell is in the quantiles, whose errors are those of the steps.

pub mod conformal;
pub mod evaluate;
pub mod profile;
pub mod score;

mod adjust;
mod ets;
mod grid;
mod harmonic;
mod mstl;
mod naive;
mod theta;
mod time_of_week;

use crate::Series;

pub use evaluate::Score;
pub use profile::{ProfileParams, WeekProfile};

use evaluate::{Fold, Judged};
use grid::Grid;

/// Most steps of a forecast: two weeks of seconds.
pub const HORIZON_MAX: usize = 14 * 86_400;

/// Most quantiles of a forecast.
pub const QUANTILES_MAX: usize = 99;

/// Fewest known steps of a history.
pub const STEPS_MIN: usize = 30;

/// Name of the weighted mean of all forecasters.
pub const COMBINED: &str = "combined";

/// A forecaster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forecaster {
    /// The last rate.
    Naive,
    /// The rate of the same time on the last day.
    SeasonalNaiveDay,
    /// The rate of the same time in the last week.
    SeasonalNaiveWeek,
    /// The usual rate of the time of the week.
    TimeOfWeek,
    /// Exponential smoothing of the seasonally adjusted rates.
    Ets,
    /// Rhythms of day and week, and exponential smoothing of the rest.
    Mstl,
    /// The Theta method on the seasonally adjusted rates.
    Theta,
    /// Waves of day and week, and a line.
    Harmonic,
}

impl Forecaster {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Naive,
        Self::SeasonalNaiveDay,
        Self::SeasonalNaiveWeek,
        Self::TimeOfWeek,
        Self::Ets,
        Self::Mstl,
        Self::Theta,
        Self::Harmonic,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::SeasonalNaiveDay => "seasonal-naive-day",
            Self::SeasonalNaiveWeek => "seasonal-naive-week",
            Self::TimeOfWeek => "time-of-week",
            Self::Ets => "ets",
            Self::Mstl => "mstl",
            Self::Theta => "theta",
            Self::Harmonic => "harmonic",
        }
    }

    /// Counts of the `horizon` steps after `train` (at most [`HORIZON_MAX`]), none negative. Zeros
    /// where nothing is known. A forecaster that needs a longer history forecasts as a simpler one.
    #[must_use]
    pub fn fit_predict(self, train: &Series, horizon: usize) -> Vec<f64> {
        fit_predict(&[self], train, horizon).pop().unwrap_or_default()
    }

    fn cells(self, grid: &Grid, cells: usize) -> Vec<f64> {
        match self {
            Self::Naive => naive::forecast(grid, None, cells),
            Self::SeasonalNaiveDay => naive::forecast(grid, grid.day(), cells),
            Self::SeasonalNaiveWeek => naive::forecast(grid, grid.week().or(grid.day()), cells),
            Self::TimeOfWeek => time_of_week::forecast(grid, cells),
            Self::Ets => ets::forecast(grid, cells),
            Self::Mstl => mstl::forecast(grid, cells),
            Self::Theta => theta::forecast(grid, cells),
            Self::Harmonic => harmonic::forecast(grid, cells),
        }
    }
}

/// What each of `forecasters` says, of one grid.
fn fit_predict(forecasters: &[Forecaster], train: &Series, horizon: usize) -> Vec<Vec<f64>> {
    let horizon = horizon.min(HORIZON_MAX);
    let Some(grid) = Grid::new(train) else { return vec![vec![0.0; horizon]; forecasters.len()] };
    let cells = grid.cells_ahead(train, horizon);
    let counts =
        |forecaster: &Forecaster| grid.counts(&forecaster.cells(&grid, cells), train, horizon);
    forecasters.iter().map(counts).collect()
}

/// Demand to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Begin of the first step, in seconds since the Unix epoch.
    pub start_s: i64,
    /// Length of a step, in seconds.
    pub step_s: u32,
    /// Name of the forecaster that did best on the past, or [`COMBINED`].
    pub name: &'static str,
    /// Expected requests per step.
    pub mean: Vec<f64>,
    /// Quantiles, rising, and the requests per step that demand exceeds with probability 1 − q.
    pub quantiles: Vec<(f64, Vec<f64>)>,
    /// What each forecaster was worth on the past, the best first.
    pub scores: Vec<Score>,
    /// Weight of each forecaster in [`COMBINED`]; the sum is 1.
    pub weights: Vec<(&'static str, f64)>,
}

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// The history is too short.
    #[error(
        "a forecast needs at least {STEPS_MIN} known steps and requests in both halves of the history, but {known} steps are known: give a longer history"
    )]
    TooShort {
        /// Known steps.
        known: usize,
    },
    /// The horizon or the quantiles make no sense.
    #[error(
        "a forecast has 1 to {HORIZON_MAX} steps and up to {QUANTILES_MAX} quantiles between 0 and 1"
    )]
    Params,
}

/// The `horizon` steps after `series`, by the best of all [`Forecaster`]s and of their weighted mean,
/// judged by wMAPE from several origins in the past; with the given quantiles.
///
/// Weights are the inverse of the squared wMAPE. In the past, those of a fold are made of the folds
/// before it.
///
/// # Errors
/// See [`ForecastError`].
pub fn forecast(
    series: &Series,
    horizon: usize,
    quantiles: &[f64],
) -> Result<Forecast, ForecastError> {
    let mut shares = quantiles.to_vec();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    let sensible = shares.len() <= QUANTILES_MAX && shares.iter().all(|q| *q > 0.0 && *q < 1.0);
    if !sensible || !(1..=HORIZON_MAX).contains(&horizon) {
        return Err(ForecastError::Params);
    }
    let known = series.known();
    let folds = evaluate::folds(series, &Forecaster::ALL, horizon);
    if known < STEPS_MIN || folds.is_empty() {
        return Err(ForecastError::TooShort { known });
    }

    let single = |which: usize| -> Judged {
        let predicted: Vec<&[f64]> = folds.iter().map(|fold| &fold.predicted[which][..]).collect();
        evaluate::judge(Forecaster::ALL[which].name(), &folds, &predicted, &shares)
    };
    let mut judged: Vec<Judged> = (0..Forecaster::ALL.len()).map(single).collect();
    let mixed: Vec<Vec<f64>> =
        (0..folds.len()).map(|at| mix(&folds[at].predicted, &weights(&folds[..at]))).collect();
    let mixed: Vec<&[f64]> = mixed.iter().map(Vec::as_slice).collect();
    judged.push(evaluate::judge(COMBINED, &folds, &mixed, &shares));

    let order = |a: &&Judged, b: &&Judged| a.score.wmape.total_cmp(&b.score.wmape);
    let Some(best) = judged.iter().min_by(order) else {
        return Err(ForecastError::TooShort { known });
    };
    let weights = weights(&folds);
    let chosen = Forecaster::ALL.into_iter().find(|one| one.name() == best.score.name);
    let mean = match chosen {
        Some(one) => one.fit_predict(series, horizon),
        None => mix(&fit_predict(&Forecaster::ALL, series, horizon), &weights),
    };
    let level = series.total() / known as f64;
    let curves = evaluate::curves(&best.residuals, &best.levels, &mean, level);
    let name = best.score.name;
    let mut scores: Vec<Score> = judged.into_iter().map(|judged| judged.score).collect();
    scores.sort_by(|a, b| a.wmape.total_cmp(&b.wmape));
    Ok(Forecast {
        start_s: series.end_s(),
        step_s: series.step_s,
        name,
        mean,
        quantiles: shares.into_iter().zip(curves).collect(),
        scores,
        weights: Forecaster::ALL.iter().map(|one| one.name()).zip(weights).collect(),
    })
}

/// Weight of each forecaster by its errors in `folds`; equal without any.
fn weights(folds: &[Fold]) -> Vec<f64> {
    let inverse = |which: usize| {
        let mut errors = score::Errors::default();
        for fold in folds {
            errors.add(&fold.actual, &fold.predicted[which], 1.0);
        }
        // Errors of nothing but rounding count alike.
        let wmape = errors.wmape().max(1e-6);
        if wmape.is_finite() { wmape.powi(-2) } else { 1.0 }
    };
    let inverse: Vec<f64> = (0..Forecaster::ALL.len()).map(inverse).collect();
    let sum: f64 = inverse.iter().sum();
    inverse.into_iter().map(|weight| weight / sum).collect()
}

/// The weighted mean of `forecasts`.
fn mix(forecasts: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let length = forecasts.first().map_or(0, Vec::len);
    let value = |at: usize| forecasts.iter().zip(weights).map(|(f, w)| f[at] * w).sum();
    (0..length).map(value).collect()
}

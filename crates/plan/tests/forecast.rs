//! Laws of forecasts, on series whose future is known.

use std::f64::consts::TAU;

use jiff::tz::TimeZone;
use plan::Series;
use plan::forecast::{COMBINED, ForecastError, Forecaster, forecast, score};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// 2024-01-01 00:00 UTC, a Monday.
const START_S: i64 = 1_704_067_200;

const SEASONAL: [Forecaster; 7] = [
    Forecaster::SeasonalNaiveDay,
    Forecaster::SeasonalNaiveWeek,
    Forecaster::TimeOfWeek,
    Forecaster::Ets,
    Forecaster::Mstl,
    Forecaster::Theta,
    Forecaster::Harmonic,
];

fn series(step_s: u32, n: usize, count: impl FnMut(usize) -> f64) -> Series {
    let counts = (0..n).map(count).collect();
    Series { start_s: START_S, step_s, counts, zone: TimeZone::UTC }
}

fn sine(at: usize, per_day: usize) -> f64 {
    1000.0 * (2.0 + (TAU * at as f64 / per_day as f64).sin())
}

#[test]
fn a_sine_of_the_day_goes_on() {
    let train = series(3600, 28 * 24, |hour| sine(hour, 24));
    let future: Vec<f64> = (28 * 24..35 * 24).map(|hour| sine(hour, 24)).collect();
    for forecaster in SEASONAL {
        let error = score::wmape(&future, &forecaster.fit_predict(&train, 168));
        assert!(error < 1e-3, "{}: {error}", forecaster.name());
    }
    let naive = Forecaster::Naive.fit_predict(&train, 168);
    assert_eq!(naive, vec![sine(28 * 24 - 1, 24); 168]);
    assert!(score::wmape(&future, &naive) > 0.2);
}

/// Minutes are forecast by way of ten minutes and straight lines.
#[test]
fn finer_steps_lose_little() {
    let train = series(60, 14 * 1440, |minute| sine(minute, 1440));
    let future: Vec<f64> = (14 * 1440..16 * 1440).map(|minute| sine(minute, 1440)).collect();
    for forecaster in SEASONAL {
        let error = score::wmape(&future, &forecaster.fit_predict(&train, 2 * 1440));
        assert!(error < 5e-3, "{}: {error}", forecaster.name());
    }
}

#[test]
fn holes_change_little() {
    let mut train = series(3600, 28 * 24, |hour| sine(hour, 24));
    let whole: Vec<Vec<f64>> = SEASONAL.iter().map(|f| f.fit_predict(&train, 168)).collect();
    train.counts[200..230].fill(f64::NAN);
    train.counts[400..405].fill(f64::NAN);
    train.counts[28 * 24 - 3..].fill(f64::NAN);
    for (forecaster, whole) in SEASONAL.iter().zip(whole) {
        let error = score::wmape(&whole, &forecaster.fit_predict(&train, 168));
        assert!(error < 1e-3, "{}: {error}", forecaster.name());
    }
}

/// Working days and weekends differ: who knows of weeks is right, who knows of days only is not.
#[test]
fn weeks_are_told_from_days() {
    let count = |hour: usize| if hour / 24 % 7 < 5 { sine(hour, 24) } else { 500.0 };
    let train = series(3600, 42 * 24, count);
    let future: Vec<f64> = (42 * 24..49 * 24).map(count).collect();
    let error =
        |forecaster: Forecaster| score::wmape(&future, &forecaster.fit_predict(&train, 168));
    for forecaster in SEASONAL.into_iter().filter(|one| *one != Forecaster::SeasonalNaiveDay) {
        assert!(error(forecaster) < 0.1, "{}: {}", forecaster.name(), error(forecaster));
    }
    assert!(error(Forecaster::SeasonalNaiveWeek) < 1e-12);
    assert!(error(Forecaster::SeasonalNaiveDay) > 0.4);
}

/// What depends on the hour that clocks show keeps to it when clocks change.
#[test]
fn forecasts_follow_the_clocks() {
    let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
    // 2024-02-19 05:00 UTC, Monday midnight; clocks change on the third Sunday.
    let whole = Series { start_s: 1_708_318_800, step_s: 3600, counts: vec![0.0; 28 * 24], zone };
    let clock = whole.clock(0);
    let counts = (0..whole.len())
        .map(|hour| sine((clock.second_of_day(whole.time_s(hour)) / 3600) as usize, 24));
    let whole = Series { counts: counts.collect(), ..whole };
    let train = whole.slice(0..19 * 24);
    for forecaster in SEASONAL {
        let ahead = forecaster.fit_predict(&train, whole.len() - train.len());
        let error = score::wmape(&whole.counts[train.len()..], &ahead);
        assert!(error < 1e-3, "{}: {error}", forecaster.name());
    }
}

#[test]
fn nothing_is_negative_and_nothing_panics() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let falling = series(3600, 10 * 24, |hour| (240 - hour) as f64 * 10.0);
    let noise = series(60, 700, |_| rng.random_range(-5.0..10.0_f64).max(0.0));
    let nan = f64::NAN;
    let odd = [
        vec![],
        vec![1.0],
        vec![nan; 100],
        vec![0.0; 100],
        vec![nan, nan, 3.0, nan],
        vec![1e300; 60],
    ];
    let odd = odd.into_iter().map(|counts| series(3600, counts.len(), |at| counts[at]));
    for train in [falling, noise].into_iter().chain(odd) {
        for step_s in [train.step_s, 1, 7, 1000, 86_400, 604_800] {
            let train = Series { step_s, ..train.clone() };
            for forecaster in Forecaster::ALL {
                let ahead = forecaster.fit_predict(&train, 50);
                assert_eq!(ahead.len(), 50, "{} {step_s}", forecaster.name());
                assert!(ahead.iter().all(|count| *count >= 0.0), "{} {step_s}", forecaster.name());
            }
        }
    }
}

/// Independent noise around a wave: each quantile covers what it says, on the past and in the future.
#[test]
fn quantiles_cover_what_they_say() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
    let mut count = |hour: usize| sine(hour, 24) * (1.0 + rng.random_range(-0.3..0.3));
    let (mut inside, mut below) = (0, [0; 4]);
    let quantiles = [0.05, 0.5, 0.9, 0.95];
    let runs = 6;
    for _ in 0..runs {
        let whole = series(3600, 42 * 24, &mut count);
        let result = forecast(&whole.slice(0..35 * 24), 168, &quantiles).unwrap();
        let actual = &whole.counts[35 * 24..];
        for (below, (_, curve)) in below.iter_mut().zip(&result.quantiles) {
            *below += actual.iter().zip(curve).filter(|(y, f)| y <= f).count();
        }
        let (low, high) = (&result.quantiles[0].1, &result.quantiles[3].1);
        inside += (0..168).filter(|&at| low[at] <= actual[at] && actual[at] <= high[at]).count();
        for score in result.scores.iter().filter(|score| score.name != "naive") {
            assert!((score.coverage - 0.9).abs() < 0.06, "{score:?}");
        }
    }
    let steps = f64::from(runs * 168);
    for (below, q) in below.iter().zip(quantiles) {
        assert!((*below as f64 / steps - q).abs() < 0.03, "{below} of {steps} at {q}");
    }
    assert!((f64::from(inside as u32) / steps - 0.9).abs() < 0.03, "{inside} of {steps}");
}

/// Errors that depend on the hours before: coverage is near what was asked for all the same.
#[test]
fn quantiles_of_dependent_errors() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut inside = 0;
    let runs = 6;
    for _ in 0..runs {
        let mut error: f64 = 0.0;
        let whole = series(3600, 42 * 24, |hour| {
            error = 0.8 * error + rng.random_range(-0.15..0.15);
            sine(hour, 24) * (1.0 + error)
        });
        let result = forecast(&whole.slice(0..35 * 24), 168, &[0.1, 0.9]).unwrap();
        let (low, high) = (&result.quantiles[0].1, &result.quantiles[1].1);
        let actual = &whole.counts[35 * 24..];
        inside += (0..168).filter(|&at| low[at] <= actual[at] && actual[at] <= high[at]).count();
    }
    let share = inside as f64 / f64::from(runs * 168);
    assert!((share - 0.8).abs() < 0.06, "{share}");
}

#[test]
fn a_forecast_says_what_it_is() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(8);
    let train = series(3600, 28 * 24, |hour| sine(hour, 24) * rng.random_range(0.8..1.2));
    let result = forecast(&train, 48, &[0.9, 0.1, 0.5]).unwrap();
    assert_eq!((result.start_s, result.step_s), (START_S + 28 * 86_400, 3600));
    assert_eq!(result.scores.len(), Forecaster::ALL.len() + 1);
    assert!(result.scores.is_sorted_by(|a, b| a.wmape <= b.wmape));
    assert_eq!(result.name, result.scores[0].name);
    assert!((result.weights.iter().map(|weight| weight.1).sum::<f64>() - 1.0).abs() < 1e-9);
    let shares: Vec<f64> = result.quantiles.iter().map(|curve| curve.0).collect();
    assert_eq!(shares, [0.1, 0.5, 0.9]);
    for at in 0..48 {
        assert!(result.quantiles.is_sorted_by(|a, b| a.1[at] <= b.1[at]));
    }
    // The mean of good forecasts is not worse than the better half of them.
    let rank = result.scores.iter().position(|score| score.name == COMBINED).unwrap();
    assert!(rank < 5, "{rank}");
    let naive = result.scores.iter().find(|score| score.name == "naive").unwrap();
    assert!(naive.mase > 2.0 && result.scores[0].mase < 1.0, "{:?}", result.scores);
}

#[test]
fn too_little_is_refused() {
    let short = series(3600, 20, |hour| sine(hour, 24));
    assert_eq!(forecast(&short, 5, &[0.5]), Err(ForecastError::TooShort { known: 20 }));
    let nothing = series(3600, 400, |_| 0.0);
    assert!(matches!(forecast(&nothing, 5, &[]), Err(ForecastError::TooShort { .. })));
    let train = series(3600, 400, |hour| sine(hour, 24));
    assert_eq!(forecast(&train, 0, &[0.5]), Err(ForecastError::Params));
    assert_eq!(forecast(&train, 5, &[1.0]), Err(ForecastError::Params));
    assert_eq!(forecast(&train, 5, &[f64::NAN]), Err(ForecastError::Params));
}

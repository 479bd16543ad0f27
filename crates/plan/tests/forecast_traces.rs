//! Forecasts of real traces. Skipped, with a note, where the folder of traces is absent.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use jiff::tz::TimeZone;
use plan::forecast::{forecast, score};
use plan::{Series, counts};

/// A trace, or `None` with a note.
fn trace(name: &str) -> Option<Series> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/traces");
    let path = Path::new(folder).join(name);
    let Ok(file) = File::open(&path) else {
        println!("skipped: no {}", path.display());
        return None;
    };
    Some(counts::read(BufReader::new(file), Some(&TimeZone::UTC)).unwrap().series)
}

/// Counts of the hours of a trace.
fn hours(name: &str) -> Option<Vec<f64>> {
    let series = trace(name)?;
    Some(series.coarser((3600 / series.step_s) as usize).counts)
}

/// Asserts wMAPEs, over the last fifth, of the hour, the day and the week before.
fn assert_lags(name: &str, counts: &[f64], expected: [f64; 3], tolerance: f64) {
    let from = (counts.len() as f64 * 0.8) as usize;
    let errors = [1, 24, 168].map(|lag| score::lag_wmape(counts, lag, from));
    for (error, expected) in errors.iter().zip(expected) {
        assert!((error - expected).abs() <= tolerance, "{name}: {errors:?}");
    }
}

/// Known figures of these traces; those of worldcup98 are met within 0.006.
#[test]
fn yesterday_and_last_week_tell_as_much_as_published() {
    let Some(wikipedia) = hours("wikipedia/wikipedia_hourly_requests.csv") else { return };
    // Row by row, as there: gaps are not steps.
    let rows: Vec<f64> = wikipedia.into_iter().filter(|count| count.is_finite()).collect();
    assert_lags("wikipedia", &rows, [0.038, 0.068, 0.066], 6e-4);
    let Some(nasa) = hours("nasa/nasa_per_minute.csv") else { return };
    // July: the whole hours until the log breaks off.
    let july = &nasa[..nasa.iter().position(|count| count.is_nan()).unwrap() - 1];
    assert_lags("nasa, July", july, [0.159, 0.217, 0.208], 1e-3);
    assert_lags("nasa, August", &nasa[31 * 24..], [0.149, 0.295, 0.245], 6e-4);
    for (name, expected) in [
        ("nab/nyc_taxi.csv", [0.149, 0.240, 0.196]),
        ("gocrane/input9.csv", [0.157, 0.078, 0.066]),
        ("gocrane/input13.csv", [0.127, 0.089, 0.097]),
    ] {
        let Some(counts) = hours(name) else { return };
        assert_lags(name, &counts, expected, 1e-3);
    }
    let Some(cup) = hours("worldcup98/worldcup98_per_minute.csv") else { return };
    assert_lags("worldcup98", &cup, [0.092, 0.655, 1.84], 6e-3);
}

/// On a year of hours with strong rhythms, what knows of rhythms beats what does not, and two weeks
/// ahead are as near as the published figure for a single day.
#[test]
fn two_weeks_of_wikipedia() {
    let Some(series) = trace("wikipedia/wikipedia_hourly_requests.csv") else { return };
    let year = series.slice(series.len() - 8760..series.len());
    let result = forecast(&year, 336, &[0.05, 0.5, 0.95]).unwrap();
    let of = |name: &str| result.scores.iter().find(|score| score.name == name).unwrap();
    assert!(result.scores[0].wmape < 0.068, "{:?}", result.scores[0]);
    for better in ["seasonal-naive-week", "mstl", "time-of-week", "combined"] {
        assert!(of(better).wmape < of("naive").wmape / 2.0, "{better}");
    }
    assert!((result.scores[0].coverage - 0.9).abs() < 0.1, "{:?}", result.scores[0]);
    assert_eq!(result.mean.len(), 336);
}

/// Every four weeks of minutes are forecast for a week, and the quantiles are in order.
#[test]
fn a_week_of_minutes() {
    for name in
        ["nasa/nasa_per_minute.csv", "gocrane/input9.csv", "nab/elb_request_count_8c0756.csv"]
    {
        let Some(series) = trace(name) else { return };
        let series = series.slice(series.len().saturating_sub(28 * 1440)..series.len());
        let week = (7 * 86_400 / series.step_s) as usize;
        let result = forecast(&series, week, &[0.5, 0.99]).unwrap();
        assert_eq!(result.mean.len(), week, "{name}");
        assert!(result.mean.iter().all(|count| count.is_finite() && *count >= 0.0), "{name}");
        let [(_, median), (_, high)] = &result.quantiles[..] else { panic!("{name}") };
        assert!(median.iter().zip(high).all(|(median, high)| median <= high), "{name}");
        // Better than the last rate.
        let naive = result.scores.iter().find(|score| score.name == "naive").unwrap();
        assert!(result.scores[0].wmape < naive.wmape, "{name}");
    }
}

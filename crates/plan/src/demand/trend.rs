//! Growth: a slope that single days cannot bend.

use statrs::distribution::{ContinuousCDF, Normal};
use stats::Interval;

use super::days::Day;

/// Fewest days.
pub const DAYS_MIN: usize = 7;

/// Most days that are looked at; of more, every so many.
const DAYS_MAX: usize = 1500;

/// Confidence of the interval.
pub const CONFIDENCE: f64 = 0.95;

/// Growth of demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Change of the rate per day, in requests per second.
    pub per_day: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// The change per day as a share of the median rate; 0 where that is 0.
    pub ratio_per_day: f64,
}

impl Trend {
    /// Whether zero lies outside of the interval.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        !self.interval.contains(0.0)
    }
}

/// The median of the slopes of all pairs of days (Theil, 1950; Sen, 1968), with Sen's interval by
/// the normal approximation of Kendall's statistic. `None` for less than [`DAYS_MIN`] days.
///
/// The interval takes days as independent: where good and bad weeks take turns it is too narrow.
#[must_use]
pub fn trend(days: &[Day]) -> Option<Trend> {
    if days.len() < DAYS_MIN {
        return None;
    }
    let days: Vec<&Day> = days.iter().step_by(days.len().div_ceil(DAYS_MAX)).collect();
    let mut slopes = Vec::with_capacity(days.len() * (days.len() - 1) / 2);
    for (index, later) in days.iter().enumerate() {
        let earlier = days[..index].iter();
        slopes.extend(earlier.map(|day| (later.rate - day.rate) / (later.day - day.day) as f64));
    }
    slopes.sort_by(f64::total_cmp);
    let per_day = stats::quantile::type7(&slopes, 0.5)?;

    let n = days.len() as f64;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let half = Normal::standard().inverse_cdf(0.5 + CONFIDENCE / 2.0) * deviation;
    let pairs = slopes.len() as f64;
    let low = ((pairs - half) / 2.0).floor().max(1.0) as usize - 1;
    let high = ((pairs + half) / 2.0).ceil() as usize;
    let interval = Interval { low: slopes[low], high: slopes[high.min(slopes.len() - 1)] };

    let mut rates: Vec<f64> = days.iter().map(|day| day.rate).collect();
    let median = super::days::median(&mut rates);
    let ratio_per_day = if median > 0.0 { per_day / median } else { 0.0 };
    Some(Trend { per_day, interval, ratio_per_day })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(rates: impl IntoIterator<Item = f64>) -> Vec<Day> {
        rates.into_iter().enumerate().map(|(day, rate)| Day { day: day as i64, rate }).collect()
    }

    #[test]
    fn a_line_has_its_slope_whatever_a_few_days_say() {
        let mut line = days((0..60).map(|day| 100.0 + 0.5 * f64::from(day)));
        let exact = trend(&line).unwrap();
        assert!((exact.per_day - 0.5).abs() < 1e-12 && exact.interval.width() < 1e-9);
        for day in [5, 17, 40] {
            line[day].rate = 10_000.0;
        }
        let robust = trend(&line).unwrap();
        assert!((robust.per_day - 0.5).abs() < 1e-9, "{robust:?}");
        assert!(robust.is_significant());
        assert_eq!(trend(&line[..6]), None);
    }

    #[test]
    fn interval_of_sen_by_hand() {
        // Ten days have 45 slopes. By hand: 1.96·√(10·9·25/18) = 21.9, so the ends are at the ranks
        // (45 − 21.9)/2 = 11.5 and (45 + 21.9)/2 + 1 = 34.5, rounded outwards to 11 and 35.
        let values = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0, 5.5, 8.0];
        let sample = days(values);
        let result = trend(&sample).unwrap();
        let mut slopes = Vec::new();
        for a in 0..10 {
            for b in a + 1..10 {
                slopes.push((values[b] - values[a]) / (b - a) as f64);
            }
        }
        slopes.sort_by(f64::total_cmp);
        assert_eq!(result.per_day, slopes[22]);
        assert_eq!(result.interval, Interval { low: slopes[10], high: slopes[34] });
    }
}

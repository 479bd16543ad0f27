//! Novelty and primacy: does the effect change with the days since exposure?

use super::{Comparison, Effect, Error, Level, welch};
use crate::interval::Interval;

/// Most days of follow-up.
pub const DAYS_MAX: usize = 400;

/// Effects by day since exposure (from 0): Welch's intervals that hold together for all days
/// (Bonferroni: level α/days each), p-values adjusted likewise.
///
/// # Errors
/// [`Error::Argument`] without days or with more than [`DAYS_MAX`].
pub fn by_day(days: &[Comparison], level: Level) -> Result<Vec<Effect>, Error> {
    if days.is_empty() || days.len() > DAYS_MAX {
        return Err(Error::argument("days", "1 to 400"));
    }
    let count = days.len() as f64;
    let each = level.with_alpha(level.alpha() / count);
    let effect = |day: &Comparison| {
        let effect = welch::effect(day, each);
        Effect { p_value: (effect.p_value * count).min(1.0), ..effect }
    };
    Ok(days.iter().map(effect).collect())
}

/// The trend value of one unit: Σ (2d − (D − 1))·x_d over its values on day d = 0..D since
/// exposure, all D days seen. Integers in, integers out, for [`super::Sums`].
///
/// Days of one unit depend on each other, so a line through daily effects would have a wrong
/// standard error; a single value per unit has the right one.
///
/// # Errors
/// [`Error::Argument`] with fewer than two days or more than [`DAYS_MAX`], [`Error::Overflow`].
pub fn trend_value(days: &[i64]) -> Result<i64, Error> {
    if !(2..=DAYS_MAX).contains(&days.len()) {
        return Err(Error::argument("days", "2 to 400"));
    }
    let last = days.len() as i64 - 1;
    let mut sum = 0_i64;
    for (day, &value) in (0..).zip(days) {
        let term = value.checked_mul(2 * day - last).ok_or(Error::Overflow)?;
        sum = sum.checked_add(term).ok_or(Error::Overflow)?;
    }
    Ok(sum)
}

/// Change of the effect per day since exposure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Estimate, in the unit of the metric per day: below 0 a positive effect wears off (novelty),
    /// above 0 it grows (primacy).
    pub slope: f64,
    /// Confidence interval of the slope.
    pub interval: Interval,
    /// p-value of no change.
    pub p_value: f64,
}

/// Least-squares slope of the effect over `days` days since exposure, from the comparison of the
/// arms' [`trend_value`]s, by Welch's test. The slope is their difference divided by
/// Σ (2d − (D − 1))·d = D(D² − 1)/6.
///
/// # Errors
/// [`Error::Argument`] with fewer than two days or more than [`DAYS_MAX`].
pub fn trend(trend_values: &Comparison, days: usize, level: Level) -> Result<Trend, Error> {
    if !(2..=DAYS_MAX).contains(&days) {
        return Err(Error::argument("days", "2 to 400"));
    }
    let days = days as f64;
    let scale = days * (days * days - 1.0) / 6.0;
    let effect = welch::effect(trend_values, level);
    Ok(Trend {
        slope: effect.difference / scale,
        interval: Interval { low: effect.interval.low / scale, high: effect.interval.high / scale },
        p_value: effect.p_value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Alternative, Moments, Sums};

    #[test]
    fn slope_of_effects_that_fall() {
        // Units differ by a constant; the treatment starts at +70 and loses 10 a day.
        let days = 5;
        let mut arms = [Sums::<1>::default(), Sums::default()];
        for unit in 0..50_i64 {
            let own = unit * 1000;
            let noise = |day: i64| (unit * 7 + day * 3) % 5;
            let control: Vec<i64> = (0..days).map(|day| own + noise(day)).collect();
            let treatment: Vec<i64> =
                (0..days).map(|day| own + noise(day) + 70 - 10 * day).collect();
            arms[0].add([trend_value(&treatment).unwrap()]).unwrap();
            arms[1].add([trend_value(&control).unwrap()]).unwrap();
        }
        let [t, c] = arms.map(|sums| sums.moments([1.0]).unwrap());
        let comparison = Comparison::new(&t, &c).unwrap();
        let level = Level::new(0.05, Alternative::TwoSided).unwrap();
        let trend = trend(&comparison, days as usize, level).unwrap();
        assert!((trend.slope + 10.0).abs() < 1e-9, "{trend:?}");
        assert!(trend.p_value < 1e-6 && trend.interval.contains(trend.slope));
        assert!(!trend.interval.contains(0.0));
    }

    #[test]
    fn constants_have_no_trend() {
        assert_eq!(trend_value(&[9; 7]), Ok(0));
        assert_eq!(trend_value(&[0, 1]), Ok(1));
        assert!(trend_value(&[1]).is_err());
        assert_eq!(trend_value(&[i64::MAX, i64::MIN, 5]), Err(Error::Overflow));
    }

    #[test]
    fn daily_effects_hold_together() {
        let arm = |mean| Moments { units: 100, mean: [mean], covariance: [[1.0]] };
        let day = Comparison::new(&arm(1.2), &arm(1.0)).unwrap();
        let level = Level::new(0.05, Alternative::TwoSided).unwrap();
        let alone = by_day(&[day], level).unwrap()[0];
        let together = by_day(&[day; 10], level).unwrap()[0];
        assert!((together.p_value - (alone.p_value * 10.0).min(1.0)).abs() < 1e-12);
        assert!(together.interval.width() > alone.interval.width());
        assert!(by_day(&[], level).is_err());
    }
}

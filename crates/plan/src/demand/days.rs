//! Demand by the local day.

use std::collections::BTreeMap;

use crate::Series;
use crate::series::DAY_S;

/// Share of a day that has to be known for the day to count.
const KNOWN_MIN: f64 = 0.75;

/// Fewest weeks from which the rhythm of the week is taken out.
const WEEKS_MIN: usize = 2;

/// What one local day asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Day {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Mean rate of its known steps, in requests per second.
    pub rate: f64,
}

impl Day {
    /// Day of the week, 0 for Monday; 1970-01-01 was a Thursday.
    #[must_use]
    pub fn weekday(&self) -> usize {
        (self.day + 3).rem_euclid(7) as usize
    }
}

/// The local days of `series` that are known well enough, in order.
#[must_use]
pub fn days_of(series: &Series) -> Vec<Day> {
    let clock = series.clock(0);
    let mut sums: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (index, count) in series.counts.iter().enumerate().filter(|(_, count)| count.is_finite()) {
        let (requests, steps) = sums.entry(clock.day(series.time_s(index))).or_default();
        *requests += count;
        *steps += 1.0;
    }
    let step_s = f64::from(series.step_s);
    let enough = DAY_S as f64 / step_s * KNOWN_MIN;
    let known = sums.into_iter().filter(|(_, (_, steps))| *steps >= enough);
    known.map(|(day, (requests, steps))| Day { day, rate: requests / (steps * step_s) }).collect()
}

/// The days with the rhythm of the week taken out: what the median of its weekday is above or below
/// the mean of those medians is subtracted. Unchanged for less than two weeks.
#[must_use]
pub fn without_week(days: &[Day]) -> Vec<Day> {
    let mut by_weekday: [Vec<f64>; 7] = Default::default();
    for day in days {
        by_weekday[day.weekday()].push(day.rate);
    }
    if by_weekday.iter().any(|rates| rates.len() < WEEKS_MIN) {
        return days.to_vec();
    }
    let medians = by_weekday.map(|mut rates| median(&mut rates));
    let mean = medians.iter().sum::<f64>() / 7.0;
    let adjust = |day: &Day| Day { rate: day.rate - (medians[day.weekday()] - mean), ..*day };
    days.iter().map(adjust).collect()
}

/// The median; sorts `values`. 0 without values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    stats::quantile::type7(values, 0.5).unwrap_or(0.0)
}

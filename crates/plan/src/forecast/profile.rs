//! What each time of the week has asked for: the basis of schedules.

use jiff::tz::TimeZone;

use crate::Series;
use crate::demand::holidays::{Holidays, Treatment};
use crate::series::{DAY_S, LocalClock, WEEK_S, second_of_week};

/// Most values of a profile; a longer series is taken in longer steps.
pub const VALUES_MAX: usize = 1_000_000;

/// Shortest slot, in seconds.
pub const SLOT_S_MIN: u32 = 60;

/// The demand that was seen in each slot of the local week, from Monday midnight on.
#[derive(Debug, Clone)]
pub struct WeekProfile {
    slot_s: u32,
    /// Rates with their weights, rising, by slot of the week.
    week: Vec<Vec<(f64, f64)>>,
    /// The same of holidays, by slot of the day; empty where they are not a kind of day of their own.
    holiday: Vec<Vec<(f64, f64)>>,
}

/// How a profile is made.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileParams {
    /// Length of a slot, in seconds; taken as the next divisor of a day above it and above the step.
    pub slot_s: u32,
    /// Weeks after which a value counts half; `None` where all count alike.
    pub half_life_weeks: Option<f64>,
    /// Days that are no ordinary days.
    pub holidays: Holidays,
}

impl Default for ProfileParams {
    fn default() -> Self {
        Self { slot_s: 3600, half_life_weeks: None, holidays: Holidays::default() }
    }
}

impl WeekProfile {
    /// Collects the rates of the known steps of `series`.
    #[must_use]
    pub fn new(series: &Series, params: &ProfileParams) -> Self {
        let coarse = series.coarser(series.len().div_ceil(VALUES_MAX));
        let slot_s = slot_s(params.slot_s.max(coarse.step_s));
        let slots = (WEEK_S / i64::from(slot_s)) as usize;
        let own_type = params.holidays.treatment == Treatment::OwnDayType;
        let mut week = vec![Vec::new(); slots];
        let mut holiday = vec![Vec::new(); if own_type { slots / 7 } else { 0 }];
        let clock = coarse.clock(0);
        let end_s = coarse.end_s();
        for (index, count) in coarse.counts.iter().enumerate().filter(|(_, c)| c.is_finite()) {
            let time_s = coarse.time_s(index);
            let local_s = clock.local_s(time_s);
            let age_weeks = (end_s - time_s) as f64 / WEEK_S as f64;
            let weight = params.half_life_weeks.map_or(1.0, |half| (-age_weeks / half).exp2());
            let value = (count / f64::from(coarse.step_s), weight);
            let slot = second_of_week(local_s) / i64::from(slot_s);
            if !params.holidays.contains(local_s) {
                week[slot as usize].push(value);
            } else if own_type {
                holiday[slot as usize % (slots / 7)].push(value);
            }
        }
        for values in week.iter_mut().chain(&mut holiday) {
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        Self { slot_s, week, holiday }
    }

    /// Length of a slot, in seconds.
    #[must_use]
    pub fn slot_s(&self) -> u32 {
        self.slot_s
    }

    /// Number of slots of the week.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.week.len()
    }

    /// The slot of the week in which `time_s` (seconds since the Unix epoch) lies, by the clocks of
    /// `zone`.
    #[must_use]
    pub fn at(&self, time_s: i64, zone: &TimeZone) -> usize {
        let clock = LocalClock::new(zone, time_s, time_s);
        self.slot(clock.local_s(time_s))
    }

    /// The slot of the week of a [`LocalClock::local_s`].
    #[must_use]
    pub fn slot(&self, local_s: i64) -> usize {
        (second_of_week(local_s) / i64::from(self.slot_s)) as usize
    }

    /// The `q` quantile of the rates, in requests per second, of each slot of the week. A slot of
    /// which nothing is known has that of its time of day on all days; failing that, of all times.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Vec<f64> {
        let per_day = self.week.len() / 7;
        let own: Vec<Option<f64>> =
            self.week.iter().map(|slot| weighted_quantile(slot, q)).collect();
        if own.iter().all(Option::is_some) {
            return own.into_iter().flatten().collect();
        }
        let of_day: Vec<Option<f64>> = (0..per_day)
            .map(|slot| pooled(self.week.iter().skip(slot).step_by(per_day), q))
            .collect();
        let overall = pooled(self.week.iter(), q).unwrap_or(0.0);
        let filled = own.iter().enumerate();
        filled.map(|(slot, own)| own.or(of_day[slot % per_day]).unwrap_or(overall)).collect()
    }

    /// As [`Self::quantile`], for each slot of a holiday; `None` without holidays of their own kind
    /// in the series.
    #[must_use]
    pub fn holiday_quantile(&self, q: f64) -> Option<Vec<f64>> {
        let overall = pooled(self.holiday.iter(), q)?;
        let slot = |slot: &Vec<(f64, f64)>| weighted_quantile(slot, q).unwrap_or(overall);
        Some(self.holiday.iter().map(slot).collect())
    }
}

/// The least divisor of a day that is at least `wanted`, and at least [`SLOT_S_MIN`].
fn slot_s(wanted: u32) -> u32 {
    let wanted = wanted.clamp(SLOT_S_MIN, DAY_S as u32);
    (wanted..=DAY_S as u32)
        .find(|slot| (DAY_S as u32).is_multiple_of(*slot))
        .unwrap_or(DAY_S as u32)
}

fn pooled<'a>(slots: impl Iterator<Item = &'a Vec<(f64, f64)>>, q: f64) -> Option<f64> {
    let mut all: Vec<(f64, f64)> = slots.flatten().copied().collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    weighted_quantile(&all, q)
}

/// The least of `sorted` values, given with weights, at or below which lies the share `q` of the
/// weight; `None` without values.
pub(crate) fn weighted_quantile(sorted: &[(f64, f64)], q: f64) -> Option<f64> {
    let wanted = q.clamp(0.0, 1.0) * sorted.iter().map(|value| value.1).sum::<f64>();
    let mut weight = 0.0;
    let reached = sorted.iter().find(|value| {
        weight += value.1;
        // Sums of weights round; a share of exactly q is reached.
        weight >= wanted * (1.0 - 1e-12)
    });
    reached.or(sorted.last()).map(|value| value.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four weeks of hours whose rate is the hour of the local day plus 100 on weekends.
    fn series(zone: &str) -> Series {
        let zone = TimeZone::posix(zone).unwrap();
        // 2024-02-26 00:00 UTC, a Monday.
        let mut series =
            Series { start_s: 1_708_905_600, step_s: 3600, counts: vec![0.0; 28 * 24], zone };
        let clock = series.clock(0);
        for index in 0..series.len() {
            let second = clock.second_of_week(series.time_s(index));
            let weekend = if second >= 5 * DAY_S { 100.0 } else { 0.0 };
            series.counts[index] = ((second % DAY_S / 3600) as f64 + weekend) * 3600.0;
        }
        series
    }

    #[test]
    fn slots_follow_the_local_week_across_a_change_of_the_clock() {
        let series = series("EST5EDT,M3.2.0,M11.1.0");
        let profile = WeekProfile::new(&series, &ProfileParams::default());
        let expected: Vec<f64> = (0..168)
            .map(|hour| f64::from(hour % 24) + if hour >= 120 { 100.0 } else { 0.0 })
            .collect();
        assert_eq!(profile.quantile(0.01), expected);
        assert_eq!(profile.quantile(1.0), expected);
        // 2024-03-12 12:00 UTC is Tuesday 8 o'clock by the changed clock.
        assert_eq!(profile.at(1_710_244_800, &series.zone), 24 + 8);
    }

    #[test]
    fn holidays_are_left_out_or_a_kind_of_day() {
        let mut series = series("UTC0");
        for hour in 24..48 {
            series.counts[hour] = 7200.0;
        }
        let date = jiff::civil::date(2024, 2, 27);
        let mut params = ProfileParams {
            holidays: Holidays::new([date], Treatment::Mask),
            ..ProfileParams::default()
        };
        let masked = WeekProfile::new(&series, &params);
        assert_eq!(masked.quantile(1.0)[24 + 1], 1.0);
        assert_eq!(masked.holiday_quantile(0.5), None);
        params.holidays.treatment = Treatment::OwnDayType;
        let own = WeekProfile::new(&series, &params);
        assert_eq!(own.holiday_quantile(0.5), Some(vec![2.0; 24]));
        params.holidays = Holidays::default();
        assert_eq!(WeekProfile::new(&series, &params).quantile(1.0)[24 + 1], 2.0);
    }

    #[test]
    fn unknown_slots_borrow_from_other_days() {
        let short = series("UTC0").slice(0..30);
        let quantile = WeekProfile::new(&short, &ProfileParams::default()).quantile(0.5);
        assert_eq!(quantile[100], 4.0);
        let odd = ProfileParams { slot_s: 1000, ..ProfileParams::default() };
        assert_eq!(WeekProfile::new(&short, &odd).slot_s(), 3600);
    }

    #[test]
    fn quantiles_of_weights_by_hand() {
        let values = [(1.0, 1.0), (2.0, 1.0), (3.0, 2.0)];
        let quantile = |q| weighted_quantile(&values, q).unwrap();
        assert_eq!([0.0, 0.25, 0.26, 0.5, 0.51, 1.0].map(quantile), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert_eq!(weighted_quantile(&[], 0.5), None);
    }
}

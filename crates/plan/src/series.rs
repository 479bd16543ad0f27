//! Demand over time, in equal steps.

use jiff::{Timestamp, tz::TimeZone};

/// Most steps of a series: a year of seconds.
pub const STEPS_MAX: usize = 31_622_400;

/// How much was asked for in each of equal steps of time.
#[derive(Debug, Clone)]
pub struct Series {
    /// Begin of the first step, in seconds since the Unix epoch; a multiple of `step_s`.
    pub start_s: i64,
    /// Length of a step, in seconds.
    pub step_s: u32,
    /// Requests per step; `NaN` where nothing is known (a gap, a masked outage).
    pub counts: Vec<f64>,
    /// The zone whose days and weeks the traffic follows.
    pub zone: TimeZone,
}

impl Series {
    /// Number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is no step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Begin of step `index`, in seconds since the Unix epoch.
    #[must_use]
    pub fn time_s(&self, index: usize) -> i64 {
        self.start_s + index as i64 * i64::from(self.step_s)
    }

    /// Begin of step `index` as the clocks of the zone show it.
    #[must_use]
    pub fn local(&self, index: usize) -> Option<jiff::Zoned> {
        let time = Timestamp::from_second(self.time_s(index)).ok()?;
        Some(time.to_zoned(self.zone.clone()))
    }

    /// Requests per second in step `index`; `NaN` where nothing is known.
    #[must_use]
    pub fn rate(&self, index: usize) -> f64 {
        self.counts[index] / f64::from(self.step_s)
    }

    /// The same demand in steps that are `factor` times as long. A step of which a part is unknown
    /// gets the mean of what is known, if that is at least half; else it is unknown.
    #[must_use]
    pub fn coarser(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        let step_s = self.step_s.saturating_mul(factor as u32);
        // Steps begin at multiples of their length.
        let skip = (self.start_s.rem_euclid(i64::from(step_s)) / i64::from(self.step_s)) as usize;
        let mut counts = Vec::with_capacity(self.counts.len() / factor + 2);
        let head = if skip == 0 { 0 } else { (factor - skip).min(self.counts.len()) };
        let (first, rest) = self.counts.split_at(head);
        let chunks = (head > 0).then_some(first).into_iter().chain(rest.chunks(factor));
        for chunk in chunks {
            let known: Vec<f64> = chunk.iter().copied().filter(|count| count.is_finite()).collect();
            counts.push(if known.len() * 2 >= factor {
                known.iter().sum::<f64>() / known.len() as f64 * factor as f64
            } else {
                f64::NAN
            });
        }
        let start_s = self.start_s - skip as i64 * i64::from(self.step_s);
        Self { start_s, step_s, counts, zone: self.zone.clone() }
    }

    /// Requests of all known steps.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.counts.iter().filter(|count| count.is_finite()).sum()
    }

    /// Steps of which the count is known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.counts.iter().filter(|count| count.is_finite()).count()
    }

    /// End of the last step, in seconds since the Unix epoch.
    #[must_use]
    pub fn end_s(&self) -> i64 {
        self.time_s(self.len())
    }

    /// The clock of the zone from the begin of the series until `ahead` steps after its end.
    #[must_use]
    pub fn clock(&self, ahead: usize) -> LocalClock {
        LocalClock::new(&self.zone, self.start_s, self.time_s(self.len().saturating_add(ahead)))
    }

    /// Steps `range`, as a series of its own.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let range = range.start.min(self.len())..range.end.min(self.len());
        Self {
            start_s: self.time_s(range.start),
            step_s: self.step_s,
            counts: self.counts[range].to_vec(),
            zone: self.zone.clone(),
        }
    }
}

/// Most changes of the clock that are looked up; later times keep the last offset.
const CLOCK_CHANGES_MAX: usize = 1000;

/// Seconds of a day.
pub const DAY_S: i64 = 86_400;

/// Seconds of a week.
pub const WEEK_S: i64 = 7 * DAY_S;

/// What the clocks of a zone show during a stretch of time, without a look into the zone's rules for
/// every step.
#[derive(Debug, Clone)]
pub struct LocalClock {
    /// `(from, offset)`, both in seconds; rising.
    offsets: Vec<(i64, i64)>,
}

impl LocalClock {
    /// The clock of `zone` from `from_s` to `to_s`, in seconds since the Unix epoch.
    #[must_use]
    pub fn new(zone: &TimeZone, from_s: i64, to_s: i64) -> Self {
        let from = Timestamp::from_second(from_s).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = |offset: jiff::tz::Offset| i64::from(offset.seconds());
        let mut offsets = vec![(i64::MIN, offset(zone.to_offset(from)))];
        let changes = zone.following(from).take(CLOCK_CHANGES_MAX);
        let changes = changes.take_while(|change| change.timestamp().as_second() <= to_s);
        offsets.extend(changes.map(|at| (at.timestamp().as_second(), offset(at.offset()))));
        Self { offsets }
    }

    /// `time_s` as a count of seconds since 1970-01-01 00:00 of the clocks of the zone.
    #[must_use]
    pub fn local_s(&self, time_s: i64) -> i64 {
        let after = self.offsets.partition_point(|&(from_s, _)| from_s <= time_s);
        time_s + self.offsets[after.max(1) - 1].1
    }

    /// Seconds since midnight, by the clocks of the zone.
    #[must_use]
    pub fn second_of_day(&self, time_s: i64) -> i64 {
        self.local_s(time_s).rem_euclid(DAY_S)
    }

    /// Seconds since Monday midnight, by the clocks of the zone.
    #[must_use]
    pub fn second_of_week(&self, time_s: i64) -> i64 {
        second_of_week(self.local_s(time_s))
    }

    /// Days since 1970-01-01, by the clocks of the zone.
    #[must_use]
    pub fn day(&self, time_s: i64) -> i64 {
        self.local_s(time_s).div_euclid(DAY_S)
    }
}

/// Seconds since Monday midnight of a [`LocalClock::local_s`]; 1970-01-01 was a Thursday.
#[must_use]
pub fn second_of_week(local_s: i64) -> i64 {
    (local_s + 3 * DAY_S).rem_euclid(WEEK_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_change_where_the_zone_says() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        // 2024-03-09 00:00 UTC; clocks went from 2 to 3 at 07:00 UTC on the 10th, a Sunday.
        let start = 1_709_942_400;
        let clock = LocalClock::new(&zone, start, start + 300 * DAY_S);
        let change = start + DAY_S + 7 * 3600;
        assert_eq!(clock.second_of_day(change - 1), 2 * 3600 - 1);
        assert_eq!(clock.second_of_day(change), 3 * 3600);
        assert_eq!(clock.second_of_week(change), 6 * DAY_S + 3 * 3600);
        for hour in 0..300 * 24 {
            let time = start + hour * 3600;
            let zoned = Timestamp::from_second(time).unwrap().to_zoned(zone.clone());
            assert_eq!(clock.second_of_day(time), i64::from(zoned.hour()) * 3600);
            let weekday = i64::from(zoned.weekday().to_monday_zero_offset());
            assert_eq!(clock.second_of_week(time) / DAY_S, weekday);
        }
    }

    #[test]
    fn coarser_steps_begin_at_multiples() {
        let counts = vec![1.0, 2.0, 3.0, f64::NAN, 5.0];
        let series = Series { start_s: 60, step_s: 60, counts, zone: TimeZone::UTC };
        let coarse = series.coarser(2);
        assert_eq!((coarse.start_s, coarse.step_s), (0, 120));
        // One known of two counts for both.
        assert_eq!(coarse.counts, [2.0, 5.0, 10.0]);
        assert_eq!((series.total(), series.known(), series.end_s()), (11.0, 4, 360));
    }
}

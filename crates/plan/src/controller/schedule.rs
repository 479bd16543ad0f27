//! Schedules that repeat every week, in the local time of a zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Minutes of a week.
pub const WEEK_MINUTES: usize = 7 * 24 * 60;

/// Most windows of a schedule.
pub const WINDOWS_MAX: usize = 256;

/// Instances to hold during one stretch of some days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Window {
    /// Days, as bits: 1 is Monday, 64 Sunday.
    pub days: u8,
    /// Begin, in minutes since midnight.
    pub start_minute: u16,
    /// End, in minutes since midnight, itself excluded; at most 1440.
    pub end_minute: u16,
    /// Instances.
    pub replicas: u32,
}

/// All seven days of [`Window::days`].
pub const EVERY_DAY: u8 = 0b111_1111;
/// Monday to Friday.
pub const WEEKDAYS: u8 = 0b001_1111;
/// Saturday and Sunday.
pub const WEEKEND: u8 = 0b110_0000;

/// A weekly schedule of floors.
#[derive(Debug, Clone)]
pub struct Schedule {
    clock: WeekClock,
    floors: Vec<u32>,
}

impl Schedule {
    /// The schedule of `windows` (the first [`WINDOWS_MAX`]); of overlapping ones the highest
    /// holds.
    #[must_use]
    pub fn new(windows: &[Window], zone: &TimeZone) -> Self {
        let mut floors = vec![0; WEEK_MINUTES];
        for window in windows.iter().take(WINDOWS_MAX) {
            let day_minutes = usize::from(window.start_minute.min(1440))
                ..usize::from(window.end_minute.min(1440));
            for day in (0..7).filter(|day| window.days >> day & 1 == 1) {
                for minute in day_minutes.clone() {
                    let floor: &mut u32 = &mut floors[day * 1440 + minute];
                    *floor = (*floor).max(window.replicas);
                }
            }
        }
        Self { clock: WeekClock::new(zone.clone()), floors }
    }

    /// A schedule that gives each minute of the week ([`WEEK_MINUTES`] of them, from Monday
    /// midnight on; missing ones are 0) its floor.
    #[must_use]
    pub fn of_minutes(mut floors: Vec<u32>, zone: &TimeZone) -> Self {
        floors.resize(WEEK_MINUTES, 0);
        Self { clock: WeekClock::new(zone.clone()), floors }
    }

    /// Instances that the schedule asks for at `now_s`.
    pub fn floor(&mut self, now_s: f64) -> u32 {
        self.floors[self.clock.minute_of_week(now_s)]
    }
}

/// Reads the minute of the week off the clocks of a zone. Zones change their offset at whole
/// quarters of an hour of Greenwich, so it is looked up once for each.
#[derive(Debug, Clone)]
pub struct WeekClock {
    zone: TimeZone,
    quarter: i64,
    offset_s: i64,
}

impl WeekClock {
    /// A clock of `zone`.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, quarter: i64::MIN, offset_s: 0 }
    }

    /// Minutes since the local Monday midnight, below [`WEEK_MINUTES`], at `now_s` seconds since
    /// the Unix epoch.
    pub fn minute_of_week(&mut self, now_s: f64) -> usize {
        let now_s = now_s.floor() as i64;
        let quarter = now_s.div_euclid(900);
        if quarter != self.quarter {
            self.quarter = quarter;
            self.offset_s = Timestamp::from_second(now_s)
                .map_or(0, |time| i64::from(self.zone.to_offset(time).seconds()));
        }
        // The epoch began on a Thursday, three days after Monday.
        let since_monday = (now_s + self.offset_s) + 3 * 86_400;
        (since_monday.rem_euclid(7 * 86_400) / 60) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(text: &str) -> f64 {
        text.parse::<Timestamp>().unwrap().as_second() as f64
    }

    #[test]
    fn the_clock_follows_daylight_saving() {
        let mut clock = WeekClock::new(TimeZone::get("Europe/Paris").unwrap());
        // Sunday 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
        let sunday = 6 * 1440;
        assert_eq!(clock.minute_of_week(second("2026-03-29T00:59:59Z")), sunday + 119);
        assert_eq!(clock.minute_of_week(second("2026-03-29T01:00:00Z")), sunday + 180);
        assert_eq!(clock.minute_of_week(second("2026-03-29T22:00:00Z")), 0);
        assert_eq!(clock.minute_of_week(second("1969-12-31T23:30:00Z")), 3 * 1440 + 30);
    }

    #[test]
    fn windows_hold_from_begin_to_end() {
        let windows = [
            Window { days: WEEKDAYS, start_minute: 390, end_minute: 1200, replicas: 8 },
            Window { days: EVERY_DAY, start_minute: 600, end_minute: 660, replicas: 5 },
        ];
        let mut schedule = Schedule::new(&windows, &TimeZone::UTC);
        // 2 March 2026 is a Monday.
        assert_eq!(schedule.floor(second("2026-03-02T06:29:59Z")), 0);
        assert_eq!(schedule.floor(second("2026-03-02T06:30:00Z")), 8);
        assert_eq!(schedule.floor(second("2026-03-02T10:30:00Z")), 8);
        assert_eq!(schedule.floor(second("2026-03-02T20:00:00Z")), 0);
        assert_eq!(schedule.floor(second("2026-03-07T10:30:00Z")), 5);
    }
}

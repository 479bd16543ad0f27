//! Windows of a week as cron entries.

use plan::controller::Window;
use plan::controller::schedule::EVERY_DAY;

/// Minutes of a day.
const DAY: u16 = 1440;

/// A stretch of the week between two cron entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CronWindow {
    pub(super) start: String,
    pub(super) end: String,
    pub(super) replicas: u32,
}

/// `windows` without entries that change nothing: neighbours on the same days at the same level are
/// one.
pub(super) fn joined(windows: &[Window]) -> Vec<Window> {
    let mut sorted = windows.to_vec();
    sorted.sort_by_key(|window| (window.days, window.start_minute));
    let mut joined: Vec<Window> = Vec::with_capacity(sorted.len());
    for window in sorted {
        match joined.last_mut() {
            Some(last)
                if (last.days, last.replicas) == (window.days, window.replicas)
                    && last.end_minute >= window.start_minute =>
            {
                last.end_minute = last.end_minute.max(window.end_minute);
            }
            _ => joined.push(window),
        }
    }
    joined
}

/// `windows` between cron entries, and the floor of all other times. Windows that cover the whole
/// week raise that floor; whole days become one stretch from the first to the last of them, because
/// an entry that ends when it begins is refused.
pub(super) fn cron_windows(windows: &[Window], floor: u32) -> (u32, Vec<CronWindow>) {
    let is_whole = |window: &Window| window.start_minute == 0 && window.end_minute >= DAY;
    let always = windows.iter().filter(|window| is_whole(window) && window.days == EVERY_DAY);
    let floor = always.map(|window| window.replicas).fold(floor, u32::max);
    let mut found = Vec::new();
    for window in windows.iter().filter(|window| window.replicas > floor && window.days != 0) {
        let replicas = window.replicas;
        if is_whole(window) {
            for (first, last) in runs(window.days) {
                let (start, end) = (at(0, 1 << first), at(0, 1 << ((last + 1) % 7)));
                found.push(CronWindow { start, end, replicas });
            }
            continue;
        }
        let start = at(window.start_minute, window.days);
        let end = match window.end_minute {
            DAY.. => at(0, next_day(window.days)),
            minute => at(minute, window.days),
        };
        found.push(CronWindow { start, end, replicas });
    }
    (floor, found)
}

/// Every one of `days` moved to the day after.
fn next_day(days: u8) -> u8 {
    (days << 1 | days >> 6) & EVERY_DAY
}

/// First and last of each run of neighbouring days, 0 for Monday; Sunday and Monday are neighbours.
/// `days` are neither none nor all.
fn runs(days: u8) -> Vec<(u8, u8)> {
    let has = |day: u8| days >> (day % 7) & 1 == 1;
    let firsts = (0..7).filter(|&day| has(day) && !has(day + 6));
    firsts
        .map(|first| {
            let length = (1..7).find(|&n| !has(first + n)).unwrap_or(7);
            (first, (first + length - 1) % 7)
        })
        .collect()
}

/// Five fields of cron: a minute of some days.
pub(super) fn at(minute: u16, days: u8) -> String {
    format!("{} {} * * {}", minute % 60, minute / 60, days_of_week(days))
}

/// Days as cron has them: 0 is Sunday.
fn days_of_week(days: u8) -> String {
    if days & EVERY_DAY == EVERY_DAY {
        return "*".to_owned();
    }
    let has = |day: u8| day < 7 && days >> ((day + 6) % 7) & 1 == 1;
    let mut parts = Vec::new();
    let mut day = 0;
    while day < 7 {
        let length = (0..7).find(|&n| !has(day + n)).unwrap_or(7);
        match length {
            0 => day += 1,
            1 | 2 => (day..day + length).for_each(|day| parts.push(day.to_string())),
            _ => parts.push(format!("{day}-{}", day + length - 1)),
        }
        day += length;
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use plan::controller::schedule::{WEEKDAYS, WEEKEND};

    use super::*;

    fn window(days: u8, start_minute: u16, end_minute: u16, replicas: u32) -> Window {
        Window { days, start_minute, end_minute, replicas }
    }

    fn entries(windows: &[Window]) -> Vec<(String, String)> {
        cron_windows(windows, 1).1.into_iter().map(|found| (found.start, found.end)).collect()
    }

    #[test]
    fn days_are_written_as_cron_counts_them() {
        assert_eq!(at(390, WEEKDAYS), "30 6 * * 1-5");
        assert_eq!(at(0, WEEKEND), "0 0 * * 0,6");
        assert_eq!(at(1425, EVERY_DAY), "45 23 * * *");
        assert_eq!(at(60, 0b000_0101), "0 1 * * 1,3");
        assert_eq!(at(60, 0b100_0011), "0 1 * * 0-2");
    }

    #[test]
    fn neighbours_at_the_same_level_are_one_window() {
        let split = [
            window(WEEKDAYS, 600, 660, 3),
            window(WEEKDAYS, 540, 600, 3),
            window(WEEKEND, 660, 720, 3),
            window(WEEKDAYS, 660, 720, 4),
        ];
        let expected = [
            window(WEEKDAYS, 540, 660, 3),
            window(WEEKDAYS, 660, 720, 4),
            window(WEEKEND, 660, 720, 3),
        ];
        assert_eq!(joined(&split), expected);
    }

    #[test]
    fn windows_that_end_at_midnight_end_on_the_next_day() {
        let own = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            entries(&[window(WEEKDAYS, 1320, 1440, 4)]),
            [own("0 22 * * 1-5", "0 0 * * 2-6")]
        );
        assert_eq!(entries(&[window(WEEKEND, 0, 1440, 4)]), [own("0 0 * * 6", "0 0 * * 1")]);
        assert_eq!(entries(&[window(WEEKDAYS, 0, 1440, 4)]), [own("0 0 * * 1", "0 0 * * 6")]);
        assert_eq!(entries(&[window(0b100_0011, 0, 1440, 4)]), [own("0 0 * * 0", "0 0 * * 3")]);
        let always = [window(EVERY_DAY, 0, 1440, 4), window(EVERY_DAY, 60, 120, 3)];
        assert_eq!(cron_windows(&always, 1), (4, Vec::new()));
    }
}

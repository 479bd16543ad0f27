//! Times in lines, formatted once a second.

/// A second and its text.
#[derive(Debug, Clone, Default)]
pub(super) struct Second {
    unix: i64,
    text: String,
}

impl Second {
    /// The text of a second, from memory when it is the last one again.
    pub(super) fn text(&mut self, unix: i64, format: impl FnOnce(&mut String, Civil)) -> &str {
        if self.unix != unix || self.text.is_empty() {
            self.unix = unix;
            self.text.clear();
            format(&mut self.text, Civil::of(unix));
        }
        &self.text
    }
}

/// A moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// The date of a unix time (Hinnant, chrono-compatible low-level date algorithms).
    fn of(unix: i64) -> Civil {
        let days = unix.div_euclid(86_400) + 719_468;
        let of_day = unix.rem_euclid(86_400);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Civil {
            year: year + days.div_euclid(146_097) * 400 + i64::from(month <= 2),
            month: month as usize,
            day: of_year - (153 * shifted + 2) / 5 + 1,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `06/Nov/1994:08:49:37 +0000`.
pub(super) fn format_combined(text: &mut String, at: Civil) {
    use std::fmt::Write as _;
    let month = MONTHS[(at.month + 11) % 12];
    let Civil { year, day, hour, minute, second, .. } = at;
    // Writing to a string cannot fail.
    let _ = write!(text, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
}

/// `1994-11-06T08:49:37`.
pub(super) fn format_rfc3339(text: &mut String, at: Civil) {
    use std::fmt::Write as _;
    let Civil { year, month, day, hour, minute, second } = at;
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
}

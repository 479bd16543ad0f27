//! Days that are no ordinary days, given as a list of dates.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::Series;
use crate::series::DAY_S;

/// Most dates of a list.
pub const DATES_MAX: usize = 10_000;

/// What is done with the demand of a holiday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Treatment {
    /// It is left out of what ordinary days look like.
    #[default]
    Mask,
    /// Holidays are a kind of day of their own.
    OwnDayType,
}

/// A list of holidays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holidays {
    /// What is done with them.
    pub treatment: Treatment,
    /// Days since 1970-01-01.
    days: BTreeSet<i64>,
}

/// Why a list of dates was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HolidaysError {
    /// A line is no date.
    #[error(
        "line {line} of the holidays, {text:?}, is no date: write one date per line, as 2026-12-25 (after # a comment)"
    )]
    NotADate {
        /// Number of the line, from 1.
        line: usize,
        /// The beginning of it.
        text: String,
    },
    /// The list is too long.
    #[error("more than {DATES_MAX} holidays: leave out those outside of the time looked at")]
    TooMany,
}

impl Holidays {
    /// The first [`DATES_MAX`] of `dates`.
    #[must_use]
    pub fn new(dates: impl IntoIterator<Item = Date>, treatment: Treatment) -> Self {
        let epoch = Date::constant(1970, 1, 1);
        let day = |date: Date| date.duration_since(epoch).as_secs().div_euclid(DAY_S);
        Self { treatment, days: dates.into_iter().take(DATES_MAX).map(day).collect() }
    }

    /// Reads one date per line, as `2026-12-25`; what follows a `#` is a comment.
    ///
    /// # Errors
    /// A line that is no date, or more than [`DATES_MAX`] of them.
    pub fn parse(text: &str, treatment: Treatment) -> Result<Self, HolidaysError> {
        let mut dates = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if dates.len() == DATES_MAX {
                return Err(HolidaysError::TooMany);
            }
            let text = || line.chars().take(40).collect();
            let error = |_| HolidaysError::NotADate { line: index + 1, text: text() };
            dates.push(line.parse::<Date>().map_err(error)?);
        }
        Ok(Self::new(dates, treatment))
    }

    /// Whether the day of a [`local_s`](crate::series::LocalClock::local_s) is a holiday.
    #[must_use]
    pub fn contains(&self, local_s: i64) -> bool {
        !self.days.is_empty() && self.days.contains(&local_s.div_euclid(DAY_S))
    }

    /// `series` with the steps of holidays unknown.
    #[must_use]
    pub fn left_out(&self, series: &Series) -> Series {
        let mut series = series.clone();
        if !self.is_empty() {
            let clock = series.clock(0);
            for index in 0..series.len() {
                if self.contains(clock.local_s(series.time_s(index))) {
                    series.counts[index] = f64::NAN;
                }
            }
        }
        series
    }

    /// Number of dates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// Whether there is no date.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_found() {
        let text = "# winter\n1970-01-02\n\n 1969-12-31  # the day before\n";
        let holidays = Holidays::parse(text, Treatment::Mask).unwrap();
        assert_eq!(holidays.len(), 2);
        let days: Vec<bool> = (-2..3).map(|day| holidays.contains(day * DAY_S + 5)).collect();
        assert_eq!(days, [false, true, false, true, false]);
        let error = Holidays::parse("1970-01-02\n25.12.2026", Treatment::Mask).unwrap_err();
        assert_eq!(error, HolidaysError::NotADate { line: 2, text: "25.12.2026".into() });
        let many = "2026-01-01\n".repeat(DATES_MAX + 1);
        assert_eq!(Holidays::parse(&many, Treatment::Mask), Err(HolidaysError::TooMany));
    }
}

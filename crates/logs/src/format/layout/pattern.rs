//! Times by pattern, in the notation of strptime.

use super::LayoutError;
use crate::time::{self, Clock, Moment};

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    ops: Vec<TimeOp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeOp {
    Byte(u8),
    Spaces,
    /// Letters that say nothing new, such as the day of the week.
    Letters,
    Year,
    YearOfCentury,
    Month,
    MonthName,
    Day,
    Hour,
    Hour12,
    Minute,
    Second,
    /// `AM` or `PM`.
    Half,
    /// Decimals of the second.
    Decimals,
    Zone,
    EpochSeconds,
    EpochMillis,
    EpochMicros,
}

/// What patterns have read so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Civil {
    year: Option<u64>,
    month: u64,
    day: u64,
    hour: u64,
    is_pm: Option<bool>,
    minute: u64,
    second: u64,
    decimals_us: u64,
    zone_min: Option<i16>,
    epoch_us: Option<u64>,
}

impl Pattern {
    /// Compiles `%d/%b/%Y` and the like.
    pub(super) fn new(pattern: &str) -> Result<Self, LayoutError> {
        let whole = pattern.trim();
        let mut ops = Vec::new();
        let mut bytes = whole.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b' ' {
                ops.push(TimeOp::Spaces);
                continue;
            }
            if byte != b'%' {
                ops.push(TimeOp::Byte(byte));
                continue;
            }
            let unknown = |letter: &str| {
                LayoutError::new(format!("%{letter} is no part of a date or time that is known"))
            };
            let nested = |text: &str| Self::new(text).map(|pattern| pattern.ops);
            match bytes.next().ok_or_else(|| unknown(""))? {
                b'Y' => ops.push(TimeOp::Year),
                b'y' => ops.push(TimeOp::YearOfCentury),
                b'm' => ops.push(TimeOp::Month),
                b'b' | b'B' | b'h' => ops.push(TimeOp::MonthName),
                b'd' | b'e' => ops.push(TimeOp::Day),
                b'H' | b'k' => ops.push(TimeOp::Hour),
                b'I' | b'l' => ops.push(TimeOp::Hour12),
                b'p' => ops.push(TimeOp::Half),
                b'M' => ops.push(TimeOp::Minute),
                b'S' => ops.push(TimeOp::Second),
                b'z' | b'Z' => ops.push(TimeOp::Zone),
                b'a' | b'A' => ops.push(TimeOp::Letters),
                b's' => ops.push(TimeOp::EpochSeconds),
                b'*' => ops.push(TimeOp::EpochMillis),
                // GoAccess counts microseconds since the epoch where %f stands alone.
                b'f' if whole == "%f" => ops.push(TimeOp::EpochMicros),
                b'f' | b'L' | b'N' => ops.push(TimeOp::Decimals),
                b'T' => ops.extend(nested("%H:%M:%S")?),
                b'R' => ops.extend(nested("%H:%M")?),
                b'D' => ops.extend(nested("%m/%d/%y")?),
                b'F' => ops.extend(nested("%Y-%m-%d")?),
                b'%' => ops.push(TimeOp::Byte(b'%')),
                b'n' | b't' => ops.push(TimeOp::Spaces),
                other => return Err(unknown(&char::from(other).to_string())),
            }
        }
        if ops.is_empty() {
            return Err(LayoutError::new("the pattern of its date or time is empty"));
        }
        Ok(Self { ops })
    }

    /// Reads the beginning of `text`; returns the rest.
    pub(super) fn read<'a>(&self, text: &'a [u8], civil: &mut Civil) -> Option<&'a [u8]> {
        let mut rest = text;
        for op in &self.ops {
            rest = match op {
                TimeOp::Byte(byte) => rest.strip_prefix(&[*byte])?,
                TimeOp::Spaces => rest.trim_ascii_start(),
                TimeOp::Letters => letters(rest).1,
                TimeOp::Year => number(rest, 4, |value| civil.year = Some(value))?,
                TimeOp::YearOfCentury => number(rest, 2, |value| {
                    // POSIX: 69 to 99 are of the last century.
                    civil.year = Some(if value < 69 { 2000 + value } else { 1900 + value });
                })?,
                TimeOp::Month => number(rest, 2, |value| civil.month = value)?,
                TimeOp::MonthName => {
                    let (name, after) = letters(rest);
                    civil.month = time::month(name)?;
                    after
                }
                TimeOp::Day => number(rest.trim_ascii_start(), 2, |value| civil.day = value)?,
                TimeOp::Hour | TimeOp::Hour12 => {
                    number(rest.trim_ascii_start(), 2, |value| civil.hour = value)?
                }
                TimeOp::Half => {
                    let (half, after) = letters(rest);
                    civil.is_pm = Some(half.eq_ignore_ascii_case(b"PM"));
                    after
                }
                TimeOp::Minute => number(rest, 2, |value| civil.minute = value)?,
                TimeOp::Second => number(rest, 2, |value| civil.second = value)?,
                TimeOp::Decimals => {
                    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    let kept = length.min(6);
                    let missing = 6 - u32::try_from(kept).ok()?;
                    civil.decimals_us = time::digits(rest.get(..kept)?)? * 10_u64.pow(missing);
                    rest.get(length..)?
                }
                TimeOp::Zone => {
                    let is_zone = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-:".contains(byte);
                    let length = rest.iter().take_while(|byte| is_zone(byte)).count();
                    let (zone, after) = rest.split_at(length);
                    civil.zone_min = Some(time::zone_min(zone)?);
                    after
                }
                TimeOp::EpochSeconds => epoch(rest, 1_000_000_000, civil)?,
                TimeOp::EpochMillis => epoch(rest, 1_000_000, civil)?,
                TimeOp::EpochMicros => epoch(rest, 1_000, civil)?,
            };
        }
        Some(rest)
    }
}

impl Civil {
    pub(super) fn is_empty(&self) -> bool {
        self.year.is_none() && self.epoch_us.is_none()
    }

    pub(super) fn moment(&self, clock: &Clock) -> Option<Moment> {
        if let Some(us) = self.epoch_us {
            return Some(Moment::utc(i64::try_from(us).ok()?));
        }
        let hour = match self.is_pm {
            Some(is_pm) => self.hour % 12 + if is_pm { 12 } else { 0 },
            None => self.hour,
        };
        if self.second > 60 {
            return None;
        }
        let minute = time::minute_us(self.year?, self.month, self.day, hour, self.minute)?;
        let us = minute + i64::try_from(self.second * 1_000_000 + self.decimals_us).ok()?;
        match self.zone_min {
            Some(offset_min) => Moment::shown(us, offset_min),
            None => clock.local(us),
        }
    }
}

/// At most `digits_max` digits.
fn number(text: &[u8], digits_max: usize, store: impl FnOnce(u64)) -> Option<&[u8]> {
    let length = text.iter().take(digits_max).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(length);
    store(time::digits(number)?);
    Some(rest)
}

fn letters(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count())
}

fn epoch<'a>(text: &'a [u8], unit_ns: u64, civil: &mut Civil) -> Option<&'a [u8]> {
    let is_number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let (number, rest) = text.split_at(text.iter().take_while(is_number).count());
    civil.epoch_us = Some(time::micros(number, unit_ns)?);
    Some(rest)
}

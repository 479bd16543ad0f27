//! Times as logs write them.
//!
//! Neighbouring lines mostly share their minute: a [`Clock`] remembers the last one it worked out, and
//! then only the digits of the second are left to read.

use jiff::{civil::DateTime, tz::Offset};

/// A moment and the zone it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds since the Unix epoch.
    pub(crate) us: i64,
    /// Minutes east of UTC.
    pub(crate) offset_min: i16,
}

impl Moment {
    /// What a clock `offset_min` minutes east of UTC shows as `us`. `None` before the year 0, which RFC
    /// 3339 cannot write.
    #[inline]
    pub(crate) fn shown(us: i64, offset_min: i16) -> Option<Self> {
        let us = us.checked_sub(i64::from(offset_min) * 60_000_000)?;
        (us >= YEAR_0_US).then_some(Self { us, offset_min })
    }

    /// A moment that is logged as a count since the epoch, which knows no zone.
    pub(crate) fn utc(us: i64) -> Self {
        Self { us, offset_min: 0 }
    }
}

/// 0000-01-01T00:00:00Z.
const YEAR_0_US: i64 = -62_167_219_200_000_000;

/// Bytes of the common log format's timestamp without its brackets.
pub(crate) const CLF_BYTES: usize = 26;

/// Reads times, remembering the last minute seen.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    clf: Option<Minute<17>>,
    iso: Option<Minute<16>>,
    /// Zone of times that do not tell theirs.
    zone_min: i16,
}

#[derive(Debug, Clone)]
struct Minute<const N: usize> {
    text: [u8; N],
    /// As if it were UTC.
    start_us: i64,
}

impl Clock {
    pub(crate) fn new(zone_min: i16) -> Self {
        Self { clf: None, iso: None, zone_min }
    }

    /// `dd/Mon/yyyy:HH:MM:SS ±zzzz` (strftime's `%d/%b/%Y:%H:%M:%S %z` in the C locale). `None` if
    /// malformed or no such moment exists. Second 60 (a leap second) reads as the second after 59,
    /// as in Unix time.
    pub(crate) fn clf(&mut self, text: &[u8; CLF_BYTES]) -> Option<Moment> {
        let (_, zone) = text.split_first_chunk::<20>()?;
        zone.starts_with(b" ").then(|| self.slashed(text)).flatten()
    }

    /// As [`Self::clf`], with decimals of the second, with or without zone.
    pub(crate) fn slashed(&mut self, text: &[u8]) -> Option<Moment> {
        let (minute, rest) = text.split_first_chunk::<17>()?;
        let start_us = match &self.clf {
            Some(last) if last.text == *minute => last.start_us,
            _ => {
                let start_us = clf_minute_us(minute)?;
                self.clf = Some(Minute { text: *minute, start_us });
                start_us
            }
        };
        self.rest_of_minute(start_us, rest)
    }

    /// `yyyy-mm-ddTHH:MM[:SS[.decimals]][Z|±hh:mm]` (RFC 3339, ISO 8601), also with `/` in the date,
    /// with a space for the `T`, without zone, or the date alone.
    pub(crate) fn iso(&mut self, text: &[u8]) -> Option<Moment> {
        let Some((minute, rest)) = text.split_first_chunk::<16>() else {
            let date: &[u8; 10] = text.try_into().ok()?;
            return self.local(date_us(date)?);
        };
        let start_us = match &self.iso {
            Some(last) if last.text == *minute => last.start_us,
            _ => {
                let start_us = iso_minute_us(minute)?;
                self.iso = Some(Minute { text: *minute, start_us });
                start_us
            }
        };
        self.rest_of_minute(start_us, rest)
    }

    /// A date and a time of day in fields of their own.
    pub(crate) fn parts(&mut self, date: &[u8], time: &[u8]) -> Option<Moment> {
        let mut text = [b'T'; 48];
        let length = date.len() + 1 + time.len();
        text.get_mut(..date.len())?.copy_from_slice(date);
        text.get_mut(date.len() + 1..length)?.copy_from_slice(time);
        self.iso(text.get(..length)?)
    }

    /// A time in any of the notations that can be told apart by their shape.
    pub(crate) fn any(&mut self, text: &[u8]) -> Option<Moment> {
        match text {
            [b'[', inside @ .., b']'] => self.any(inside),
            [_, _, b'/', _, _, _, b'/', ..] => self.slashed(text),
            [_, _, _, _, b'-' | b'/', ..] => self.iso(text),
            [b'0'..=b'9', ..] => epoch_us(text).map(Moment::utc),
            [b'A'..=b'Z', ..] => self.asctime(text),
            _ => None,
        }
    }

    /// `Sun Mar 13 22:49:12 2016` (C's `asctime`).
    fn asctime(&mut self, text: &[u8]) -> Option<Moment> {
        let mut words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (_, month_name, day, time, year) =
            (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
        let [h0, h1, b':', n0, n1, b':', s0, s1] = *time else { return None };
        let minute_us = minute_us(
            digits(year)?,
            month(month_name)?,
            digits(day)?,
            digits(&[h0, h1])?,
            digits(&[n0, n1])?,
        )?;
        self.local(minute_us + i64::try_from(digits(&[s0, s1])?).ok()? * 1_000_000)
    }

    /// `[:SS[.decimals]][zone]`.
    fn rest_of_minute(&self, start_us: i64, rest: &[u8]) -> Option<Moment> {
        let (mut us, mut rest) = (start_us, rest);
        if let [b':', s0, s1, after @ ..] = rest {
            let second = digits(&[*s0, *s1]).filter(|second| *second <= 60)?;
            us += i64::try_from(second).ok()? * 1_000_000;
            rest = after;
            if let [b'.' | b',', after @ ..] = rest {
                let length = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
                us += decimals_us(after.get(..length).filter(|d| !d.is_empty())?)?;
                rest = after.get(length..)?;
            }
        }
        if rest.is_empty() {
            return self.local(us);
        }
        let offset_min = zone_min(rest.strip_prefix(b" ").unwrap_or(rest))?;
        Moment::shown(us, offset_min)
    }

    /// A time that does not tell its zone.
    pub(crate) fn local(&self, us: i64) -> Option<Moment> {
        Moment::shown(us, self.zone_min)
    }
}

/// A count since the Unix epoch, with or without decimals; its size tells whether it counts seconds,
/// milliseconds, microseconds or nanoseconds (each is unmistakable from 1973 to 5138).
pub(crate) fn epoch_us(text: &[u8]) -> Option<i64> {
    let whole_digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unit_ns = match whole_digits {
        1..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        18..=20 => 1,
        _ => return None,
    };
    i64::try_from(micros(text, unit_ns)?).ok()
}

/// A decimal number of units of `unit_ns` nanoseconds as whole microseconds; what is finer is cut.
pub(crate) fn micros(text: &[u8], unit_ns: u64) -> Option<u64> {
    let (whole, decimals) = match memchr::memchr(b'.', text) {
        Some(point) => (text.get(..point)?, text.get(point + 1..)?),
        None => (text, &b"0"[..]),
    };
    let decimals = decimals.get(..decimals.len().min(18))?;
    let Some((whole, part)) = digits(whole).zip(digits(decimals)) else {
        // Such as 7.3e-05, as JSON may write it.
        let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        let us = value * unit_ns as f64 / 1e3;
        return (us >= 0.0 && us < u64::MAX as f64).then_some(us as u64);
    };
    let unit = u128::from(unit_ns);
    let part = u128::from(part) * unit / 10_u128.pow(u32::try_from(decimals.len()).ok()?);
    u64::try_from((u128::from(whole) * unit + part) / 1000).ok()
}

/// Digits behind a point as microseconds; what is finer is cut.
fn decimals_us(decimals: &[u8]) -> Option<i64> {
    let kept = decimals.get(..decimals.len().min(6))?;
    let value = i64::try_from(digits(kept)?).ok()?;
    Some(value * 10_i64.pow(6 - u32::try_from(kept.len()).ok()?))
}

/// `Z`, `UTC`, `±hh`, `±hhmm`, `±hh:mm` in minutes east of UTC.
pub(crate) fn zone_min(text: &[u8]) -> Option<i16> {
    let (sign, h0, h1, m0, m1) = match *text {
        [b'Z' | b'z'] | [b'U', b'T', b'C'] | [b'G', b'M', b'T'] => return Some(0),
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => (sign, h0, h1, m0, m1),
        [sign, h0, h1] => (sign, h0, h1, b'0', b'0'),
        _ => return None,
    };
    let hours = digits(&[h0, h1]).filter(|hours| *hours <= 23)?;
    let minutes = digits(&[m0, m1]).filter(|minutes| *minutes <= 59)?;
    let total = i16::try_from(hours * 60 + minutes).ok()?;
    match sign {
        b'+' => Some(total),
        b'-' => Some(-total),
        _ => None,
    }
}

/// `dd/Mon/yyyy:HH:MM` as if in UTC.
fn clf_minute_us(minute: &[u8; 17]) -> Option<i64> {
    let [d0, d1, b'/', m0, m1, m2, b'/', y0, y1, y2, y3, b':', h0, h1, b':', n0, n1] = *minute
    else {
        return None;
    };
    minute_us(
        digits(&[y0, y1, y2, y3])?,
        month(&[m0, m1, m2])?,
        digits(&[d0, d1])?,
        digits(&[h0, h1])?,
        digits(&[n0, n1])?,
    )
}

/// `yyyy-mm-ddTHH:MM` as if in UTC.
fn iso_minute_us(minute: &[u8; 16]) -> Option<i64> {
    let (date, time) = minute.split_first_chunk::<10>()?;
    let [b'T' | b't' | b' ' | b'_', h0, h1, b':', n0, n1] = *time else { return None };
    let (hour, minute) = (digits(&[h0, h1])?, digits(&[n0, n1])?);
    if hour > 23 || minute > 59 {
        return None;
    }
    Some(date_us(date)? + i64::try_from(hour * 60 + minute).ok()? * 60_000_000)
}

/// Midnight of `yyyy-mm-dd`.
fn date_us(date: &[u8; 10]) -> Option<i64> {
    let [y0, y1, y2, y3, b'-' | b'/', m0, m1, b'-' | b'/', d0, d1] = *date else { return None };
    minute_us(digits(&[y0, y1, y2, y3])?, digits(&[m0, m1])?, digits(&[d0, d1])?, 0, 0)
}

/// A minute of the calendar as if in UTC, in microseconds since the epoch.
pub(crate) fn minute_us(year: u64, month: u64, day: u64, hour: u64, minute: u64) -> Option<i64> {
    let time = DateTime::new(
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
        hour.try_into().ok()?,
        minute.try_into().ok()?,
        0,
        0,
    )
    .ok()?;
    Some(Offset::UTC.to_timestamp(time).ok()?.as_microsecond())
}

/// The number of a month from its English name, of which three letters are enough.
pub(crate) fn month(name: &[u8]) -> Option<u64> {
    Some(match name.get(..3)? {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// The value of one or more digits and nothing else.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit <= 9).then(|| value.checked_mul(10)?.checked_add(u64::from(digit))).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<i64> {
        Clock::new(0).clf(text.as_bytes().try_into().unwrap()).map(|moment| moment.us)
    }

    #[test]
    fn reads_known_moments() {
        // The example of Apache's "Log Files" page, and the corners of the calendar.
        for (text, seconds) in [
            ("10/Oct/2000:13:55:36 -0700", 971_211_336),
            ("01/Jan/1970:00:00:00 +0000", 0),
            ("31/Dec/1969:23:59:59 +0000", -1),
            ("01/Jan/1970:03:30:00 +0330", 0),
            ("29/Feb/2000:00:00:00 +0000", 951_782_400),
            ("29/Feb/2024:12:00:00 +0000", 1_709_208_000),
            ("28/Feb/1900:23:59:59 +0000", -2_203_891_201),
            ("31/Dec/2016:23:59:60 +0000", 1_483_228_800),
            ("01/Jul/1995:00:00:01 -0400", 804_571_201),
        ] {
            assert_eq!(read(text), Some(seconds * 1_000_000), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for text in [
            "29/Feb/2023:00:00:00 +0000",
            "29/Feb/1900:00:00:00 +0000",
            "31/Apr/2024:00:00:00 +0000",
            "00/Jan/2024:00:00:00 +0000",
            "32/Jan/2024:00:00:00 +0000",
            "01/jan/2024:00:00:00 +0000",
            "01/Foo/2024:00:00:00 +0000",
            "01/Jan/2024:24:00:00 +0000",
            "01/Jan/0000:00:00:00 +0200",
            "01/Jan/2024:00:60:00 +0000",
            "01/Jan/2024:00:00:61 +0000",
            "01/Jan/2024:00:00:00 +2400",
            "01/Jan/2024:00:00:00 +0060",
            "01/Jan/2024:00:00:00 00000",
            "01/Jan/2024:00:00:00_+0000",
            "01-Jan-2024:00:00:00 +0000",
            "01/Jan/2024 00:00:00 +0000",
            " 1/Jan/2024:00:00:00 +0000",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0:00\0\0\0\0\0\0",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn remembered_minute_is_left_when_date_or_offset_changes() {
        let mut clock = Clock::new(0);
        let mut at = |text: &[u8; CLF_BYTES]| clock.clf(text).map(|moment| moment.us / 1_000_000);
        assert_eq!(at(b"01/Jan/1970:00:01:07 +0000"), Some(67));
        assert_eq!(at(b"01/Jan/1970:00:01:59 +0000"), Some(119));
        assert_eq!(at(b"01/Jan/1970:00:01:59 -0100"), Some(3719));
        assert_eq!(at(b"01/Jan/1970:00:02:00 -0100"), Some(3720));
        assert_eq!(at(b"01/Jan/1970:00:99:00 -0100"), None);
        assert_eq!(at(b"01/Jan/1970:00:02:01 -0100"), Some(3721));
    }

    #[test]
    fn notations_are_told_by_their_shape() {
        let at = |text: &str| Clock::new(0).any(text.as_bytes());
        let moment = |us, offset_min| Some(Moment { us, offset_min });
        for text in [
            "1015-05-13",
            "2015-05-13T23:39",
            "[13/May/2015:23:39:00 +0000]",
            "Wed May 13 23:39:00 2015",
        ] {
            assert!(at(text).is_some(), "{text}");
        }
        let us = 1_431_560_383_945_958;
        assert_eq!(at("2015-05-13T23:39:43.945958Z"), moment(us, 0));
        assert_eq!(at("2015-05-13 23:39:43.9459581"), moment(us, 0));
        assert_eq!(at("2015-05-14T01:39:43.945958+02:00"), moment(us, 120));
        assert_eq!(at("2015/05/13 20:09:43,945958 -0330"), moment(us, -210));
        assert_eq!(at("13/May/2015:23:39:43.945958"), moment(us, 0));
        for text in
            ["1431560383.945958", "1431560383945.958", "1431560383945958", "1431560383945958999"]
        {
            assert_eq!(at(text), moment(us, 0), "{text}");
        }
        assert_eq!(at("0"), moment(0, 0));
        assert_eq!(Clock::new(60).any(b"1970-01-01 01:00:00"), moment(0, 60));
        for text in [
            "",
            "-",
            "x",
            "2015-13-01",
            "2015-05-13T24:00:00Z",
            "2015-05-13T23:39:43.",
            "2015-05-13T23:39:43+99:00",
            "99999999999999999999999",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_scale() {
        const S: u64 = 1_000_000_000;
        for (text, unit_ns, us) in [
            ("0.017557019", S, Some(17_557)),
            ("7.314e-05", S, Some(73)),
            ("12", S, Some(12_000_000)),
            ("1.5", 1_000_000, Some(1_500)),
            ("2999", 1, Some(2)),
            ("-1", S, None),
            ("", S, None),
            ("x", S, None),
            ("18446744073710", S, None),
        ] {
            assert_eq!(micros(text.as_bytes(), unit_ns), us, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(seconds in -62_000_000_000_i64..253_000_000_000, minutes in -1439_i32..=1439) {
            let offset = Offset::from_seconds(minutes * 60).unwrap();
            let zone = jiff::tz::TimeZone::fixed(offset);
            let moment = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(zone);
            let text = moment.strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
            prop_assert_eq!(read(&text), Some(seconds * 1_000_000), "{}", text);
        }
    }
}

//! The timestamp of the common log format, `dd/Mon/yyyy:HH:MM:SS ±zzzz` (strftime's
//! `%d/%b/%Y:%H:%M:%S %z` in the C locale).

use jiff::{civil::DateTime, tz::Offset};

/// Bytes of a timestamp without its brackets.
pub(crate) const TIMESTAMP_BYTES: usize = 26;

/// Bytes up to the minute: `dd/Mon/yyyy:HH:MM`.
const MINUTE_BYTES: usize = 17;

/// Reads timestamps, remembering the last minute seen: neighbouring lines mostly share it, and
/// then only the seconds are left to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    last: Option<Minute>,
}

#[derive(Debug, Clone)]
struct Minute {
    text: [u8; MINUTE_BYTES],
    offset: [u8; 6],
    start_us: i64,
}

impl Clock {
    /// Microseconds since the Unix epoch, UTC. `None` if `text` is malformed or no such moment
    /// exists. Second 60 (a leap second) reads as the second after 59, as in Unix time.
    pub(crate) fn read(&mut self, text: &[u8; TIMESTAMP_BYTES]) -> Option<i64> {
        let (minute, rest) = text.split_first_chunk::<MINUTE_BYTES>()?;
        let [b':', second @ .., s0, s1, s2, s3, s4, s5] = rest else { return None };
        let offset = [*s0, *s1, *s2, *s3, *s4, *s5];
        let second = number(second).filter(|second| *second <= 60)?;
        let start_us = match &self.last {
            Some(last) if last.text == *minute && last.offset == offset => last.start_us,
            _ => {
                let start_us = minute_start_us(minute, offset)?;
                self.last = Some(Minute { text: *minute, offset, start_us });
                start_us
            }
        };
        Some(start_us + i64::from(second) * 1_000_000)
    }
}

fn minute_start_us(minute: &[u8; MINUTE_BYTES], offset: [u8; 6]) -> Option<i64> {
    let [d0, d1, b'/', m0, m1, m2, b'/', y0, y1, y2, y3, b':', h0, h1, b':', n0, n1] = *minute
    else {
        return None;
    };
    let time = DateTime::new(
        number(&[y0, y1, y2, y3])?,
        month([m0, m1, m2])?,
        number(&[d0, d1])?.try_into().ok()?,
        number(&[h0, h1])?.try_into().ok()?,
        number(&[n0, n1])?.try_into().ok()?,
        0,
        0,
    )
    .ok()?;
    let utc_offset = Offset::from_seconds(offset_seconds(offset)?).ok()?;
    Some(utc_offset.to_timestamp(time).ok()?.as_microsecond())
}

/// ` +hhmm` or ` -hhmm`.
fn offset_seconds(text: [u8; 6]) -> Option<i32> {
    let [b' ', sign, h0, h1, m0, m1] = text else { return None };
    let hours = number(&[h0, h1]).filter(|hours| *hours <= 23)?;
    let minutes = number(&[m0, m1]).filter(|minutes| *minutes <= 59)?;
    let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn month(name: [u8; 3]) -> Option<i8> {
    Some(match &name {
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

/// The value of at most four digits.
fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + i16::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<i64> {
        Clock::default().read(text.as_bytes().try_into().unwrap())
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
        let mut clock = Clock::default();
        let mut at = |text: &[u8; TIMESTAMP_BYTES]| clock.read(text).map(|us| us / 1_000_000);
        assert_eq!(at(b"01/Jan/1970:00:01:07 +0000"), Some(67));
        assert_eq!(at(b"01/Jan/1970:00:01:59 +0000"), Some(119));
        assert_eq!(at(b"01/Jan/1970:00:01:59 -0100"), Some(3719));
        assert_eq!(at(b"01/Jan/1970:00:02:00 -0100"), Some(3720));
        assert_eq!(at(b"01/Jan/1970:00:99:00 -0100"), None);
        assert_eq!(at(b"01/Jan/1970:00:02:01 -0100"), Some(3721));
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

//! HTTP dates (RFC 9110 section 5.6.7).

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const LONG_DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Seconds since 1970 of an HTTP date in any of its three forms; `None` for everything else.
/// Letters of either case are read, and `UTC` for `GMT`, as RFC 9111 section 4.2 wants it.
///
/// * `now`: unix time in seconds; years of two digits are taken for the nearest that is not more
///   than fifty years ahead
pub fn parse_http_date(value: &[u8], now: i64) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    if let Some((day, rest)) = text.split_once(", ") {
        if one_of(&DAYS, day) {
            return fixdate(rest);
        }
        return one_of(&LONG_DAYS, day).then(|| rfc850(rest, now)).flatten();
    }
    asctime(text)
}

fn one_of(names: &[&str], text: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(text))
}

/// `06 Nov 1994 08:49:37 GMT`
fn fixdate(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 24 && bytes[2] == b' ' && bytes[6] == b' ' && bytes[11] == b' ';
    if !shape || !one_of(&[" GMT", " UTC"], text.get(20..)?) {
        return None;
    }
    let day = number(text.get(0..2)?)?;
    let month = month(text.get(3..6)?)?;
    let year = number(text.get(7..11)?)?;
    seconds(year, month, day, text.get(12..20)?)
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850(text: &str, now: i64) -> Option<i64> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 22 && bytes[2] == b'-' && bytes[6] == b'-' && bytes[9] == b' ';
    if !shape || !one_of(&[" GMT", " UTC"], text.get(18..)?) {
        return None;
    }
    let day = number(text.get(0..2)?)?;
    let month = month(text.get(3..6)?)?;
    let (this_year, _, _) = civil(now.div_euclid(86_400));
    let mut year = this_year - this_year.rem_euclid(100) + number(text.get(7..9)?)?;
    if year > this_year + 50 {
        year -= 100;
    }
    seconds(year, month, day, text.get(10..18)?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 24 && [3, 7, 10, 19].iter().all(|at| bytes[*at] == b' ');
    if !shape || !one_of(&DAYS, text.get(0..3)?) {
        return None;
    }
    let month = month(text.get(4..7)?)?;
    let day = number(text.get(8..10)?.trim_start_matches(' '))?;
    let year = number(text.get(20..24)?)?;
    seconds(year, month, day, text.get(11..19)?)
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn month(text: &str) -> Option<i64> {
    MONTHS.iter().position(|month| month.eq_ignore_ascii_case(text)).map(|index| index as i64 + 1)
}

fn seconds(year: i64, month: i64, day: i64, time: &str) -> Option<i64> {
    let bytes = time.as_bytes();
    if bytes.len() != 8 || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let hour = number(time.get(0..2)?)?;
    let minute = number(time.get(3..5)?)?;
    let second = number(time.get(6..8)?)?;
    // A leap second may be announced.
    if hour > 23 || minute > 59 || second > 60 || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date (Hinnant, chrono-compatible low-level date algorithms).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes an HTTP date (IMF-fixdate), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// * `unix`: seconds since 1970; years beyond 9999 are not written right
pub fn format_http_date(unix: i64) -> [u8; 29] {
    let mut text = *b"Thu, 00 Jan 0000 00:00:00 GMT";
    let day_number = unix.div_euclid(86_400);
    let (year, month, day) = civil(day_number);
    let second = unix.rem_euclid(86_400);
    let weekday = DAYS[day_number.rem_euclid(7) as usize];
    let month = MONTHS[((month - 1).rem_euclid(12)) as usize];
    text[..3].copy_from_slice(weekday.as_bytes());
    text[8..11].copy_from_slice(month.as_bytes());
    let mut put = |at: usize, digits: usize, mut number: i64| {
        for place in (0..digits).rev() {
            text[at + place] = b'0' + (number.rem_euclid(10)) as u8;
            number /= 10;
        }
    };
    put(5, 2, day);
    put(12, 4, year);
    put(17, 2, second / 3_600);
    put(20, 2, second / 60 % 60);
    put(23, 2, second % 60);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn all_three_forms_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 nov 1994 08:49:37 gMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
        ] {
            assert_eq!(parse_http_date(text.as_bytes(), NOW), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "0",
            "-1",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 AEST",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(parse_http_date(text.as_bytes(), NOW), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(unix in -62_000_000_000_i64..250_000_000_000) {
            prop_assert_eq!(parse_http_date(&format_http_date(unix), NOW), Some(unix));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_http_date(&bytes, NOW);
        }
    }
}

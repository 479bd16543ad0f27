//! Units as people write them: `"250ms"`, `"1k/s"`, `"5%"`, `"256MiB"`.
//!
//! Every unit parses from text and prints back to text that parses to the same value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A text that is not the unit it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not {expected}")]
pub struct UnitError {
    /// The text as given.
    pub input: String,
    /// What was expected, with an example.
    pub expected: &'static str,
}

/// Longest duration that is accepted: ten years. Keeps `now + duration` free of overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Highest rate that is accepted, per second.
pub const RATE_MAX_PER_S: f64 = 1e9;

/// Reads a duration: `250ms`, `1.5s`, `20` (seconds, as Locust reads it), `1h20m`, `3h30m10s`.
///
/// Units: `ns us µs ms s m min h d`. A bare number is seconds.
///
/// # Errors
/// [`UnitError`] when the text is empty, has an unknown unit, or exceeds [`DURATION_MAX`].
pub fn parse_duration(input: &str) -> Result<Duration, UnitError> {
    let fail = || UnitError {
        input: input.to_owned(),
        expected: "a duration such as \"250ms\", \"1.5s\", \"3m\" or \"1h20m\"",
    };
    let mut rest = input.trim();
    if rest.is_empty() {
        return Err(fail());
    }
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(fail)?;
        let after = after.trim_start();
        let unit_len = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, tail) = after.split_at(unit_len);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "" if tail.is_empty() && rest.len() == input.trim().len() => 1.0,
            _ => return Err(fail()),
        };
        seconds += number * scale;
        rest = tail.trim_start();
    }
    if seconds > DURATION_MAX.as_secs_f64() {
        return Err(fail());
    }
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// Prints a duration as [`parse_duration`] reads it, with the largest unit that keeps it exact.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (unit, scale) in [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ] {
        if nanos > 0 && nanos.is_multiple_of(scale) {
            return format!("{}{unit}", nanos / scale);
        }
    }
    if nanos == 0 { "0s".to_owned() } else { format!("{nanos}ns") }
}

/// Splits a leading non-negative decimal number from the rest.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    Some((number, rest))
}

/// Events per second.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// A rate per second; `None` unless finite and within `0 ..= RATE_MAX_PER_S`.
    pub fn per_s(per_s: f64) -> Option<Rate> {
        (per_s.is_finite() && (0.0..=RATE_MAX_PER_S).contains(&per_s)).then_some(Rate(per_s))
    }

    /// Events per second.
    pub fn as_per_s(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    /// Reads `100/s`, `1k/s`, `1.5M/s`, `30/m`, `3600/h`; a bare number is per second.
    fn from_str(input: &str) -> Result<Rate, UnitError> {
        let fail = || UnitError {
            input: input.to_owned(),
            expected: "a rate such as \"100/s\", \"1k/s\" or \"30/m\"",
        };
        let (amount, period) = match input.trim().split_once('/') {
            Some((amount, period)) => (amount.trim_end(), period.trim_start()),
            None => (input.trim(), "s"),
        };
        let (number, suffix) = split_number(amount).ok_or_else(fail)?;
        let factor = match suffix.trim() {
            "" => 1.0,
            "k" | "K" => 1e3,
            "M" => 1e6,
            _ => return Err(fail()),
        };
        let seconds = match period {
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(fail()),
        };
        Rate::per_s(number * factor / seconds).ok_or_else(fail)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A share between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// A share; `None` outside `0 ..= 1`.
    pub fn new(share: f64) -> Option<Ratio> {
        (0.0..=1.0).contains(&share).then_some(Ratio(share))
    }

    /// The share, between 0 and 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = UnitError;

    /// Reads `5%` or `0.05`.
    fn from_str(input: &str) -> Result<Ratio, UnitError> {
        let fail = || UnitError {
            input: input.to_owned(),
            expected: "a share such as \"5%\" or \"0.05\"",
        };
        let (number, rest) = split_number(input.trim()).ok_or_else(fail)?;
        match rest.trim() {
            "%" => Ratio::new(number / 100.0),
            "" => Ratio::new(number),
            _ => None,
        }
        .ok_or_else(fail)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = UnitError;

    /// Reads `4096`, `10kB` (1000), `256MiB` (1024²), `1GiB`.
    fn from_str(input: &str) -> Result<Bytes, UnitError> {
        let fail = || UnitError {
            input: input.to_owned(),
            expected: "a number of bytes such as \"4096\", \"10kB\" or \"256MiB\"",
        };
        let (number, unit) = split_number(input.trim()).ok_or_else(fail)?;
        let scale: f64 = match unit.trim() {
            "" | "B" => 1.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "KiB" | "kiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(fail()),
        };
        let bytes = number * scale;
        // Beyond 2^53 a float no longer counts single bytes.
        if bytes > 9_007_199_254_740_992.0 {
            return Err(fail());
        }
        Ok(Bytes(bytes.round() as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 > 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_locust_and_toml_write_them() {
        for (text, millis) in [
            ("20", 20_000),
            ("20s", 20_000),
            ("3m", 180_000),
            ("2h", 7_200_000),
            ("1h20m", 4_800_000),
            ("3h30m10s", 12_610_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("1 min", 60_000),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1x", "1s2", "1e3s", "99999999d", "1..2s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_read_with_prefix_and_period() {
        for (text, per_s) in
            [("100/s", 100.0), ("1k/s", 1e3), ("1.5M/s", 1.5e6), ("30/m", 0.5), ("7", 7.0)]
        {
            assert_eq!(text.parse(), Ok(Rate(per_s)), "{text}");
        }
        for text in ["", "/s", "1/y", "1q/s", "-1/s", "9999M/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn ratios_and_bytes() {
        assert_eq!("5%".parse(), Ok(Ratio(0.05)));
        assert_eq!("0.25".parse(), Ok(Ratio(0.25)));
        assert!("101%".parse::<Ratio>().is_err());
        assert!("5".parse::<Ratio>().is_err());
        assert_eq!("256MiB".parse(), Ok(Bytes(256 << 20)));
        assert_eq!("10kB".parse(), Ok(Bytes(10_000)));
        assert!("10 potatoes".parse::<Bytes>().is_err());
    }

    proptest! {
        #[test]
        fn units_round_trip(nanos in 0..300_000_000_000_000_u64, rate in 0.0..1e9_f64,
                            share in 0.0..=1.0_f64, bytes in 0..1_u64 << 50) {
            let duration = Duration::from_nanos(nanos);
            // Seconds are summed as f64: 3·10^14 ns keeps every nanosecond below 2^53.
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(Rate(rate).to_string().parse(), Ok(Rate(rate)));
            prop_assert_eq!(Ratio(share).to_string().parse(), Ok(Ratio(share)));
            prop_assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)));
        }

        #[test]
        fn any_text_parses_or_fails(text in ".{0,12}") {
            let _ = parse_duration(&text);
            let _ = text.parse::<Rate>();
            let _ = text.parse::<Ratio>();
            let _ = text.parse::<Bytes>();
        }
    }
}

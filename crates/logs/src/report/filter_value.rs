//! Values of conditions: numbers with units, ranges, moments, networks.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::Record;

/// What a number of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A status, or a class such as `5xx`.
    Status,
    /// Bytes: `10kB`, `1MiB`.
    Bytes,
    /// Microseconds, written as a duration: `250ms`, `1.5s`.
    Duration,
}

/// A moment, or a moment on the clock of the log's zone; in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Instant(i64),
    Local(i64),
}

impl Moment {
    /// Whether it is surely not after the other, in whatever zone.
    pub(crate) fn is_before_or_at(self, other: Self) -> bool {
        match (self, other) {
            (Moment::Instant(one), Moment::Instant(other))
            | (Moment::Local(one), Moment::Local(other)) => one <= other,
            _ => false,
        }
    }

    pub(crate) fn is_reached(self, record: &Record<'_>) -> bool {
        match self {
            Moment::Instant(us) => record.time_us >= us,
            Moment::Local(us) => {
                record.time_us.saturating_add(i64::from(record.offset_min) * 60_000_000) >= us
            }
        }
    }
}

/// Reads a moment: RFC 3339, or a date or a date and time without a zone.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Moment::Instant(time.as_microsecond()));
    }
    // A time that begins with a date, or a date alone, which is its midnight.
    let local = text.parse::<jiff::civil::DateTime>().ok();
    let zoned = local.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok());
    zoned
        .map(|time| Moment::Local(time.timestamp().as_microsecond()))
        .ok_or_else(|| "write a date, or a time as in RFC 3339: 2026-01-31T12:00:00Z".to_owned())
}

/// Reads a network or an address.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(unmapped)
        .map_err(|_| "write an address or a network: 10.0.0.0/8".to_owned())
}

/// IPv4 that is mapped to IPv6 as IPv4, as clients of logs are.
fn unmapped(network: IpNet) -> IpNet {
    let IpAddr::V4(address) = network.addr().to_canonical() else { return network };
    let length = match network {
        IpNet::V4(_) => Some(network.prefix_len()),
        IpNet::V6(_) => network.prefix_len().checked_sub(96),
    };
    length.and_then(|length| IpNet::new(address.into(), length).ok()).unwrap_or(network)
}

/// Whether a text is meant to be an address of IPv4, perhaps with a joker, and not a name.
pub(crate) fn is_meant_as_address(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || b".*x".contains(&byte))
}

/// The ranges, ends included, that `operator` and `value` tell.
pub(crate) fn ranges(operator: &str, value: &str, unit: Unit) -> Result<Vec<(u64, u64)>, String> {
    let comparison = |range: fn(u64) -> (u64, u64)| number(value, unit).map(|n| vec![range(n)]);
    match operator {
        ">" => comparison(|n| (n.saturating_add(1), u64::MAX)),
        ">=" => comparison(|n| (n, u64::MAX)),
        // Nothing is below 0: a range whose ends are swapped holds nothing.
        "<" => comparison(|n| n.checked_sub(1).map_or((1, 0), |high| (0, high))),
        "<=" => comparison(|n| (0, n)),
        _ => value.split(',').map(|part| range(part.trim(), unit)).collect(),
    }
}

fn range(text: &str, unit: Unit) -> Result<(u64, u64), String> {
    if unit == Unit::Status
        && let [class @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] = text.as_bytes()
    {
        let class = u64::from(class - b'0') * 100;
        return Ok((class, class + 99));
    }
    match text.split_once('-') {
        Some((low, high)) => match (number(low, unit)?, number(high, unit)?) {
            (low, high) if low > high => Err("a range begins with its lower end".to_owned()),
            range => Ok(range),
        },
        None => number(text, unit).map(|n| (n, n)),
    }
}

fn number(text: &str, unit: Unit) -> Result<u64, String> {
    let text = text.trim();
    match unit {
        Unit::Status => text.parse().map_err(|_| "write 404, 5xx or 400-499".to_owned()),
        Unit::Bytes => {
            text.parse::<traffic::Bytes>().map(|bytes| bytes.0).map_err(|error| error.to_string())
        }
        Unit::Duration => traffic::units::parse_duration(text)
            .map(|duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
            .map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        assert_eq!(ranges("=", "2xx,404", Unit::Status), Ok(vec![(200, 299), (404, 404)]));
        assert_eq!(ranges("=", "400-499", Unit::Status), Ok(vec![(400, 499)]));
        assert_eq!(ranges(">", "1MiB", Unit::Bytes), Ok(vec![(1_048_577, u64::MAX)]));
        assert_eq!(ranges("<=", "250ms", Unit::Duration), Ok(vec![(0, 250_000)]));
        assert_eq!(ranges("=", "100ms-2", Unit::Duration), Ok(vec![(100_000, 2_000_000)]));
        assert!(ranges("=", "lots", Unit::Bytes).is_err());
        assert!(ranges("=", "500-400", Unit::Status).is_err());
    }

    #[test]
    fn moments() {
        assert_eq!(moment("1970-01-01T01:00:00+01:00"), Ok(Moment::Instant(0)));
        assert_eq!(moment("1970-01-02"), Ok(Moment::Local(86_400_000_000)));
        assert!(moment("noon").is_err());
    }
}

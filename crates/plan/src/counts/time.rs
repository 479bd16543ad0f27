//! Times as they are written in files of counts.

use jiff::fmt::temporal::Pieces;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::Finding;

/// Offsets further apart than this, in seconds, are not those of one zone.
const SEASONS_APART_S: i32 = 3600;

/// Least absolute value of a Unix time that is taken as in milliseconds; the year 5138 in seconds.
const MILLISECONDS_FROM: f64 = 1e11;

/// Zones that a name of a column may tell, with their hours from UTC. Only those whose abbreviation
/// is not that of other zones as well.
const SUFFIXES: [(&str, i8); 13] = [
    ("utc", 0),
    ("gmt", 0),
    ("est", -5),
    ("edt", -4),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
    ("cet", 1),
    ("cest", 2),
    ("eest", 3),
    ("jst", 9),
];

/// The zone that the name of a column tells, as `timestamp_utc` and `timestamp_local_edt` do.
pub(super) fn zone_of_name(name: &str) -> Option<TimeZone> {
    let (_, suffix) = name.rsplit_once('_')?;
    let (_, hours) = SUFFIXES.into_iter().find(|(zone, _)| *zone == suffix)?;
    Some(if hours == 0 { TimeZone::UTC } else { TimeZone::fixed(Offset::constant(hours)) })
}

/// A reader of times, which remembers what it saw of zones.
pub(super) struct Times {
    zone: TimeZone,
    last_s: i64,
    with_zone: usize,
    without_zone: usize,
    skipped: usize,
    offsets: Option<(i32, i32)>,
}

impl Times {
    /// A reader that takes times without zone as of `zone`.
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, last_s: i64::MIN, with_zone: 0, without_zone: 0, skipped: 0, offsets: None }
    }

    /// Seconds since the Unix epoch, rounded down.
    pub(super) fn parse(&mut self, text: &str) -> Result<i64, &'static str> {
        let time_s = match text.parse::<f64>() {
            Ok(number) => unix(number)?,
            Err(_) => self.iso(text)?,
        };
        self.last_s = time_s;
        Ok(time_s)
    }

    fn iso(&mut self, text: &str) -> Result<i64, &'static str> {
        let pieces =
            Pieces::parse(text).map_err(|_| "its time is neither Unix time nor ISO 8601")?;
        let civil = pieces.date().to_datetime(pieces.time().unwrap_or_default());
        if let Some(offset) = pieces.to_numeric_offset() {
            self.with_zone += 1;
            let (least, greatest) = self.offsets.unwrap_or((i32::MAX, i32::MIN));
            self.offsets = Some((least.min(offset.seconds()), greatest.max(offset.seconds())));
            let time = offset.to_timestamp(civil).map_err(|_| "its time is out of range")?;
            return Ok(time.as_second());
        }
        self.without_zone += 1;
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        let second = |time: Result<jiff::Timestamp, jiff::Error>| {
            time.map(jiff::Timestamp::as_second).map_err(|_| "its time is out of range")
        };
        match ambiguous.offset() {
            AmbiguousOffset::Fold { .. } => {
                // Of an hour that comes twice, the second is meant once the first is over.
                let (earlier, later) = (second(ambiguous.earlier())?, second(ambiguous.later())?);
                Ok(if earlier <= self.last_s && self.last_s <= later { later } else { earlier })
            }
            AmbiguousOffset::Gap { .. } => {
                self.skipped += 1;
                second(ambiguous.compatible())
            }
            AmbiguousOffset::Unambiguous { .. } => second(ambiguous.compatible()),
        }
    }

    /// Tells what was seen of zones. `known`: whether the zone of times without one was given.
    pub(super) fn report(&self, known: bool, findings: &mut Vec<Finding>) {
        if self.with_zone > 0 && self.without_zone > 0 {
            let (with, without) = (self.with_zone, self.without_zone);
            findings.push(Finding::SomeZones { with, without });
        } else if self.without_zone > 0 && !known {
            findings.push(Finding::ZoneAssumed);
        }
        if let Some((least_s, greatest_s)) = self.offsets
            && greatest_s - least_s > SEASONS_APART_S
        {
            findings.push(Finding::TwoZones { least_s, greatest_s });
        }
        if self.skipped > 0 {
            findings.push(Finding::Skipped { lines: self.skipped });
        }
    }
}

/// Unix time in seconds, milliseconds, microseconds or nanoseconds, told apart by their size.
fn unix(number: f64) -> Result<i64, &'static str> {
    let mut seconds = number;
    let mut units = 0;
    while seconds.abs() >= MILLISECONDS_FROM && units < 3 {
        seconds /= 1000.0;
        units += 1;
    }
    if seconds.is_finite() && seconds.abs() < MILLISECONDS_FROM {
        Ok(seconds.floor() as i64)
    } else {
        Err("its time is out of range")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_by_hand() {
        let mut times = Times::new(TimeZone::fixed(Offset::constant(-4)));
        for (text, second) in [
            ("1633478400", 1_633_478_400),
            ("1633478400.9", 1_633_478_400),
            ("1633478400123", 1_633_478_400),
            ("1633478400123456", 1_633_478_400),
            ("1633478400123456789", 1_633_478_400),
            ("2021-10-06T00:00:00Z", 1_633_478_400),
            ("2021-10-06 02:00:00+02:00", 1_633_478_400),
            ("2021-10-06T02:00+0200", 1_633_478_400),
            ("2021-10-05 20:00:00", 1_633_478_400),
            ("2021-10-05 20:00:00.5", 1_633_478_400),
            ("2021-10-05 20:00", 1_633_478_400),
            ("2021-10-06", 1_633_492_800),
            ("-1", -1),
        ] {
            assert_eq!(times.parse(text), Ok(second), "{text}");
        }
        for text in ["", "x", "1e300", "nan", "2021-13-01", "25/12/2021", "12:00"] {
            assert!(times.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_hour_that_comes_twice() {
        let mut times = Times::new(TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap());
        let mut parse = |text: &str| times.parse(text).unwrap();
        let first = parse("2024-11-03 01:00:00");
        assert_eq!(parse("2024-11-03 01:30:00") - first, 1800);
        assert_eq!(parse("2024-11-03 01:00:00") - first, 3600);
        assert_eq!(parse("2024-11-03 01:30:00") - first, 5400);
        assert_eq!(parse("2024-11-03 02:00:00") - first, 7200);
        parse("2024-03-10 02:30:00");
        let mut findings = Vec::new();
        times.report(true, &mut findings);
        assert_eq!(findings, [Finding::Skipped { lines: 1 }]);
    }

    #[test]
    fn names_tell_zones() {
        let offset =
            |name| zone_of_name(name).map(|zone| zone.to_fixed_offset().unwrap().seconds());
        assert_eq!(offset("timestamp_utc"), Some(0));
        assert_eq!(offset("timestamp_local_edt"), Some(-4 * 3600));
        assert_eq!(offset("timestamp"), None);
        assert_eq!(offset("request_time"), None);
    }
}

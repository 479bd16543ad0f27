//! Counts of requests over time, read from CSV or made from arrivals, and what was odd about them.
//!
//! What cannot be planned from is refused with the reason; what was repaired is reported.

mod cells;
mod finding;
mod time;

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use jiff::tz::TimeZone;

use crate::Series;
use crate::series::STEPS_MAX;

pub use finding::{CountsError, Finding};

use cells::{Row, series_of};
use time::Times;

/// Most lines that are read.
pub const LINES_MAX: usize = STEPS_MAX;

/// Longest line that is read, in bytes.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Fewest known steps that say anything.
pub const STEPS_MIN: usize = 30;

/// Shortest time that says anything, in seconds.
pub const SPAN_S_MIN: i64 = 2 * 3600;

/// Names of a column of times, beside those that begin with `timestamp`.
const TIME_NAMES: [&str; 8] = ["ts", "time", "date", "datetime", "ds", "_time", "minute", "hour"];

/// Names of a column of counts.
const COUNT_NAMES: [&str; 8] =
    ["requests", "value", "count", "counts", "hits", "events", "y", "rps"];

/// Demand, and what was odd about its source.
#[derive(Debug, Clone)]
pub struct Counts {
    /// The demand.
    pub series: Series,
    /// What was repaired or should be known, in the order in which it was found.
    pub findings: Vec<Finding>,
}

/// Reads counts from CSV: a column of times (`timestamp`, `ts`, `time`, `timestamp_utc`, …) and one
/// of counts (`requests`, `value`, `count`, …); other columns are ignored. Without a header the first
/// two columns are they. Times are Unix time in s, ms, µs or ns, or ISO 8601 with or without zone.
///
/// Times without zone are those of the suffix of the column's name (`_utc`, `_local_edt`), else of
/// `zone`, else UTC. Days and weeks are those of `zone`, else of the suffix.
///
/// # Errors
/// See [`CountsError`].
pub fn read(input: impl BufRead, zone: Option<&TimeZone>) -> Result<Counts, CountsError> {
    let mut lines = Lines { input, line: Vec::new(), number: 0 };
    let Some(first) = lines.next()? else { return Err(CountsError::Empty) };
    let delimiter = delimiter(first);
    let mut fields = Vec::new();
    split(first, delimiter, &mut fields);
    let columns = Columns::of(&fields)?;
    let suffix = columns.zone.clone();
    let written = suffix.clone().or_else(|| zone.cloned()).unwrap_or(TimeZone::UTC);
    let mut times = Times::new(written);

    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    let (mut unreadable, mut first_unreadable) = (0, None);
    // Without a header the first line is a row.
    let mut pending = !columns.is_header;
    loop {
        if !std::mem::take(&mut pending) {
            match lines.next()? {
                Some(line) => split(line, delimiter, &mut fields),
                None => break,
            }
        }
        let row = columns.row(&fields, &mut times, lines.number);
        match row {
            Ok(row) if row.count < 0.0 => {
                return Err(CountsError::Negative { line: lines.number, value: row.count });
            }
            Ok(row) => rows.push(row),
            Err(reason) => {
                unreadable += 1;
                first_unreadable.get_or_insert((lines.number, reason));
            }
        }
        if rows.len() > LINES_MAX {
            return Err(CountsError::TooLong);
        }
    }
    if let Some((line, reason)) = first_unreadable {
        if unreadable > rows.len() {
            return Err(CountsError::Unreadable { line, reason, lines: unreadable });
        }
        findings.push(Finding::Unreadable { lines: unreadable, first: line, reason });
    }
    times.report(zone.is_some() || suffix.is_some(), &mut findings);
    let zone = zone.cloned().or(suffix).unwrap_or(TimeZone::UTC);
    let series = series_of(rows, zone, &mut findings)?;
    checked(series, findings)
}

impl Series {
    /// Demand from arrivals: pairs of a second (since the Unix epoch) and the requests that came in
    /// it, in any order. A second between the first and the last that is not named had none, because
    /// a log tells when there was none. Steps are seconds, or longer where there would be more than
    /// [`STEPS_MAX`].
    ///
    /// # Errors
    /// See [`CountsError`].
    pub fn from_arrivals(
        arrivals: impl IntoIterator<Item = (i64, u64)>,
        zone: TimeZone,
    ) -> Result<Counts, CountsError> {
        let mut by_second: BTreeMap<i64, u64> = BTreeMap::new();
        for (second, count) in arrivals {
            let sum = by_second.entry(second).or_default();
            *sum = sum.saturating_add(count);
            if by_second.len() > LINES_MAX {
                return Err(CountsError::TooLong);
            }
        }
        let (Some((&first, _)), Some((&last, _))) =
            (by_second.first_key_value(), by_second.last_key_value())
        else {
            return Err(CountsError::Empty);
        };
        let span = last.checked_sub(first).and_then(|span| span.checked_add(1));
        let span = span.ok_or(CountsError::TooLong)?;
        let step_s =
            [1, 10, 60, 600, 3600].into_iter().find(|&step| span / step < STEPS_MAX as i64);
        let step_s = step_s.ok_or(CountsError::TooLong)?;
        let begin = first.div_euclid(step_s);
        let mut counts = vec![0.0; (last.div_euclid(step_s) - begin + 1) as usize];
        for (second, count) in by_second {
            counts[(second.div_euclid(step_s) - begin) as usize] += count as f64;
        }
        let series = Self { start_s: begin * step_s, step_s: step_s as u32, counts, zone };
        checked(series, Vec::new())
    }
}

/// Refuses what says too little.
fn checked(series: Series, mut findings: Vec<Finding>) -> Result<Counts, CountsError> {
    let known = series.known();
    let span_s = series.end_s() - series.start_s;
    if known < STEPS_MIN || span_s < SPAN_S_MIN {
        return Err(CountsError::TooShort { steps: known, span_s });
    }
    let mut values = series.counts.iter().filter(|count| count.is_finite());
    let first = values.next().copied().unwrap_or(0.0);
    if values.all(|&count| count == first) {
        if first == 0.0 {
            return Err(CountsError::NoRequests);
        }
        findings.push(Finding::Constant { value: first });
    }
    Ok(Counts { series, findings })
}

/// Where the time and the count of a line are.
struct Columns {
    time: usize,
    count: usize,
    is_header: bool,
    /// The zone that the name of the column of times tells.
    zone: Option<TimeZone>,
}

impl Columns {
    fn of(fields: &[String]) -> Result<Self, CountsError> {
        let is_data = |field: &String| Times::new(TimeZone::UTC).parse(field).is_ok();
        if fields.len() >= 2 && is_data(&fields[0]) && fields[1].parse::<f64>().is_ok() {
            return Ok(Self { time: 0, count: 1, is_header: false, zone: None });
        }
        let names: Vec<String> = fields.iter().map(|name| name.to_lowercase()).collect();
        let is_time =
            |name: &String| name.starts_with("timestamp") || TIME_NAMES.contains(&&**name);
        let is_count = |name: &String| COUNT_NAMES.contains(&&**name);
        let missing = |column| CountsError::NoColumn {
            column,
            found: names.iter().take(8).map(|n| n.chars().take(24).collect()).collect(),
        };
        let time = names.iter().position(is_time).ok_or_else(|| missing("times"))?;
        // A file of two columns leaves no doubt which one counts.
        let other = (names.len() == 2).then_some(1 - time.min(1));
        let count = names.iter().position(is_count).or(other).ok_or_else(|| missing("counts"))?;
        Ok(Self { time, count, is_header: true, zone: time::zone_of_name(&names[time]) })
    }

    fn row(&self, fields: &[String], times: &mut Times, line: usize) -> Result<Row, &'static str> {
        let time = fields.get(self.time).ok_or("it has too few fields")?;
        let count = fields.get(self.count).ok_or("it has too few fields")?;
        let time_s = times.parse(time)?;
        let count = match count.as_str() {
            "" | "null" | "NULL" | "NaN" | "nan" | "NA" | "-" => f64::NAN,
            text => text.parse().map_err(|_| "its count is no number")?,
        };
        if count.is_infinite() {
            return Err("its count is infinite");
        }
        Ok(Row { time_s, count, line })
    }
}

/// The lines of a file, each of bounded length; empty ones and `#` comments are left out.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<&[u8]>, CountsError> {
        loop {
            self.line.clear();
            let mut limited = (&mut self.input).take(LINE_BYTES_MAX as u64 + 1);
            let n = limited.read_until(b'\n', &mut self.line);
            let n =
                n.map_err(|error| CountsError::Io { line: self.number + 1, kind: error.kind() })?;
            if n == 0 {
                return Ok(None);
            }
            self.number += 1;
            if n > LINE_BYTES_MAX {
                return Err(CountsError::LongLine { line: self.number });
            }
            let from =
                if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            let text = self.line[from..].trim_ascii();
            if !text.is_empty() && !text.starts_with(b"#") {
                let to = from + self.line[from..].trim_ascii_end().len();
                return Ok(Some(&self.line[from..to]));
            }
        }
    }
}

fn delimiter(line: &[u8]) -> u8 {
    let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// The fields of one line, without the spaces and quotes around them. (Records of CSV may span lines
/// between quotes; a line of counts has no reason to, and an open quote shall not swallow the rest.)
fn split(line: &[u8], delimiter: u8, fields: &mut Vec<String>) {
    fields.clear();
    let mut quoted = false;
    let ends = line.split(|&byte| {
        quoted ^= byte == b'"';
        byte == delimiter && !quoted
    });
    fields.extend(ends.map(|field| {
        String::from_utf8_lossy(field)
            .trim_matches(|c: char| c == '"' || c.is_whitespace())
            .to_owned()
    }));
}

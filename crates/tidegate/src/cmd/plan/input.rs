//! Demand out of access logs, or out of a CSV of counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use jiff::tz::{Offset, TimeZone};
use logs::report::{Aggregate, Arrivals, LogReport, Service, Setup};
use logs::{Record, Reject, Sink};
use plan::Series;
use plan::counts::{self, Counts, CountsError};
use plan::instances::{Instance, Instances, Window};
use plan::series::DAY_S;

use super::{PlanArgs, cannot_read};
use crate::exit::{Exit, Failed};

/// Bytes of the first line that are looked at.
const SNIFFED_BYTES_MAX: u64 = 4096;
/// Names of columns that a log has and counts have not.
const LOG_COLUMNS: [&str; 14] = [
    "path",
    "url",
    "uri",
    "request",
    "status",
    "method",
    "client",
    "ip",
    "remote_addr",
    "host",
    "user_agent",
    "agent",
    "duration",
    "func",
];
/// Records further from all others than this, in seconds, are of a clock that jumped.
const APART_S: i64 = 31 * DAY_S;
/// Most offsets from UTC that are told apart.
const OFFSETS_MAX: usize = 64;
/// Share of the lines that may be rejected without a word.
const REJECTED_SILENTLY: f64 = 0.01;

/// What was read.
pub(super) struct Input {
    pub(super) series: Series,
    /// Requests by route and how long they took, most hits first.
    pub(super) routes: Vec<Service>,
    /// The same by upstream server.
    pub(super) upstreams: Vec<Service>,
    /// What upstream servers did over time; `None` where the log names none.
    pub(super) instances: Option<Instances>,
    pub(super) findings: Vec<String>,
}

/// Reads what the arguments name.
///
/// # Errors
/// When a file cannot be read, or when there is nothing to plan from.
pub(super) fn read(args: &PlanArgs) -> Result<Input, Failed> {
    let setup = args.reading.setup()?;
    if let [path] = args.files.as_slice()
        && (args.counts || is_counts(path)?)
    {
        return of_counts(args, path, &setup);
    }
    if args.counts {
        return Err(Failed::usage("--counts reads one file"));
    }
    for path in &args.files {
        if is_counts(path)? {
            let path = path.display();
            return Err(Failed::usage(format!(
                "{path} is a CSV of counts, of which one is read at a time; put several together first"
            )));
        }
    }
    of_logs(args, &setup)
}

/// Whether the first line of a file is that of counts: a header that names no column of a log, or a
/// time and a number.
fn is_counts(path: &Path) -> Result<bool, Failed> {
    if path == Path::new("-") || !path.is_file() {
        return Ok(false);
    }
    let mut line = Vec::new();
    let mut start = plain_text(path)?.take(SNIFFED_BYTES_MAX);
    start.read_until(b'\n', &mut line).map_err(|error| cannot_read(path, &error))?;
    Ok(std::str::from_utf8(&line).is_ok_and(is_header_of_counts))
}

/// The text of a file or, for `-`, of stdin, decompressed.
fn plain_text(path: &Path) -> Result<impl BufRead, Failed> {
    let text = if path == Path::new("-") {
        logs::decompressed(io::stdin())
    } else {
        File::open(path).and_then(logs::decompressed)
    };
    let (text, _) = text.map_err(|error| cannot_read(path, &error))?;
    Ok(BufReader::new(text))
}

fn is_header_of_counts(line: &str) -> bool {
    let fields = line.trim_start_matches('\u{feff}').trim().split([',', ';', '\t']);
    let fields: Vec<String> =
        fields.map(|field| field.trim().trim_matches('"').to_lowercase()).collect();
    let is_time = |name: &String| {
        name.starts_with("timestamp")
            || ["ts", "time", "date", "datetime", "ds", "_time", "minute", "hour"]
                .contains(&name.as_str())
    };
    let is_plain = |text: &String| !text.is_empty() && !text.contains(['{', '[', '=']);
    let [first, second, ..] = fields.as_slice() else { return false };
    let is_row = first.starts_with(|c: char| c.is_ascii_digit())
        && is_plain(first)
        && second.parse::<f64>().is_ok();
    let is_header = fields.iter().all(is_plain)
        && fields.iter().any(is_time)
        && !fields.iter().any(|name| LOG_COLUMNS.contains(&name.as_str()));
    is_row || is_header
}

fn of_counts(args: &PlanArgs, path: &Path, setup: &Setup) -> Result<Input, Failed> {
    let read = counts::read(plain_text(path)?, args.timezone.as_ref());
    let Counts { series, findings } = read.map_err(|error| refused(&error))?;
    let series = within(series, setup)?;
    let mut findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    if args.timezone.is_none() && series.zone.iana_name().is_none() {
        findings.push(zone_assumed(&series.zone));
    }
    let series = Series { zone: named(series.zone.clone()), ..series };
    Ok(Input { series, routes: Vec::new(), upstreams: Vec::new(), instances: None, findings })
}

/// The part of `series` from the first to the last step whose time meets the conditions.
fn within(series: Series, setup: &Setup) -> Result<Series, Failed> {
    let mut filter = setup.filter.clone();
    let mut accepts = |index: &usize| {
        let time_us = series.time_s(*index).saturating_mul(1_000_000);
        filter.accepts(&Record { time_us, weight: 1, ..Record::default() })
    };
    let first = (0..series.len()).find(&mut accepts);
    let last = (0..series.len()).rev().find(&mut accepts);
    match (first, last) {
        (Some(first), Some(last)) if (first, last + 1) == (0, series.len()) => Ok(series),
        (Some(first), Some(last)) => Ok(series.slice(first..last + 1)),
        _ => Err(Failed::usage(
            "no counts meet the conditions: of counts only the time can be asked for (--since, --until)",
        )),
    }
}

/// Reads logs; Ctrl-C ends the program, as there is nothing to save.
fn of_logs(args: &PlanArgs, setup: &Setup) -> Result<Input, Failed> {
    let options = args.reading.options()?;
    let sources = logs::sources(&args.files, &options, &[])
        .map_err(|error| Failed { exit: Exit::Environment, message: format!("error: {error}") })?;
    let make = || Arriving { aggregate: Aggregate::new(setup), offsets: BTreeMap::new() };
    let scanned = logs::scan(&sources, &options, make);
    let failures = scanned.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref());
    let mut findings: Vec<String> =
        failures.map(|failure| format!("not read to its end: {failure}")).collect();
    let Some(Arriving { mut aggregate, offsets }) =
        scanned.sinks.into_iter().reduce(Arriving::merge)
    else {
        return Err(refused(&CountsError::Empty));
    };
    let LogReport { totals, rejects, demand, .. } =
        aggregate.finish(&logs::report::Options::default());

    if totals.requests == 0 {
        let reason = match (totals.read, rejects.first()) {
            (0, _) => "the log is empty".to_owned(),
            (read, Some(reject)) if totals.parsed == 0 => format!(
                "none of {read} lines is a record ({}): say what they are with --log-format, or --counts",
                reject.reason
            ),
            (read, _) => format!("none of {read} lines meets the conditions"),
        };
        return Err(Failed::usage(format!("there is nothing to plan from: {reason}")));
    }
    if totals.rejected as f64 > totals.read as f64 * REJECTED_SILENTLY {
        let reason = rejects.first().map_or("", |reject| reject.reason.as_str());
        findings.push(format!(
            "{} of {} lines were left out, most because: {reason}",
            totals.rejected, totals.read
        ));
    }
    let zone = zone_of(args, &offsets, &mut findings);
    let instances = instances(&aggregate.instances());
    let arrivals = without_jumps(&demand.arrivals, &mut findings);
    let Counts { series, findings: odd } =
        Series::from_arrivals(arrivals, zone).map_err(|error| refused(&error))?;
    findings.extend(odd.iter().map(ToString::to_string));
    let series = in_own_steps(series, &mut findings);
    Ok(Input { series, routes: demand.routes, upstreams: demand.upstreams, instances, findings })
}

/// What upstream servers did, as plans are made of it.
fn instances(of_log: &logs::report::Instances) -> Option<Instances> {
    let seconds = |us: i64| us as f64 / 1e6;
    let window = |it: &logs::report::Window| Window {
        start_s: it.start_s,
        ended: it.ended as f64,
        busy_s: it.busy_s,
    };
    let instance = |it: &logs::report::Instance| Instance {
        key: it.key.clone(),
        first_s: seconds(it.first_us),
        first_served_s: it.first_served_us.map(seconds),
        windows: it.windows.iter().map(window).collect(),
    };
    let list: Vec<Instance> = of_log.list.iter().map(instance).collect();
    Instances::new(&list, u32::try_from(of_log.window_s).unwrap_or(u32::MAX))
}

/// The sink of one thread: what the report needs, and in which zones times were written.
struct Arriving {
    aggregate: Aggregate,
    /// Records by offset from UTC, in minutes.
    offsets: BTreeMap<i16, u64>,
}

impl Arriving {
    fn merge(mut self, other: Self) -> Self {
        for (offset, records) in other.offsets {
            *self.offsets.entry(offset).or_default() += records;
        }
        Self { aggregate: self.aggregate.merge(other.aggregate), ..self }
    }
}

impl Sink for Arriving {
    fn record(&mut self, record: &Record<'_>) {
        self.aggregate.record(record);
        if self.offsets.len() < OFFSETS_MAX || self.offsets.contains_key(&record.offset_min) {
            *self.offsets.entry(record.offset_min).or_default() += 1;
        }
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.aggregate.reject(reject);
    }
}

/// The zone whose days count: the one given, else that in which most records were written.
fn zone_of(args: &PlanArgs, offsets: &BTreeMap<i16, u64>, findings: &mut Vec<String>) -> TimeZone {
    let (least, greatest) = (
        offsets.keys().next().copied().unwrap_or(0),
        offsets.keys().next_back().copied().unwrap_or(0),
    );
    let apart = i32::from(greatest) - i32::from(least);
    if apart > 60 {
        findings.push(format!(
            "records were written in zones {} h apart: days and weeks follow one of them",
            f64::from(apart) / 60.0
        ));
    }
    if let Some(zone) = &args.timezone {
        return zone.clone();
    }
    let most = offsets.iter().max_by_key(|(_, records)| **records).map_or(0, |(offset, _)| *offset);
    let offset = Offset::from_seconds(i32::from(most) * 60).unwrap_or(Offset::UTC);
    let zone = if most == 0 { TimeZone::UTC } else { named(TimeZone::fixed(offset)) };
    findings.push(zone_assumed(&zone));
    zone
}

fn zone_assumed(zone: &TimeZone) -> String {
    let now = zone.to_offset(jiff::Timestamp::UNIX_EPOCH);
    let name = zone.iana_name().map_or_else(|| format!("UTC{now}"), str::to_owned);
    format!(
        "days and weeks are those of {name}, without summer time: say --timezone if it is another"
    )
}

/// A fixed offset of whole hours by the name that others know it by; anything else as it is.
fn named(zone: TimeZone) -> TimeZone {
    let hours = match zone.to_fixed_offset() {
        Ok(offset) if offset.seconds() % 3600 == 0 => offset.seconds() / 3600,
        _ => return zone,
    };
    // Signs of these names are those of POSIX: west is positive.
    match hours {
        0 => TimeZone::UTC,
        hours => TimeZone::get(&format!("Etc/GMT{:+}", -hours)).unwrap_or(zone),
    }
}

/// Seconds and their requests, without what is more than a month away from most others.
fn without_jumps(arrivals: &Arrivals, findings: &mut Vec<String>) -> Vec<(i64, u64)> {
    let step_s = arrivals.step_s as i64;
    let busy = arrivals.counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let busy: Vec<(i64, u64)> =
        busy.map(|(at, count)| (arrivals.start_s + at as i64 * step_s, *count)).collect();
    let parts: Vec<&[(i64, u64)]> = busy.chunk_by(|a, b| b.0 - a.0 <= APART_S).collect();
    let requests = |part: &[(i64, u64)]| part.iter().map(|(_, count)| count).sum::<u64>();
    let Some(most) = parts.iter().copied().max_by_key(|part| requests(part)) else {
        return Vec::new();
    };
    if parts.len() > 1 {
        findings.push(format!(
            "{} requests are more than a month away from the others and were left out: a clock that jumped?",
            requests(&busy) - requests(most)
        ));
    }
    most.to_vec()
}

/// Demand in the steps in which its times were written, where these are longer than a second.
fn in_own_steps(series: Series, findings: &mut Vec<String>) -> Series {
    let step_s = i64::from(series.step_s);
    let busy = series.counts.iter().enumerate().filter(|(_, count)| **count > 0.0);
    let own_s = busy.fold(0, |own, (at, _)| divisor(own, series.time_s(at)));
    if own_s <= step_s || own_s > DAY_S {
        return series;
    }
    findings.push(format!("times were written in steps of {own_s} s"));
    series.coarser((own_s / step_s) as usize)
}

/// Greatest common divisor.
fn divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { divisor(b, a % b) }
}

/// How the program ends when there is nothing to plan from.
fn refused(error: &CountsError) -> Failed {
    let exit = match error {
        CountsError::TooShort { .. } | CountsError::NoRequests => Exit::Doubtful,
        CountsError::Io { .. } => Exit::Environment,
        _ => Exit::Usage,
    };
    Failed { exit, message: format!("error: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_from_logs_by_the_first_line() {
        for counts in [
            "timestamp,requests\n",
            "\u{feff}ts;value",
            "timestamp_local_edt,requests",
            "timestamp_utc,requests,bytes",
            "1633478400,1.259180",
            "2014-04-01 00:00:00,0.0",
        ] {
            assert!(is_header_of_counts(counts), "{counts}");
        }
        for log in [
            "",
            "x",
            r#"192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12 "-" "a, b""#,
            r#"{"ts":1,"status":200}"#,
            "timestamp,path,status",
            "app,func,end_timestamp,duration",
            "HashOwner,HashApp,Average",
        ] {
            assert!(!is_header_of_counts(log), "{log}");
        }
    }

    #[test]
    fn a_clock_that_jumped_is_left_out() {
        let mut counts = vec![0; 5000];
        (counts[0], counts[4000], counts[4001]) = (1, 5, 7);
        let arrivals = Arrivals { start_s: 0, step_s: 3600, counts };
        let mut findings = Vec::new();
        let kept = without_jumps(&arrivals, &mut findings);
        assert_eq!(kept, [(4000 * 3600, 5), (4001 * 3600, 7)]);
        assert!(findings[0].starts_with("1 requests"), "{findings:?}");
    }

    #[test]
    fn times_by_the_minute_are_minutes() {
        let counts = (0..7200).map(|second| if second % 60 == 0 { 30.0 } else { 0.0 }).collect();
        let series = Series { start_s: 6000, step_s: 1, counts, zone: TimeZone::UTC };
        let minutes = in_own_steps(series, &mut Vec::new());
        assert_eq!((minutes.step_s, minutes.len(), minutes.counts[5]), (60, 120, 30.0));
    }

    #[test]
    fn whole_hours_have_names() {
        let fixed = |seconds| named(TimeZone::fixed(Offset::from_seconds(seconds).unwrap()));
        assert_eq!(fixed(0), TimeZone::UTC);
        assert_eq!(fixed(-4 * 3600).iana_name(), Some("Etc/GMT+4"));
        assert_eq!(fixed(19_800).iana_name(), None);
    }
}

//! What an access log says about an experiment that is planned: how many units come, and how many
//! of them convert.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::str::FromStr;

use experiment::targeting::is_bot;
use regex::bytes::Regex;
use traffic::Hit;

use super::reach::environment;
use crate::exit::{Exit, Failed};

/// Units of a log; more do not fit into memory.
const UNITS_MAX: usize = 20_000_000;
/// Days of a log.
const DAYS_MAX: usize = 4_000;
const DAY_US: i64 = 86_400_000_000;

/// Who counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum UnitOfLog {
    /// The client's address and its user agent
    Client,
    /// The authenticated user
    User,
}

/// Which requests are conversions: `path~^/thanks`, `path=/thanks`, `status=201`, `method=POST`.
#[derive(Debug, Clone)]
pub(super) struct Conversion {
    field: Field,
    test: Test,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Path,
    Target,
    Method,
    Status,
    Route,
}

#[derive(Debug, Clone)]
enum Test {
    Is(String),
    Matches(Regex),
}

impl FromStr for Conversion {
    type Err = String;

    fn from_str(text: &str) -> Result<Conversion, String> {
        let help =
            "write FIELD=VALUE or FIELD~REGEX; fields are path, target, method, status, route";
        let at = text.find(['=', '~']).ok_or(help)?;
        let (field, rest) = text.split_at(at);
        let field = match field {
            "path" => Field::Path,
            "target" => Field::Target,
            "method" => Field::Method,
            "status" => Field::Status,
            "route" => Field::Route,
            _ => return Err(help.to_owned()),
        };
        let (sign, value) = rest.split_at(1);
        let test = match sign {
            "=" => Test::Is(value.to_owned()),
            _ => Test::Matches(Regex::new(value).map_err(|error| error.to_string())?),
        };
        Ok(Conversion { field, test })
    }
}

impl Conversion {
    fn holds(&self, hit: &Hit<'_>) -> bool {
        let status = hit.status.to_string();
        let path = || hit.target.split(|&byte| byte == b'?').next().unwrap_or_default();
        let value = match self.field {
            Field::Path => path(),
            Field::Target => hit.target,
            Field::Method => hit.method,
            Field::Status => status.as_bytes(),
            Field::Route => hit.route.unwrap_or_default(),
        };
        match &self.test {
            Test::Is(expected) => value == expected.as_bytes(),
            Test::Matches(regex) => regex.is_match(value),
        }
    }
}

/// What a log says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LogTraffic {
    pub(super) units: u64,
    pub(super) converted: u64,
    /// New units of each whole day since the log began, then the mean of the last week of them; of what
    /// there is when that is less.
    pub(super) new_per_day: Vec<u64>,
    /// Requests that were understood, those of bots left out.
    pub(super) lines: u64,
    pub(super) bots: u64,
    pub(super) rejected: u64,
}

/// Reads a log.
///
/// # Errors
/// When it cannot be read, or has too many units.
pub(super) fn read(
    path: &Path,
    unit: UnitOfLog,
    convert: &[Conversion],
) -> Result<LogTraffic, Failed> {
    // Its words have the cause in them.
    let mut reader = logs::open(path).map_err(|error| environment(&error.to_string()))?;
    // First seen and whether it has converted.
    let mut units: HashMap<u64, (i64, bool)> = HashMap::new();
    let (mut lines, mut bots, mut first, mut last) = (0, 0, i64::MAX, i64::MIN);
    let mut full = false;
    reader
        .for_each(|line| {
            let Ok(hit) = line else { return };
            let agent = hit.agent.map(String::from_utf8_lossy);
            // Formats without user agents know no bots.
            if agent.as_ref().is_some_and(|agent| is_bot(Some(agent))) {
                bots += 1;
                return;
            }
            lines += 1;
            let Some(id) = id_of(&hit, unit) else { return };
            (first, last) = (first.min(hit.start_us), last.max(hit.start_us));
            if units.len() >= UNITS_MAX && !units.contains_key(&id) {
                full = true;
                return;
            }
            let converts = !convert.is_empty() && convert.iter().all(|each| each.holds(&hit));
            let known = units.entry(id).or_insert((hit.start_us, false));
            known.0 = known.0.min(hit.start_us);
            known.1 |= converts;
        })
        .map_err(|error| Failed::environment(&error))?;
    if full {
        let message = format!("error: {} has more than {UNITS_MAX} units", path.display());
        return Err(Failed { exit: Exit::Usage, message });
    }
    let days = usize::try_from((last.saturating_sub(first)) / DAY_US + 1).unwrap_or(1);
    let mut new_per_day = vec![0; days.clamp(1, DAYS_MAX)];
    for (seen, _) in units.values() {
        let day = usize::try_from((seen - first) / DAY_US).unwrap_or(0);
        if let Some(count) = new_per_day.get_mut(day) {
            *count += 1;
        }
    }
    // The last day has just begun. What comes later is as the last week was, not as its last day.
    if new_per_day.len() > 1 {
        new_per_day.pop();
        let week = &new_per_day[new_per_day.len().saturating_sub(7)..];
        new_per_day.push(week.iter().sum::<u64>() / week.len() as u64);
    }
    Ok(LogTraffic {
        units: units.len() as u64,
        converted: units.values().filter(|(_, converted)| *converted).count() as u64,
        new_per_day: if units.is_empty() { Vec::new() } else { new_per_day },
        lines,
        bots,
        rejected: reader.counts().rejected(),
    })
}

fn id_of(hit: &Hit<'_>, unit: UnitOfLog) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    match unit {
        UnitOfLog::Client => (hit.client, hit.agent).hash(&mut hasher),
        UnitOfLog::User => hit.user?.hash(&mut hasher),
    }
    Some(hasher.finish())
}

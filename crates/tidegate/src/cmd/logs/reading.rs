//! Flags that say how logs are read, and which of their lines count.

use clap::Args;
use logs::report::{Filter, Setup};
use logs::{Layout, LayoutError, Options};

use crate::exit::{Exit, Failed};

/// How logs are read, the same for all verbs that read them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadingFlags {
    /// A log format that cannot be guessed: an nginx log_format, an Apache LogFormat, a GoAccess format, a
    /// template of tidegate, or the configuration file that holds it
    #[arg(long, value_name = "FORMAT|FILE")]
    log_format: Option<String>,
    /// Zone of times that do not tell theirs, such as +02:00
    #[arg(long, value_name = "OFFSET", value_parser = zone, default_value = "+00:00", allow_hyphen_values = true)]
    zone: i16,
    /// Only records that meet this condition, such as status=5xx, 'path~^/api/', client=10.0.0.0/8
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Only records from then on, such as 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only records before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Crawlers and monitors: with the others, without them, or nothing else
    #[arg(long, value_parser = ["yes", "no", "only"], default_value = "yes")]
    bots: String,
    /// Shorten client addresses before anything is kept: the last byte of IPv4, the last ten of IPv6
    #[arg(long)]
    pub(super) anonymise: bool,
    /// Take the client from X-Forwarded-For where the log has it; only behind a proxy you trust
    #[arg(long)]
    forwarded: bool,
    /// Threads; by default one per core
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

impl ReadingFlags {
    /// How to read.
    ///
    /// # Errors
    /// When the format cannot be used.
    pub(crate) fn options(&self) -> Result<Options, Failed> {
        let mut options = Options { zone_min: self.zone, ..Options::default() };
        if let Some(format) = &self.log_format {
            options.layouts = layouts(format)?.into();
        }
        if let Some(jobs) = self.jobs {
            options.jobs = jobs;
        }
        Ok(options)
    }

    /// What counts.
    ///
    /// # Errors
    /// When a condition is wrong.
    pub(crate) fn setup(&self) -> Result<Setup, Failed> {
        self.setup_with(None)
    }

    /// The same with one more condition.
    pub(super) fn setup_with(&self, more: Option<String>) -> Result<Setup, Failed> {
        let mut conditions = self.conditions.clone();
        conditions.extend(self.since.iter().map(|time| format!("since={time}")));
        conditions.extend(self.until.iter().map(|time| format!("until={time}")));
        if self.bots != "yes" {
            conditions.push(format!("bots={}", self.bots));
        }
        conditions.extend(more);
        let filter =
            Filter::parse(&conditions).map_err(|error| Failed::usage(error.to_string()))?;
        let (anonymise, forwarded) = (self.anonymise, self.forwarded);
        let jobs = self.jobs.unwrap_or_else(|| Options::default().jobs);
        Ok(Setup { filter, anonymise, forwarded, jobs, ..Setup::default() })
    }
}

/// What `--log-format` names: a file when there is one, otherwise the format itself.
fn layouts(format: &str) -> Result<Vec<Layout>, Failed> {
    let wrong = |error: LayoutError| Failed::usage(error.to_string());
    match std::fs::read_to_string(format) {
        Ok(text) => {
            let found = Layout::find(&text).map_err(|error| {
                Failed::usage(format!(
                    "{format}: {error}; what servers log unless told \
                     otherwise is detected without --log-format"
                ))
            })?;
            for error in &found.unusable {
                eprintln!("warning: {format}: {error}; lines of this format are not read by it");
            }
            Ok(found.layouts)
        }
        Err(error) if format.starts_with(['/', '.']) => {
            let message = format!("error: cannot read {format}: {error}");
            Err(Failed { exit: Exit::Environment, message })
        }
        Err(_) => Layout::all(format).map_err(wrong),
    }
}

/// `+02:00`, `-0530` or `Z`, in minutes east of UTC.
fn zone(text: &str) -> Result<i16, String> {
    let wrong = || format!("`{text}` is no offset from UTC; write it as +02:00");
    if text.eq_ignore_ascii_case("z") {
        return Ok(0);
    }
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return Err(wrong()),
    };
    let digits = digits.replace(':', "");
    let is_number = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i16 = digits.parse().ok().filter(|_| is_number).ok_or_else(wrong)?;
    let (hours, minutes) = (number / 100, number % 100);
    if hours > 14 || minutes > 59 {
        return Err(wrong());
    }
    Ok(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::zone;

    #[test]
    fn offsets_are_minutes_east_of_greenwich() {
        assert_eq!(zone("+02:00"), Ok(120));
        assert_eq!(zone("-0530"), Ok(-330));
        assert_eq!(zone("Z"), Ok(0));
        for wrong in ["", "2", "+2", "+25:00", "+01:60", "UTC", "+é1:0"] {
            assert!(zone(wrong).is_err(), "{wrong}");
        }
    }
}

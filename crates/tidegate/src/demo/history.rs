//! What the gateway's access log tells about the day, and how many servers such days would need.

use std::f64::consts::TAU;
use std::path::Path;

use jiff::tz::TimeZone;
use logs::report::{Aggregate, LogReport, Panel, Setup};
use logs::{Options, Record, Reject, Sink, scan, sources};
use plan::Series;
use plan::choose::{self, Answer};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use report::logs::{TextOptions, log_text};

use crate::demo::day::HOUR;
use crate::demo::shop::SERVERS;
use crate::exit::Failed;
use crate::output::style_of_stdout;

/// Days of the history that is played: the day again and again, with chance.
const DAYS: usize = 14;
/// Minutes of a day.
const MINUTES: usize = 1440;
/// Minutes over which the day's course is smoothed.
const SMOOTH: usize = 60;
/// Servers that the busiest minutes of the played history need.
const BUSY_SERVERS: f64 = 10.0;
/// A Monday, when the history begins: 5 October 2026.
const BEGIN_S: i64 = 1_791_158_400;

/// What was read from the access log.
pub(crate) struct History {
    report: LogReport,
    /// Requests by minute of the demo's day.
    minutes: Vec<f64>,
}

/// The sink of the one thread.
struct Reader {
    aggregate: Aggregate,
    times_us: Vec<i64>,
}

impl Sink for Reader {
    fn record(&mut self, record: &Record<'_>) {
        self.aggregate.record(record);
        self.times_us.push(record.time_us);
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.aggregate.reject(reject);
    }
}

impl History {
    /// Reads the access log of the day.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(log: &Path) -> Result<History, Failed> {
        let options = Options { jobs: 1, ..Options::default() };
        let found = sources(&[log.to_owned()], &options, &[])
            .map_err(|error| Failed::environment(&error))?;
        let mut done = scan(&found, &options, || Reader {
            aggregate: Aggregate::new(&Setup::default()),
            times_us: Vec::new(),
        });
        let Some(mut reader) = done.sinks.pop() else {
            return Err(Failed::usage("the access log of the day was not read"));
        };
        let report = reader.aggregate.finish(&logs::report::Options::default());
        Ok(History { report, minutes: minutes(&reader.times_us) })
    }

    /// The shortest useful report.
    pub(crate) fn text(&self) -> String {
        let panels = vec![Panel::Template, Panel::Status, Panel::Upstream, Panel::Cache];
        log_text(&self.report, &TextOptions { rows: 4, panels, style: style_of_stdout() })
    }

    /// Two weeks of such days with more users, and the policy for them.
    ///
    /// * `capacity_per_s`: requests per second that one server of the shop holds
    pub(crate) fn plan(&self, capacity_per_s: f64) -> Result<(f64, Answer), String> {
        let busiest = self.minutes.iter().copied().fold(0.0, f64::max) / 60.0;
        if busiest <= 0.0 {
            return Err("the log has no requests".to_owned());
        }
        let factor = BUSY_SERVERS * capacity_per_s / busiest;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let days = std::iter::repeat_n(&self.minutes, DAYS).flatten();
        let series = Series {
            start_s: BEGIN_S,
            step_s: 60,
            counts: days.map(|mean| poisson(mean * factor, &mut rng)).collect(),
            zone: TimeZone::UTC,
        };
        let params = choose::Params::new(capacity_per_s);
        let answer = choose::choose(&series, &params, &choose::Evidence::default())
            .map_err(|error| error.to_string())?;
        Ok((factor, answer))
    }
}

/// The answer and how it came about.
pub(crate) fn plan_text(factor: f64, capacity_per_s: f64, answer: &Answer) -> String {
    let by_hour: Vec<Option<f64>> =
        answer.hours.iter().take(24).map(|hour| Some(hour.instances)).collect();
    format!(
        "\nWere there {factor:.0} times as many visits, every day for two weeks, on servers that hold \
         {capacity_per_s:.0}/s each\n(a {SERVERS}rd of what was measured) and take a minute to start:\n\
         {}\n  servers by hour of a Monday  {}\n",
        answer.paragraph(),
        report::sparkline(&by_hour)
    )
}

/// Requests by minute of the demo's day, smoothed over [`SMOOTH`]: in the demo's seconds there are
/// few in each.
fn minutes(times_us: &[i64]) -> Vec<f64> {
    let first = times_us.iter().copied().min().unwrap_or(0);
    let minute_us = HOUR.as_micros() as f64 / 60.0;
    let mut counts = vec![0.0; MINUTES];
    for time in times_us {
        let minute = ((time - first) as f64 / minute_us) as usize;
        // What came in the moments after midnight belongs to the day.
        counts[minute.min(MINUTES - 1)] += 1.0;
    }
    // By chunks, with a straight line from middle to middle.
    let means: Vec<f64> =
        counts.chunks(SMOOTH).map(|chunk| chunk.iter().sum::<f64>() / SMOOTH as f64).collect();
    let at = |index: isize| means[index.rem_euclid(means.len() as isize) as usize];
    (0..MINUTES)
        .map(|minute| {
            let place = (minute as f64 + 0.5) / SMOOTH as f64 - 0.5;
            let share = place - place.floor();
            let index = place.floor() as isize;
            at(index) * (1.0 - share) + at(index + 1) * share
        })
        .collect()
}

/// A Poisson number by the normal law, which is close for the many requests that there are.
fn poisson(mean: f64, rng: &mut impl rand::Rng) -> f64 {
    let (a, b) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    let normal = (-2.0 * a.ln()).sqrt() * (TAU * b).cos();
    (mean + mean.sqrt() * normal).round().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_seconds_are_a_days_minutes() {
        // One request every 5 ms of the 36 seconds, twice as many in the second half.
        let half = HOUR.as_micros() as i64 * 12;
        let times: Vec<i64> =
            (0..half).step_by(5_000).chain((half..2 * half).step_by(2_500)).collect();
        let minutes = minutes(&times);
        assert_eq!(minutes.len(), MINUTES);
        assert!((minutes[360] - 5.0).abs() < 0.1 && (minutes[1080] - 10.0).abs() < 0.1);
        let sum: f64 = minutes.iter().sum();
        assert!((sum / times.len() as f64 - 1.0).abs() < 0.01, "{sum}");
    }

    #[test]
    fn chance_has_the_right_mean_and_spread() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let draws: Vec<f64> = (0..20_000).map(|_| poisson(400.0, &mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance =
            draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!((mean - 400.0).abs() < 1.0 && (variance - 400.0).abs() < 20.0, "{mean} {variance}");
    }
}

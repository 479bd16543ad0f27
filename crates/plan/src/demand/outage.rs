//! Stretches without requests, or without knowledge, at times that are busy on other days.

use crate::Series;
use crate::series::{DAY_S, LocalClock};

/// Shortest outage, in seconds.
pub const OUTAGE_S_MIN: i64 = 60;

/// Fewest requests that are missed in an outage, by the usual demand of the time of day. A Poisson
/// process of so many has none by chance once in e³⁰ times. Where neighbouring steps differ more than
/// such a process (a Fano factor F above 1), (F−1)/ln F times as many are needed for the same, by the
/// negative binomial distribution.
pub const MISSED_MIN: f64 = 30.0;

/// Fewest days, known at a time of day, of which the usual demand is taken.
const DAYS_MIN: usize = 3;

/// Length of the parts of the day that the usual demand is taken of, in seconds.
const PART_S: i64 = 600;

/// Why there are no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// All counts are zero: nobody came, or nothing was served.
    Zero,
    /// Counts are missing, in part or all: nothing was written.
    Unknown,
}

/// An outage, of the service or of its log.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    /// Index of its first step.
    pub first: usize,
    /// Number of its steps.
    pub steps: usize,
    /// Begin, in seconds since the Unix epoch.
    pub start_s: i64,
    /// End, in seconds since the Unix epoch.
    pub end_s: i64,
    /// Requests that would have come by the usual demand of the time of day.
    pub missed: f64,
    /// Whether the counts are zero or unknown.
    pub silence: Silence,
}

/// The outages of `series`: runs of steps that are zero or unknown, of at least [`OUTAGE_S_MIN`],
/// during which the median of the same time of day on the days of the series makes at least
/// [`MISSED_MIN`] requests. Nothing for less than three days.
#[must_use]
pub fn find(series: &Series) -> Vec<Outage> {
    let fano = super::burst::burst(series, 0.0).map_or(1.0, |burst| burst.fano_local);
    let by_chance = if fano > 1.0 + 1e-9 { (fano - 1.0) / fano.ln() } else { 1.0 };
    let clock = series.clock(0);
    let usual = usual(series, &clock);
    let silent = |count: &f64| count.is_nan() || *count == 0.0;
    let mut outages = Vec::new();
    let mut first = 0;
    for run in series.counts.chunk_by(|a, b| silent(a) == silent(b)) {
        let steps = first..first + run.len();
        first = steps.end;
        let (start_s, end_s) = (series.time_s(steps.start), series.time_s(steps.end));
        if !silent(&run[0]) || end_s - start_s < OUTAGE_S_MIN {
            continue;
        }
        let missed: f64 = steps.clone().map(|step| usual[part(&clock, series.time_s(step))]).sum();
        let unknown = run.iter().any(|count| count.is_nan());
        // What is unknown is so for certain.
        if missed >= if unknown { MISSED_MIN } else { MISSED_MIN * by_chance } {
            let silence = if unknown { Silence::Unknown } else { Silence::Zero };
            let steps = run.len();
            outages.push(Outage { first: first - steps, steps, start_s, end_s, missed, silence });
        }
    }
    outages
}

/// `series` with the steps of its outages unknown.
#[must_use]
pub fn mask(series: &Series, outages: &[Outage]) -> Series {
    let mut masked = series.clone();
    for outage in outages {
        let steps = masked.counts.iter_mut().skip(outage.first).take(outage.steps);
        steps.for_each(|count| *count = f64::NAN);
    }
    masked
}

fn part(clock: &LocalClock, time_s: i64) -> usize {
    (clock.second_of_day(time_s) / PART_S) as usize
}

/// Requests per step that are usual in each part of the local day: the median over days of the mean
/// of the part. 0 where too few days are known.
fn usual(series: &Series, clock: &LocalClock) -> Vec<f64> {
    let mut days: Vec<Vec<f64>> = vec![Vec::new(); (DAY_S / PART_S) as usize];
    let mut open: Option<(i64, usize, f64, f64)> = None;
    let mut close = |open: Option<(i64, usize, f64, f64)>| {
        if let Some((_, part, sum, steps)) = open {
            days[part].push(sum / steps);
        }
    };
    for (index, count) in series.counts.iter().enumerate().filter(|(_, count)| count.is_finite()) {
        let time_s = series.time_s(index);
        let (day, part) = (clock.day(time_s), part(clock, time_s));
        open = match open {
            Some((d, p, sum, steps)) if (d, p) == (day, part) => {
                Some((d, p, sum + count, steps + 1.0))
            }
            before => {
                close(before);
                Some((day, part, *count, 1.0))
            }
        };
    }
    close(open);
    let median = |means: &mut Vec<f64>| match means.len() {
        0..DAYS_MIN => 0.0,
        _ => super::days::median(means),
    };
    days.iter_mut().map(median).collect()
}

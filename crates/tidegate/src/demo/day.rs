//! A compressed day in the shop, with what goes wrong in its course.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use gateway::Gateway;
use load::params::{LoadParams, Model};
use load::results::{RunResult, SeriesPoint};
use load::slo::parse_slo;
use policy::{Curve, Stage};

use crate::cmd::execute;
use crate::demo::front::{self, Counts};
use crate::demo::shop::{SERVERS, Server, Shop};
use crate::exit::Failed;
use crate::output::Output;

const SCENARIO: &str = include_str!("shop.toml");
/// Users by hour of the day, as a share of the busiest hour: asleep at four, busiest at eight in
/// the evening.
const DAY: [u32; 24] =
    [22, 14, 9, 6, 5, 8, 16, 30, 46, 58, 66, 72, 78, 74, 70, 70, 74, 82, 90, 97, 100, 86, 60, 36];
/// Users in the busiest hour.
pub(crate) const USERS_MAX: f64 = 300.0;
/// How long an hour takes. Two hours are whole seconds, as the points of a series are.
pub(crate) const HOUR: Duration = Duration::from_millis(1_500);
/// Hours between two lines of the story.
const STEP: usize = 2;
/// What the shop promises.
pub(crate) const PROMISE: &str = "p95<150ms,failures<1%";
/// How much longer all work takes at the server that is slowed.
pub(crate) const SLOWDOWN: u32 = 20;
/// How late something happens, so that all of it falls into the seconds that follow.
const DELAY: Duration = Duration::from_millis(100);

/// The whole day.
pub(crate) const ALL_DAY: Range<usize> = 0..24;
/// The hours that are lived through a second time, without help. The first two only open the doors:
/// so many users at once are nobody's evening.
pub(crate) const EVENING: Range<usize> = Phase::Calm.hours().start - 2..Phase::Dead.hours().end;

/// A part of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Until the evening begins.
    Early,
    /// All is well.
    Calm,
    /// A server is slow for half of the time, the other half has to catch up.
    Slow,
    /// A server is dead.
    Dead,
    /// All is well again.
    Late,
}

impl Phase {
    /// All of them, in order.
    pub(crate) const ALL: [Phase; 5] =
        [Phase::Early, Phase::Calm, Phase::Slow, Phase::Dead, Phase::Late];

    /// Its hours.
    pub(crate) const fn hours(self) -> Range<usize> {
        match self {
            Phase::Early => 0..14,
            Phase::Calm => 14..16,
            Phase::Slow => 16..20,
            Phase::Dead => 20..22,
            Phase::Late => 22..24,
        }
    }

    fn of(hour: usize) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.hours().contains(&hour))
    }
}

/// What happens at which hour, and in words.
type Incident = (usize, &'static str, fn(&Shop));

const PLAN: [Incident; 4] = [
    (16, "server 2 becomes 20 times slower", |shop| with(shop, 2, |server| server.slow(SLOWDOWN))),
    (18, "server 2 is as fast as before", |shop| with(shop, 2, |server| server.slow(1))),
    (20, "server 3 is killed", |shop| with(shop, 3, Server::kill)),
    (22, "server 3 is started again", |shop| with(shop, 3, Server::revive)),
];

fn with(shop: &Shop, number: usize, act: impl FnOnce(&Server)) {
    if let Some(server) = shop.servers().get(number - 1) {
        act(server);
    }
}

/// What users felt in a part of the day.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Felt {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    /// Median, 95th and 99th percentile of response times, each in its worst second.
    pub(crate) worst: [Option<Duration>; 3],
}

/// What became of some hours.
pub(crate) struct Visit {
    hours: Range<usize>,
    /// The run as a whole.
    pub(crate) result: RunResult,
    /// What the gateway had counted at the end of each phase.
    counts: Vec<(Phase, Counts)>,
}

impl Visit {
    /// What users felt in a phase.
    pub(crate) fn felt(&self, phase: Phase) -> Felt {
        felt(&self.result.series, &self.hours, phase)
    }

    /// Attempts at each server in a phase.
    pub(crate) fn attempts(&self, phase: Phase) -> [u64; SERVERS] {
        let Some(index) = self.counts.iter().position(|(known, _)| *known == phase) else {
            return [0; SERVERS];
        };
        let mut attempts = self.counts[index].1.attempts;
        if let Some((_, before)) = index.checked_sub(1).and_then(|index| self.counts.get(index)) {
            for (count, before) in attempts.iter_mut().zip(before.attempts) {
                *count = count.saturating_sub(before);
            }
        }
        attempts
    }

    /// What the gateway counted in all.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.last().map(|(_, counts)| counts.clone()).unwrap_or_default()
    }
}

fn felt(series: &[SeriesPoint], hours: &Range<usize>, phase: Phase) -> Felt {
    let mut felt = Felt::default();
    let mut failures = 0.0;
    for point in series {
        // What ends after the last hour began in it.
        let middle = point.at.saturating_sub(point.interval / 2).div_duration_f64(HOUR);
        let hour = (hours.start + middle as usize).min(hours.end - 1);
        if !phase.hours().contains(&hour) {
            continue;
        }
        let length = point.interval.as_secs_f64();
        felt.requests += (point.requests_per_s * length).round() as u64;
        failures += point.failures_per_s * length;
        for (worst, value) in felt.worst.iter_mut().zip([point.p50, point.p95, point.p99]) {
            *worst = (*worst).max(value);
        }
    }
    felt.failures = failures.round() as u64;
    felt
}

/// Parameters of load on the shop behind `address`.
///
/// # Errors
/// Only if the scenario that is part of the program is wrong.
pub(crate) fn params(address: SocketAddr) -> Result<LoadParams, Failed> {
    let mut params = front::load_params("shop.toml", SCENARIO, address)?;
    params.slo = parse_slo(PROMISE).map_err(|error| Failed::bug(&error))?;
    Ok(params)
}

/// Users at the beginning of an hour.
fn users(hour: usize) -> f64 {
    f64::from(DAY[(hour + DAY.len() - 1) % DAY.len()]) / 100.0 * USERS_MAX
}

fn params_of(hours: &Range<usize>, address: SocketAddr) -> Result<LoadParams, Failed> {
    let mut params = params(address)?;
    let start = users(hours.start);
    params.stop.run_time = Some(HOUR * hours.len() as u32);
    let stages: Vec<Stage> =
        hours.clone().map(|hour| Stage { target: users(hour + 1), duration: HOUR }).collect();
    // The table holds finite levels only.
    if let Ok(users) = Curve::staged(start, &stages) {
        params.model = Model::Closed { users };
    }
    Ok(params)
}

/// Lives through some hours of the day, with all that goes wrong in them.
///
/// # Errors
/// When the load cannot be started.
pub(crate) fn visit(
    hours: Range<usize>,
    address: SocketAddr,
    (gateway, shop): (&Gateway, &Shop),
    quiet: bool,
) -> Result<Visit, Failed> {
    let params = params_of(&hours, address)?;
    let (result, counts) = thread::scope(|scope| {
        let (over, is_over) = sync_channel::<()>(0);
        let hours = &hours;
        let story = scope.spawn(move || tell(hours, (gateway, shop), quiet, &is_over));
        let result = execute(params, &mut Output::silent());
        drop(over);
        // A panic in there has been printed already.
        (result, story.join().unwrap_or_default())
    });
    shop.restore();
    Ok(Visit { hours, result: result?, counts })
}

/// Lets happen what is planned, says on stderr how it goes, and takes down what the gateway has
/// counted at the end of each phase.
fn tell(
    hours: &Range<usize>,
    (gateway, shop): (&Gateway, &Shop),
    quiet: bool,
    is_over: &Receiver<()>,
) -> Vec<(Phase, Counts)> {
    let start = Instant::now() + DELAY;
    let mut counts = Vec::new();
    let mut before = Counts::default();
    for hour in hours.clone().step_by(STEP) {
        let due = start + HOUR * (hour - hours.start) as u32;
        let wait = due.saturating_duration_since(Instant::now());
        if is_over.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        let now = Counts::of(gateway, shop);
        let last = hour.checked_sub(1).filter(|last| hours.contains(last)).and_then(Phase::of);
        if let Some(last) = last.filter(|last| Phase::of(hour) != Some(*last)) {
            counts.push((last, now.clone()));
        }
        let incident = PLAN.iter().find(|(when, ..)| *when == hour);
        if let Some((_, _, happen)) = incident {
            happen(shop);
        }
        if !quiet {
            let rate = now.requests.saturating_sub(before.requests) as f64
                / (HOUR * STEP as u32).as_secs_f64();
            let what = incident.map_or("", |(_, what, _)| what);
            let line =
                format!("  {hour:02}:00 {:>5.0} users {rate:>5.0} requests/s  {what}", users(hour));
            eprintln!("{}", line.trim_end());
        }
        before = now;
    }
    // Whatever was said: the run is over when the sender is gone.
    let _ = is_over.recv();
    if let Some(last) = Phase::of(hours.end - 1) {
        counts.push((last, Counts::of(gateway, shop)));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_are_the_day() {
        let hours: Vec<usize> = Phase::ALL.into_iter().flat_map(Phase::hours).collect();
        assert_eq!(hours, ALL_DAY.collect::<Vec<_>>());
        assert!(PLAN.iter().all(|(hour, ..)| hour % STEP == 0 && Phase::of(*hour).is_some()));
    }

    #[test]
    fn seconds_belong_to_their_phase_and_the_worst_one_counts() {
        let point = |at, failures_per_s, p95| SeriesPoint {
            at: Duration::from_secs(at),
            interval: Duration::from_secs(1),
            requests_per_s: 10.0,
            failures_per_s,
            p95: Some(Duration::from_millis(p95)),
            ..SeriesPoint::default()
        };
        // The evening: three seconds to begin, three of calm, six of the slow server, three of the
        // dead one.
        let series = [point(6, 0.0, 1), point(7, 1.0, 9), point(12, 2.0, 5), point(16, 4.0, 2)];
        let of = |phase| felt(&series, &EVENING, phase);
        assert_eq!((of(Phase::Calm).requests, of(Phase::Calm).failures), (10, 0));
        let slow = of(Phase::Slow);
        assert_eq!((slow.requests, slow.failures), (20, 3));
        assert_eq!(slow.worst, [None, Some(Duration::from_millis(9)), None]);
        assert_eq!(of(Phase::Dead).failures, 4);
        assert_eq!(of(Phase::Late), Felt::default());
    }
}

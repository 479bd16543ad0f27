//! The final verdict on a policy: single requests through the queue, where there are too many of
//! them by a stratified sample of stretches of time.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use stats::LatencyHistogram;

use crate::Series;
use crate::simulate::arrivals::Poisson;
use crate::simulate::queue::{self, QueueOutcome, Supply};
use crate::simulate::{Plant, fluid};

/// Longest stretch, in seconds.
const STRETCH_S: u32 = 600;

/// Stretches that shall fit into each half of the budget: they are made shorter for that.
pub(super) const STRETCHES_MIN: usize = 20;

/// Most kinds of stretches, by how tight they are, besides the tightest.
const STRATA_MAX: usize = 6;

/// Stretches of each kind that there is to be a budget for.
const STRATUM_SAMPLE: usize = 4;

/// Shortest part of a tick that is served, in mean service times.
const PART_SERVICES: f64 = 20.0;

/// How much more than asked for may be simulated where even the shortest parts of a tick are too large
/// for [`STRETCHES_MIN`] of them, as a factor.
const BUDGET_GROWTH_MAX: f64 = 4.0;

/// Draws to find the share that is late by its service time alone.
const SERVICE_DRAWS: u32 = 200_000;

/// What the queue says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QueueVerdict {
    /// Share of the requests that were late or lost.
    pub late_ratio: f64,
    /// Share that is late by its service time alone, whatever the instances.
    pub late_by_service: f64,
    /// 95th percentile of the response time, in seconds.
    pub p95_s: f64,
    /// 99th percentile of the response time, in seconds.
    pub p99_s: f64,
    /// 95th percentile of the wait for a server, in seconds.
    pub wait_p95_s: f64,
    /// 99th percentile of the wait for a server, in seconds.
    pub wait_p99_s: f64,
    /// Requests that were simulated.
    pub simulated: u64,
    /// Stretches of time that they came in.
    #[serde(default)]
    pub stretches: u64,
}

/// Serves the demand of `series` from the ready instances that [`fluid::run`] recorded for it,
/// request by request, with about `budget` requests, and up to [`BUDGET_GROWTH_MAX`] times as many where
/// they come too fast.
///
/// The tightest stretches take up to half of the budget, and count for themselves; of the others,
/// random samples count for all that are about as tight. There is at least one of each.
pub(super) fn queue_verdict(
    series: &Series,
    plant: &Plant,
    ready: &[u32],
    budget: f64,
    seed: u64,
) -> QueueVerdict {
    let ticks = Ticks::new(series, ready);
    let total: f64 = series.counts.iter().filter(|count| **count > 0.0).sum();
    // A tick in which more comes than that is served in part.
    let least = (PART_SERVICES * plant.service.mean()).max(queue::TICK_S);
    let least = (least / f64::from(ticks.tick_s)).min(1.0);
    let fewest = 2.0 * STRETCHES_MIN as f64 * ticks.busiest() * least;
    let budget = budget.max(fewest.min(BUDGET_GROWTH_MAX * budget));
    let (mut half, mut part) = (if total <= budget { total } else { budget / 2.0 }, 1.0);
    let longest = (STRETCH_S / ticks.tick_s).max(1) as usize;
    let mut stretches = ticks.stretches(plant, longest);
    let largest = stretches.iter().map(|stretch| stretch.requests).fold(0.0, f64::max);
    let share = half / STRETCHES_MIN as f64;
    if total > budget && largest > share {
        let length = (longest as f64 * share / largest) as usize;
        stretches = ticks.stretches(plant, length.max(1));
        if length <= 1 {
            part = (share / ticks.busiest()).clamp(least, 1.0);
            half /= part;
        }
    }
    stretches.sort_unstable_by(|a, b| b.load.total_cmp(&a.load).then(a.begin.cmp(&b.begin)));

    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let tightest = take(&stretches, half).max(1).min(stretches.len());
    let (mut requests, mut late, mut simulated, mut served_stretches) = (0.0, 0.0, 0, 0);
    let (mut responses, mut waits) = (LatencyHistogram::new(), LatencyHistogram::new());
    for (begin, end, sample) in strata(&stretches, tightest, half) {
        let stratum = &mut stretches[begin..end];
        let stands_for = requests_of(stratum);
        let (sample, _) = stratum.partial_shuffle(&mut rng, sample);
        served_stretches += sample.len();
        let weight = stands_for / requests_of(sample).max(f64::MIN_POSITIVE);
        for stretch in sample {
            let served = ticks.serve(stretch, part, plant, seed);
            requests += weight * served.outcome.requests;
            late += weight * served.outcome.late;
            simulated += served.outcome.requests as u64;
            // A histogram counts in whole numbers.
            let times = weight.round().max(1.0) as u64;
            for (us, count) in served.responses.iter_buckets() {
                responses.record_n(us, count * times);
            }
            for (us, count) in served.waits.iter_buckets() {
                waits.record_n(us, count * times);
            }
        }
    }
    let draws = f64::from(SERVICE_DRAWS);
    let slow = (0..SERVICE_DRAWS).filter(|_| plant.service.draw(&mut rng) > plant.late_after_s);
    let seconds = |times: &LatencyHistogram, q: f64| times.quantile_us(q).unwrap_or(0) as f64 / 1e6;
    QueueVerdict {
        late_ratio: if requests > 0.0 { late / requests } else { 0.0 },
        late_by_service: slow.count() as f64 / draws,
        p95_s: seconds(&responses, 0.95),
        p99_s: seconds(&responses, 0.99),
        wait_p95_s: seconds(&waits, 0.95),
        wait_p99_s: seconds(&waits, 0.99),
        simulated,
        stretches: served_stretches as u64,
    }
}

impl QueueVerdict {
    /// Whether no more than `late_share` are late, as far as instances can help: where the service alone
    /// makes more than that late, only the others count.
    #[must_use]
    pub fn meets(&self, late_share: f64) -> bool {
        let beyond_help =
            if self.late_by_service > late_share { self.late_by_service } else { 0.0 };
        self.late_ratio - beyond_help <= late_share
    }
}

/// A stretch of time.
#[derive(Debug, Clone)]
struct Stretch {
    /// First tick.
    begin: usize,
    /// Tick before which it ends.
    end: usize,
    requests: f64,
    /// Most requests of a tick, waiting ones included, for each ready instance.
    load: f64,
    /// Requests that wait when it begins.
    waiting: f64,
}

/// Demand and ready instances tick by tick.
struct Ticks<'a> {
    series: &'a Series,
    ready: &'a [u32],
    tick_s: u32,
    per_step: usize,
}

impl<'a> Ticks<'a> {
    fn new(series: &'a Series, ready: &'a [u32]) -> Self {
        let tick_s = fluid::tick_s(series.step_s);
        Self { series, ready, tick_s, per_step: (series.step_s / tick_s).max(1) as usize }
    }

    /// Requests of a tick; none where the demand is not known.
    fn count(&self, tick: usize) -> f64 {
        let count = self.series.counts.get(tick / self.per_step).copied().unwrap_or(0.0);
        if count > 0.0 { count / self.per_step as f64 } else { 0.0 }
    }

    /// Requests of the busiest tick.
    fn busiest(&self) -> f64 {
        self.series.counts.iter().copied().fold(0.0, f64::max) / self.per_step as f64
    }

    /// All stretches of `length` ticks that hold any requests. What the queue still has when one of
    /// them begins is taken from a liquid that is as patient as requests are.
    fn stretches(&self, plant: &Plant, length: usize) -> Vec<Stretch> {
        let tick_s = f64::from(self.tick_s);
        let mean_s = plant.service.mean();
        let ticks = self.ready.len().min(self.series.len() * self.per_step);
        let mut stretches = Vec::with_capacity(ticks / length + 1);
        let mut waiting = 0.0_f64;
        for begin in (0..ticks).step_by(length) {
            let end = (begin + length).min(ticks);
            let mut stretch = Stretch { begin, end, requests: 0.0, load: 0.0, waiting };
            for tick in begin..end {
                let (count, ready) = (self.count(tick), f64::from(self.ready[tick]));
                let reach = ready * f64::from(plant.slots) / mean_s;
                let most = plant.timeout_s * reach.max(count / tick_s);
                if count > 0.0 {
                    stretch.requests += count;
                    stretch.load = stretch.load.max((waiting + count) / ready);
                }
                waiting = (waiting + count - reach * tick_s).clamp(0.0, most);
            }
            if stretch.requests > 0.0 {
                stretches.push(stretch);
            }
        }
        stretches
    }

    /// Serves a stretch request by request, or, if it is one tick, a `part` of it anywhere in it. What is
    /// drawn depends on `seed` and on its begin.
    fn serve(&self, stretch: &Stretch, part: f64, plant: &Plant, seed: u64) -> QueueOutcome {
        let Stretch { begin, end, .. } = *stretch;
        let tick_s = f64::from(self.tick_s);
        let demand = Series {
            start_s: self.series.start_s + begin as i64 * i64::from(self.tick_s),
            step_s: self.tick_s,
            counts: (begin..end).map(|tick| self.count(tick)).collect(),
            zone: self.series.zone.clone(),
        };
        let own = demand.start_s as u64;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ own);
        let from_s = rng.random::<f64>() * (1.0 - part) * tick_s;
        let arrivals = Poisson::new(&demand, rng).skip_while(|at| *at < from_s);
        let length_s = part * tick_s * demand.len() as f64;

        let slots = f64::from(self.ready[begin]) * f64::from(plant.slots);
        let rate = self.count(begin) / tick_s;
        let waiting = stretch.waiting + (rate - slots / plant.service.mean()) * from_s;
        let busy = if waiting > 0.0 { slots } else { slots.min(rate * plant.service.mean()) };
        let present = (waiting.max(0.0) + busy).round() as usize;

        let supply = Supply::Recorded(&self.ready[begin..end], tick_s);
        let span = (demand.start_s as f64, length_s);
        let own = seed ^ own.rotate_left(32);
        queue::run_behind(present, arrivals.map(|at| at - from_s), span, plant, supply, own)
    }
}

fn requests_of(part: &[Stretch]) -> f64 {
    part.iter().map(|stretch| stretch.requests).sum()
}

/// Cuts `stretches`, the tightest first, into strata `begin..end` with the size of their samples: the
/// `tightest` as they are, then others of growing size, so that what is tight and rare is not missed.
fn strata(stretches: &[Stretch], tightest: usize, budget: f64) -> Vec<(usize, usize, usize)> {
    let mut strata = vec![(0, tightest, tightest)];
    let rest = stretches.len() - tightest;
    if rest == 0 {
        return strata;
    }
    // As many as come to the budget on average: to pick them by what they hold would favour quiet
    // ones.
    let mean = (requests_of(&stretches[tightest..]) / rest as f64).max(f64::MIN_POSITIVE);
    let count = ((budget / mean) as usize / STRATUM_SAMPLE).clamp(1, STRATA_MAX);
    let growth = (stretches.len() as f64 / tightest as f64).powf(1.0 / count as f64);
    let mut begin = tightest;
    for stratum in 1..=count {
        let end = (tightest as f64 * growth.powi(stratum as i32)).round() as usize;
        let end = if stratum == count { stretches.len() } else { end.min(stretches.len()) };
        if end > begin {
            let requests = requests_of(&stretches[begin..end]).max(f64::MIN_POSITIVE);
            let sample = budget / count as f64 * (end - begin) as f64 / requests;
            strata.push((begin, end, (sample as usize).clamp(1, end - begin)));
            begin = end;
        }
    }
    strata
}

/// How many of the first stretches fit into `budget` requests.
fn take(stretches: &[Stretch], budget: f64) -> usize {
    let mut sum = 0.0;
    stretches
        .iter()
        .take_while(|stretch| {
            sum += stretch.requests;
            sum <= budget * (1.0 + 1e-9)
        })
        .count()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::choose::Params;

    fn minutes(counts: Vec<f64>) -> Series {
        Series { start_s: 1_772_409_600, step_s: 60, counts, zone: TimeZone::UTC }
    }

    /// Instances of four slots of 0.1 s: 40/s.
    fn params(late_after_s: f64) -> Params {
        Params { concurrency: Some(4), late_after_s, ..Params::new(40.0) }
    }

    fn verdict(series: &Series, params: &Params, ready: u32, budget: f64) -> QueueVerdict {
        let ready = vec![ready; series.len() * 4];
        queue_verdict(series, &params.plant(), &ready, budget, params.seed)
    }

    /// Nothing waits, so as many are late as have a long service: 1.47 %, 0.04 % by chance.
    #[test]
    fn stretches_draw_for_themselves() {
        let series = minutes(vec![12.0; 5 * 1440]);
        for seed in 1..=6 {
            let found = verdict(&series, &Params { seed, ..params(0.25) }, 5, 1e6);
            let by_chance = (found.late_ratio - found.late_by_service).abs();
            assert!(by_chance < 0.0025, "{seed}: {found:?}");
        }
    }

    /// Two days of 4000/s, but 16 000/s for four minutes, of which a third can be served.
    #[test]
    fn a_short_surge_does_not_stand_for_all() {
        let mut counts = vec![240_000.0; 2880];
        counts[1000..1004].fill(960_000.0);
        let series = minutes(counts);
        for seed in 1..=3 {
            let params = Params { seed, ..params(1.0) };
            // Late from the begin of the surge until 160 s after it.
            let late = 4.0 * 960_000.0 + 160.0 * 4000.0;
            let wanted = late / (2876.0 * 240_000.0 + 4.0 * 960_000.0);
            let found = verdict(&series, &params, 130, 1_500_000.0);
            assert!((found.late_ratio / wanted - 1.0).abs() < 0.25, "{seed}: {wanted} {found:?}");
            let found = verdict(&series, &params, 130, 300_000.0);
            assert!(found.late_ratio < 0.01, "{seed}: {found:?}");
            assert!(found.stretches >= 40 && found.simulated < 1_500_000, "{seed}: {found:?}");
        }
    }

    /// Two hours of 2 % more than can be served: late from the first minute on, not anew every ten.
    #[test]
    fn queues_outlast_a_stretch() {
        let series = minutes(vec![4.0 * 40.8 * 60.0; 120]);
        let found = verdict(&series, &params(1.0), 4, 2e6);
        assert!(found.late_ratio > 0.97, "{found:?}");
    }

    /// Even the shortest stretch is larger than half of the budget.
    #[test]
    fn there_is_always_a_sample() {
        let mut counts = vec![6e6; 600];
        counts[300..302].fill(9e6);
        let found = verdict(&minutes(counts), &params(1.0), 2700, 10_000.0);
        assert!(found.stretches >= 2 && found.late_ratio < 0.1, "{found:?}");
    }
}

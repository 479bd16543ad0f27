//! The final verdict on a policy: single requests through the queue, where there are too many of
//! them by a stratified sample of stretches of time.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use stats::LatencyHistogram;

use crate::Series;
use crate::simulate::arrivals::Poisson;
use crate::simulate::queue::{self, Supply};
use crate::simulate::{Plant, fluid};

/// Length of a stretch, in seconds.
const STRETCH_S: u32 = 600;

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
}

/// Serves the demand of `series` from the ready instances that [`fluid::run`] recorded for it,
/// request by request, with about `budget` requests at most.
///
/// The tightest stretches of ten minutes take up to half of the budget, and count for themselves; a
/// random sample of the others counts for all of those.
pub(super) fn queue_verdict(
    series: &Series,
    plant: &Plant,
    ready: &[u32],
    budget: f64,
    seed: u64,
) -> QueueVerdict {
    let per_stretch = (STRETCH_S / series.step_s).max(1) as usize;
    let ticks = (series.step_s / fluid::tick_s(series.step_s)) as usize;
    let mut stretches: Vec<Stretch> = (0..series.len())
        .step_by(per_stretch)
        .map(|begin| {
            Stretch::new(series, ready, begin..(begin + per_stretch).min(series.len()), ticks)
        })
        .filter(|stretch| stretch.requests > 0.0)
        .collect();
    stretches.sort_by(|a, b| b.load.total_cmp(&a.load));

    let total: f64 = stretches.iter().map(|stretch| stretch.requests).sum();
    let half = if total <= budget { total } else { budget / 2.0 };
    let split = take(&stretches, half).max(1).min(stretches.len());
    let rest = stretches.split_off(split);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut sample = rest.clone();
    sample.shuffle(&mut rng);
    sample.truncate(take(&sample, half));

    let (mut requests, mut late, mut simulated) = (0.0, 0.0, 0);
    let (mut responses, mut waits) = (LatencyHistogram::new(), LatencyHistogram::new());
    let requests_of = |part: &[Stretch]| part.iter().map(|stretch| stretch.requests).sum::<f64>();
    for (part, stands_for) in [(&stretches, requests_of(&stretches)), (&sample, requests_of(&rest))]
    {
        let drawn = requests_of(part);
        let weight = if drawn > 0.0 { stands_for / drawn } else { 0.0 };
        for stretch in part {
            let demand = series.slice(stretch.steps.clone());
            let length_s = f64::from(demand.step_s) * demand.len() as f64;
            let arrivals = Poisson::new(
                &demand,
                Xoshiro256PlusPlus::seed_from_u64(seed ^ demand.start_s as u64),
            );
            let ready = &ready[stretch.steps.start * ticks..stretch.steps.end * ticks];
            let tick_s = f64::from(fluid::tick_s(series.step_s));
            let supply = Supply::Recorded(ready, tick_s);
            let begin_s = demand.start_s as f64;
            let served = queue::run(arrivals, (begin_s, length_s), plant, supply, seed);
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
    }
}

impl QueueVerdict {
    /// Whether no more than `late_share` are late beyond those that their service makes late.
    #[must_use]
    pub fn meets(&self, late_share: f64) -> bool {
        self.late_ratio - self.late_by_service <= late_share
    }
}

/// A stretch of time.
#[derive(Debug, Clone)]
struct Stretch {
    steps: std::ops::Range<usize>,
    requests: f64,
    /// Highest demand for each ready instance.
    load: f64,
}

impl Stretch {
    fn new(series: &Series, ready: &[u32], steps: std::ops::Range<usize>, ticks: usize) -> Self {
        let counts = &series.counts[steps.clone()];
        let by_step = counts.iter().zip(ready[steps.start * ticks..].chunks(ticks));
        let load = by_step
            .filter(|(count, _)| **count > 0.0)
            .map(|(count, ready)| {
                let fewest = ready.iter().copied().min().unwrap_or(0);
                count / f64::from(fewest)
            })
            .fold(0.0, f64::max);
        let requests = counts.iter().filter(|count| count.is_finite()).sum();
        Self { steps, requests, load }
    }
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

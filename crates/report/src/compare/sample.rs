//! Runs as seconds that can be drawn and merged quickly.

use std::collections::BTreeMap;
use std::time::Duration;

use stats::bootstrap::{block_length, block_length_of};

use super::Figure;
use crate::runfile::{EndpointName, EndpointTick, RunFile, RunTick};

/// A shorter tick is merged into the one before.
const WHOLE_TICK: Duration = Duration::from_millis(500);

/// Most slots of a run: a replicate of a long run needs no more time than that of a short one, and
/// slots stay shorter than the blocks that are drawn.
const SLOTS_MAX: usize = 600;

/// Values of [`Figure::ALL`], in its order; NaN for what does not exist.
pub(super) type Figures = [f64; Figure::ALL.len()];

/// A run, after its warm-up.
pub(super) struct Run {
    /// All requests together.
    pub(super) total: Sample,
    /// The endpoints asked for, in their order.
    pub(super) endpoints: Vec<Sample>,
}

/// Requests and unsent arrivals of each endpoint that has any.
pub(super) fn offered(file: &RunFile) -> BTreeMap<&EndpointName, u64> {
    let mut offered: BTreeMap<&EndpointName, u64> = BTreeMap::new();
    for tick in file.ticks.iter().flat_map(|tick| &tick.endpoints) {
        let of_tick = tick.requests.saturating_add(tick.unsent);
        if let Some(name) = file.header.endpoints.get(tick.endpoint).filter(|_| of_tick > 0) {
            let sum = offered.entry(name).or_default();
            *sum = sum.saturating_add(of_tick);
        }
    }
    offered
}

/// The slots of one endpoint, or of all together. Every sample of a run has the same slots.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    slots: Vec<Slot>,
    /// Response times in µs that occur, rising; buckets refer to them by index.
    values: Vec<u32>,
}

/// What happened in a second, or in a few of a long run. Counts are floats: sums of hostile ones must
/// not overflow.
#[derive(Debug, Clone, Default)]
struct Slot {
    length: f64,
    requests: f64,
    failed: f64,
    offered: f64,
    response_sum_us: f64,
    responses: f64,
    /// Index of the value, and how often it occurs.
    buckets: Vec<(u32, u32)>,
}

impl Run {
    pub(super) fn new(file: &RunFile, endpoints: &[&EndpointName], warm_up: Duration) -> Run {
        let groups = slots(file, warm_up);
        let sample = |wanted: Option<&EndpointName>| {
            let names = file.header.endpoints.iter();
            let is_wanted: Vec<bool> =
                names.map(|name| wanted.is_none_or(|wanted| wanted == name)).collect();
            Sample::new(groups.iter().map(|group| {
                let ticks = group.ticks.iter().flat_map(|tick| &tick.endpoints);
                let wanted = ticks.filter(|tick| is_wanted.get(tick.endpoint) == Some(&true));
                (group.length, wanted.collect())
            }))
        };
        let endpoints = endpoints.iter().map(|name| sample(Some(name))).collect();
        Run { total: sample(None), endpoints }
    }

    /// Slots, which are what is drawn.
    pub(super) fn slots(&self) -> usize {
        self.total.slots.len()
    }

    /// Time that the slots cover.
    pub(super) fn seconds(&self) -> f64 {
        self.total.slots.iter().map(|slot| slot.length).sum()
    }

    /// Slots per block: long enough for the dependence of throughput and of response times.
    pub(super) fn block_length(&self) -> usize {
        let n = self.slots();
        let rates: Vec<f64> = self.total.slots.iter().map(|slot| slot.requests).collect();
        let means: Vec<f64> = self
            .total
            .slots
            .iter()
            .filter(|slot| slot.responses > 0.0)
            .map(|slot| slot.response_sum_us / slot.responses)
            .collect();
        let longest = block_length(n).max(block_length_of(&rates)).max(block_length_of(&means));
        // Fewer than five blocks would say nothing of how much they vary.
        longest.min(n / 5).max(1)
    }
}

/// Ticks that count as one slot.
struct Group<'a> {
    /// In seconds.
    length: f64,
    ticks: Vec<&'a RunTick>,
}

/// The ticks after the warm-up, without pauses. What comes after the end of the run (requests under
/// way that were waited for) joins the last second, as it does in the run's own figures; so does a
/// last tick that is no whole second.
fn slots(file: &RunFile, warm_up: Duration) -> Vec<Group<'_>> {
    let duration = file
        .result
        .as_ref()
        .and_then(|result| result["totals"]["duration-s"].as_f64())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(Duration::MAX);
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut active = Duration::ZERO;
    for tick in &file.ticks {
        if tick.paused && tick.endpoints.is_empty() {
            continue;
        }
        let began = active;
        active = active.saturating_add(tick.interval);
        if began < warm_up {
            continue;
        }
        let length = active.min(duration).saturating_sub(began);
        match groups.last_mut() {
            Some(last) if length < WHOLE_TICK => {
                last.length += length.as_secs_f64();
                last.ticks.push(tick);
            }
            _ => groups.push(Group { length: length.as_secs_f64(), ticks: vec![tick] }),
        }
    }
    while groups.len() > SLOTS_MAX {
        let joined = groups.chunks(2).map(|pair| Group {
            length: pair.iter().map(|group| group.length).sum(),
            ticks: pair.iter().flat_map(|group| group.ticks.iter().copied()).collect(),
        });
        groups = joined.collect();
    }
    groups
}

impl Sample {
    /// A sample of slots, each given by its length and what happened in it.
    fn new<'a>(groups: impl Iterator<Item = (f64, Vec<&'a EndpointTick>)> + Clone) -> Sample {
        let mut values: Vec<u32> = groups
            .clone()
            .flat_map(|(_, ticks)| ticks)
            .flat_map(|tick| tick.response.iter().map(|(us, _)| *us))
            .collect();
        values.sort_unstable();
        values.dedup();
        let slots = groups
            .map(|(length, ticks)| {
                let mut slot = Slot { length, ..Slot::default() };
                let mut buckets: BTreeMap<u32, u32> = BTreeMap::new();
                for tick in ticks {
                    let (requests, unsent) = (tick.requests as f64, tick.unsent as f64);
                    slot.requests += requests;
                    slot.failed += tick.failures as f64 + unsent;
                    slot.offered += requests + unsent;
                    slot.response_sum_us += tick.response_sum_us as f64;
                    for (us, count) in &tick.response {
                        slot.responses += f64::from(*count);
                        let sum = buckets.entry(*us).or_default();
                        *sum = sum.saturating_add(*count);
                    }
                }
                let index_of = |us: u32| values.partition_point(|value| *value < us) as u32;
                slot.buckets =
                    buckets.into_iter().map(|(us, count)| (index_of(us), count)).collect();
                slot
            })
            .collect();
        Sample { slots, values }
    }

    pub(super) fn requests(&self) -> f64 {
        self.slots.iter().map(|slot| slot.requests).sum()
    }

    pub(super) fn responses(&self) -> f64 {
        self.slots.iter().map(|slot| slot.responses).sum()
    }

    /// The figures of the slots with these indices, each as often as it occurs.
    pub(super) fn measure(&self, indices: &[usize]) -> Figures {
        let mut sum = Slot::default();
        let mut counts = vec![0_u64; self.values.len()];
        for &index in indices {
            let slot = &self.slots[index];
            sum.length += slot.length;
            sum.requests += slot.requests;
            sum.failed += slot.failed;
            sum.offered += slot.offered;
            sum.response_sum_us += slot.response_sum_us;
            sum.responses += slot.responses;
            for &(value, count) in &slot.buckets {
                counts[value as usize] += u64::from(count);
            }
        }
        // Requests per second of no time do not exist, whatever was counted in it.
        let per_s = if sum.length > 0.0 { sum.requests / sum.length } else { f64::NAN };
        Figure::ALL.map(|figure| match figure {
            Figure::RequestsPerS => per_s,
            Figure::FailureRatio => sum.failed / sum.offered,
            Figure::Mean => sum.response_sum_us / sum.responses / 1e3,
            Figure::P50 | Figure::P95 | Figure::P99 => {
                figure.quantile().map_or(f64::NAN, |q| self.quantile_ms(&counts, q))
            }
        })
    }

    /// Quantile by nearest rank, in milliseconds.
    fn quantile_ms(&self, counts: &[u64], q: f64) -> f64 {
        let total: f64 = counts.iter().map(|count| *count as f64).sum();
        let rank = (q * total).ceil().max(1.0);
        let mut up_to = 0.0;
        for (us, count) in self.values.iter().zip(counts) {
            up_to += *count as f64;
            if up_to >= rank {
                return f64::from(*us) / 1e3;
            }
        }
        f64::NAN
    }
}

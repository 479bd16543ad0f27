//! What the gateway saw of requests, by experiment, phase and variant.

use super::histogram::BUCKET_MAX;
use super::limits;
use crate::event::{DecodeError, LATENCY_BUCKETS_MAX, NAME_BYTES_MAX, Reader, Traffic, Writer};
use std::collections::BTreeMap;

/// Requests of one phase and variant. Requests of one unit resemble each other, so this is for
/// watching and for guardrails; comparisons of units are metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrafficTotals {
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Bytes of the responses.
    pub bytes: u64,
    /// Requests by bucket of their response time in microseconds ([`super::bucket_value`]).
    pub latency: BTreeMap<i16, u64>,
}

impl TrafficTotals {
    /// Adds those of another shard or node.
    pub fn merge(&mut self, other: &TrafficTotals) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.bytes = self.bytes.saturating_add(other.bytes);
        for (&bucket, &count) in &other.latency {
            let own = self.latency.entry(bucket).or_insert(0);
            *own = own.saturating_add(count);
        }
    }

    /// A quantile of the response times, in microseconds; `None` without requests or outside 0..1.
    #[must_use]
    pub fn latency_quantile(&self, q: f64) -> Option<f64> {
        let total = self.latency.values().fold(0_u64, |sum, &count| sum.saturating_add(count));
        if total == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total);
        let mut seen = 0_u64;
        let mut buckets = self.latency.iter();
        let (&bucket, _) = buckets.find(|(_, count)| {
            seen = count.saturating_add(seen);
            seen >= rank
        })?;
        Some(super::bucket_value(bucket))
    }
}

type Place = (u16, u16);

/// Totals by experiment, then phase and variant.
#[derive(Debug, Default)]
pub(super) struct TrafficTable(BTreeMap<Box<str>, BTreeMap<Place, TrafficTotals>>);

impl TrafficTable {
    pub(super) fn add(&mut self, traffic: &Traffic<'_>) {
        let places = match self.0.get_mut(traffic.experiment) {
            Some(places) => places,
            None => self.0.entry(traffic.experiment.into()).or_default(),
        };
        let mut more = TrafficTotals {
            requests: traffic.requests,
            errors: traffic.errors,
            bytes: traffic.bytes,
            latency: BTreeMap::new(),
        };
        for &(bucket, count) in &traffic.latency {
            *more.latency.entry(bucket.clamp(0, BUCKET_MAX)).or_insert(0) += count;
        }
        places.entry((traffic.phase, traffic.variant)).or_default().merge(&more);
    }

    pub(super) fn of(&self, experiment: &str) -> impl Iterator<Item = (&Place, &TrafficTotals)> {
        self.0.get(experiment).into_iter().flatten()
    }

    pub(super) fn forget(&mut self, experiment: &str) {
        self.0.remove(experiment);
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.0.len() as u64);
        for (experiment, places) in &self.0 {
            out.text(experiment);
            out.number(places.len() as u64);
            for ((phase, variant), totals) in places {
                out.number((*phase).into());
                out.number((*variant).into());
                out.number(totals.requests);
                out.number(totals.errors);
                out.number(totals.bytes);
                out.number(totals.latency.len() as u64);
                for (&bucket, &count) in &totals.latency {
                    out.signed(bucket.into());
                    out.number(count);
                }
            }
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<TrafficTable, DecodeError> {
        let mut table = TrafficTable::default();
        for _ in 0..from.count(limits::TRAFFIC_MAX, "number of experiments")? {
            let mut places = BTreeMap::new();
            let experiment = from.text(NAME_BYTES_MAX, "experiment")?;
            for _ in 0..from.count(limits::TRAFFIC_MAX, "number of variants")? {
                let place = (from.small("phase")?, from.small("variant")?);
                let mut totals = TrafficTotals {
                    requests: from.number()?,
                    errors: from.number()?,
                    bytes: from.number()?,
                    latency: BTreeMap::new(),
                };
                for _ in 0..from.count(2 * LATENCY_BUCKETS_MAX, "number of buckets")? {
                    let bucket = from.signed()?.try_into();
                    let bucket = bucket.map_err(|_| DecodeError::Value("bucket"))?;
                    totals.latency.insert(bucket, from.number()?);
                }
                places.insert(place, totals);
            }
            table.0.insert(experiment.into(), places);
        }
        Ok(table)
    }
}

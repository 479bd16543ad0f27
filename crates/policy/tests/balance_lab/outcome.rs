//! What came out of a simulation.

use std::collections::BTreeMap;

use crate::scenario::Expect;
use crate::sim::Request;

#[derive(Debug)]
pub(crate) struct Outcome {
    share: Vec<f64>,
    p50_ms: f64,
    p99_ms: f64,
    failed: f64,
    sticky: f64,
}

/// The outcome for the requests that arrived within the period of `expect`.
pub(crate) fn measure(requests: &[Request], servers: usize, expect: &Expect) -> Outcome {
    let period = expect.from_s..expect.to_s;
    let requests: Vec<_> = requests.iter().filter(|r| period.contains(&r.arrived_s)).collect();
    let part = |count: usize| count as f64 / requests.len() as f64;
    let by = |server| requests.iter().filter(|r| r.server == Some(server)).count();
    let latencies = requests.iter().filter(|r| r.ok).map(|r| r.latency_s * 1e3);
    let mut latencies: Vec<f64> = latencies.collect();
    latencies.sort_by(f64::total_cmp);
    let quantile = |q: f64| latencies[(q * (latencies.len() - 1) as f64) as usize];

    let mut by_key: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (key, server) in requests.iter().filter_map(|r| r.key.zip(r.server)) {
        by_key.entry(key).or_insert_with(|| vec![0; servers])[server] += 1;
    }
    let most = by_key.values().filter_map(|counts| counts.iter().max()).sum();
    Outcome {
        share: (0..servers).map(|server| part(by(server))).collect(),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        failed: part(requests.iter().filter(|r| !r.ok).count()),
        sticky: part(most),
    }
}

impl Outcome {
    /// What lies outside of the allowed ranges.
    pub(crate) fn outside(&self, expect: &Expect) -> Vec<String> {
        let single = [
            ("p50_ms", self.p50_ms, expect.p50_ms),
            ("p99_ms", self.p99_ms, expect.p99_ms),
            ("failed", self.failed, expect.failed),
            ("sticky", self.sticky, expect.sticky),
        ];
        let single = single.into_iter().filter_map(|(name, got, range)| Some((name, got, range?)));
        let shares =
            self.share.iter().zip(&expect.share).map(|(&got, &range)| ("share", got, range));
        let outside = single.chain(shares).filter(|(_, got, [low, high])| got < low || got > high);
        let at = format!("{}..{} s", expect.from_s, expect.to_s);
        outside
            .map(|(name, got, range)| format!("{at}: {name} {got:.4} not in {range:?}"))
            .collect()
    }
}

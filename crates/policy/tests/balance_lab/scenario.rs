//! What a scenario file says.

use policy::balance::Algorithm;
use serde::Deserialize;

/// Servers, arrivals, and what must come out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) duration_s: f64,
    /// Mean arrivals per second of a Poisson process.
    pub(crate) rate: f64,
    /// Requests draw their key from so many; 0: they have none.
    #[serde(default)]
    pub(crate) keys: u32,
    /// How often a request that failed is sent in all, each time to another server.
    #[serde(default = "one_try")]
    pub(crate) tries: usize,
    /// How long after the fact the balancer learns that a server went down or came up.
    #[serde(default)]
    pub(crate) notice_s: f64,
    /// Window of slow start, from when the balancer learns that a server came up.
    #[serde(default)]
    pub(crate) slow_start_s: f64,
    pub(crate) server: Vec<Server>,
    pub(crate) expect: Vec<Expect>,
}

/// A server: a queue in front of `concurrency` workers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    #[serde(default = "weight_1")]
    pub(crate) weight: u16,
    /// Mean time of service.
    pub(crate) mean_ms: f64,
    /// Which part of it is exponentially distributed, 0..=1; the rest is constant.
    pub(crate) jitter: f64,
    /// Requests served at once.
    pub(crate) concurrency: usize,
    /// When service takes longer.
    pub(crate) slow: Option<Slow>,
    /// When requests are refused at once.
    pub(crate) down: Option<Period>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slow {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) factor: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Period {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
}

/// Allowed ranges, for requests that arrived within a period.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) balance: Vec<Balance>,
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    /// Of the requests, by the server that was asked last.
    #[serde(default)]
    pub(crate) share: Vec<[f64; 2]>,
    /// Latency of requests that succeeded.
    pub(crate) p50_ms: Option<[f64; 2]>,
    pub(crate) p99_ms: Option<[f64; 2]>,
    /// Part of the requests that failed.
    pub(crate) failed: Option<[f64; 2]>,
    /// Part of the requests that went where most requests of their key went.
    pub(crate) sticky: Option<[f64; 2]>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Balance {
    RoundRobin,
    LeastRequests,
    PeakEwma,
    Random,
    Hash,
    Maglev,
}

impl Balance {
    pub(crate) fn algorithm(self) -> Algorithm {
        match self {
            Balance::RoundRobin => Algorithm::RoundRobin,
            Balance::LeastRequests => Algorithm::LeastRequests,
            Balance::PeakEwma => Algorithm::PeakEwma,
            Balance::Random => Algorithm::Random,
            Balance::Hash => Algorithm::RingHash,
            Balance::Maglev => Algorithm::Maglev,
        }
    }
}

fn one_try() -> usize {
    1
}

fn weight_1() -> u16 {
    1
}

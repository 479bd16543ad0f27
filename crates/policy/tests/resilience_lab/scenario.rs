//! What a scenario file says.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Servers, arrivals, decisions, and what must come out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) duration_s: f64,
    /// Mean arrivals per second of a Poisson process, from a time on.
    pub(crate) rate: Vec<Rate>,
    /// How long an attempt may take.
    pub(crate) timeout_s: f64,
    pub(crate) limit: Option<Limit>,
    pub(crate) breaker: Option<Breaker>,
    pub(crate) ejection: Option<Ejection>,
    pub(crate) health: Option<Health>,
    pub(crate) retry: Option<Retry>,
    pub(crate) adaptive: Option<Adaptive>,
    pub(crate) server: Vec<Server>,
    pub(crate) expect: Vec<Expect>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    pub(crate) from_s: f64,
    pub(crate) per_s: f64,
}

/// A rate limit of all requests together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    pub(crate) rate: f64,
    pub(crate) burst: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Breaker {
    pub(crate) failures: u32,
    pub(crate) open_for_s: f64,
    pub(crate) half_open_requests: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ejection {
    pub(crate) consecutive_errors: u32,
    pub(crate) max_ejected: f64,
    pub(crate) base_s: f64,
    pub(crate) max_s: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    pub(crate) every_s: f64,
    pub(crate) fall: u32,
    pub(crate) rise: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    pub(crate) attempts: u32,
    /// No budget: everything may be tried again.
    pub(crate) budget: Option<f64>,
    pub(crate) floor: f64,
    pub(crate) backoff_s: f64,
    pub(crate) backoff_max_s: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adaptive {
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) initial: u32,
}

/// A server: a queue in front of places where requests are served.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Time on the way, there and back.
    #[serde(default)]
    pub(crate) link_ms: f64,
    /// Mean time of service.
    pub(crate) mean_ms: f64,
    /// Which part of it is exponentially distributed, 0..=1; the rest is constant.
    pub(crate) jitter: f64,
    /// This part of the requests, 0..=1, takes `heavy_factor` times as long.
    #[serde(default)]
    pub(crate) heavy: f64,
    #[serde(default)]
    pub(crate) heavy_factor: f64,
    /// Requests served at once: the knee.
    pub(crate) places: usize,
    /// Times when it is different; the first that fits holds.
    #[serde(default)]
    pub(crate) phase: Vec<Phase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phase {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    /// Comes back with this period, when given.
    pub(crate) every_s: Option<f64>,
    /// Part of the requests that fail.
    #[serde(default)]
    pub(crate) failing: f64,
    /// How many times longer service takes.
    #[serde(default = "one")]
    pub(crate) slower: f64,
    /// Places that are left.
    pub(crate) places: Option<usize>,
}

/// Allowed ranges of what happened within a period.
#[derive(Debug, Deserialize)]
pub(crate) struct Expect {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    #[serde(flatten)]
    pub(crate) ranges: BTreeMap<String, [f64; 2]>,
}

fn one() -> f64 {
    1.0
}

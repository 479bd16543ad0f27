//! What a capacity search found.

use std::time::Duration;

use stats::UslFit;

use crate::slo::Objective;
use crate::verdict::BoundBy;

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchBy {
    /// Users of a closed model.
    Users,
    /// Arrivals per second of an open model.
    Rate,
}

impl SearchBy {
    /// `users` or `requests/s`.
    pub fn unit(self) -> &'static str {
        match self {
            SearchBy::Users => "users",
            SearchBy::Rate => "requests/s",
        }
    }
}

/// Why a trial was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialPurpose {
    /// Doubling until the objectives are missed.
    Bracket,
    /// Narrowing between a met and a missed load.
    Search,
    /// A load measured again because trials contradicted each other.
    Recheck,
    /// A long trial at the answer or just above it.
    Confirm,
}

impl TrialPurpose {
    /// `bracket`, `search`, `recheck` or `confirm`.
    pub fn name(self) -> &'static str {
        match self {
            TrialPurpose::Bracket => "bracket",
            TrialPurpose::Search => "search",
            TrialPurpose::Recheck => "recheck",
            TrialPurpose::Confirm => "confirm",
        }
    }
}

/// What one trial at one load measured, after its warm-up was cut off.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The load: users, or arrivals per second.
    pub load: f64,
    /// Why it was run.
    pub purpose: TrialPurpose,
    /// Measured time, without warm-up.
    pub duration: Duration,
    /// Successful responses per second.
    pub requests_per_s: f64,
    /// Arrivals per second that were asked for, in an open model.
    pub offered_per_s: Option<f64>,
    /// Median response time.
    pub p50_ms: f64,
    /// 95th percentile of the response time.
    pub p95_ms: f64,
    /// 99th percentile of the response time.
    pub p99_ms: f64,
    /// Mean response time.
    pub mean_ms: f64,
    /// Mean number of requests in flight.
    pub in_flight: f64,
    /// Share of failed or unsent requests.
    pub failures: f64,
    /// Whether every objective held and the target kept up with the load.
    pub met: bool,
    /// The first objective that did not hold, or the signal that the target did not keep up.
    pub failed: Option<String>,
    /// Set when the trial says more about the generator than about the target: why.
    pub generator_limited: Option<String>,
}

/// How the search knew that the target was at its limit.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Requests in flight grew at a constant offered rate: a queue that never empties.
    QueueGrowth,
    /// More load brought no more throughput, only longer response times.
    FlatThroughput,
    /// Requests failed.
    Errors,
    /// The objective was missed before any of the others showed.
    SloOnly,
}

impl Signal {
    /// The signal in plain words.
    pub fn text(&self) -> &'static str {
        match self {
            Signal::QueueGrowth => "requests in flight kept growing",
            Signal::FlatThroughput => "throughput stayed flat while response times rose",
            Signal::Errors => "requests failed",
            Signal::SloOnly => "the objective was missed while throughput still grew",
        }
    }
}

/// The answer of a capacity search.
#[derive(Debug, Clone)]
pub struct CapacityResult {
    /// What was varied.
    pub by: SearchBy,
    /// The objectives.
    pub slo: Vec<Objective>,
    /// Highest load that met them: users, or arrivals per second; 0 when none did.
    pub load: f64,
    /// Successful responses per second at that load.
    pub requests_per_s: f64,
    /// Confidence interval (95 %) of the load.
    pub ci: (f64, f64),
    /// The target, as it should be; the generator, when it was the limit; nothing, when the
    /// highest load allowed still met the objectives.
    pub bound_by: BoundBy,
    /// What did not hold at the lowest load that failed, such as `p95<1s`.
    pub failed_first: Option<String>,
    /// The lowest load that failed.
    pub failed_load: Option<f64>,
    /// The signal that told.
    pub signal: Option<Signal>,
    /// Universal Scalability Law, fitted to throughput over concurrency of the trials.
    pub usl: Option<UslFit>,
    /// Load at the knee of the latency curve.
    pub knee: Option<f64>,
    /// Every trial, in the order they were run.
    pub trials: Vec<Trial>,
    /// Why the answer should be doubted, if it should.
    pub doubts: Vec<String>,
}

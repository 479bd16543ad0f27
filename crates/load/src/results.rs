//! What a run found out. Times are microseconds in histograms, offsets from the start elsewhere.

use std::time::Duration;

use stats::LatencyHistogram;

use crate::failure::FailureKind;
use crate::scenario::Endpoint;
use crate::slo::Objective;
use crate::verdict::Verdict;

/// Most distinct errors that a run tells apart; what comes later counts under the detail
/// [`crate::scenario::OTHER_NAME`].
pub const ERROR_GROUPS_MAX: usize = 500;

/// Points that the series holds before its interval doubles: its length grows with the logarithm
/// of the run time only.
pub const SERIES_POINTS: usize = 3_600;

/// Counters and histograms of one endpoint, or of all of them together.
#[derive(Debug, Clone, Default)]
pub struct RequestStats {
    /// Requests sent and finished, well or not.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those answered with 429.
    pub rate_limited: u64,
    /// Those that ran into a timeout.
    pub timeouts: u64,
    /// Arrivals that were due and never sent. They are not among `requests`.
    pub unsent: u64,
    /// Bytes of responses as received: heads and bodies, before decoding.
    pub bytes_received: u64,
    /// Bytes of requests as sent.
    pub bytes_sent: u64,
    /// Bytes of response bodies, before decoding.
    pub body_bytes: u64,
    /// End − intended start of every request, failed ones included; an unsent arrival counts with
    /// the time it had been due for when it was given up.
    pub response: LatencyHistogram,
    /// End − actual start.
    pub service: LatencyHistogram,
    /// Actual start − intended start.
    pub delay: LatencyHistogram,
}

impl RequestStats {
    /// Adds the other's counts.
    pub fn merge(&mut self, other: &RequestStats) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.rate_limited += other.rate_limited;
        self.timeouts += other.timeouts;
        self.unsent += other.unsent;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.body_bytes += other.body_bytes;
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.delay.merge(&other.delay);
    }

    /// Back to zero, keeping memory.
    pub fn clear(&mut self) {
        self.requests = 0;
        self.failures = 0;
        self.rate_limited = 0;
        self.timeouts = 0;
        self.unsent = 0;
        self.bytes_received = 0;
        self.bytes_sent = 0;
        self.body_bytes = 0;
        self.response.clear();
        self.service.clear();
        self.delay.clear();
    }

    /// Share of requests that failed or were never sent; zero when there was none.
    pub fn failure_ratio(&self) -> f64 {
        let offered = self.requests + self.unsent;
        if offered == 0 { 0.0 } else { (self.failures + self.unsent) as f64 / offered as f64 }
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.requests == 0 && self.unsent == 0
    }
}

/// Where the time of requests went. Connect and TLS count once per connection.
#[derive(Debug, Clone, Default)]
pub struct Phases {
    /// Name look-up, when one was needed.
    pub dns: LatencyHistogram,
    /// Until the TCP connection stood.
    pub connect: LatencyHistogram,
    /// TLS handshake.
    pub tls: LatencyHistogram,
    /// From the request written to the first byte of the response.
    pub first_byte: LatencyHistogram,
    /// From the first to the last byte of the response.
    pub body: LatencyHistogram,
}

impl Phases {
    /// Every phase with its name, in order.
    pub fn named(&self) -> [(&'static str, &LatencyHistogram); 5] {
        [
            ("dns", &self.dns),
            ("connect", &self.connect),
            ("tls", &self.tls),
            ("first-byte", &self.first_byte),
            ("body", &self.body),
        ]
    }
}

/// Failures of the same kind and detail at one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorGroup {
    /// Index of the endpoint.
    pub endpoint: usize,
    /// Kind of failure.
    pub kind: FailureKind,
    /// What differs within the kind.
    pub detail: String,
    /// How many.
    pub count: u64,
    /// First seen.
    pub first: Duration,
    /// Last seen.
    pub last: Duration,
}

/// One point of the time series. It covers the time since the point before.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeriesPoint {
    /// End of the interval.
    pub at: Duration,
    /// Length of the interval.
    pub interval: Duration,
    /// Users alive at its end (closed model), or users that have a request in flight or have had.
    pub users: u64,
    /// Requests under way at its end.
    pub in_flight: u64,
    /// Requests that the schedule asked for, per second; `None` in a closed model.
    pub offered_per_s: Option<f64>,
    /// Requests finished per second.
    pub requests_per_s: f64,
    /// Of these, failed.
    pub failures_per_s: f64,
    /// Bytes received per second.
    pub bytes_per_s: f64,
    /// Median response time of the interval; `None` without a request.
    pub p50: Option<Duration>,
    /// 95th percentile.
    pub p95: Option<Duration>,
    /// 99th percentile.
    pub p99: Option<Duration>,
    /// CPU time of the busiest worker thread over wall time, 0 ..= 1.
    pub generator_cpu: f64,
    /// Worst lag of a timer in the interval.
    pub lag_max: Duration,
    /// Values of the watched series, in the order of [`RunResult::watched`].
    pub watched: Vec<Option<f64>>,
}

/// A watched quantity of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedSeries {
    /// Name, such as `pid 4711 cpu`.
    pub name: String,
    /// Unit: `cores`, `bytes`, or empty.
    pub unit: String,
}

/// How the generator itself fared.
#[derive(Debug, Clone, Default)]
pub struct GeneratorHealth {
    /// Worker threads.
    pub workers: usize,
    /// CPU time of each worker over the wall time of the run, 0 ..= 1.
    pub worker_cpu: Vec<f64>,
    /// Share of the run that each worker was ready to run but got no CPU, where the system tells.
    pub worker_starved: Vec<f64>,
    /// How late timers fired when the generator was otherwise ready to send.
    pub lag: LatencyHistogram,
    /// Requests that failed for want of descriptors.
    pub out_of_descriptors: u64,
    /// Requests that failed for want of local ports.
    pub out_of_ports: u64,
    /// Limit on open descriptors.
    pub descriptor_limit: Option<u64>,
    /// Most connections that were open at once.
    pub connections_max: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// TCP segments retransmitted over segments sent, on the whole machine; `None` if unknown.
    pub retransmit_ratio: Option<f64>,
    /// CPU time of the whole process.
    pub process_cpu: Duration,
}

/// One burst of a burst run.
#[derive(Debug, Clone, PartialEq)]
pub struct BurstResult {
    /// When it started.
    pub at: Duration,
    /// From the start to the last answer.
    pub duration: Duration,
    /// Requests.
    pub requests: u64,
    /// Those that succeeded.
    pub successes: u64,
    /// Those answered with 429.
    pub rate_limited: u64,
    /// Requests per second of the burst.
    pub requests_per_s: f64,
}

/// An objective and what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct SloResult {
    /// The objective.
    pub objective: Objective,
    /// The measured figure: seconds, a share, or a rate; `None` when nothing was measured.
    pub measured: Option<f64>,
    /// Whether it held.
    pub met: bool,
}

/// Something a person should know, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What was seen, with figures.
    pub text: String,
    /// What to do about it.
    pub advice: String,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Low,
    /// Look at it.
    Medium,
    /// Act on it.
    High,
}

impl Severity {
    /// `low`, `medium` or `high`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

/// What became of the lines of a replayed log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayAccount {
    /// Lines read.
    pub lines: u64,
    /// Lines that are requests.
    pub parsed: u64,
    /// Lines that are not, by reason.
    pub rejected: Vec<(String, u64)>,
    /// Parsed requests that are not sent because their method may change the target, by method.
    pub skipped: Vec<(String, u64)>,
}

impl ReplayAccount {
    /// Lines rejected for any reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, count)| count).sum()
    }

    /// Requests skipped for any method.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.iter().map(|(_, count)| count).sum()
    }
}

/// Everything that one run found out.
#[derive(Debug, Clone)]
pub struct RunResult {
    /// Name of the model: `closed`, `open`, `burst`, `replay`.
    pub model: &'static str,
    /// The host that was tested, as a URL.
    pub host: String,
    /// Wall-clock start, milliseconds since the Unix epoch.
    pub started_unix_ms: i64,
    /// From the start until the last request ended.
    pub duration: Duration,
    /// Highest number of users.
    pub users_max: u64,
    /// All requests together.
    pub totals: RequestStats,
    /// One entry per endpoint that had any request, in the order of the scenario.
    pub tasks: Vec<(Endpoint, RequestStats)>,
    /// The scenario's endpoints, to which [`ErrorGroup::endpoint`] refers.
    pub endpoints: Vec<Endpoint>,
    /// Where the time went.
    pub phases: Phases,
    /// Failures by kind and detail, most frequent first.
    pub errors: Vec<ErrorGroup>,
    /// The run over time.
    pub series: Vec<SeriesPoint>,
    /// Names of the watched series.
    pub watched: Vec<WatchedSeries>,
    /// Bursts, in a burst run.
    pub bursts: Vec<BurstResult>,
    /// Lines of the log, in a replay.
    pub replay: Option<ReplayAccount>,
    /// The generator.
    pub generator: GeneratorHealth,
    /// Objectives.
    pub slo: Vec<SloResult>,
    /// What bound the run, and whether to believe it.
    pub verdict: Verdict,
    /// Advice, most severe first.
    pub findings: Vec<Finding>,
    /// Whether a person or a signal ended the run early.
    pub interrupted: bool,
}

impl RunResult {
    /// Requests finished per second of the run.
    pub fn requests_per_s(&self) -> f64 {
        per_second(self.totals.requests, self.duration)
    }
}

/// `count` per second of `duration`; zero for no duration.
pub fn per_second(count: u64, duration: Duration) -> f64 {
    let seconds = duration.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// The state of a run at a tick, once a second and once at the end, for those who watch it.
#[derive(Debug)]
pub struct Tick<'a> {
    /// Time since the start.
    pub at: Duration,
    /// How long the run will take, when that is known.
    pub planned: Option<Duration>,
    /// How many requests it will send, when that is known.
    pub planned_requests: Option<u64>,
    /// The interval that ended now (always one tick long, unlike points of the series).
    pub point: &'a SeriesPoint,
    /// The scenario's endpoints.
    pub endpoints: &'a [Endpoint],
    /// Statistics of the interval, by endpoint.
    pub interval: &'a [RequestStats],
    /// Statistics since the start, by endpoint.
    pub so_far: &'a [RequestStats],
    /// Statistics since the start, all endpoints together.
    pub totals: &'a RequestStats,
    /// Names of the watched series.
    pub watched: &'a [WatchedSeries],
    /// Errors so far.
    pub errors: &'a [ErrorGroup],
    /// Whether the run is paused.
    pub paused: bool,
}

//! The report, as it is shown and written. Serialised, its names are kebab-case and stable: they are
//! added to, never renamed.

use serde::{Serialize, Serializer};

use super::{Finding, Latency, Panels, Quantiles};

/// Name and version of the JSON shape.
pub const SCHEMA: &str = "tidegate.logs/1";

/// What a log tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Sums over the whole log.
    pub totals: Totals,
    /// Lines that were no records, by reason, most frequent first.
    pub rejects: Vec<RejectCount>,
    /// Tables by what they count.
    pub panels: Panels,
    /// Requests and status classes over time, at most
    /// [`TIMELINE_POINTS_MAX`](super::TIMELINE_POINTS_MAX) points.
    pub timeline: Timeline,
    /// Where the most requests were.
    pub busiest: Busiest,
    /// Requests under way at once, where the log has durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Latency over all requests, where the log has durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Quantiles>,
    /// The slowest requests, slowest first.
    pub slowest: Vec<SlowRequest>,
    /// What an operator should look at, most severe first.
    pub findings: Vec<Finding>,
    /// What limits this report: estimates and caps that were reached. Sentences for people.
    pub notes: Vec<String>,
    /// What sizing needs and JSON leaves out for its length.
    #[serde(skip)]
    pub demand: Demand,
}

/// Sums over the whole log.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// Lines read: `parsed + rejected`.
    pub read: u64,
    /// Lines that are records, whether or not the filter took them.
    pub parsed: u64,
    /// Lines that are not.
    pub rejected: u64,
    /// Parsed lines that the filter left out; they count nowhere else.
    pub excluded: u64,
    /// Requests of the lines that were taken; more than lines where a line stands for several.
    pub requests: u64,
    /// Distinct client + date + agent, as GoAccess counts visitors: dates are those of the log's zone,
    /// and requests answered with 4xx make no visitor.
    pub unique_visitors: u64,
    /// Whether [`Self::unique_visitors`] is an estimate by HyperLogLog (standard error 0.8 %).
    pub unique_visitors_estimated: bool,
    /// Bytes of responses, as logged.
    pub bytes: u64,
    /// Requests for static files, by the ending of the path.
    pub static_requests: u64,
    /// Requests answered with 404.
    pub not_found: u64,
    /// Requests answered with 5xx.
    pub server_errors: u64,
    /// Time of the earliest record, in µs since the Unix epoch; RFC 3339 in JSON.
    #[serde(serialize_with = "rfc3339")]
    pub first: Option<i64>,
    /// Time of the latest record, in µs since the Unix epoch; RFC 3339 in JSON.
    #[serde(serialize_with = "rfc3339")]
    pub last: Option<i64>,
}

/// Rejected lines of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RejectCount {
    /// Text of the [`RejectReason`](crate::RejectReason).
    pub reason: String,
    /// Lines.
    pub count: u64,
}

/// One row of a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// What the row counts; bytes of the log that are no UTF-8 are `U+FFFD`.
    pub key: String,
    /// Requests.
    pub hits: u64,
    /// Distinct visitors, see [`Totals::unique_visitors`].
    pub visitors: u64,
    /// Bytes of responses.
    pub bytes: u64,
    /// Requests answered with 4xx.
    pub client_errors: u64,
    /// Requests answered with 5xx.
    pub server_errors: u64,
    /// Whether [`Self::visitors`] is an estimate by HyperLogLog (standard error 0.8 %).
    #[serde(skip_serializing_if = "is_false")]
    pub visitors_estimated: bool,
    /// Latency of the row's requests; `None` where none was logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Quantiles>,
    /// Panels `path`, `static` and `not-found`: whether the path is that of a static file.
    #[serde(rename = "static", skip_serializing_if = "is_false")]
    pub is_static: bool,
    /// Panel `crawler`: who runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<&'static str>,
    /// Panel `crawler`: whether it feeds or serves an AI model.
    #[serde(skip_serializing_if = "is_false")]
    pub ai: bool,
    /// Panel `upstream`: most requests under way at once, as the mean over the busiest step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_concurrency: Option<f64>,
}

/// Requests over time.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timeline {
    /// Length of a step in seconds.
    pub step_s: u64,
    /// Every step from the first with a request to the last, empty ones too.
    pub points: Vec<TimePoint>,
}

/// One step of a [`Timeline`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TimePoint {
    /// Begin of the step, in µs since the Unix epoch; RFC 3339 in JSON.
    #[serde(serialize_with = "rfc3339_of")]
    pub time: i64,
    /// Requests.
    pub hits: u64,
    /// Requests by status class: 1xx, 2xx, 3xx, 4xx, 5xx, and without or with another status.
    pub classes: [u64; 6],
}

/// The busiest second, minute and hour; the first of equals.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Busiest {
    /// `None` when the log spans too much to be counted by seconds.
    pub second: Option<Peak>,
    /// `None` when the log spans too much to be counted by minutes.
    pub minute: Option<Peak>,
    /// The hour begins at a whole hour of UTC.
    pub hour: Option<Peak>,
}

/// A stretch of time and the requests in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Peak {
    /// Its begin, in µs since the Unix epoch; RFC 3339 in JSON.
    #[serde(serialize_with = "rfc3339_of")]
    pub time: i64,
    /// Requests.
    pub hits: u64,
}

/// Requests under way at once, by overlap of their starts and ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Concurrency {
    /// Mean over the steps from the first start to the last end (Little's law).
    pub mean: f64,
    /// Mean over the busiest step; within a step there may be more at one moment.
    pub peak: f64,
    /// When that step began, in µs since the Unix epoch; RFC 3339 in JSON.
    #[serde(serialize_with = "rfc3339_of")]
    pub peak_time: i64,
    /// Length of a step in seconds: 1 unless the log spans very much.
    pub step_s: u64,
}

/// One slow request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlowRequest {
    /// How long it took, in µs.
    pub duration_us: u64,
    /// Its time as logged, in µs since the Unix epoch; RFC 3339 in JSON.
    #[serde(serialize_with = "rfc3339_of")]
    pub time: i64,
    /// Status.
    pub status: Option<u16>,
    /// Method.
    pub method: String,
    /// Request target, cut at [`TARGET_BYTES_MAX`](super::TARGET_BYTES_MAX) bytes.
    pub target: String,
    /// Client.
    pub client: String,
    /// Server that answered.
    pub upstream: Option<String>,
}

/// What sizing needs: when requests arrive, what they ask for, and how long that takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Demand {
    /// Requests over time.
    pub arrivals: Arrivals,
    /// Mix and service times by route where the log names routes, else by path template; most hits first.
    pub routes: Vec<Service>,
    /// The same by upstream server.
    pub upstreams: Vec<Service>,
}

/// What upstream servers did over time, in equal windows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Instances {
    /// Length of a window in seconds: as short as leaves enough requests in most.
    pub window_s: u64,
    /// By the time of their first request; empty where the log names none, or too many.
    pub list: Vec<Instance>,
}

/// What one upstream server did.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its name or address.
    pub key: String,
    /// Start of its first request, in µs since the Unix epoch.
    pub first_us: i64,
    /// Start of the first request that it did not answer with 5xx, in µs since the Unix epoch.
    pub first_served_us: Option<i64>,
    /// The windows in which it worked on anything, in order of time.
    pub windows: Vec<Window>,
}

/// What one upstream server did in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Begin, in seconds since the Unix epoch.
    pub start_s: i64,
    /// Requests whose answer ended in it.
    pub ended: u64,
    /// Seconds that requests were under way in it, all added; `None` where the log has no durations.
    pub busy_s: Option<f64>,
}

/// Requests per step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrivals {
    /// Begin of the first step, in seconds since the Unix epoch.
    pub start_s: i64,
    /// Length of a step in seconds: 1 where possible, else 60 or 3600.
    pub step_s: u64,
    /// Requests of each step, from the first to the last with a request. Requests count where the log
    /// places them: at their start, or at their end minus their duration where both are known.
    pub counts: Vec<u64>,
}

/// Requests of one route or upstream and how long they took.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Route, path template or upstream.
    pub key: String,
    /// Requests, whether or not their duration was logged.
    pub hits: u64,
    /// Durations; empty where none was logged.
    pub latency: Latency,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// Microseconds since the Unix epoch as RFC 3339 in UTC; empty outside of the years that it can name.
pub(super) fn timestamp(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).map(|time| time.to_string()).unwrap_or_default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn rfc3339_of<S: Serializer>(us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*us))
}

fn rfc3339<S: Serializer>(us: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match us {
        Some(us) => rfc3339_of(us, serializer),
        None => serializer.serialize_none(),
    }
}

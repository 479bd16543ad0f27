//! Run files (`.tdg`): a run with its full histograms per second and endpoint.
//!
//! A run file is gzip'd text, one JSON object per line: the [`Header`], then a line per tick, then
//! the run's JSON ([`crate::json::run_json`]). Each tick is flushed, so a run that was killed can
//! still be read up to its last second. The format is documented in `docs/reference/results.md`.

mod read;
mod write;

use std::time::Duration;

use load::scenario::Endpoint;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use read::read;
pub use write::RunFileWriter;

/// Schema of the header.
pub const SCHEMA: &str = "tidegate.runfile/1";
/// Extension of run files.
pub const EXTENSION: &str = "tdg";
/// Longest line that is read, in bytes.
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// Most ticks that are read: two days of seconds.
pub const TICKS_MAX: usize = 172_800;
/// Most endpoints that are read.
pub const ENDPOINTS_MAX: usize = 4_096;
/// Most buckets of all histograms together that are kept, 8 bytes each.
pub const BUCKETS_MAX: usize = 1 << 27;
/// Most records of an endpoint in a tick that are read, over the whole file.
pub const RECORDS_MAX: usize = 1 << 22;

/// The first line: what was run, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// The host that was tested, as a URL.
    pub host: String,
    /// Name of the model: `closed`, `open`, `burst`, `replay`.
    pub model: String,
    /// Wall-clock start, milliseconds since the Unix epoch.
    pub started_unix_ms: i64,
    /// Endpoints, to which ticks refer by index.
    pub endpoints: Vec<EndpointName>,
    /// The configuration of the run, in whatever shape the caller keeps it.
    #[serde(default)]
    pub configuration: Value,
    /// The machine, see [`environment`].
    #[serde(default)]
    pub environment: Value,
}

/// An endpoint of a run file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointName {
    /// Name, as reports show it.
    pub name: String,
    /// Request method.
    pub method: String,
}

impl Header {
    /// A header for a run on this machine.
    pub fn new(
        host: impl Into<String>,
        model: impl Into<String>,
        started_unix_ms: i64,
        endpoints: &[Endpoint],
        configuration: Value,
    ) -> Header {
        let name = |it: &Endpoint| EndpointName {
            name: it.name.clone(),
            method: it.method.as_str().to_owned(),
        };
        Header {
            schema: SCHEMA.to_owned(),
            host: host.into(),
            model: model.into(),
            started_unix_ms,
            endpoints: endpoints.iter().map(name).collect(),
            configuration,
            environment: environment(),
        }
    }
}

/// The machine that this runs on: version of tidegate, system, CPUs.
pub fn environment() -> Value {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu_model = cpu_info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, it)| it.trim()));
    json!({
        "tidegate": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "kernel": kernel.as_deref().map(str::trim),
        "cpu-model": cpu_model,
        "cpus": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    })
}

/// A run file in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFile {
    /// The first line.
    pub header: Header,
    /// The run, second by second.
    pub ticks: Vec<RunTick>,
    /// The run's JSON; `None` when the run was killed before its end.
    pub result: Option<Value>,
    /// Whether the end of the file is missing or damaged.
    pub truncated: bool,
}

/// One tick of a run file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTick {
    /// Time from the start of the run to the end of the tick.
    pub at: Duration,
    /// Its length.
    pub interval: Duration,
    /// Users at its end.
    pub users: u64,
    /// Whether the run was paused at its end.
    pub paused: bool,
    /// What happened, for each endpoint to which something did.
    pub endpoints: Vec<EndpointTick>,
}

/// What happened at one endpoint within a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointTick {
    /// Index into [`Header::endpoints`].
    pub endpoint: usize,
    /// Requests finished.
    pub requests: u64,
    /// Of these, failed.
    pub failures: u64,
    /// Arrivals due and never sent.
    pub unsent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Sum of the response times in µs, within 0.1 %.
    pub response_sum_us: u64,
    /// Response times: the non-empty buckets of their histogram, rising, as (highest µs, count).
    pub response: Vec<(u32, u32)>,
}

/// A tick as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TickLine {
    t_ms: u64,
    interval_ms: u64,
    users: u64,
    #[serde(default)]
    in_flight: u64,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    watched: serde_json::Map<String, Value>,
    endpoints: Vec<EndpointLine>,
}

/// An endpoint of a tick as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EndpointLine {
    endpoint: usize,
    requests: u64,
    failures: u64,
    #[serde(default)]
    rate_limited: u64,
    #[serde(default)]
    timeouts: u64,
    unsent: u64,
    bytes_received: u64,
    /// HdrHistogram "V2 deflate" in base64, µs.
    response_us: String,
}

/// Why a run file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// Reading failed.
    #[error("cannot read the run file: {0}")]
    Io(#[source] std::io::Error),
    /// The first line is not there or not a header.
    #[error("not a run file: {problem}; give a file written by `tidegate load --save`")]
    Header {
        /// What is wrong.
        problem: String,
    },
    /// A line makes no sense.
    #[error("line {line} of the run file is damaged: {problem}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The file is larger than what is read.
    #[error("line {line} of the run file exceeds the limit of {limit} {what}")]
    TooLarge {
        /// Line number, from 1.
        line: usize,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

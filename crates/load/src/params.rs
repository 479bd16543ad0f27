//! Validated input of the engine: what [`crate::Run`] needs to know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policy::{ArrivalKind, Curve};

use crate::replay::Replay;
use crate::scenario::{Origin, Scenario};
use crate::slo::Objective;

/// Most virtual users of one run.
pub const USERS_MAX: u32 = 1_000_000;
/// Most worker threads.
pub const WORKERS_MAX: usize = 256;
/// Users in flight of an open model, when none are given.
pub const OPEN_USERS_DEFAULT: u32 = 1_000;

/// One load run.
#[derive(Debug, Clone)]
pub struct LoadParams {
    /// What users do.
    pub scenario: Arc<Scenario>,
    /// When they do it.
    pub model: Model,
    /// When the run ends.
    pub stop: Stop,
    /// How requests travel.
    pub http: HttpParams,
    /// What must hold.
    pub slo: Vec<Objective>,
    /// Worker threads, 1 ..= [`WORKERS_MAX`].
    pub workers: usize,
    /// Seed of every random choice.
    pub seed: u64,
    /// How long requests under way may go on after the end.
    pub drain: Duration,
    /// What else to observe on the same time axis.
    pub watch: Watch,
}

/// Who decides when a request starts.
#[derive(Debug, Clone)]
pub enum Model {
    /// Users who wait for answers.
    Closed {
        /// Users over time.
        users: Curve,
    },
    /// Arrivals that do not wait for answers.
    Open {
        /// Arrivals per second over time.
        rate: Curve,
        /// How they are spread.
        arrivals: ArrivalKind,
        /// Most requests in flight; an arrival beyond them waits, and its wait counts.
        users_max: u32,
    },
    /// Many requests at once, again and again.
    Burst(Burst),
    /// The arrivals of a recorded log.
    Replay {
        /// The recording.
        replay: Arc<Replay>,
        /// How many times faster than recorded; > 0.
        speed: f64,
        /// Whether to start again at the end, until the run time is over.
        repeat: bool,
        /// Most requests in flight.
        users_max: u32,
    },
}

impl Model {
    /// The model's name in reports: `closed`, `open`, `burst` or `replay`.
    pub fn name(&self) -> &'static str {
        match self {
            Model::Closed { .. } => "closed",
            Model::Open { .. } => "open",
            Model::Burst(_) => "burst",
            Model::Replay { .. } => "replay",
        }
    }
}

/// Requests that start together, repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// Requests per burst.
    pub size: u32,
    /// Number of bursts.
    pub cycles: u32,
    /// Shortest and longest pause between the end of one burst and the start of the next.
    pub pause: (Duration, Duration),
}

/// When a run ends: at whichever comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stop {
    /// After this time.
    pub run_time: Option<Duration>,
    /// After this many requests.
    pub requests: Option<u64>,
}

/// Protocol version towards the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by ALPN on TLS, by prior knowledge on plain TCP.
    Http2,
}

/// How requests travel.
#[derive(Debug, Clone)]
pub struct HttpParams {
    /// Where requests go that do not say otherwise.
    pub origin: Origin,
    /// Put before every path; empty or `/prefix`.
    pub base_path: String,
    /// Protocol version.
    pub version: HttpVersion,
    /// Whether to keep connections open between requests.
    pub keep_alive: bool,
    /// Close a connection after so many requests.
    pub connection_requests: Option<u32>,
    /// Close a connection after so long.
    pub connection_age: Option<Duration>,
    /// Follow at most so many redirects per request; 0 follows none.
    pub redirects: u8,
    /// Whether each user keeps cookies.
    pub cookies: bool,
    /// Whether to offer gzip, br and zstd.
    pub compression: bool,
    /// `User-Agent`, unless a step sets its own.
    pub user_agent: String,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Limits on responses.
    pub limits: Limits,
    /// TLS settings.
    pub tls: TlsParams,
    /// Connect here instead of to the host of the URL.
    pub connect_to: Option<ConnectTo>,
    /// When host names are looked up.
    pub dns: DnsPolicy,
}

impl HttpParams {
    /// Sensible settings for `origin`.
    pub fn new(origin: Origin) -> HttpParams {
        HttpParams {
            origin,
            base_path: String::new(),
            version: HttpVersion::Http1,
            keep_alive: true,
            connection_requests: None,
            connection_age: None,
            redirects: 10,
            cookies: true,
            compression: false,
            user_agent: concat!("tidegate/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            tls: TlsParams::default(),
            connect_to: None,
            dns: DnsPolicy::PerRun,
        }
    }
}

/// How long each part of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection (and its TLS) stands.
    pub connect: Duration,
    /// From the request sent to the first byte of the response.
    pub response: Duration,
    /// From the actual start to the last byte of the response.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let seconds = Duration::from_secs;
        Timeouts { connect: seconds(5), response: seconds(30), total: seconds(30) }
    }
}

/// How much of a response is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of status line and header fields.
    pub head_bytes: usize,
    /// Bytes of a body that is only counted.
    pub body_bytes: u64,
    /// Bytes of a body that is kept for checks, before and after decoding.
    pub kept_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { head_bytes: 256 << 10, body_bytes: 1 << 30, kept_body_bytes: 16 << 20 }
    }
}

/// TLS settings.
#[derive(Debug, Clone, Default)]
pub struct TlsParams {
    /// PEM file of certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// PEM files of the client certificate chain and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Server name to ask for and to check, when not the host's.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// Another place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectTo {
    /// Host and port.
    Address(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// When host names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsPolicy {
    /// Once per run; users take the addresses in turn.
    #[default]
    PerRun,
    /// For every connection.
    PerConnection,
}

/// What else to observe while the run goes on.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Processes whose CPU and memory are sampled.
    pub pids: Vec<u32>,
    /// Metrics to scrape.
    pub prometheus: Vec<PrometheusWatch>,
}

/// A Prometheus endpoint to scrape once a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusWatch {
    /// URL of the metrics page (http only).
    pub url: String,
    /// Series to keep, by metric name or `name{label="value"}`; empty: process CPU and memory.
    pub series: Vec<String>,
}

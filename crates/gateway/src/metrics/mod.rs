//! What the gateway counts. Every counter of the request path belongs to one core, which alone
//! writes it, without locks; reading adds the cores up. Names and labels come from the
//! configuration and from fixed lists, so there is a bounded number of series.

mod render;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::failure::FailureKind;
use crate::upstream::shared::lock;

pub use render::{METRICS, Metric};
pub use state::{ServerState, State, StoreState, UpstreamState};

/// Most names that counters are kept for, per kind; more share the last one. A name that no
/// configuration uses any more is forgotten once a new one comes: addresses of a DNS name come and
/// go.
pub const NAMES_MAX: usize = 8_192;
/// The name of those beyond [`NAMES_MAX`].
const OTHER: &str = "other";

/// A number that one thread raises and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Raises it. Only one thread at a time may.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Raises it from any thread.
    pub fn add_shared(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the latency buckets, in microseconds.
pub const BOUNDS_US: [u64; 20] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    60_000_000,
    300_000_000,
    3_600_000_000,
];

/// A histogram of latencies.
#[derive(Debug, Default)]
pub struct Latencies {
    buckets: [Counter; BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl Latencies {
    fn observe(&self, us: u64) {
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add(1);
        }
        self.sum_us.add(us);
    }
}

/// What a cache did for a request.
pub const CACHE_WORDS: [&str; 8] =
    ["hit", "stale", "revalidated", "miss", "collapsed", "bypass", "expired", "stored"];

/// Counters of one route on one core.
#[derive(Debug, Default)]
pub struct RouteCore {
    /// By first digit of the status; 0: no answer.
    statuses: [Counter; 6],
    bytes_out: Counter,
    bytes_in: Counter,
    latencies: Latencies,
    cache: [Counter; CACHE_WORDS.len()],
    limited: Counter,
}

/// Counters of one route.
#[derive(Debug)]
pub struct RouteCounters {
    cores: Vec<RouteCore>,
}

impl RouteCounters {
    fn new(cores: usize) -> RouteCounters {
        RouteCounters { cores: (0..cores.max(1)).map(|_| RouteCore::default()).collect() }
    }

    fn sum(&self, of: impl Fn(&RouteCore) -> u64) -> u64 {
        self.cores.iter().map(of).sum()
    }
}

/// What happened on the way to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum UpstreamEvent {
    /// A request was sent again.
    Retry,
    /// A request was not sent again, because the budget was used up.
    BudgetExhausted,
    /// A request was sent to a second server as well.
    Hedge,
    /// A request was refused by the breaker.
    BreakerRefused,
    /// A request was refused because the queue was full, or it waited too long.
    QueueRefused,
    /// A server was ejected.
    Ejection,
}

impl UpstreamEvent {
    const ALL: [(UpstreamEvent, &'static str); 6] = [
        (UpstreamEvent::Retry, "retry"),
        (UpstreamEvent::BudgetExhausted, "retry-budget-exhausted"),
        (UpstreamEvent::Hedge, "hedge"),
        (UpstreamEvent::BreakerRefused, "breaker-refused"),
        (UpstreamEvent::QueueRefused, "queue-refused"),
        (UpstreamEvent::Ejection, "ejection"),
    ];
}

/// Counters of one upstream.
#[derive(Debug)]
pub struct UpstreamCounters {
    /// All cores raise these: they are rare.
    events: [Counter; UpstreamEvent::ALL.len()],
    /// One per core.
    latencies: Vec<Latencies>,
}

impl UpstreamCounters {
    fn new(cores: usize) -> UpstreamCounters {
        let latencies = (0..cores.max(1)).map(|_| Latencies::default()).collect();
        UpstreamCounters { events: Default::default(), latencies }
    }

    /// Counts a request of one core that a server of the upstream has answered.
    pub(crate) fn answered(&self, core: usize, took_us: u64) {
        if let Some(latencies) = self.latencies.get(core) {
            latencies.observe(took_us);
        }
    }

    /// Counts an event.
    pub fn count(&self, event: UpstreamEvent) {
        self.events[event as usize].add_shared(1);
    }
}

/// How an attempt at a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AttemptResult {
    /// An answer below 500.
    Ok,
    /// An answer of 500 or more.
    Error,
    /// No answer.
    Failed,
}

impl AttemptResult {
    const ALL: [(AttemptResult, &'static str); 3] = [
        (AttemptResult::Ok, "ok"),
        (AttemptResult::Error, "error"),
        (AttemptResult::Failed, "failed"),
    ];
}

/// Counters of one server on one core.
#[derive(Debug, Default)]
pub struct ServerCore {
    results: [Counter; AttemptResult::ALL.len()],
    latencies: Latencies,
}

/// Counters of one server.
#[derive(Debug)]
pub struct ServerCounters {
    cores: Vec<ServerCore>,
}

impl ServerCounters {
    /// Counts an attempt of one core.
    pub(crate) fn attempt(&self, core: usize, result: AttemptResult, took_us: u64) {
        let Some(core) = self.cores.get(core) else { return };
        core.results[result as usize].add(1);
        core.latencies.observe(took_us);
    }
}

/// Why a connection was refused or given up before its first request.
pub const REFUSALS: [&str; 8] = [
    "limit",
    "descriptors",
    "proxy-header",
    "tls-handshake",
    "preamble-timeout",
    "http2-handshake",
    "http2-protocol",
    "http2-resets",
];

/// Methods that are counted each by itself; the last word stands for all others.
pub const METHODS: [&str; 8] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// Where a method stands in [`METHODS`].
fn method_index(method: &str) -> usize {
    METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1)
}

/// Counters of one core that belong to no route.
#[derive(Debug)]
pub struct CoreMetrics {
    index: usize,
    accepted: Counter,
    closed: Counter,
    refused: [Counter; REFUSALS.len()],
    failures: [Counter; FailureKind::ALL.len()],
    tunnels: Counter,
    tunnels_closed: Counter,
    tunnel_bytes: Counter,
    mirrored: Counter,
    mirror_dropped: Counter,
    unrouted: Counter,
    tls_handshakes: Counter,
    http2_streams: Counter,
    http2_resets: Counter,
    methods: [Counter; METHODS.len()],
}

impl CoreMetrics {
    fn new(index: usize) -> CoreMetrics {
        CoreMetrics {
            index,
            accepted: Counter::default(),
            closed: Counter::default(),
            refused: Default::default(),
            failures: std::array::from_fn(|_| Counter::default()),
            tunnels: Counter::default(),
            tunnels_closed: Counter::default(),
            tunnel_bytes: Counter::default(),
            mirrored: Counter::default(),
            mirror_dropped: Counter::default(),
            unrouted: Counter::default(),
            tls_handshakes: Counter::default(),
            http2_streams: Counter::default(),
            http2_resets: Counter::default(),
            methods: Default::default(),
        }
    }

    /// Counts a request that is over.
    pub(crate) fn request(&self, over: &Over<'_>) {
        if let Some(kind) = over.failure {
            self.failures[kind as usize].add(1);
        }
        self.methods[method_index(over.method)].add(1);
        let Some(route) = over.route.and_then(|route| route.cores.get(self.index)) else {
            self.unrouted.add(1);
            return;
        };
        route.statuses[usize::from(over.status / 100).min(5)].add(1);
        route.bytes_out.add(over.bytes_out);
        if over.bytes_in > 0 {
            route.bytes_in.add(over.bytes_in);
        }
        route.latencies.observe(over.took_us);
        if over.failure == Some(FailureKind::RateLimited) {
            route.limited.add(1);
        }
        if let Some(word) = over.cache
            && let Some(at) = CACHE_WORDS.iter().position(|known| *known == word)
        {
            route.cache[at].add(1);
        }
    }

    pub(crate) fn connection_opened(&self) {
        self.accepted.add(1);
    }

    pub(crate) fn connection_closed(&self) {
        self.closed.add(1);
    }

    pub(crate) fn connection_refused(&self, reason: &str) {
        if let Some(at) = REFUSALS.iter().position(|known| *known == reason) {
            self.refused[at].add(1);
        }
    }

    /// Counts a TLS handshake with a client that succeeded.
    pub fn tls_handshake(&self) {
        self.tls_handshakes.add(1);
    }

    /// Counts a request that came as an HTTP/2 stream.
    pub fn http2_stream(&self) {
        self.http2_streams.add(1);
    }

    /// Counts an HTTP/2 stream that its client has reset while it was being answered.
    pub(crate) fn http2_reset(&self) {
        self.http2_resets.add(1);
    }

    pub(crate) fn tunnel_opened(&self) {
        self.tunnels.add(1);
    }

    pub(crate) fn tunnel_closed(&self, bytes: u64) {
        self.tunnels_closed.add(1);
        self.tunnel_bytes.add(bytes);
    }

    pub(crate) fn mirrored(&self) {
        self.mirrored.add(1);
    }

    pub(crate) fn mirror_dropped(&self) {
        self.mirror_dropped.add(1);
    }
}

/// What is counted of a request.
pub(crate) struct Over<'a> {
    pub(crate) route: Option<&'a RouteCounters>,
    pub(crate) method: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) took_us: u64,
    pub(crate) cache: Option<&'static str>,
    pub(crate) failure: Option<FailureKind>,
}

/// All counters.
#[derive(Debug)]
pub struct Registry {
    cores: Vec<Arc<CoreMetrics>>,
    routes: Mutex<BTreeMap<String, Arc<RouteCounters>>>,
    upstreams: Mutex<BTreeMap<String, Arc<UpstreamCounters>>>,
    servers: Mutex<BTreeMap<(String, String), Arc<ServerCounters>>>,
    reloads_ok: Counter,
    reloads_failed: Counter,
}

/// The counters of a name, made when it is new.
fn named<K: Ord + Clone, V>(
    map: &Mutex<BTreeMap<K, Arc<V>>>,
    name: K,
    other: K,
    make: impl FnOnce() -> V,
) -> Arc<V> {
    let mut map = lock(map);
    if let Some(known) = map.get(&name) {
        return Arc::clone(known);
    }
    map.retain(|_, counters| Arc::strong_count(counters) > 1);
    let name = if map.len() < NAMES_MAX { name } else { other };
    Arc::clone(map.entry(name).or_insert_with(|| Arc::new(make())))
}

impl Registry {
    /// Counters of so many cores.
    pub fn new(cores: usize) -> Registry {
        Registry {
            cores: (0..cores.max(1)).map(|index| Arc::new(CoreMetrics::new(index))).collect(),
            routes: Mutex::default(),
            upstreams: Mutex::default(),
            servers: Mutex::default(),
            reloads_ok: Counter::default(),
            reloads_failed: Counter::default(),
        }
    }

    /// Those of one core; the first one's when there are not so many.
    pub fn core(&self, index: usize) -> Arc<CoreMetrics> {
        Arc::clone(self.cores.get(index).unwrap_or(&self.cores[0]))
    }

    /// Those of a route.
    pub fn route(&self, name: &str) -> Arc<RouteCounters> {
        let make = || RouteCounters::new(self.cores.len());
        named(&self.routes, name.to_owned(), OTHER.to_owned(), make)
    }

    /// Those of an upstream.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamCounters> {
        let make = || UpstreamCounters::new(self.cores.len());
        named(&self.upstreams, name.to_owned(), OTHER.to_owned(), make)
    }

    /// Those of a server.
    pub fn server(&self, upstream: &str, server: &str) -> Arc<ServerCounters> {
        let cores = self.cores.len();
        let make = || ServerCounters { cores: (0..cores).map(|_| ServerCore::default()).collect() };
        let name = (upstream.to_owned(), server.to_owned());
        named(&self.servers, name, (OTHER.to_owned(), OTHER.to_owned()), make)
    }

    /// Counts a reload.
    pub fn reloaded(&self, ok: bool) {
        let counter = if ok { &self.reloads_ok } else { &self.reloads_failed };
        counter.add_shared(1);
    }
}

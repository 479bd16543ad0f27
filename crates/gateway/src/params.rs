//! What a gateway is told: validated parameters, in the words of the configuration file.
//! Plain data; `config` fills it, [`crate::Gateway`] runs it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use traffic::{Rate, Ratio};

/// Most listeners, upstreams, servers of one upstream, and routes.
pub const LISTENERS_MAX: usize = 64;
/// Most upstreams.
pub const UPSTREAMS_MAX: usize = 1_024;
/// Most servers of one upstream.
pub const SERVERS_MAX: usize = 256;
/// Most routes.
pub const ROUTES_MAX: usize = 4_096;

/// Everything that one gateway does.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayParams {
    /// Data-plane threads, each with its own runtime; the number of cores unless told.
    pub workers: usize,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Groups of servers; routes name them by index.
    pub upstreams: Vec<Upstream>,
    /// Which requests go where; the most specific match wins, then the first.
    pub routes: Vec<Route>,
    /// Where requests are written down.
    pub access_log: Option<AccessLog>,
    /// The administration address.
    pub admin: Option<Admin>,
    /// Limits that hold for every client connection.
    pub limits: ClientLimits,
    /// Peers whose `X-Forwarded-For`, `Forwarded` and PROXY headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What is told to servers and clients about the way a request took.
    pub forwarding: Forwarding,
    /// How long requests in flight may take once the gateway stops.
    pub drain: Duration,
}

/// An address where clients connect.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Its name in the file.
    pub name: String,
    /// The address.
    pub address: SocketAddr,
    /// Certificates and rules, when it speaks TLS.
    pub tls: Option<ListenerTls>,
    /// Whether HTTP/2 is offered: by ALPN with TLS, by prior knowledge without.
    pub http2: bool,
    /// Whether a PROXY protocol header (v1 or v2) must open each connection. Connections of peers
    /// that are not in [`GatewayParams::trusted_proxies`] are refused then.
    pub proxy_protocol: bool,
    /// Answer every request with 308 to the same URL over https, at this port.
    pub redirect_https: Option<u16>,
}

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerTls {
    /// At least one; the first serves clients whose server name fits none.
    pub certificates: Vec<Certificate>,
    /// TLS 1.2 is offered too (else 1.3 only).
    pub tls12: bool,
    /// Certificate authorities whose client certificates are asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused.
    pub client_required: bool,
}

/// PEM files of a certificate chain and its key; names come from the certificate. Read again when
/// they change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Certificate {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A group of servers that answer the same requests, or a folder of files.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name in the file.
    pub name: String,
    /// What it is.
    pub kind: UpstreamKind,
}

/// What answers.
#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamKind {
    /// Servers on the network.
    Servers(Box<Servers>),
    /// Files of a folder.
    Files(Files),
}

/// Files of a folder, served by tidegate itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The folder; nothing outside of it is served, symbolic links included.
    pub root: PathBuf,
    /// Names tried for a folder, such as `index.html`.
    pub index: Vec<String>,
    /// Served with status 404 for what is not there, relative to the folder.
    pub not_found: Option<String>,
    /// Whether a `.br`, `.zst` or `.gz` file beside the file is served to clients that accept it.
    pub precompressed: bool,
}

/// Servers and the rules for using them.
#[derive(Debug, Clone, PartialEq)]
pub struct Servers {
    /// At least one.
    pub servers: Vec<Server>,
    /// How one of them is chosen.
    pub balance: Balance,
    /// How a server that comes back is given more and more requests; zero: at once.
    pub slow_start: Duration,
    /// Whether a client stays with its server.
    pub sticky: Option<Sticky>,
    /// How servers are asked whether they are well.
    pub health: Option<Health>,
    /// When the whole group is left alone for a while.
    pub breaker: Option<Breaker>,
    /// When a single server is.
    pub ejection: Option<Ejection>,
    /// When and how often a request is sent again.
    pub retry: Retry,
    /// Whether a slow request is sent to a second server as well.
    pub hedge: Option<Hedge>,
    /// How much may be under way.
    pub limits: UpstreamLimits,
    /// Whether the limit on requests in flight is found by measuring.
    pub adaptive: Option<Adaptive>,
    /// How servers are spoken to.
    pub protocol: UpstreamProtocol,
    /// TLS towards servers.
    pub tls: Option<UpstreamTls>,
    /// The PROXY protocol version that opens connections (which then carry one client's requests
    /// only).
    pub proxy_protocol: Option<ProxyVersion>,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// Most idle connections per server and worker.
    pub idle_max: usize,
    /// What is sent as `Host`.
    pub host: HostHeader,
    /// How long to wait for a connection, the TLS handshake included.
    pub connect_timeout: Duration,
}

/// One server.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Where it is.
    pub address: ServerAddress,
    /// Its share relative to the others, 1 to 65,535; 0 takes it out.
    pub weight: u16,
    /// The first tier with a server that is up gets all requests; 0 is first.
    pub tier: u8,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    /// An address.
    Socket(SocketAddr),
    /// A name, resolved again when its time to live ends; each address is a server of its own.
    Name {
        /// The host name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// How a server is chosen.
#[derive(Debug, Clone, PartialEq)]
pub enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// Of two drawn at random, the one with fewer requests in flight.
    LeastRequests,
    /// Of two drawn at random, the one with the lower latency × requests in flight.
    PeakEwma,
    /// At random, by weight.
    Random,
    /// By a hash ring with bounded load.
    Hash(HashKey),
    /// By a maglev table.
    Maglev(HashKey),
}

/// What is hashed. Requests without it are spread at random.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    ClientIp,
    /// A cookie's value.
    Cookie(String),
    /// A header's value.
    Header(String),
    /// Path and query.
    Uri,
}

/// A cookie that names the client's server, signed so that nobody else can choose one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long it lasts; a session cookie without.
    pub max_age: Option<Duration>,
    /// The key of the signature; `None`: drawn at start, so cookies do not outlive the process.
    pub secret: Option<Vec<u8>>,
}

/// Active checks of servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What is asked.
    pub check: HealthCheck,
    /// How often, with a jitter of ±10 %.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failures in a row after which a server is down.
    pub fall: u32,
    /// Successes in a row after which it is up again.
    pub rise: u32,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// A GET of this path (and query).
    Http {
        /// The request target.
        path: String,
        /// Inclusive ranges of good statuses.
        expect: Vec<(u16, u16)>,
        /// Text that the first 64 KiB of the body must hold.
        body_contains: Option<String>,
    },
    /// A connection, nothing more.
    Tcp,
}

/// A three-state breaker of the whole upstream. While it is open, requests are answered 503 (or
/// from stale cache entries) without touching a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Breaker {
    /// Failed requests in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub open_for: Duration,
    /// Requests let through to probe; all must succeed.
    pub half_open_requests: u32,
}

/// Passive ejection of a server by what its answers look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Ejection {
    /// Errors in a row (5xx, resets, timeouts, refused connections) that eject a server.
    pub consecutive_errors: u32,
    /// Most servers of an upstream that may be out at once, as a share; at least one may be when
    /// there are two or more.
    pub max_ejected: Ratio,
    /// How long the first ejection lasts; the n-th lasts n times that.
    pub base: Duration,
    /// Longest ejection.
    pub max: Duration,
}

/// When a request is sent again. Never to the same server while another one is up, and never when
/// the server may have acted on it, unless the method is idempotent.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts besides the first; 0: none.
    pub attempts: u32,
    /// What is tried again.
    pub on: Vec<RetryOn>,
    /// Share of requests that retries may add, besides a floor per second.
    pub budget: Ratio,
    /// Retries per second that are always allowed.
    pub budget_floor: Rate,
    /// Longest single attempt; the route's total otherwise.
    pub per_try: Option<Duration>,
    /// Mean of the first pause; doubled each time, full jitter.
    pub backoff: Duration,
    /// Longest pause, also of a server's `Retry-After`; a longer `Retry-After` ends retries.
    pub backoff_max: Duration,
    /// Methods that are not idempotent are tried again too.
    pub non_idempotent: bool,
    /// Most bytes of a request body that are kept for another attempt.
    pub body_max: usize,
}

/// A cause for another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection could be made: nothing was sent.
    Connect,
    /// The connection ended before the head of a response came.
    Reset,
    /// The attempt took too long.
    Timeout,
    /// This status.
    Status(u16),
}

/// A second attempt while the first is still under way. Idempotent requests without a body only.
#[derive(Debug, Clone, PartialEq)]
pub struct Hedge {
    /// How long the first attempt is given.
    pub after: Duration,
    /// Share of requests that may be hedged.
    pub budget: Ratio,
}

/// Bounds on what is under way towards an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamLimits {
    /// Most requests in flight per server.
    pub connections: usize,
    /// Most requests that wait for room.
    pub pending: usize,
    /// How long one may wait; 503 then.
    pub pending_timeout: Duration,
}

/// An adaptive limit on requests in flight of the whole upstream (gradient of round-trip times).
#[derive(Debug, Clone, PartialEq)]
pub struct Adaptive {
    /// Lowest limit.
    pub min: u32,
    /// Highest limit.
    pub max: u32,
    /// First limit.
    pub initial: u32,
}

/// What is spoken with servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, by prior knowledge without TLS.
    Http2,
    /// With TLS what ALPN chooses; HTTP/1.1 without.
    Auto,
}

/// TLS towards servers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Certificate authorities; those of the system and Mozilla's without.
    pub ca: Option<PathBuf>,
    /// Name to verify and to send; the server's host without.
    pub server_name: Option<String>,
    /// A certificate of our own.
    pub client: Option<Certificate>,
    /// Whether certificates are not checked at all (for tests only).
    pub insecure: bool,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// The `Host` that servers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Client,
    /// The server's own address or name.
    Server,
    /// This one.
    Fixed(String),
}

/// Which requests, and what happens to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name in the file.
    pub name: String,
    /// Which requests.
    pub matches: Match,
    /// Who may.
    pub access: Access,
    /// How often one may.
    pub rate_limits: Vec<RateLimit>,
    /// Most requests of the route at once; 503 beyond.
    pub concurrency: Option<usize>,
    /// Cross-origin rules.
    pub cors: Option<Cors>,
    /// What answers.
    pub action: Action,
    /// Changes of the path on its way to the server.
    pub rewrite: Option<Rewrite>,
    /// Changes of request fields.
    pub request_fields: FieldEdits,
    /// Changes of response fields.
    pub response_fields: FieldEdits,
    /// Whether answers are kept.
    pub cache: Option<Cache>,
    /// Whether bodies are compressed.
    pub compression: Option<Compression>,
    /// A second upstream that gets a copy of some requests and whose answers are thrown away.
    pub mirror: Option<Mirror>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Largest request body, in bytes; 413 beyond.
    pub body_max: u64,
    /// Pages for tidegate's own errors of this route, by status.
    pub error_pages: Vec<(u16, Page)>,
    /// Whether upgrades (WebSocket) may pass.
    pub upgrades: bool,
}

/// Which requests a route takes: all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// Lower-case host names without port; `*.shop.example` takes every name below.
    pub hosts: Vec<String>,
    /// The path.
    pub path: PathMatch,
    /// Methods; all when empty.
    pub methods: Vec<String>,
    /// Request fields and the value each must have; any value for `None`.
    pub headers: Vec<(String, Option<String>)>,
    /// Query parameters and the value each must have; any value for `None`.
    pub query: Vec<(String, Option<String>)>,
    /// Names of the listeners; all when empty.
    pub listeners: Vec<String>,
}

/// Which paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PathMatch {
    /// All.
    #[default]
    Any,
    /// This one.
    Exact(String),
    /// This one and all below: `/api` takes `/api` and `/api/x`, not `/apix`; `/api/` takes what
    /// starts so.
    Prefix(String),
}

/// Who may use a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Addresses that are refused (403), before `allow`.
    pub deny: Vec<IpNet>,
    /// When not empty, only these addresses may.
    pub allow: Vec<IpNet>,
    /// Basic authentication.
    pub basic: Option<BasicAuth>,
}

/// Users and passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// What clients are told it is.
    pub realm: String,
    /// Name and `sha256:SALT:HEX`: the salt and 64 hex digits of SHA-256 over `SALT:PASSWORD`.
    pub users: Vec<(String, String)>,
}

/// A limit on how often.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    /// Whose requests are counted together.
    pub key: Vec<LimitKey>,
    /// What is counted.
    pub unit: LimitUnit,
    /// Units per second on the long run.
    pub rate: Rate,
    /// Units at once.
    pub burst: u64,
    /// Most keys that are remembered.
    pub keys_max: usize,
    /// Which fields tell clients about it.
    pub headers: LimitHeaders,
}

/// A part of a limit's key; several are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// The client's address, IPv6 by its /64.
    ClientIp,
    /// A header's value.
    Header(String),
    /// A cookie's value.
    Cookie(String),
    /// All requests of the route together.
    Route,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitUnit {
    /// Requests; 429 beyond.
    Requests,
    /// Bytes of responses: once a key has used up its share, its next requests are answered 429
    /// until it has recovered.
    Bytes,
    /// Requests at once: `burst` is the limit, `rate` has no meaning.
    Concurrency,
}

/// Fields of a response that tell about a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHeaders {
    /// None but `Retry-After`.
    Off,
    /// `RateLimit-Policy` and `RateLimit` as structured fields (draft 8 and later).
    Draft,
    /// `RateLimit-Limit`, `-Remaining`, `-Reset` (draft 7 and earlier).
    Legacy,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
    XPrefix,
}

/// Cross-origin resource sharing (Fetch standard).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Allowed origins; `*` allows all.
    pub origins: Vec<String>,
    /// Allowed methods of a preflight.
    pub methods: Vec<String>,
    /// Allowed request fields of a preflight; empty allows those that are asked for.
    pub headers: Vec<String>,
    /// Response fields that scripts may read.
    pub expose: Vec<String>,
    /// Whether credentials may be sent. Not with the origin `*`.
    pub credentials: bool,
    /// How long a preflight is remembered.
    pub max_age: Duration,
}

/// What answers a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// An upstream (an index), or several by weight.
    Forward(Vec<(usize, u32)>),
    /// A redirect: status and target; `{path}`, `{query}` (with its `?`), `{host}` and `{uri}`
    /// (path and query) stand for the request's.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The target.
        to: String,
    },
    /// A fixed answer.
    Respond(Page),
}

/// A fixed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its status.
    pub status: u16,
    /// Its type.
    pub content_type: String,
    /// Its body.
    pub body: Arc<[u8]>,
}

/// A change of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// This beginning …
    pub prefix: String,
    /// … becomes this.
    pub with: String,
}

/// Changes of fields, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldEdits {
    /// Fields that are removed.
    pub remove: Vec<String>,
    /// Fields that replace those of their name.
    pub set: Vec<(String, String)>,
    /// Fields that are added.
    pub add: Vec<(String, String)>,
}

/// A store of answers (RFC 9111).
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Bytes of the store of this route. Routes with the same `store` share one.
    pub max_bytes: u64,
    /// Name of the store; the route's without.
    pub store: String,
    /// Largest body that is kept.
    pub max_object: u64,
    /// The rules.
    pub rules: policy::cache::Rules,
    /// What tells entries apart, besides scheme, host and path.
    pub key: CacheKey,
    /// How long a request waits for another one of the same key; it asks by itself then.
    pub collapse_timeout: Duration,
    /// The response field that lists an entry's tags, separated by spaces or commas.
    pub tag_header: String,
    /// Whether `Cache-Status` is sent.
    pub status_header: bool,
}

/// Parts of the cache key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheKey {
    /// Which query parameters count.
    pub query: QueryKey,
    /// Request fields whose values count.
    pub headers: Vec<String>,
    /// Cookies whose values count.
    pub cookies: Vec<String>,
}

/// Query parameters in a cache key. The order of those that count is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QueryKey {
    /// All.
    #[default]
    All,
    /// None.
    None,
    /// Only these.
    Only(Vec<String>),
    /// All but these; `utm_*` stands for every name that starts so.
    Except(Vec<String>),
}

/// Compression of response bodies that are not compressed yet. Answers to requests that carry a
/// cookie or authorization are left alone unless told, since compression can betray secrets that
/// stand beside reflected text (BREACH).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Codings in order of preference.
    pub codings: Vec<Coding>,
    /// Smallest body worth it, when its length is known.
    pub min_bytes: u64,
    /// Types, such as `text/*`.
    pub types: Vec<String>,
    /// Compress also what goes to requests with credentials.
    pub with_credentials: bool,
}

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// gzip.
    Gzip,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
}

/// A copy of some requests, one per request of a client, whether a server or the cache answers it.
/// Only requests without a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Index of the upstream.
    pub upstream: usize,
    /// Share of requests.
    pub share: Ratio,
    /// Most copies under way per worker; more are left out and counted.
    pub in_flight_max: usize,
}

/// How long things of one request may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// From the end of the request's head to the end of the response; 504 when no head was sent
    /// yet, else the connection is cut.
    pub total: Option<Duration>,
    /// Until the head of the response.
    pub response: Duration,
    /// Without a byte, in either direction.
    pub idle: Duration,
}

/// Limits of client connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// Most connections at once, over all workers.
    pub connections: usize,
    /// Most connections of one address at once; 0: no limit.
    pub connections_per_ip: usize,
    /// Longest request line (method, target, version), in bytes; 414.
    pub request_line: usize,
    /// Most header fields; 431.
    pub header_count: usize,
    /// Most bytes of the head; 431.
    pub header_bytes: usize,
    /// From the first byte of a head to its end; 408. Also for the TLS handshake.
    pub header_timeout: Duration,
    /// Without a byte of a request body that is due; 408.
    pub body_timeout: Duration,
    /// Slowest request body on the long run, in bytes per second, checked after ten seconds; 408.
    pub body_rate_min: u64,
    /// How long a connection may be idle between requests.
    pub keep_alive: Duration,
    /// Without being able to send a byte of a response.
    pub send_timeout: Duration,
    /// Requests per connection; then it is closed.
    pub requests: u64,
    /// HTTP/2 streams at once per connection.
    pub streams: u32,
    /// HTTP/2 streams that clients may reset before tidegate looked at them.
    pub resets: usize,
}

/// What is told about the way a request took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// Send `X-Forwarded-For`, `-Proto`, `-Host`.
    pub x_forwarded: bool,
    /// Send `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// The name in `Via`; none is sent without.
    pub via: Option<String>,
    /// The field that carries the request id; taken over from trusted proxies, made otherwise.
    pub request_id: Option<String>,
    /// The value of `Server` when the answer is tidegate's own.
    pub server: Option<String>,
}

/// Where requests are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The file; `-` is standard output.
    pub path: PathBuf,
    /// What a line looks like.
    pub format: LogFormat,
    /// Most bytes that wait to be written, per worker; lines beyond are counted as dropped.
    pub buffer: usize,
    /// Size at which the file is renamed to `NAME.1` and a new one begun.
    pub rotate: Option<u64>,
    /// Renamed files that are kept.
    pub keep: usize,
}

/// What a line of the access log looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFormat {
    /// The combined format of Apache and nginx.
    Combined,
    /// One JSON object per line with every field of a hit.
    Json,
    /// Text with `{field}` for the fields of a hit.
    Template(String),
}

/// The administration address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// What must be sent as `Authorization: Bearer …` to change anything; `None`: nothing can be
    /// changed unless the address is of the loopback.
    pub token: Option<String>,
}

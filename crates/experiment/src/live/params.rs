//! Parameters of the service: where it listens, who may do what, how much of everything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Client keys of one service.
pub const CLIENT_KEYS_MAX: usize = 64;
/// Bytes of a token, a client key, a secret; of the least secret that is accepted, 16.
pub const SECRET_BYTES_MAX: usize = 1_024;
/// The least bytes of a secret.
pub const SECRET_BYTES_MIN: usize = 16;
/// Origins that browsers may call from.
pub const ORIGINS_MAX: usize = 64;
/// Keys that sign bearer tokens.
pub const BEARER_KEYS_MAX: usize = 16;

/// Results are looked at once a second at most.
pub const ACT_EVERY_MIN: Duration = Duration::from_secs(1);
/// Results are looked at once an hour at least.
pub const ACT_EVERY_MAX: Duration = Duration::from_secs(3_600);

/// Everything that the live service of experiments needs to know, but the experiments.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceParams {
    /// Where the API listens.
    pub address: SocketAddr,
    /// What writers send as `Authorization: Bearer TOKEN` or `X-API-Key`. Without one, only
    /// programs on this machine may write, and only when `address` is of the loopback.
    pub token: Option<String>,
    /// Keys that applications and browsers read with: the last part of GrowthBook's paths, and a
    /// token for the OpenFeature protocol. They may evaluate and report exposures and events, and
    /// nothing else. At most [`CLIENT_KEYS_MAX`].
    pub client_keys: Vec<String>,
    /// The folder of everything that is recorded.
    pub data: PathBuf,
    /// What signs cookies and links, [`SECRET_BYTES_MIN`] bytes at least. Without one, a random one
    /// is made once and kept in the data folder.
    pub secret: Option<String>,
    /// Origins whose pages may call the API (`https://shop.example`); `*` for all.
    pub origins: Vec<String>,
    /// The header in which something in front tells the visitor's country, in lower case; it is
    /// believed, so whatever is in front must set it.
    pub country_header: Option<String>,
    /// Keys that bearer tokens (JSON Web Tokens) are verified with before a claim of them is a
    /// unit; without one no claim is read. At most [`BEARER_KEYS_MAX`].
    pub bearer_keys: Vec<BearerKey>,
    /// The cookie that is created for devices without an id.
    pub cookie: CookieParams,
    /// How often results are analysed and acted upon, [`ACT_EVERY_MIN`] to [`ACT_EVERY_MAX`].
    pub act_every: Duration,
    /// How much one client may send.
    pub limits: ServiceLimits,
}

impl ServiceParams {
    /// Without token, keys and origins, with the usual limits.
    #[must_use]
    pub fn new(address: SocketAddr, data: PathBuf) -> ServiceParams {
        ServiceParams {
            address,
            token: None,
            client_keys: Vec::new(),
            data,
            secret: None,
            origins: Vec::new(),
            country_header: None,
            bearer_keys: Vec::new(),
            cookie: CookieParams::default(),
            act_every: Duration::from_secs(5),
            limits: ServiceLimits::default(),
        }
    }
}

/// A key that bearer tokens are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BearerKey {
    /// HMAC with SHA-256 (`HS256`): the shared secret.
    Hs256(String),
    /// RSA with SHA-256 (`RS256`): the public key as PEM (`BEGIN PUBLIC KEY`).
    Rs256(String),
    /// ECDSA on P-256 with SHA-256 (`ES256`): the public key as PEM (`BEGIN PUBLIC KEY`).
    Es256(String),
}

/// The cookie of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieParams {
    /// How long browsers keep it; at least a day.
    pub max_age: Duration,
    /// Keeps scripts from reading it (`HttpOnly`). Then browser SDKs must be told the id by the
    /// application.
    pub http_only: bool,
}

impl Default for CookieParams {
    /// A year, readable by scripts.
    fn default() -> CookieParams {
        CookieParams { max_age: Duration::from_secs(365 * 86_400), http_only: false }
    }
}

/// How much one request may bring, and how much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Bytes of a body, 1 KiB to 16 MiB.
    pub body_bytes: usize,
    /// Exposures and events of one batch, at most [`crate::event::RECORDS_MAX`].
    pub batch: usize,
    /// Exposures of the gateway that wait to be recorded; more are dropped, counted and reported.
    pub queue: usize,
    /// Units that are remembered as exposed, so that their next requests cost nothing.
    pub remembered: usize,
    /// Assignments (`sticky`) and links of users and devices that are kept.
    pub kept: usize,
    /// Requests to the API under way at once; more are told to come again (429).
    pub requests: usize,
    /// Requests per second of one client (address of the connection; the first 64 bits of an IPv6
    /// address), and as many at once; more are told when to come again (429). Whoever has the token
    /// is not limited.
    pub client_rate: u32,
    /// Open streams of server-sent events.
    pub streams: usize,
}

impl Default for ServiceLimits {
    fn default() -> ServiceLimits {
        ServiceLimits {
            body_bytes: 1 << 20,
            batch: 1_000,
            queue: 65_536,
            remembered: 1 << 20,
            kept: 4 << 20,
            requests: 256,
            client_rate: 10_000,
            streams: 1_024,
        }
    }
}

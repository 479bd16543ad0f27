//! What a site decides about its cache.

use std::time::Duration;

/// What a site decides about its cache; everything else follows RFC 9111 for a shared cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Freshness of answers that say nothing about it; zero: such answers are kept only with a
    /// validator or by heuristic.
    pub default_ttl: Duration,
    /// Use the heuristic of RFC 9111 section 4.2.2: a tenth of the age of `Last-Modified`.
    pub heuristic: bool,
    /// Longest heuristic freshness.
    pub heuristic_max: Duration,
    /// How long a stale answer may be served while it is fetched again, unless the answer says.
    pub stale_while_revalidate: Duration,
    /// How long a stale answer may be served in place of an error, unless the answer says.
    pub stale_if_error: Duration,
    /// Freshness of error answers that say nothing about it.
    pub negative: Vec<Negative>,
    /// Longest freshness, whatever an answer says.
    pub max_ttl: Option<Duration>,
    /// Answers with `Set-Cookie` may be kept (the field itself is never served from the store).
    pub store_set_cookie: bool,
    /// `Cache-Control` and `Pragma` of requests are obeyed (no-cache, max-age, only-if-cached …).
    pub obey_request: bool,
    /// Most request fields in a `Vary` that is kept.
    pub vary_max: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            default_ttl: Duration::ZERO,
            heuristic: true,
            heuristic_max: Duration::from_secs(24 * 3600),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            negative: Vec::new(),
            max_ttl: None,
            store_set_cookie: false,
            obey_request: true,
            vary_max: 8,
        }
    }
}

/// Freshness of an error status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negative {
    /// The status.
    pub status: u16,
    /// How long it is fresh.
    pub ttl: Duration,
}

//! What experiments decide about a request. They are an engine of their own: the gateway asks what
//! a request is to be served, before its cache is looked at, and tells afterwards what was served.

use std::any::Any;
use std::net::IpAddr;

use traffic::Fields;

use crate::params::Upstream;

/// A request, as far as experiments look at it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Lower-case host, without port.
    pub host: &'a str,
    /// The normalised path.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The fields, as the client sent them.
    pub fields: &'a Fields,
    /// The client's address.
    pub client: IpAddr,
    /// Microseconds since the Unix epoch.
    pub unix_us: i64,
    /// The upstreams there are.
    pub upstreams: &'a [Upstream],
}

/// What a request is served.
#[derive(Default)]
pub struct Treatment {
    /// `experiment=variant`, with commas between; empty when there is none. Part of the cache key
    /// and of the access log.
    pub variants: String,
    /// Name of the upstream that answers, instead of the route's.
    pub upstream: Option<String>,
    /// A prefix of the path, and what is sent to the server instead of it; instead of the route's
    /// own rewriting.
    pub rewrite: Option<(String, String)>,
    /// Fields that the request gets, in place of those of the same name.
    pub request_fields: Vec<(String, String)>,
    /// Fields that are added to the answer.
    pub response_fields: Vec<(String, String)>,
    /// A redirect that is the answer: status and location.
    pub redirect: Option<(u16, String)>,
    /// What is remembered until [`Experiments::served`].
    pub note: Option<Box<dyn Any + Send>>,
}

impl std::fmt::Debug for Treatment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Treatment").field("variants", &self.variants).finish_non_exhaustive()
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// The name of the route.
    pub route: &'a str,
    /// The status that was sent; 0 when the client got none.
    pub status: u16,
    /// From the request's head to the end of the answer, in microseconds.
    pub duration_us: u64,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// When the request began, in microseconds since the Unix epoch.
    pub start_us: i64,
    /// What the cache did, if the route has one: `hit`, `miss` …
    pub cache: Option<&'static str>,
    /// Whether the gateway counts it as failed.
    pub is_failed: bool,
}

/// Decides what requests are served. Called for every request of a route that forwards, on the
/// core that serves it: it must neither block nor wait.
pub trait Experiments: Send + Sync {
    /// What this request is served.
    fn treat(&self, asked: &Asked<'_>) -> Treatment;

    /// What was served. Not called when the gateway answered before it asked (limits, access).
    fn served(&self, treatment: Treatment, served: &Served<'_>);
}

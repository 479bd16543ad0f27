//! What happened to one request and its response.

/// One request and its response, as an access log or a run tells it.
///
/// Fields borrow from the line they were read from. They are bytes, not `str`: access logs hold
/// whatever clients sent, and validating every line as UTF-8 would buy nothing. A field that the
/// record does not hold is `None`; an empty slice means "present and empty".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hit<'a> {
    /// When the request started, in microseconds since the Unix epoch (UTC).
    pub start_us: i64,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// Client address or host name.
    pub client: &'a [u8],
    /// Authenticated user.
    pub user: Option<&'a [u8]>,
    /// Virtual host or `Host` header.
    pub host: Option<&'a [u8]>,
    /// Request method, as sent.
    pub method: &'a [u8],
    /// Request target, as sent: path and query, or an absolute URI.
    pub target: &'a [u8],
    /// Protocol, such as `HTTP/1.1`.
    pub protocol: Option<&'a [u8]>,
    /// Response status.
    pub status: u16,
    /// Response bytes as the log counts them (usually the body).
    pub bytes: Option<u64>,
    /// `Referer` header.
    pub referrer: Option<&'a [u8]>,
    /// `User-Agent` header.
    pub agent: Option<&'a [u8]>,
    /// Route of the gateway.
    pub route: Option<&'a [u8]>,
    /// Upstream of the gateway.
    pub upstream: Option<&'a [u8]>,
    /// Server that answered, or was tried last.
    pub server: Option<&'a [u8]>,
    /// How many servers were asked.
    pub attempts: Option<u32>,
    /// What the cache did: `hit`, `stale`, `revalidated`, `miss`, `collapsed`, `bypass` …
    pub cache: Option<&'a [u8]>,
    /// Why the request failed: the label of its kind.
    pub failure: Option<&'a [u8]>,
    /// Who caused the failure: `client`, `upstream` or `tidegate`.
    pub failure_owner: Option<&'a [u8]>,
    /// Bytes of the request's body.
    pub request_bytes: Option<u64>,
    /// The id that all parts of the system know the request by.
    pub request_id: Option<&'a [u8]>,
    /// `http` or `https`.
    pub scheme: Option<&'a [u8]>,
    /// TLS version towards the client.
    pub tls: Option<&'a [u8]>,
    /// How long opening a connection to the server took, in microseconds.
    pub connect_us: Option<u64>,
    /// From asking a server to the head of its answer, in microseconds.
    pub ttfb_us: Option<u64>,
    /// Which variants of experiments it was served, as `experiment=variant` with commas between.
    pub variants: Option<&'a [u8]>,
}

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
}

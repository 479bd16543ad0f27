//! One line of an access log, as its format tells it.

/// What one line says about a request. Texts are bytes as logged, with the escapes of the format taken
/// back; they borrow from the line or from the parser's scratch buffer. What a line does not tell is
/// `None`; `-` in the formats that use it means the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record<'a> {
    /// When, in microseconds since the Unix epoch. Logs differ in whether they mean the start or the
    /// end of the request; see [`Self::time_is_end`].
    pub time_us: i64,
    /// The zone that the line was written in, in minutes east of UTC: hours of the day and dates of a
    /// report are those of the log.
    pub offset_min: i16,
    /// Whether the time is that of the end of the request (nginx), not of its start (Apache, tidegate).
    pub time_is_end: bool,
    /// Client address or host name.
    pub client: &'a [u8],
    /// Authenticated user.
    pub user: Option<&'a [u8]>,
    /// Virtual host or `Host` header.
    pub host: Option<&'a [u8]>,
    /// Request method.
    pub method: Option<&'a [u8]>,
    /// Request target: path and query, or an absolute URI; as logged.
    pub target: Option<&'a [u8]>,
    /// Protocol, such as `HTTP/1.1`.
    pub protocol: Option<&'a [u8]>,
    /// Response status.
    pub status: Option<u16>,
    /// Response bytes as the log counts them.
    pub bytes: Option<u64>,
    /// Bytes of the request.
    pub request_bytes: Option<u64>,
    /// `Referer` header.
    pub referrer: Option<&'a [u8]>,
    /// `User-Agent` header.
    pub agent: Option<&'a [u8]>,
    /// First address of `X-Forwarded-For`, where the log has it beside the client.
    pub forwarded_for: Option<&'a [u8]>,
    /// How long the request took, in microseconds.
    pub duration_us: Option<u64>,
    /// How long the upstream took, in microseconds; the last try.
    pub upstream_us: Option<u64>,
    /// Address of the server that answered (`$upstream_addr`, target of a load balancer, server).
    pub upstream: Option<&'a [u8]>,
    /// What a cache did, as logged (`HIT`, `miss`, `TCP_HIT` …).
    pub cache: Option<&'a [u8]>,
    /// TLS version.
    pub tls: Option<&'a [u8]>,
    /// TLS cipher.
    pub cipher: Option<&'a [u8]>,
    /// Content type of the response.
    pub mime: Option<&'a [u8]>,
    /// Country code of the client, where the log has it.
    pub country: Option<&'a [u8]>,
    /// Route of a gateway.
    pub route: Option<&'a [u8]>,
    /// Variants of experiments, as tidegate logs them.
    pub variants: Option<&'a [u8]>,
    /// For counts (`timestamp,requests`): how many requests the line stands for; otherwise 1.
    pub weight: u64,
}

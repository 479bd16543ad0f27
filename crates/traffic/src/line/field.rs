//! The fields of a hit by name.

use crate::Hit;

/// A field of a hit, by its name in templates and in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HitField {
    /// RFC 3339 with microseconds, UTC.
    Start,
    /// Seconds.
    Duration,
    /// Client address.
    Client,
    /// Authenticated user.
    User,
    /// `Host`.
    Host,
    /// Method.
    Method,
    /// Path and query.
    Target,
    /// Path.
    Path,
    /// Query.
    Query,
    /// Protocol.
    Protocol,
    /// Status.
    Status,
    /// Response body bytes.
    Bytes,
    /// Request body bytes.
    RequestBytes,
    /// `Referer`.
    Referrer,
    /// `User-Agent`.
    Agent,
    /// Route.
    Route,
    /// Upstream.
    Upstream,
    /// Server.
    Server,
    /// Attempts.
    Attempts,
    /// Cache status.
    Cache,
    /// Failure label.
    Failure,
    /// Who caused the failure.
    FailureOwner,
    /// Request id.
    RequestId,
    /// Scheme.
    Scheme,
    /// TLS version.
    Tls,
    /// Seconds to connect.
    ConnectTime,
    /// Seconds to the first byte of the server.
    Ttfb,
    /// Variants.
    Variants,
}

impl HitField {
    /// All fields, in the order in which JSON lines have them.
    pub const ALL: &[HitField] = &[
        HitField::Start,
        HitField::Client,
        HitField::User,
        HitField::Method,
        HitField::Scheme,
        HitField::Host,
        HitField::Target,
        HitField::Protocol,
        HitField::Status,
        HitField::Bytes,
        HitField::RequestBytes,
        HitField::Duration,
        HitField::Ttfb,
        HitField::ConnectTime,
        HitField::Route,
        HitField::Upstream,
        HitField::Server,
        HitField::Attempts,
        HitField::Cache,
        HitField::Failure,
        HitField::FailureOwner,
        HitField::Referrer,
        HitField::Agent,
        HitField::RequestId,
        HitField::Tls,
        HitField::Variants,
        HitField::Path,
        HitField::Query,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            HitField::Start => "start",
            HitField::Duration => "duration",
            HitField::Client => "client",
            HitField::User => "user",
            HitField::Host => "host",
            HitField::Method => "method",
            HitField::Target => "target",
            HitField::Path => "path",
            HitField::Query => "query",
            HitField::Protocol => "protocol",
            HitField::Status => "status",
            HitField::Bytes => "bytes",
            HitField::RequestBytes => "request-bytes",
            HitField::Referrer => "referrer",
            HitField::Agent => "agent",
            HitField::Route => "route",
            HitField::Upstream => "upstream",
            HitField::Server => "server",
            HitField::Attempts => "attempts",
            HitField::Cache => "cache",
            HitField::Failure => "failure",
            HitField::FailureOwner => "failure-owner",
            HitField::RequestId => "request-id",
            HitField::Scheme => "scheme",
            HitField::Tls => "tls",
            HitField::ConnectTime => "connect-time",
            HitField::Ttfb => "ttfb",
            HitField::Variants => "variants",
        }
    }

    /// The field of a name.
    pub fn named(name: &str) -> Option<HitField> {
        HitField::ALL.iter().copied().find(|field| field.as_str() == name)
    }

    /// Its value.
    pub(super) fn of<'a>(self, hit: &Hit<'a>) -> Value<'a> {
        let text = |text: Option<&'a [u8]>| text.map_or(Value::None, Value::Text);
        let number = |number: Option<u64>| number.map_or(Value::None, Value::Number);
        let seconds = |us: Option<u64>| us.map_or(Value::None, Value::Seconds);
        let mut parts = hit.target.splitn(2, |byte| *byte == b'?');
        match self {
            HitField::Start => Value::Start(hit.start_us),
            HitField::Duration => seconds(hit.duration_us),
            HitField::Client => Value::Text(hit.client),
            HitField::User => text(hit.user),
            HitField::Host => text(hit.host),
            HitField::Method => Value::Text(hit.method),
            HitField::Target => Value::Text(hit.target),
            HitField::Path => text(parts.next()),
            HitField::Query => text(parts.nth(1)),
            HitField::Protocol => text(hit.protocol),
            HitField::Status => Value::Number(u64::from(hit.status)),
            HitField::Bytes => number(hit.bytes),
            HitField::RequestBytes => number(hit.request_bytes),
            HitField::Referrer => text(hit.referrer),
            HitField::Agent => text(hit.agent),
            HitField::Route => text(hit.route),
            HitField::Upstream => text(hit.upstream),
            HitField::Server => text(hit.server),
            HitField::Attempts => number(hit.attempts.map(u64::from)),
            HitField::Cache => text(hit.cache),
            HitField::Failure => text(hit.failure),
            HitField::FailureOwner => text(hit.failure_owner),
            HitField::RequestId => text(hit.request_id),
            HitField::Scheme => text(hit.scheme),
            HitField::Tls => text(hit.tls),
            HitField::ConnectTime => seconds(hit.connect_us),
            HitField::Ttfb => seconds(hit.ttfb_us),
            HitField::Variants => text(hit.variants),
        }
    }
}

/// What a hit says in a field.
pub(super) enum Value<'a> {
    None,
    Text(&'a [u8]),
    Number(u64),
    /// Microseconds.
    Seconds(u64),
    /// Microseconds since 1970.
    Start(i64),
}

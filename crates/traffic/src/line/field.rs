//! The fields of a hit by name.

use crate::Hit;

macro_rules! fields {
    ($($variant:ident => $name:literal, $meaning:literal;)*) => {
        /// A field of a hit, by its name in templates and in JSON.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum HitField {
            $(#[doc = $meaning] $variant,)*
        }

        impl HitField {
            /// All fields, in the order in which JSON lines have them.
            pub const ALL: &[HitField] = &[$(HitField::$variant,)*];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self { $(HitField::$variant => $name,)* }
            }

            /// `,"name":`
            pub(super) fn json_key(self) -> &'static str {
                match self { $(HitField::$variant => concat!(",\"", $name, "\":"),)* }
            }
        }
    };
}

fields! {
    Start => "start", "RFC 3339 with microseconds, UTC.";
    Client => "client", "Client address.";
    User => "user", "Authenticated user.";
    Method => "method", "Method.";
    Scheme => "scheme", "Scheme.";
    Host => "host", "`Host`.";
    Target => "target", "Path and query.";
    Protocol => "protocol", "Protocol.";
    Status => "status", "Status.";
    Bytes => "bytes", "Response body bytes.";
    RequestBytes => "request-bytes", "Request body bytes.";
    Duration => "duration", "Seconds from start to end.";
    Ttfb => "ttfb", "Seconds to the first byte of the server.";
    ConnectTime => "connect-time", "Seconds to connect.";
    Route => "route", "Route.";
    Upstream => "upstream", "Upstream.";
    Server => "server", "Server.";
    Attempts => "attempts", "Attempts.";
    Cache => "cache", "Cache status.";
    Failure => "failure", "Failure label.";
    FailureOwner => "failure-owner", "Who caused the failure.";
    Referrer => "referrer", "`Referer`.";
    Agent => "agent", "`User-Agent`.";
    RequestId => "request-id", "Request id.";
    Tls => "tls", "TLS version.";
    Variants => "variants", "Variants.";
    Path => "path", "Path: the target up to the first `?`.";
    Query => "query", "Query: what follows the first `?`.";
}

impl HitField {
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

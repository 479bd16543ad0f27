//! What keys of JSON, logfmt and columns of tables mean, by the names that servers give them.

use super::{field::Field, spelling};
use foldhash::{HashMap, HashMapExt};

/// Most keys that are remembered; those beyond are looked up anew each time.
const KEYS_MAX: usize = 4096;

/// A meaning. A weak one does not replace what another key told about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) field: Field,
    pub(crate) weak: bool,
}

/// Remembers what keys mean.
#[derive(Debug)]
pub(crate) struct Names {
    known: HashMap<Box<[u8]>, Option<Named>>,
}

impl Default for Names {
    fn default() -> Self {
        Self { known: HashMap::new() }
    }
}

impl Names {
    /// The meaning of a key; of a nested one, with its parents before it and dots between.
    pub(crate) fn of(&mut self, path: &[u8]) -> Option<Named> {
        if let Some(named) = self.known.get(path) {
            return *named;
        }
        let named = named(path);
        if self.known.len() < KEYS_MAX {
            self.known.insert(path.into(), named);
        }
        named
    }
}

/// The meaning of the name of a key or column.
pub(crate) fn named(path: &[u8]) -> Option<Named> {
    // Traefik's is in nanoseconds, unlike everybody's in lower case.
    if path == b"Duration" {
        return Some(Named { field: Field::DurationNs, weak: false });
    }
    let path = String::from_utf8_lossy(path);
    let lower = spelling::lower(&path);
    by_path(&lower).or_else(|| {
        let snake = spelling::snake(&path);
        by_path(&snake).or_else(|| with_unit(&lower)).or_else(|| with_unit(&snake))
    })
}

/// A duration whose name ends in its unit.
fn with_unit(path: &str) -> Option<Named> {
    let (base, field) = spelling::unit(path)?;
    Some(Named { field: field(by_path(base)?.field)?, weak: false })
}

/// As [`named`], of a name in lower case.
fn by_path(path: &str) -> Option<Named> {
    if let Some(named) = by_name(path) {
        return Some(named);
    }
    let (parents, last) = path.rsplit_once('.')?;
    let is_request = parents.split('.').all(|parent| PARENTS.contains(&parent));
    let is_header = parents.ends_with("headers");
    if !is_request || is_header && !REQUEST_HEADERS.contains(&last) {
        return None;
    }
    // A header is what the client says: anything else is better.
    let named = by_name(last)?;
    let is_of_request =
        parents.rsplit('.').next().is_some_and(|parent| matches!(parent, "request" | "req"));
    // What is sent is meant where nothing tells otherwise.
    let field = match named.field {
        Field::Bytes if is_of_request => Field::RequestBytes,
        field => field,
    };
    Some(Named { field, weak: named.weak || is_header })
}

/// Objects whose members are as good as members of the line.
const PARENTS: [&str; 17] = [
    "request",
    "req",
    "response",
    "res",
    "resp",
    "headers",
    "header",
    "http",
    "httprequest",
    "access",
    "nginx",
    "log",
    "data",
    "json",
    "message",
    "attributes",
    "fields",
];

/// Headers that tell something of the request; others, such as its content type, only seem to.
const REQUEST_HEADERS: [&str; 5] =
    ["user_agent", "referer", "x_forwarded_for", "host", "authority"];

/// As [`named`], with the columns that a table of counts may have.
pub(crate) fn column(name: &[u8]) -> Option<Named> {
    let lower = name.to_ascii_lowercase();
    let (field, weak) = match lower.as_slice() {
        b"requests" | b"count" | b"hits" | b"weight" | b"invocations" => (Field::Weight, false),
        // Beside columns of a request these are anything.
        b"value" | b"total" => (Field::Weight, true),
        b"date" => (Field::Date, false),
        name if name.starts_with(b"timestamp") || name == b"datetime" => (Field::Time, false),
        _ => return named(name),
    };
    Some(Named { field, weak })
}

fn by_name(name: &str) -> Option<Named> {
    use Field as F;
    let strong = |field| Some(Named { field, weak: false });
    let weak = |field| Some(Named { field, weak: true });
    match name {
        // Times.
        "start" | "start_time" | "startutc" | "start_utc" | "request_start" => strong(F::Time),
        "edgestarttimestamp" => strong(F::Time),
        "edgeendtimestamp" | "end_time" => strong(F::EndTime),
        "ts" | "time_local" | "time_iso8601" | "msec" | "time_micros" => strong(F::TimeAtEnd),
        "timestamp" | "@timestamp" | "time" | "datetime" | "date_time" | "date" | "@t"
        | "startlocal" | "started_at" | "requesttimeepoch" => weak(F::Time),
        // Time in API Gateway's format, duration in others'.
        "requesttime" => weak(F::TimeOrDuration),
        // Clients.
        "client" | "client_ip" | "clientip" | "clienthost" | "remote_addr" | "source.ip"
        | "client.ip" | "c_ip" => strong(F::Client),
        "remote_ip"
        | "remoteip"
        | "remote_host"
        | "remote"
        | "host_ip"
        | "source.address"
        | "client.address"
        | "ip"
        | "ip_address"
        | "clientipaddress"
        | "downstream_remote_address_without_port" => weak(F::Client),
        "clientaddr"
        | "remote_address"
        | "downstream_remote_address"
        | "client_addr"
        | "remoteaddr" => weak(F::ClientPort),
        "user" | "remote_user" | "user_id" | "clientusername" | "user.name" | "username" => {
            weak(F::User)
        }
        "x_forwarded_for" | "http_x_forwarded_for" | "xff" | "forwarded_for" => {
            weak(F::ForwardedFor)
        }
        "clientcountry"
        | "country"
        | "geoip_country_code"
        | "country_code"
        | "client.geo.country_iso_code" => weak(F::Country),
        // Requests.
        "host" | "http_host" | "vhost" | "authority" | ":authority" | "clientrequesthost"
        | "requesthost" | "url.domain" | "cs_host" => strong(F::Host),
        "server_name" | "virtual_host" | "requestaddr" => weak(F::Host),
        "request" | "request_line" => weak(F::Request),
        "method"
        | "request_method"
        | "requestmethod"
        | "clientrequestmethod"
        | "verb"
        | "http_method"
        | "http.request.method"
        | "http.method"
        | "cs_method" => strong(F::Method),
        "target" | "request_uri" | "clientrequesturi" | "requesturi" | "url.original"
        | "http.target" | "cs_uri" => strong(F::Target),
        "uri"
        | "path"
        | "url"
        | "requestpath"
        | "request_path"
        | "requesturl"
        | "request_url"
        | "clientrequestpath"
        | "x_envoy_original_path"
        | "resource_path"
        | "url.path" => weak(F::Target),
        "args" | "query_string" | "querystring" | "url.query" => weak(F::Query),
        "protocol"
        | "proto"
        | "server_protocol"
        | "clientrequestprotocol"
        | "requestprotocol"
        | "http_version"
        | "http.version"
        | "request_protocol" => weak(F::Protocol),
        "request_length"
        | "request_bytes"
        | "bytes_received"
        | "bytes_read"
        | "requestsize"
        | "clientrequestbytes"
        | "requestcontentsize"
        | "http.request.bytes"
        | "http.request.body.bytes"
        | "bytes_in"
        | "cs_bytes" => weak(F::RequestBytes),
        "referrer"
        | "referer"
        | "http_referer"
        | "http_referrer"
        | "clientrequestreferer"
        | "request_referer"
        | "http.request.referrer"
        | "cs_referer" => weak(F::Referrer),
        "agent"
        | "user_agent"
        | "useragent"
        | "http_user_agent"
        | "clientrequestuseragent"
        | "request_user_agent"
        | "user_agent.original"
        | "cs_user_agent" => weak(F::Agent),
        // Responses.
        "status"
        | "status_code"
        | "statuscode"
        | "response_code"
        | "responsecode"
        | "downstreamstatus"
        | "edgeresponsestatus"
        | "http.response.status_code"
        | "http.status_code"
        | "sc_status" => strong(F::Status),
        "code" | "response_status" => weak(F::Status),
        "bytes"
        | "body_bytes_sent"
        | "downstreamcontentsize"
        | "edgeresponsebytes"
        | "http.response.body.bytes"
        | "sc_bytes" => strong(F::Bytes),
        "bytes_sent"
        | "size"
        | "response_size"
        | "responsesize"
        | "response_bytes"
        | "body_bytes"
        | "content_length"
        | "response_length"
        | "bytes_out"
        | "http.response.bytes" => weak(F::Bytes),
        "mime"
        | "content_type"
        | "sent_http_content_type"
        | "edgeresponsecontenttype"
        | "resp_headers.content_type"
        | "downstream_content_type"
        | "http.response.mime_type" => weak(F::Mime),
        // Durations.
        "request_time" => strong(F::DurationS),
        // Echo's, beside nanoseconds without unit.
        "latency_human" => strong(F::Duration),
        "latencies.request" => strong(F::DurationMs),
        "time_us" => strong(F::DurationUs),
        "event.duration" => strong(F::DurationNs),
        "duration" | "latency" | "response_time" | "request_duration" | "elapsed"
        | "elapsed_time" | "time_taken" => weak(F::Duration),
        "upstream_response_time" | "upstream_time" | "ttfb" => weak(F::UpstreamS),
        "upstream_service_time"
        | "originresponsedurationms"
        | "x_envoy_upstream_service_time"
        | "latencies.proxy" => strong(F::UpstreamMs),
        "originduration" | "originresponsetime" => weak(F::UpstreamNs),
        // Behind the server.
        "upstream_addr" | "upstream_host" | "serviceaddr" | "originip" | "serverip" | "server"
        | "target_ip" => strong(F::Upstream),
        "upstream" | "upstream_cluster" | "servicename" => weak(F::Upstream),
        "cache" | "cache_status" | "upstream_cache_status" | "cachecachestatus" | "x_cache" => {
            weak(F::Cache)
        }
        "route" | "routername" | "route_name" => weak(F::Route),
        "variants" => weak(F::Variants),
        // TLS.
        "tls"
        | "ssl_protocol"
        | "tlsversion"
        | "tls_version"
        | "clientsslprotocol"
        | "request.tls.version"
        | "tls.version" => weak(F::Tls),
        "ssl_cipher"
        | "tlscipher"
        | "tls_cipher"
        | "clientsslcipher"
        | "request.tls.cipher_suite"
        | "tls.cipher" => weak(F::Cipher),
        _ => None,
    }
}

//! The way to the target: name look-up, connections, TLS, and one exchange over HTTP/1.1 or
//! HTTP/2.

pub(crate) mod buffer;
pub(crate) mod chunked;
pub(crate) mod connect;
pub(crate) mod deadline;
pub(crate) mod decode;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod resolve;
pub(crate) mod stream;
pub(crate) mod tls;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

/// What one exchange brought back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    /// Header fields, only when someone will look at them.
    pub(crate) headers: Option<HeaderMap>,
    /// When the first byte came.
    pub(crate) first_byte: Instant,
    /// Bytes received, head and body.
    pub(crate) bytes: u64,
    /// Bytes of the body, before decoding.
    pub(crate) body_bytes: u64,
    /// Whether the connection can carry another request.
    pub(crate) reusable: bool,
}

/// What the caller wants of a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Whether header fields are looked at whatever they are.
    pub(crate) headers: bool,
    /// Whether `Set-Cookie` and `Location` fields are looked at.
    pub(crate) cookies_and_location: bool,
    /// Whether the body is kept.
    pub(crate) body: bool,
    /// Whether the request was HEAD, whose response has no body.
    pub(crate) is_head: bool,
}

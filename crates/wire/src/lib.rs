//! HTTP/1.1 on the wire, without IO: strict heads, body framing, request targets, PROXY protocol.
//!
//! Everything here takes bytes and gives back decisions; nothing reads, waits or keeps time. The
//! grammar is RFC 9112 with every leniency left out: what two parsers could understand
//! differently is refused, because that is how requests are smuggled past a gateway.

pub mod chunked;
pub mod cookie;
pub mod forwarded;
pub mod hop;
pub mod proxy_protocol;
pub mod target;
pub mod write;

mod error;
mod framing;
mod lines;
mod request;
mod response;
mod syntax;

pub use error::HeadError;
pub use framing::{BodyLength, content_length};
pub use lines::{HeadLimits, Version, check_fields};
pub use request::{RequestHead, parse_request};
pub use response::{ResponseHead, parse_response, response_body};

//! From a listening socket to exchanges: accepting, PROXY headers and TLS, then HTTP/1.1 or HTTP/2.

pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod listener;
pub(crate) mod preamble;

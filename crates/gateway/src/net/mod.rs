//! Messages on connections: HTTP/1.1 and HTTP/2, towards clients and towards servers alike.

pub(crate) mod buffer;
pub(crate) mod deadline;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod peer;
pub(crate) mod stream;

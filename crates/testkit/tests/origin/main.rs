//! The fake origin, seen by raw clients.

mod common;
mod faults;
mod plain;
mod tls_http2;

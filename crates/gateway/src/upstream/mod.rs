//! Upstreams: what all cores share about them ([`shared`]), what each core has of its own
//! ([`local`]), and how a connection to a server is opened and kept.

pub(crate) mod connect;
pub(crate) mod health;
pub(crate) mod local;
pub(crate) mod pool;
pub(crate) mod shared;

//! The gateway: accept → decide → forward → record.
//!
//! [`Gateway::start`] takes validated [`params::GatewayParams`] and runs one thread per core, each
//! with its own listening sockets, connections to servers and counters, and one control thread.
//! The life of a request reads from top to bottom in `exchange.rs`.

pub mod cache;
pub mod log;
pub mod metrics;
pub mod params;
pub mod router;

mod accept;
mod acl;
mod answer;
mod auth;
mod build;

mod cached;
mod client;
mod compress;
mod control;
mod core;
mod cors;
mod deliver;
mod edit;
mod engine;
mod exchange;
mod explain;
mod failure;
mod files;
mod forward;
mod hedge;
mod limit;
mod mirror;
mod net;
mod open;
mod outgoing;
mod record;
mod redirect;
mod request;
mod shared;
mod snapshot;
mod status;
mod sticky;
mod tls;
mod tunnel;
mod upload;
mod upstream;
mod worker;

pub use build::BuildError;
pub use engine::{Gateway, Purged, StartError};

pub use explain::{Explanation, Question, explain};
pub use failure::{FailureKind, Owner};
pub use tls::TlsError;
pub use upstream::shared::Duty;

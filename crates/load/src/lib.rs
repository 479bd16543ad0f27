//! The load engine: virtual users and open arrivals, sent over HTTP and honestly measured.
//!
//! One current-thread runtime per worker, nothing shared between them while requests flow: each
//! worker keeps its own histograms, which are merged once a second.
//!
//! A run goes through these modules: [`params`] say what to do, the engine starts workers, each
//! with users of a [`scenario`], who send requests and record [`results`]; the collector merges
//! them and a judge gives the [`verdict`].

pub mod capacity;
pub mod data;
pub mod failure;
pub mod params;
pub mod replay;
pub mod results;
pub mod rng;
pub mod scenario;
pub mod slo;
pub mod template;
pub mod verdict;

mod checks;
mod client;
mod collect;
mod engine;
mod findings;
mod health;
mod judge;
mod message;
mod net;
mod plan;
mod quota;
mod recorder;
mod request;
mod schedule;
mod timer;
mod user;
mod watch;
mod worker;

pub use engine::{Control, Run, StartError, WorkerLost};
pub use health::raise_descriptor_limit;
pub use net::tls::TlsSetupError;

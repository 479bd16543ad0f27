//! The administration address: status, metrics, reload, drain and purge of a running gateway.
//!
//! What a gateway can do is behind [`Control`], so this crate knows HTTP and nothing of gateways.
//! Reading is free for everybody who reaches the address; what changes something must get past
//! the guard (`guard.rs`).

mod body;
mod experiments;
mod experiments_admin;
mod guard;
mod routes;
mod server;

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

pub use experiments::serve_experiments;
pub use server::serve;

/// What the administration address shows and changes.
pub trait Control: Send + Sync + 'static {
    /// Metrics in the text format of Prometheus.
    fn metrics(&self) -> String;

    /// The same numbers, and how everything is, as JSON.
    fn status(&self) -> Value;

    /// Whether it is stopping, so that load balancers in front should go elsewhere.
    fn is_draining(&self) -> bool;

    /// Reads the configuration again and takes it: all of it, or none. Goes on when the client
    /// that asked for it goes away.
    fn reload(&self) -> Pending<'_>;

    /// Declares stored answers invalid.
    ///
    /// # Errors
    /// When there is nothing of that kind.
    fn purge(&self, purge: &Purge) -> Result<Value, Refusal>;

    /// Begins to stop: what is under way is finished. Returns at once.
    ///
    /// # Errors
    /// When it cannot be stopped.
    fn drain(&self) -> Result<Value, Refusal>;

    /// Changes what an operator says about a server.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when there is no such server.
    fn set_server(&self, upstream: &str, server: &str, set: Set) -> Result<Value, Refusal>;
}

/// A change that takes its time.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send + 'a>>;

/// Why something was not done, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// What it is about does not exist; 404.
    NotFound(String),
    /// It was understood and cannot be done; 422.
    Invalid(String),
    /// It cannot be done now; 503.
    Unavailable(String),
}

/// Which stored answers are declared invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// Which.
    pub what: PurgeWhat,
    /// Whether they may still be served while they are asked for anew, or in place of an error.
    pub soft: bool,
}

/// Which stored answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeWhat {
    /// Those of this URL.
    Url(String),
    /// Those whose URL begins so.
    Prefix(String),
    /// Those with this tag.
    Tag(String),
    /// All.
    All,
}

/// What an operator says about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// It gets requests when its checks say that it may.
    Up,
    /// It gets no new requests, but those of clients that are bound to it.
    Drain,
    /// It gets no requests.
    Down,
    /// Its share relative to the others.
    Weight(u16),
}

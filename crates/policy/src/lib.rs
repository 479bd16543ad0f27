//! Decisions without IO. Nothing in this crate reads a clock or owns a random source: time, as an
//! offset from the start, and the random generator are arguments, so every decision can be
//! replayed.

pub mod adaptive;
pub mod assign;
pub mod balance;
pub mod breaker;
pub mod cache;
pub mod concurrency;
pub mod ejection;
pub mod gcra;
pub mod health;
pub mod key_table;
pub mod retry;

mod arrivals;
mod curve;
mod wait;

pub use arrivals::{ArrivalKind, Arrivals};
pub use curve::{Curve, CurveError, STAGES_MAX, Stage};
pub use wait::Wait;

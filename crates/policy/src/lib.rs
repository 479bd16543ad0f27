//! Decisions without IO. Nothing in this crate reads a clock or owns a random source: time, as an
//! offset from the start, and the random generator are arguments, so every decision can be
//! replayed.

pub mod cache;

mod arrivals;
mod curve;
mod wait;

pub use arrivals::{ArrivalKind, Arrivals};
pub use curve::{Curve, CurveError, STAGES_MAX, Stage};
pub use wait::Wait;

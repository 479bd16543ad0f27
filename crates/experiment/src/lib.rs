//! Experiments: who sees which version, what they did, and which version is better.
//!
//! [`model`] says what an experiment is, [`targeting`] whom it is for, [`evaluate`] who gets which
//! variant; [`metric`] says what is compared, [`analysis`] what the data show and [`automation`] what
//! is done about it. Nothing here speaks HTTP or reads a clock.

pub mod analysis;
pub mod automation;
pub mod evaluate;
pub mod event;
pub mod ledger;
pub mod live;
pub mod metric;
pub mod model;
pub mod targeting;

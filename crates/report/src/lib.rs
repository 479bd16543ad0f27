//! Results out: terminal text, JSON, Locust's CSV files, run files, comparison of runs, and
//! Prometheus metrics.
//!
//! Everything takes results of the `load` crate and gives text or values; only [`runfile`],
//! [`csv`] and [`progress`] write, to whatever they are given. The shapes are documented in
//! `docs/reference/results.md`.

pub mod compare;
pub mod csv;
pub mod experiment;
pub mod json;
pub mod logs;
pub mod plan;
pub mod progress;
pub mod prometheus;
pub mod runfile;
pub mod terminal;

mod figures;
mod format;
mod table;

pub use figures::ESTIMATOR;
pub use format::sparkline;
pub use table::Style;

//! The numbers of tidegate: latency histograms, quantiles, goodness-of-fit tests, intervals,
//! trends, resampling, experiments, and the laws of queueing and scaling.
//!
//! Everything here is pure: no IO, no clock, no random source of its own. A function that needs
//! randomness takes the generator as an argument. Every estimator names its source, and a result
//! that cannot be given for some input is `None` or an error, never a NaN.

pub mod bootstrap;
pub mod experiment;
pub mod goodness;
pub mod hdr_codec;
pub mod interval;
pub mod knee;
pub mod latency;
pub mod quantile;
pub mod queueing;
pub mod trend;
pub mod usl;

mod buckets;

pub use goodness::{ChiSquare, KolmogorovSmirnov};
pub use hdr_codec::DecodeError;
pub use interval::Interval;
pub use latency::LatencyHistogram;
pub use queueing::Mmc;
pub use trend::Line;
pub use usl::UslFit;

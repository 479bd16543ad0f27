//! The vocabulary that every part of tidegate shares: units as people write them ([`units`])
//! and the record of one request and its response ([`Hit`]).

pub mod units;

mod hit;

pub use hit::Hit;
pub use units::{Bytes, Rate, Ratio, UnitError};

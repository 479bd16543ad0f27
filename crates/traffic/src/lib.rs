//! The vocabulary that every part of tidegate shares: units as people write them ([`units`])
//! and the record of one request and its response ([`Hit`]).

pub mod units;

mod endpoint;
mod fields;
mod hit;
mod line;

pub use endpoint::{endpoint_of, path_of};
pub use fields::{Field, Fields, Name};
pub use hit::Hit;
pub use line::{HitField, LineWriter, Template, TemplateError, unescape_text};
pub use units::{Bytes, Rate, Ratio, UnitError};

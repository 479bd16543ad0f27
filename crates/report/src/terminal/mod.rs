//! Reports for people, in plain text. Every function returns whole lines.

mod capacity;
mod run;
mod tables;

pub use capacity::capacity_text;
pub use run::run_text;

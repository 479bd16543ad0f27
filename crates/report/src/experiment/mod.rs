//! Experiments as text: the verdict first, then health, then the tables with intervals drawn.

mod draw;
mod lists;
mod size;
mod status;

pub use lists::{audit_text, list_text};
pub use size::size_text;
pub use status::{decision_text, status_text};

//! What access logs tell, out: terminal text, CSV, and Parquet for other engines.
//!
//! JSON is the report itself, [`logs::report::LogReport`] serialised: `docs/reference/logs.md`.

mod changes;
mod csv;
mod parquet;
mod terminal;

pub use changes::changes_text;
pub use csv::write_csv;
pub use parquet::{ParquetError, ParquetFile, ParquetSink, ROWS_MAX};
pub use terminal::{TextOptions, log_text};

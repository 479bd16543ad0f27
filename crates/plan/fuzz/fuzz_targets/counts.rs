//! Any bytes as a CSV of counts. Run with `cargo fuzz run counts` in `crates/plan`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_counts(data));

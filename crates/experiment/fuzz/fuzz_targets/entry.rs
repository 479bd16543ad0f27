//! Any bytes as an entry of the journal. Run with `cargo fuzz run entry` in `crates/experiment`.
#![no_main]

#[path = "../check.rs"]
#[allow(dead_code, reason = "shared by the targets")]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_entry(data));

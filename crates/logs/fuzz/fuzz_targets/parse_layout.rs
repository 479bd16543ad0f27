//! Any bytes as a layout and lines. Run with `cargo fuzz run parse_layout` in `crates/logs`.
#![no_main]

#[path = "../check.rs"]
#[allow(dead_code, reason = "shared by the targets")]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_layout(data));

//! Any bytes as a scenario file. Run with `cargo fuzz run parse_scenario` in `crates/config`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_scenario(data));

//! Any bytes as the experiments of a gateway file. Run with `cargo fuzz run parse_experiments` in `crates/config`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_experiments(data, "/nonexistent"));

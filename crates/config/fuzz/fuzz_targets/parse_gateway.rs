//! Any bytes as a gateway file. Run with `cargo fuzz run parse_gateway` in `crates/config`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_gateway(data, "/nonexistent"));

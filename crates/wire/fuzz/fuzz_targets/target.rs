//! Any bytes as a request target. Run with `cargo fuzz run target` in `crates/wire`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_target(data));

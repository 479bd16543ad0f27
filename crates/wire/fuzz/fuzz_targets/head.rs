//! Any bytes as HTTP heads. Run with `cargo fuzz run head` in `crates/wire`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_head(data));

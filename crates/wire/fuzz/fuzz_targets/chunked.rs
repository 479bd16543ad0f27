//! Any bytes as a chunked body. Run with `cargo fuzz run chunked` in `crates/wire`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_chunked(data));

//! Any request and response. Run with `cargo fuzz run cache_decision` in `crates/policy`.
#![no_main]

#[path = "../cache_check.rs"]
mod cache_check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cache_check::any_exchange(data));

//! Any bytes as `Cache-Control`. Run with `cargo fuzz run cache_control` in `crates/policy`.
#![no_main]

#[path = "../cache_check.rs"]
mod cache_check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cache_check::any_directives(data));

//! Any bytes as an access log. Run with `cargo fuzz run parse_line` in `crates/logs`.
#![no_main]

#[path = "../check.rs"]
#[allow(dead_code, reason = "shared by the targets")]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_log(data));

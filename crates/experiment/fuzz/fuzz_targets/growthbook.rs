//! Any JSON as GrowthBook's features and a user. Run with `cargo fuzz run growthbook` in `crates/experiment`.
#![no_main]

#[path = "../check.rs"]
#[allow(dead_code, reason = "shared by the targets")]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_growthbook(data));

//! Any bytes as a PROXY protocol header. Run with `cargo fuzz run proxy_protocol` in `crates/wire`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::any_proxy_protocol(data));

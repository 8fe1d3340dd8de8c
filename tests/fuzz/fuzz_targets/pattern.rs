//! Patterns of routes.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| volley_fuzz::oracles::pattern::check(data));

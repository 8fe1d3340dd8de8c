//! JSON and text that is published.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| volley_fuzz::oracles::json::check(data));

//! Batches in NDJSON.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| volley_fuzz::oracles::batch::check(data));

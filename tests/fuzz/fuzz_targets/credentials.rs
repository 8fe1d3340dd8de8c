//! What is shown at the doors.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| volley_fuzz::oracles::credentials::check(data));

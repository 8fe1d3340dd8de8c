//! Texts and numbers of PIDs.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| volley_fuzz::oracles::pid::check(data));

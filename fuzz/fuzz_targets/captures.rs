//! Fuzz target for captures, in all outputs.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| diagnose_tools_fuzz::captures(input));

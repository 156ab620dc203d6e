//! Fuzz target for the file of limits.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| diagnose_tools_fuzz::limits(input));

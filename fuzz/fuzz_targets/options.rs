//! Fuzz target for the command line.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| diagnose_tools_fuzz::options(input));

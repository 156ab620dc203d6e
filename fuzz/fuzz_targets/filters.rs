//! Fuzz target for expressions of addresses, ports, states and reasons.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| diagnose_tools_fuzz::filters(input));

//! Fuzz target for records and tables of the device, in all outputs.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| diagnose_tools_fuzz::records(input));

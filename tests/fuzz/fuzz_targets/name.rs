//! Names: see `resolver_tests::fuzz::name`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resolver_tests::fuzz::name(bytes));

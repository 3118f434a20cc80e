//! Canonical form: see `resolver_tests::fuzz::canonical`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resolver_tests::fuzz::canonical(bytes));

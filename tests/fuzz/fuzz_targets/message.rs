//! Messages: see `resolver_tests::fuzz::message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resolver_tests::fuzz::message(bytes));

//! Whole validations: see `resolver_tests::fuzz::validation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resolver_tests::fuzz::validation(bytes));

//! Slots: see `resolver_tests::fuzz::slot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resolver_tests::fuzz::slot(bytes));

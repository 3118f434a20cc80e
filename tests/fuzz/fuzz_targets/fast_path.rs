//! The fast path: see `resolver_tests::fuzz::fast_path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resolver_tests::fuzz::fast_path(bytes));

//! Denial of existence: see `resolver_tests::fuzz::nsec3`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resolver_tests::fuzz::nsec3(bytes));

//! What earlier answers leave at hand: see `resolver_tests::fuzz::at_hand`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resolver_tests::fuzz::at_hand(bytes));

//! RSA keys as DNSKEY carries them.

use super::super::algorithm::Algorithm;
use super::fixtures::{keys, read};
use crate::validator::Policy;

#[test]
fn rsa_keys_that_ring_refuses_are_unsupported_and_not_broken() {
    let rsa = Algorithm::from_number(8).unwrap();
    let key = |exponent: &[u8], modulus_len: usize| {
        [&[u8::try_from(exponent.len()).unwrap()][..], exponent, &vec![0xff; modulus_len]].concat()
    };
    for (public_key, supported) in [
        (key(&[1, 0, 1], 128), true),
        (key(&[3], 1024), true),
        (key(&[1, 0xff, 0xff, 0xff, 0xff], 256), true),
        (key(&[0, 1, 0, 1], 256), true),
        (key(&[1, 0, 1], 127), false),
        (key(&[1, 0, 1], 1025), false),
        (key(&[2, 0, 0, 0, 1], 256), false),
        (key(&[1, 0, 0, 0, 0, 1], 256), false),
        (key(&[1], 256), false),
        (key(&[4], 256), false),
        (vec![], false),
        (vec![0, 1], false),
    ] {
        assert_eq!(rsa.supports_key(&public_key), supported, "{public_key:02x?}");
    }
    // The long form of the exponent's length.
    assert!(rsa.supports_key(&[&[0, 0, 3, 1, 0, 1][..], &[0xff; 256]].concat()));
    let small = &keys(&read(include_str!("../../testdata/rfc5702.records")))[0];
    assert!(small.tag == 9033 && small.usable_algorithm(&Policy::DEFAULT).is_none());
}

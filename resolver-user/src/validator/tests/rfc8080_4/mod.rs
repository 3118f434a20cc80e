//! Ed448 signatures, and what is none.

use super::super::algorithm::Algorithm;
use super::super::canonical::signed_bytes;
use super::fixtures::{keys, read};

/// Whatever strangers write into keys and signatures is refused and does no harm.
#[test]
fn hostile_ed448_keys_and_signatures_are_refused() {
    let algorithm = Algorithm::from_number(16).unwrap();
    let sets = read(include_str!("../../testdata/rfc8080-ed448.records"));
    let key = keys(&sets).remove(0);
    let set = sets.iter().find(|set| !set.signatures.is_empty()).unwrap();
    let signature = &set.signatures[0];
    let message = signed_bytes(set, signature).unwrap();
    assert!(algorithm.verify(&key.public_key, &message, signature.signature()));
    for at in 0..key.public_key.len() {
        let mut other = key.public_key.clone();
        other[at] ^= 1;
        assert!(!algorithm.verify(&other, &message, signature.signature()), "key byte {at}");
    }
    for at in 0..signature.signature().len() {
        let mut other = signature.signature().to_vec();
        other[at] ^= 1;
        assert!(!algorithm.verify(&key.public_key, &message, &other), "signature byte {at}");
    }
    for length in (0..=200).filter(|&length| length != 114) {
        assert!(!algorithm.verify(&key.public_key, &message, &vec![0x55; length]), "{length}");
    }
    for length in (0..=100).filter(|&length| length != 57) {
        assert!(!algorithm.verify(&vec![0x55; length], &message, signature.signature()), "{length}");
    }
    // The identity and other points of small order, and numbers out of the field, with signatures of nothing.
    for key in [[0; 57], [0xff; 57], [[1].as_slice(), &[0; 56]].concat().try_into().unwrap()] {
        for byte in [0, 0xff] {
            assert!(!algorithm.verify(&key, &message, &[byte; 114]));
        }
    }
    // S + L in the place of S, which RFC 8032 §5.2.7 refuses.
    const ORDER: &str = "f34458ab92c27823558fc58d72c26c219036d6ae49db4ec4e923ca7cffffffffffffffffffffffffffffffffffffffff\
                         ffffffffffffff3f00";
    let mut carry = 0u16;
    let mut shifted = signature.signature().to_vec();
    for (at, byte) in shifted[57..].iter_mut().enumerate() {
        let digit = ORDER.get(2 * at..2 * at + 2).map_or(0, |digits| u16::from_str_radix(digits, 16).unwrap());
        let sum = u16::from(*byte) + digit + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert_ne!(shifted, signature.signature());
    assert!(!algorithm.verify(&key.public_key, &message, &shifted));
}

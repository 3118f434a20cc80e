//! The bytes that are signed, of sets that BIND signed.

use crate::validator::canonical::signed_bytes;
use crate::validator::tests::fixtures::read;
use crate::validator::tests::*;

#[test]
fn letter_case_and_order_and_repetition_do_not_change_the_signed_bytes() {
    let sets = read(include_str!("../../testdata/kat.example.records"));
    let mail = sets.iter().find(|set| set.rtype == RecordType::MX).unwrap();
    let signature = &mail.signatures[0];
    let expected = signed_bytes(mail, signature).unwrap();
    let mut other = mail.clone();
    other.owner = name("kAT.eXAMPLE");
    other.rdatas.reverse();
    let shouted = other.rdatas[0].to_ascii_uppercase().into_boxed_slice();
    other.rdatas.push(shouted);
    assert_eq!(signed_bytes(&other, signature).unwrap(), expected);
    // Text is no name.
    let text = sets.iter().find(|set| set.rtype == RecordType::TXT).unwrap();
    let mut shouted = text.clone();
    shouted.rdatas[0].make_ascii_uppercase();
    assert_ne!(signed_bytes(&shouted, &text.signatures[0]), signed_bytes(text, &text.signatures[0]));
}

#[test]
fn rdata_that_does_not_follow_its_layout_has_no_canonical_form() {
    let sets = read(include_str!("../../testdata/kat.example.records"));
    let mail = sets.iter().find(|set| set.rtype == RecordType::MX).unwrap();
    for rdata in [&[][..], &[0], &[0, 10], &[0, 10, 5, b'm'], &[0, 10, 0xc0, 0]] {
        let broken = RrSet { rdatas: vec![rdata.into()], ..mail.clone() };
        assert_eq!(signed_bytes(&broken, &mail.signatures[0]), None, "{rdata:?}");
    }
}

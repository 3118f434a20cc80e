//! Signatures, key tags and digests that others made: the RFCs' examples, and a zone signed by BIND.

use super::super::algorithm::Algorithm;
use super::super::canonical::signed_bytes;
use super::super::key::{Ds, ZoneKey};
use super::super::signature::{self, Attempt, SignatureFailure, Signed};
use super::super::work::Work;
use super::*;
use crate::validator::{Pace, Policy, WorkBudget, WorkLimits};
use crate::wire::{CLASS_IN, Record, group};

/// Reads a fixture: one record a line, as owner, type number and RDATA in hex.
pub fn read(text: &str) -> Vec<RrSet> {
    let record = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let byte = |at: usize| u8::from_str_radix(&fields[2][at..at + 2], 16).unwrap();
        let rtype = RecordType(fields[1].parse().unwrap());
        let rdata = (0..fields[2].len()).step_by(2).map(byte).collect();
        Record { owner: name(fields[0]), rtype, class: CLASS_IN, ttl_s: TTL_S, rdata }
    };
    group(&text.lines().filter(|line| !line.starts_with('#')).map(record).collect::<Vec<_>>())
}

fn keys(sets: &[RrSet]) -> Vec<ZoneKey> {
    let set = sets.iter().find(|set| set.rtype == RecordType::DNSKEY).unwrap();
    set.rdatas.iter().map(|rdata| ZoneKey::read(rdata).unwrap()).collect()
}

/// Everything that we can verify is accepted.
const POLICY: Policy = Policy { sha1_allowed: true, ..Policy::DEFAULT };

fn verify_set(set: &RrSet, zone: &Name, keys: &[ZoneKey], now_s: u32) -> Result<Signed, SignatureFailure> {
    let mut budget = WorkBudget::new(WorkLimits { signature_checks: 10_000, ..WorkLimits::DEFAULT });
    let now = Now { unix_s: now_s.into(), ..NOW };
    let mut work = Work { now, policy: &POLICY, budget: &mut budget, pace: Pace::Unhindered, spent_before: 0 };
    signature::verify_set(set, zone, keys, &mut Attempt::NEW.clone(), &mut work).unwrap()
}

/// The set with only its signature number `index`.
fn with_signature(set: &RrSet, index: usize) -> RrSet {
    RrSet { signatures: vec![set.signatures[index].clone()], ..set.clone() }
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    for (text, signatures) in [
        (include_str!("../testdata/rfc8080.records"), 2),
        (include_str!("../testdata/rfc8080-ed448.records"), 2),
        (include_str!("../testdata/sha1.example.records"), 2),
        (include_str!("../testdata/rfc6605.records"), 2),
        (include_str!("../testdata/rfc5702.records"), 1),
    ] {
        let sets = read(text);
        let keys = keys(&sets);
        let set = sets.iter().find(|set| !set.signatures.is_empty()).unwrap();
        assert_eq!(set.signatures.len(), signatures);
        for (index, signature) in set.signatures.iter().enumerate() {
            let one = with_signature(set, index);
            let verify = |now_s| verify_set(&one, &signature.signer, &keys, now_s);
            assert_eq!(verify(signature.inception).unwrap().expanded_from, None, "{signature:?}");
            assert_eq!(verify(signature.expiration).unwrap().ttl_s, 0);
            let early = SignatureFailure::NotYetValid(signature.inception);
            assert_eq!(verify(signature.inception - 1), Err(early));
            assert_eq!(verify(signature.expiration + 1), Err(SignatureFailure::Expired(signature.expiration)));
        }
        if let Some(ds_set) = sets.iter().find(|set| set.rtype == RecordType::DS) {
            for (rdata, key) in ds_set.rdatas.iter().zip(&keys) {
                assert!(Ds::read(rdata).unwrap().vouches_for(&ds_set.owner, key));
                // Tag, algorithm, digest type, digest, owner.
                for at in [0, 2, 3, 4] {
                    let mut other = rdata.clone();
                    other[at] ^= 1;
                    assert!(!Ds::read(&other).unwrap().vouches_for(&ds_set.owner, key));
                }
                assert!(!Ds::read(rdata).unwrap().vouches_for(&name("example.edu"), key));
            }
        }
    }
}

#[test]
fn every_set_of_a_zone_signed_by_bind_verifies_with_every_algorithm() {
    let sets = read(include_str!("../testdata/kat.example.records"));
    let keys = keys(&sets);
    let zone = name("kat.example");
    let mut algorithms = vec![];
    for set in &sets {
        assert_eq!(set.signatures.len(), 5, "{} {}", set.owner, set.rtype);
        for (index, signature) in set.signatures.iter().enumerate() {
            let one = with_signature(set, index);
            let verified = verify_set(&one, &zone, &keys, NOW_S);
            assert!(verified.is_ok(), "{} {} {}: {verified:?}", set.owner, set.rtype, signature.algorithm);
            algorithms.push(signature.algorithm);
            let mut broken = one.clone();
            *broken.signatures[0].signature.last_mut().unwrap() ^= 1;
            let verified = verify_set(&broken, &zone, &keys, NOW_S);
            assert_eq!(verified, Err(SignatureFailure::Bad));
        }
    }
    algorithms.sort_unstable();
    algorithms.dedup();
    assert_eq!(algorithms, [8, 10, 13, 14, 15]);
    assert_eq!(sets.len(), 38);
}

#[test]
fn a_change_of_the_last_byte_of_rdata_is_noticed() {
    let sets = read(include_str!("../testdata/kat.example.records"));
    let keys = keys(&sets);
    for set in &sets {
        let ed25519 = set.signatures.iter().position(|signature| signature.algorithm == 15).unwrap();
        let one = with_signature(set, ed25519);
        let mut changed = one.clone();
        let last = changed.rdatas[0].len() - 1;
        changed.rdatas[0][last] ^= 1;
        let verified = verify_set(&changed, &name("kat.example"), &keys, NOW_S);
        assert_eq!(verified, Err(SignatureFailure::Bad), "{} {}", set.owner, set.rtype);
    }
}

#[test]
fn a_wildcard_verifies_at_any_name_below_and_says_so() {
    let sets = read(include_str!("../testdata/kat.example.records"));
    let keys = keys(&sets);
    let wild = |set: &&RrSet| set.owner.is_wildcard() && set.rtype == RecordType::TXT;
    let mut set = sets.iter().find(wild).unwrap().clone();
    for (owner, expected) in [
        ("*.wild.kat.example", Ok(None)),
        ("a.wild.kat.example", Ok(Some(3))),
        ("b.a.WILD.kat.example", Ok(Some(3))),
        ("*.a.wild.kat.example", Ok(Some(3))),
        ("wild.kat.example", Err(SignatureFailure::Bad)),
        ("a.tame.kat.example", Err(SignatureFailure::Bad)),
        ("kat.example", Err(SignatureFailure::Missing)),
        ("other.example", Err(SignatureFailure::Missing)),
        ("x.other.example", Err(SignatureFailure::Missing)),
    ] {
        set.owner = name(owner);
        let verified = verify_set(&set, &name("kat.example"), &keys, NOW_S);
        assert_eq!(verified.map(|signed| signed.expanded_from), expected, "{owner}");
    }
}

#[test]
fn a_signature_of_another_type_is_none() {
    let sets = read(include_str!("../testdata/kat.example.records"));
    let mail = sets.iter().find(|set| set.rtype == RecordType::MX).unwrap();
    let other = RrSet { rtype: RecordType(18), ..mail.clone() };
    let verified = verify_set(&other, &name("kat.example"), &keys(&sets), NOW_S);
    assert_eq!(verified, Err(SignatureFailure::Missing));
}

#[test]
fn letter_case_and_order_and_repetition_do_not_change_the_signed_bytes() {
    let sets = read(include_str!("../testdata/kat.example.records"));
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
    let sets = read(include_str!("../testdata/kat.example.records"));
    let mail = sets.iter().find(|set| set.rtype == RecordType::MX).unwrap();
    for rdata in [&[][..], &[0], &[0, 10], &[0, 10, 5, b'm'], &[0, 10, 0xc0, 0]] {
        let broken = RrSet { rdatas: vec![rdata.into()], ..mail.clone() };
        assert_eq!(signed_bytes(&broken, &mail.signatures[0]), None, "{rdata:?}");
    }
}

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
    let small = &keys(&read(include_str!("../testdata/rfc5702.records")))[0];
    assert!(small.tag == 9033 && small.usable_algorithm(&POLICY).is_none());
}

/// Whatever strangers write into keys and signatures is refused and does no harm.
#[test]
fn hostile_ed448_keys_and_signatures_are_refused() {
    let algorithm = Algorithm::from_number(16).unwrap();
    let sets = read(include_str!("../testdata/rfc8080-ed448.records"));
    let key = keys(&sets).remove(0);
    let set = sets.iter().find(|set| !set.signatures.is_empty()).unwrap();
    let signature = &set.signatures[0];
    let message = signed_bytes(set, signature).unwrap();
    assert!(algorithm.verify(&key.public_key, &message, &signature.signature));
    for at in 0..key.public_key.len() {
        let mut other = key.public_key.clone();
        other[at] ^= 1;
        assert!(!algorithm.verify(&other, &message, &signature.signature), "key byte {at}");
    }
    for at in 0..signature.signature.len() {
        let mut other = signature.signature.clone();
        other[at] ^= 1;
        assert!(!algorithm.verify(&key.public_key, &message, &other), "signature byte {at}");
    }
    for length in (0..=200).filter(|&length| length != 114) {
        assert!(!algorithm.verify(&key.public_key, &message, &vec![0x55; length]), "{length}");
    }
    for length in (0..=100).filter(|&length| length != 57) {
        assert!(!algorithm.verify(&vec![0x55; length], &message, &signature.signature), "{length}");
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
    let mut shifted = signature.signature.clone();
    for (at, byte) in shifted[57..].iter_mut().enumerate() {
        let digit = ORDER.get(2 * at..2 * at + 2).map_or(0, |digits| u16::from_str_radix(digits, 16).unwrap());
        let sum = u16::from(*byte) + digit + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert_ne!(shifted, signature.signature);
    assert!(!algorithm.verify(&key.public_key, &message, &shifted));
}

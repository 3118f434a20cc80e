//! Signatures, key tags and digests that others made: the RFCs' examples, and a zone signed by BIND.

use crate::validator::key::{Ds, ZoneKey};
use crate::validator::signature::{self, Attempt, SignatureFailure, Signed};
use crate::validator::tests::fixtures::{keys, read};
use crate::validator::tests::*;
use crate::validator::work::Work;
use crate::validator::{Pace, Policy, WorkBudget, WorkLimits};

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
        (include_str!("../../testdata/rfc8080.records"), 2),
        (include_str!("../../testdata/rfc8080-ed448.records"), 2),
        (include_str!("../../testdata/sha1.example.records"), 2),
        (include_str!("../../testdata/rfc6605.records"), 2),
        (include_str!("../../testdata/rfc5702.records"), 1),
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
    let sets = read(include_str!("../../testdata/kat.example.records"));
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
            *broken.signatures[0].signature_mut().last_mut().unwrap() ^= 1;
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
    let sets = read(include_str!("../../testdata/kat.example.records"));
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
    let sets = read(include_str!("../../testdata/kat.example.records"));
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
    let sets = read(include_str!("../../testdata/kat.example.records"));
    let mail = sets.iter().find(|set| set.rtype == RecordType::MX).unwrap();
    let other = RrSet { rtype: RecordType(18), ..mail.clone() };
    let verified = verify_set(&other, &name("kat.example"), &keys(&sets), NOW_S);
    assert_eq!(verified, Err(SignatureFailure::Missing));
}

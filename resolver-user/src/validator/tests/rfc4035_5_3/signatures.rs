//! Which RRSIG may authenticate a set at all (§5.3.1), and which does.

use crate::validator::tests::signed_world as world;
use crate::validator::tests::*;

#[test]
fn a_signature_that_does_not_verify_is_bogus() {
    let (owner, rtype) = (name("www.example.org"), RecordType::A);
    let mut world = world(Denies::Nsec);
    world.break_reply("www.example.org", rtype, |response| response.answer[0].rdatas[0][3] ^= 1);
    let run = world.resolve("www.example.org", rtype);
    assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype });
}

#[test]
fn a_signature_in_an_unsigned_zone_does_no_harm() {
    for signer in ["unsigned.org", "www.unsigned.org", "org", "elsewhere.example"] {
        let mut world = world(Denies::Nsec);
        world.delegate(Zone::new("unsigned.org", Denies::Unsigned, 15));
        world.add("www.unsigned.org", RecordType::A, &ADDRESS);
        let (key, terms) = (SigningKey::new(15, 256), world.zone("org").terms);
        world.break_reply("www.unsigned.org", RecordType::A, move |response| {
            let set = &mut response.answer[0];
            set.signatures = vec![key.sign(set, &name(signer), terms)];
        });
        world.resolve("www.unsigned.org", RecordType::A).is_insecure();
    }
}

#[test]
fn a_signer_that_is_no_zone_above_the_owner_is_not_believed() {
    // The keys of a zone that is not above the owner; of a name that is no zone; of a child for its parent's DS.
    let mut world = world(Denies::Nsec);
    world.delegate(Zone::new("evil.org", Denies::Nsec, 15));
    let evil = SigningKey::new(15, 257);
    let terms = world.zone("org").terms;
    for signer in ["evil.org", "www.example.org", "a.www.example.org", "ple.org"] {
        world.breaks.clear();
        let signature = evil.sign(
            &world.zone("example.org").set(&name("www.example.org"), RecordType::A, &name("www.example.org")),
            &name(signer),
            terms,
        );
        world.break_reply("www.example.org", RecordType::A, move |response| {
            response.answer[0].signatures = vec![signature.clone()];
        });
        let (owner, rtype) = (name("www.example.org"), RecordType::A);
        let run = world.resolve("www.example.org", RecordType::A);
        assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype }, "{signer}");
    }
}

#[test]
fn a_signature_that_counts_too_few_or_too_many_labels_is_not_believed() {
    // The zone's own key signs: as `*.org`, which is out of its zone; as a name longer than the owner.
    for labels in [0, 1, 4] {
        let mut world = world(Denies::Nsec);
        let terms = Terms { labels: Some(labels), ..world.zone("example.org").terms };
        world.resolve("example.org", RecordType::SOA).is_secure();
        world.zone("example.org").terms = terms;
        let (owner, rtype) = (name("www.example.org"), RecordType::A);
        let run = world.resolve("www.example.org", RecordType::A);
        assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype }, "{labels}");
    }
}

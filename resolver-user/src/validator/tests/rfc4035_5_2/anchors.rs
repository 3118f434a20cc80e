//! Where a chain starts: islands of security, anchors below others, none at all (RFC 4035 §5).

use crate::validator::tests::signed_world as world;
use crate::validator::tests::*;

#[test]
fn an_anchor_below_an_insecure_delegation_makes_an_island() {
    let mut world = World::new(&[("org", Denies::Unsigned), ("corp.org", Denies::Nsec)]);
    world.add("www.corp.org", RecordType::A, &ADDRESS);
    world.resolve("www.corp.org", RecordType::A).is_insecure();
    world.anchor("corp.org");
    let run = world.resolve("www.corp.org", RecordType::A);
    run.is_secure();
    assert_eq!(run.asked, ["corp.org. DNSKEY"]);
    world.resolve("www.nothing.org", RecordType::A).is_insecure();
}

#[test]
fn an_anchor_below_a_secure_zone_takes_the_place_of_its_ds() {
    let mut world = world(Denies::Nsec);
    world.anchor("example.org");
    let run = world.resolve("www.example.org", RecordType::A);
    run.is_secure();
    assert_eq!(run.asked, ["example.org. DNSKEY"]);
    // Its parent's keys no longer speak for it.
    let mut set = world.zone("example.org").set(&name("www.example.org"), RecordType::A, &name("www.example.org"));
    world.zone("org").sign(&mut set);
    world.break_reply("www.example.org", RecordType::A, move |response| response.answer = vec![set.clone()]);
    world.resolve("www.example.org", RecordType::A).is_bogus();
}

#[test]
fn without_an_anchor_everything_is_insecure() {
    let mut world = world(Denies::Nsec);
    world.anchors.clear();
    let run = world.resolve("www.example.org", RecordType::A);
    let name = name("www.example.org");
    assert_eq!(run.is_insecure().insecure_reason(), Some(&InsecureReason::NoAnchor { name }));
    assert!(run.asked.is_empty());
}

#[test]
fn an_anchor_that_matches_no_key_is_bogus() {
    let mut world = world(Denies::Nsec);
    world.anchors[0].digest[0] ^= 1;
    let run = world.resolve("www.example.org", RecordType::A);
    assert_eq!(*run.is_bogus(), BogusReason::NoMatchingKey { zone: Name::root() });
}

//! From DS to DNSKEY: which keys a DS vouches for, and how keys change.

use crate::validator::tests::signed_world as world;
use crate::validator::tests::*;

#[test]
fn a_zone_without_the_key_that_its_ds_names_is_bogus() {
    let check = |expected: BogusReason, change: &dyn Fn(&mut World)| {
        let mut world = world(Denies::Nsec);
        change(&mut world);
        assert_eq!(*world.resolve("www.example.org", RecordType::A).is_bogus(), expected);
    };
    let zone = name("example.org");
    let no_match = BogusReason::NoMatchingKey { zone: zone.clone() };
    let ds = || (name("example.org"), RecordType::DS);
    check(no_match.clone(), &|world| {
        world.zone("example.org").keys = vec![SigningKey::new(15, 257)];
        world.zone("example.org").publish_keys();
    });
    // Each of tag, algorithm and digest must agree.
    check(no_match.clone(), &|world| world.zone("org").sets.get_mut(&ds()).unwrap()[0][1] ^= 1);
    check(no_match.clone(), &|world| world.zone("org").sets.get_mut(&ds()).unwrap()[0][2] = 13);
    check(no_match.clone(), &|world| world.zone("org").sets.get_mut(&ds()).unwrap()[0][4] ^= 1);
    check(no_match.clone(), &|world| {
        world.zone("org").sets.get_mut(&ds()).unwrap()[0].truncate(20);
    });
    check(BogusReason::MissingDnskey { zone: zone.clone() }, &|world| {
        world.break_reply("example.org", RecordType::DNSKEY, |response| response.answer.clear());
    });
    check(BogusReason::MissingRrsig { owner: zone.clone(), rtype: RecordType::DNSKEY }, &|world| {
        world.break_reply("example.org", RecordType::DNSKEY, |response| response.answer[0].signatures.clear());
    });
    check(BogusReason::BadSignature { owner: zone, rtype: RecordType::DNSKEY }, &|world| {
        world.break_reply("example.org", RecordType::DNSKEY, |response| {
            response.answer[0].rdatas.push(SigningKey::new(15, 256).dnskey.into());
        });
    });
}

#[test]
fn a_ds_for_a_key_that_may_not_sign_the_zone_is_bogus() {
    let check = |expected: BogusReason, change: &dyn Fn(&mut Vec<u8>)| {
        let mut world = World::new(&[("org", Denies::Nsec)]);
        let mut zone = Zone::new("example.org", Denies::Nsec, 15);
        change(&mut zone.keys[0].dnskey);
        zone.publish_keys();
        world.delegate(zone);
        world.add("www.example.org", RecordType::A, &ADDRESS);
        assert_eq!(*world.resolve("www.example.org", RecordType::A).is_bogus(), expected);
    };
    let zone = name("example.org");
    check(BogusReason::NoZoneKeyBit { zone: zone.clone() }, &|dnskey| dnskey[0] = 0);
    check(BogusReason::NoMatchingKey { zone: zone.clone() }, &|dnskey| dnskey[1] |= 0x80);
    check(BogusReason::NoMatchingKey { zone }, &|dnskey| dnskey[2] = 2);
}

#[test]
fn a_key_that_may_not_sign_the_zone_verifies_nothing() {
    // In the DNSKEY set, vouched for by a key that may; revoked, without the zone flag, of another protocol.
    for (at, value) in [(1, 0x80), (0, 0), (2, 2)] {
        let mut world = world(Denies::Nsec);
        let mut key = SigningKey::new(15, 256);
        key.dnskey[at] = value;
        world.zone("example.org").keys.push(key);
        world.zone("example.org").publish_keys();
        world.resolve("www.example.org", RecordType::A).is_secure();
        world.break_reply("www.example.org", RecordType::A, |response| {
            response.answer[0].signatures.remove(0);
        });
        let (owner, rtype) = (name("www.example.org"), RecordType::A);
        let run = world.resolve("www.example.org", rtype);
        assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype });
    }
}

#[test]
fn keys_roll() {
    // A stand-by DS without key, a new key beside the old one, sets signed by both, then by the new one alone.
    let mut world = world(Denies::Nsec);
    let standby = SigningKey::new(13, 257).ds(&name("example.org"), 4);
    world.zone("org").add(&name("example.org"), RecordType::DS, standby);
    world.zone("example.org").keys.push(SigningKey::new(13, 256));
    world.zone("example.org").publish_keys();
    world.resolve("www.example.org", RecordType::A).is_secure();
    world.break_reply("www.example.org", RecordType::A, |response| {
        response.answer[0].signatures.remove(0);
    });
    world.resolve("www.example.org", RecordType::A).is_secure();
    world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].signatures.clear());
    world.resolve("www.example.org", RecordType::A).is_bogus();
}

/// RFC 6840 §5.11: one valid path is enough, whatever algorithms the DS names.
#[test]
fn algorithms_roll() {
    let mut world = world(Denies::Nsec);
    world.zone("example.org").keys.push(SigningKey::new(13, 256));
    world.zone("example.org").publish_keys();
    for left in [15, 13] {
        world.breaks.clear();
        world.cache.clear();
        world.break_reply("www.example.org", RecordType::A, move |response| {
            response.answer[0].signatures.retain(|signature| signature.algorithm == left);
        });
        world.resolve("www.example.org", RecordType::A).is_secure();
    }
    // The key set itself must be signed by a key that a DS names.
    world.cache.clear();
    world.break_reply("example.org", RecordType::DNSKEY, |response| {
        response.answer[0].signatures.retain(|signature| signature.algorithm == 13);
    });
    let (owner, rtype) = (name("example.org"), RecordType::DNSKEY);
    let run = world.resolve("www.example.org", RecordType::A);
    assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype });
    // Two DS, the second of an algorithm that the zone does not use yet.
    let mut world = self::world(Denies::Nsec);
    let standby = SigningKey::new(16, 257).ds(&name("example.org"), 2);
    world.zone("org").add(&name("example.org"), RecordType::DS, standby);
    world.resolve("www.example.org", RecordType::A).is_secure();
}

/// RFC 5011 §2.1: revoked by its owner, so no DS can bring it back.
#[test]
fn a_revoked_key_that_a_ds_names_leaves_the_zone_bogus() {
    let mut world = world(Denies::Nsec);
    let zone = world.zone("example.org");
    zone.keys[0].dnskey[1] |= 0x80;
    zone.publish_keys();
    let ds = zone.keys[0].ds(&name("example.org"), 2);
    world.zone("org").sets.insert((name("example.org"), RecordType::DS), vec![ds]);
    let reason = BogusReason::NoMatchingKey { zone: name("example.org") };
    assert_eq!(*world.resolve("www.example.org", RecordType::A).is_bogus(), reason);
}

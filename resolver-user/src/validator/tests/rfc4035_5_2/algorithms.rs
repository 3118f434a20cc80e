//! What cannot be verified makes a zone insecure, never bogus.

use crate::validator::tests::fixtures::read;
use crate::validator::tests::signed_world as world;
use crate::validator::tests::*;

/// `sha1.example`, which BIND signed with algorithms 5 and 7, below a zone of ours that has these DS records of it.
fn sha1_world(is_ds: impl Fn(&[u8]) -> bool, more_ds: &[Vec<u8>]) -> World {
    let mut world = World::new(&[("example", Denies::Nsec)]);
    let sets = read(include_str!("../../testdata/sha1.example.records"));
    for set in sets {
        if set.rtype == RecordType::DS {
            let kept = set.rdatas.iter().filter(|rdata| is_ds(rdata)).map(|rdata| rdata.to_vec());
            for rdata in kept.chain(more_ds.iter().cloned()) {
                world.add("sha1.example", RecordType::DS, &rdata);
            }
            world.add("sha1.example", RecordType::NS, &target("ns"));
        } else {
            world.break_reply("sha1.example", set.rtype, move |response| {
                response.answer = vec![set.clone()];
                response.authority.clear();
            });
        }
    }
    world
}

/// The DS of digest type 2 for the keys of `sha1.example`.
fn sha256_ds() -> Vec<Vec<u8>> {
    let sets = read(include_str!("../../testdata/sha1.example.records"));
    let keys = sets.iter().find(|set| set.rtype == RecordType::DNSKEY).unwrap();
    let ds = |(key, tag): (&[u8], [u8; 2])| {
        let digested = [&*name("sha1.example").canonical_wire(), key].concat();
        let digest = ring::digest::digest(&ring::digest::SHA256, &digested);
        [&tag[..], &[key[3], 2], digest.as_ref()].concat()
    };
    let tags = sets.iter().find(|set| set.rtype == RecordType::DS).unwrap().rdatas.iter().map(|ds| [ds[0], ds[1]]);
    keys.rdatas.iter().map(|rdata| &**rdata).zip(tags).map(ds).collect()
}

/// RFC 9905 §2: by default no better than no signature.
#[test]
fn sha1_is_insecure_unless_it_is_allowed() {
    for algorithm in [5, 7] {
        for (mut world, refused) in [
            (
                sha1_world(|ds| ds[2] == algorithm, &[]),
                InsecureReason::Algorithm { zone: name("sha1.example"), algorithm },
            ),
            (
                sha1_world(|_| false, &sha256_ds()),
                InsecureReason::Algorithm { zone: name("sha1.example"), algorithm: 5 },
            ),
        ] {
            let run = world.resolve("sha1.example", RecordType::MX);
            assert_eq!(run.is_insecure().insecure_reason(), Some(&refused));
            world.policy.sha1_allowed = true;
            world.cache.clear();
            world.resolve("sha1.example", RecordType::MX).is_secure();
        }
    }
}

/// RFC 4509 §3.
#[test]
fn a_sha1_digest_counts_only_where_there_is_no_stronger_one() {
    let good = |ds: &[u8]| ds[2] == 7;
    let mut wrong = sha256_ds().remove(1);
    *wrong.last_mut().unwrap() ^= 1;
    let mut world = sha1_world(good, &[wrong]);
    world.policy.sha1_allowed = true;
    let run = world.resolve("sha1.example", RecordType::MX);
    assert_eq!(*run.is_bogus(), BogusReason::NoMatchingKey { zone: name("sha1.example") });
    // One of a digest type that we do not have is not there for us.
    let mut unknown = sha256_ds().remove(1);
    unknown[3] = 3;
    let mut world = sha1_world(good, &[unknown]);
    world.policy.sha1_allowed = true;
    world.resolve("sha1.example", RecordType::MX).is_secure();
}

#[test]
fn a_sha1_digest_alone_is_insecure_unless_allowed() {
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    let digest = |world: &World| {
        let key = &world.zones[1].keys[0];
        let digested = [&*name("org").canonical_wire(), &key.dnskey].concat();
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &digested);
        [&key.tag().to_be_bytes()[..], &[15, 1], digest.as_ref()].concat()
    };
    let ds = digest(&world);
    world.zone(".").sets.insert((name("org"), RecordType::DS), vec![ds]);
    let refused = InsecureReason::Digest { zone: name("org"), digest_type: 1 };
    assert_eq!(world.resolve("www.org", RecordType::A).is_insecure().insecure_reason(), Some(&refused));
    world.policy.sha1_allowed = true;
    world.cache.clear();
    world.resolve("www.org", RecordType::A).is_secure();
}

/// A zone whose data only this key can have signed, beside the key that its DS names.
fn world_signed_by(zsk: SigningKey) -> World {
    let mut world = World::new(&[("org", Denies::Nsec), ("example.org", Denies::Nsec)]);
    world.add("www.example.org", RecordType::A, &ADDRESS);
    world.zone("example.org").keys.push(zsk);
    world.zone("example.org").publish_keys();
    for (qname, qtype) in SIGNED {
        world.break_reply(qname, qtype, |response| {
            for set in response.answer.iter_mut().chain(&mut response.authority) {
                set.signatures.remove(0);
            }
        });
    }
    world
}

const SIGNED: [(&str, RecordType); 3] =
    [("www.example.org", RecordType::A), ("nothing.example.org", RecordType::A), ("www.example.org", RecordType::TXT)];

#[test]
fn data_that_only_an_unusable_key_signs_is_bogus_below_a_usable_one() {
    // A number that nobody has (RFC 4035 §2.2, RFC 6840 §5.11), and RSA of 512 bits: were such a zone insecure, a stand-by
    // key would switch validation off.
    for algorithm in [200, 8] {
        let world = world_signed_by(SigningKey::new(algorithm, 256));
        for (qname, qtype) in SIGNED {
            world.resolve(qname, qtype).is_bogus();
        }
    }
}

#[test]
fn an_unusable_stand_by_key_changes_nothing() {
    for algorithm in [200, 8] {
        let mut world = World::new(&[("org", Denies::Nsec), ("example.org", Denies::Nsec)]);
        world.add("www.example.org", RecordType::A, &ADDRESS);
        world.zone("example.org").keys.push(SigningKey::new(algorithm, 256));
        world.zone("example.org").publish_keys();
        world.resolve("www.example.org", RecordType::A).is_secure();
        world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].signatures.clear());
        world.resolve("www.example.org", RecordType::A).is_bogus();
    }
}

#[test]
fn an_unusable_key_beside_a_usable_one_opens_no_way_round_it() {
    // A usable zone signing key beside it; or the unusable one is a stand-by key signing key.
    for (flags, usable_zsk) in [(256, true), (257, false)] {
        let mut world = World::new(&[("org", Denies::Nsec), ("example.org", Denies::Nsec)]);
        world.add("www.example.org", RecordType::A, &ADDRESS);
        let zone = world.zone("example.org");
        zone.keys.push(SigningKey::new(8, flags));
        if usable_zsk {
            zone.keys.push(SigningKey::new(15, 256));
        }
        zone.publish_keys();
        world.resolve("www.example.org", RecordType::A).is_secure();
        world.break_reply("www.example.org", RecordType::A, |response| {
            let set = &mut response.answer[0];
            set.rdatas = vec![[6, 6, 6, 6].into()];
            set.signatures.retain(|signature| signature.algorithm == 8);
        });
        world.resolve("www.example.org", RecordType::A).is_bogus();
    }
}

#[test]
fn a_zone_whose_algorithms_or_digests_are_all_unsupported_is_insecure() {
    let check = |algorithm: u8, digest_type: u8, expected: InsecureReason| {
        let mut world = World::new(&[("org", Denies::Nsec)]);
        world.delegate(Zone::new("example.org", Denies::Nsec, algorithm));
        let ds_set = world.zone("org").sets.get_mut(&(name("example.org"), RecordType::DS)).unwrap();
        ds_set[0][3] = digest_type;
        world.add("www.example.org", RecordType::A, &ADDRESS);
        let run = world.resolve("www.example.org", RecordType::A);
        assert_eq!(run.is_insecure().insecure_reason(), Some(&expected));
        assert!(!run.is_insecure().response().answer.is_empty());
    };
    let zone = || name("example.org");
    for algorithm in [1, 3, 5, 6, 7, 12, 253] {
        check(algorithm, 2, InsecureReason::Algorithm { zone: zone(), algorithm });
    }
    for digest_type in [1, 3, 5] {
        check(15, digest_type, InsecureReason::Digest { zone: zone(), digest_type });
    }
    // An RSA key too small for us.
    let key_tag = SigningKey::new(8, 257).tag();
    check(8, 2, InsecureReason::KeySize { zone: zone(), algorithm: 8, key_tag });
}

#[test]
fn an_unsupported_ds_beside_a_supported_one_changes_nothing() {
    let mut world = world(Denies::Nsec);
    let ds = SigningKey::new(200, 257).ds(&name("example.org"), 2);
    world.zone("org").add(&name("example.org"), RecordType::DS, ds);
    world.resolve("www.example.org", RecordType::A).is_secure();
    // Nor does it save a zone whose supported DS matches nothing.
    let mut world = self::world(Denies::Nsec);
    let set = world.zone("org").sets.get_mut(&(name("example.org"), RecordType::DS)).unwrap();
    set[0][9] ^= 1;
    let ds = SigningKey::new(200, 257).ds(&name("example.org"), 2);
    world.zone("org").add(&name("example.org"), RecordType::DS, ds);
    world.resolve("www.example.org", RecordType::A).is_bogus();
}

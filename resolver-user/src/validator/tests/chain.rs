//! The way from an anchor to an answer.

use super::*;

/// Two signed zones below the root, an address in the lower one.
fn world(denies: Denies) -> World {
    let mut world = World::new(&[("org", denies), ("example.org", denies)]);
    world.add("www.example.org", RecordType::A, &ADDRESS);
    world
}

const ALL: [Denies; 3] = [Denies::Nsec, NSEC3, OPT_OUT];

#[test]
fn a_signed_answer_below_an_anchor_is_secure() {
    for denies in ALL {
        let run = world(denies).resolve("www.example.org", RecordType::A);
        let validated = run.is_secure();
        assert_eq!(validated.response().rcode, RCode::NOERROR);
        assert_eq!(validated.response().answer.len(), 1);
        assert_eq!(validated.response().answer[0].signatures.len(), 1);
        assert_eq!(validated.ttl_s(), TTL_S);
        assert_eq!(run.asked, ["example.org. DS", "org. DS", ". DNSKEY", "org. DNSKEY", "example.org. DNSKEY"]);
    }
}

#[test]
fn what_is_known_of_zones_is_not_asked_again() {
    let world = world(Denies::Nsec);
    world.resolve("www.example.org", RecordType::A).is_secure();
    let again = world.resolve("www.example.org", RecordType::A);
    again.is_secure();
    assert!(again.asked.is_empty());
    assert_eq!(world.cache.len(), 3);
    world.cache.clear();
    assert_eq!(world.resolve("www.example.org", RecordType::A).asked.len(), 5);
}

#[test]
fn an_unsigned_delegation_is_insecure() {
    for denies in ALL {
        let mut world = world(denies);
        world.delegate(Zone::new("unsigned.org", Denies::Unsigned, 15));
        world.add("www.unsigned.org", RecordType::A, &ADDRESS);
        let run = world.resolve("www.unsigned.org", RecordType::A);
        let reason = run.is_insecure().insecure_reason().unwrap();
        match denies {
            OPT_OUT => assert_eq!(*reason, InsecureReason::OptOut { zone: name("org") }),
            _ => assert_eq!(*reason, InsecureReason::NoDs { zone: name("unsigned.org") }),
        }
        assert_eq!(run.asked, [". DNSKEY", "org. DS", "org. DNSKEY", "unsigned.org. DS"]);
    }
}

#[test]
fn an_unsigned_answer_is_insecure_only_with_proof() {
    for denies in ALL {
        let mut world = world(denies);
        world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].signatures.clear());
        let run = world.resolve("www.example.org", RecordType::A);
        let (owner, rtype) = (name("www.example.org"), RecordType::A);
        assert_eq!(*run.is_bogus(), BogusReason::MissingRrsig { owner, rtype });
        assert_eq!(run.asked.last().unwrap(), "www.example.org. DS");
    }
}

#[test]
fn a_stripped_delegation_is_bogus() {
    for denies in ALL {
        let mut world = world(denies);
        world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].signatures.clear());
        world.break_reply("example.org", RecordType::DS, |response| {
            response.answer.clear();
            response.authority.clear();
        });
        let run = world.resolve("www.example.org", RecordType::A);
        assert_eq!(*run.is_bogus(), BogusReason::MissingDsDenial { zone: name("example.org") });
        assert_eq!(world.broken.get(), 2);
    }
}

#[test]
fn a_denial_of_ds_that_belongs_elsewhere_does_not_make_a_zone_insecure() {
    // The parent's denial for a sibling that is unsigned, or for a name that does not exist, replayed for a signed zone.
    for (denies, other) in [
        (Denies::Nsec, "unsigned.org"),
        (Denies::Nsec, "nothing.org"),
        (NSEC3, "unsigned.org"),
        (NSEC3, "nothing.org"),
        (OPT_OUT, "unsigned.org"),
        (OPT_OUT, "nothing.org"),
    ] {
        let mut world = world(denies);
        world.delegate(Zone::new("unsigned.org", Denies::Unsigned, 15));
        let denial = world.answer(&Question::new(name(other), RecordType::DS));
        world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].signatures.clear());
        world.break_reply("example.org", RecordType::DS, move |response| {
            response.answer.clear();
            response.authority = denial.authority.clone();
        });
        let run = world.resolve("www.example.org", RecordType::A);
        assert_eq!(*run.is_bogus(), BogusReason::MissingDsDenial { zone: name("example.org") });
    }
}

#[test]
fn a_signature_that_does_not_verify_is_bogus() {
    let (owner, rtype) = (name("www.example.org"), RecordType::A);
    let mut world = world(Denies::Nsec);
    world.break_reply("www.example.org", rtype, |response| response.answer[0].rdatas[0][3] ^= 1);
    let run = world.resolve("www.example.org", rtype);
    assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype });
}

#[test]
fn a_signature_out_of_its_time_is_bogus_and_says_so() {
    let (owner, rtype) = (name("www.example.org"), RecordType::A);
    let check = |inception, expiration, expected: BogusReason| {
        let mut world = world(Denies::Nsec);
        world.resolve("nothing.example.org", RecordType::A).is_secure();
        world.zone("example.org").terms = Terms { inception, expiration, labels: None };
        assert_eq!(*world.resolve("www.example.org", RecordType::A).is_bogus(), expected);
    };
    let expired = BogusReason::Expired { owner: owner.clone(), rtype, expiration: NOW_S - 1 };
    check(NOW_S - 100, NOW_S - 1, expired);
    let early = BogusReason::NotYetValid { owner: owner.clone(), rtype, inception: NOW_S + 1 };
    check(NOW_S + 1, NOW_S + 100, early);
    check(NOW_S + 100, NOW_S - 100, BogusReason::BadSignature { owner: owner.clone(), rtype });
    // Half the circle apart: neither comes first (RFC 1982 §3.2).
    check(NOW_S - 5, (NOW_S - 5).wrapping_add(1 << 31), BogusReason::BadSignature { owner, rtype });
}

#[test]
fn signature_times_wrap_around_in_2106() {
    let mut world = world(Denies::Nsec);
    world.now.unix_s = (1 << 32) + 5;
    for zone in &mut world.zones {
        zone.terms = Terms { inception: u32::MAX - 5, expiration: 1000, labels: None };
    }
    assert_eq!(world.resolve("www.example.org", RecordType::A).is_secure().ttl_s(), 995);
}

#[test]
fn an_answer_is_not_kept_beyond_its_signature_nor_its_original_ttl() {
    let mut world = world(Denies::Nsec);
    world.zone("example.org").terms.expiration = NOW_S + 20;
    assert_eq!(world.resolve("www.example.org", RecordType::A).is_secure().ttl_s(), 20);
    let mut world = self::world(Denies::Nsec);
    world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].ttl_s = 1_000_000);
    let run = world.resolve("www.example.org", RecordType::A);
    assert_eq!(run.is_secure().response().answer[0].ttl_s, TTL_S);
}

#[test]
fn a_status_does_not_outlive_its_proof() {
    let mut world = world(Denies::Nsec);
    world.delegate(Zone::new("unsigned.org", Denies::Unsigned, 15));
    world.add("www.unsigned.org", RecordType::A, &ADDRESS);
    assert_eq!(world.resolve("www.unsigned.org", RecordType::A).is_insecure().ttl_s(), MINIMUM_S);
    world.now.boot_ns += 100 * NS_PER_S;
    let run = world.resolve("www.unsigned.org", RecordType::A);
    assert_eq!(run.is_insecure().ttl_s(), MINIMUM_S - 100);
    assert!(run.asked.is_empty());
    // Signed since, and the proof has run out.
    world.now.boot_ns += 200 * NS_PER_S;
    let run = world.resolve("www.unsigned.org", RecordType::A);
    assert_eq!(run.asked, ["unsigned.org. DS"]);
}

#[test]
fn a_failed_fetch_is_indeterminate() {
    for (qname, qtype) in [
        ("example.org", RecordType::DS),
        ("example.org", RecordType::DNSKEY),
        (".", RecordType::DNSKEY),
        ("org", RecordType::DS),
    ] {
        let mut world = world(Denies::Nsec);
        world.unreachable.push((qname.to_string(), qtype));
        let question = Question::new(name(qname), qtype);
        let expected = IndeterminateReason::Fetch { question: question.clone(), failure: FetchFailure::NoAnswer };
        match world.resolve("www.example.org", RecordType::A).verdict {
            Verdict::Indeterminate(reason) => assert_eq!(reason, expected),
            other => panic!("{question}: {other:?}"),
        }
        world.unreachable.clear();
        world.break_reply(qname, qtype, |response| response.rcode = RCode::SERVFAIL);
        let expected = IndeterminateReason::Fetch { question: question.clone(), failure: FetchFailure::ServerError };
        match world.resolve("www.example.org", RecordType::A).verdict {
            Verdict::Indeterminate(reason) => assert_eq!(reason, expected),
            other => panic!("{question}: {other:?}"),
        }
    }
}

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
fn a_ds_signed_by_the_child_itself_is_not_believed() {
    let mut world = world(Denies::Nsec);
    let mut ds_set = world.zone("org").set(&name("example.org"), RecordType::DS, &name("example.org"));
    world.zone("example.org").sign(&mut ds_set);
    world.break_reply("example.org", RecordType::DS, move |response| response.answer = vec![ds_set.clone()]);
    world.resolve("www.example.org", RecordType::A).is_bogus();
}

#[test]
fn an_alias_in_answer_to_a_ds_query_is_no_zone_cut() {
    let mut world = world(Denies::Nsec);
    world.add("alias.example.org", RecordType::CNAME, &target("www.example.org"));
    world.add("tree.example.org", RecordType::DNAME, &target("example.org"));
    // Stripped answers make the walk ask for DS at each of these names.
    for qname in ["www.alias.example.org", "www.tree.example.org", "tree.example.org"] {
        world.breaks.clear();
        world.break_reply(qname, RecordType::TXT, |response| {
            let owner = response.question.qname.clone();
            response.answer = vec![unsigned_set(&owner, RecordType::TXT, vec![b"\x01x".as_slice().into()])];
            response.authority.clear();
        });
        let reason = BogusReason::MissingRrsig { owner: name(qname), rtype: RecordType::TXT };
        assert_eq!(*world.resolve(qname, RecordType::TXT).is_bogus(), reason, "{qname}");
    }
    // An alias that is not signed proves nothing.
    world.cache.clear();
    world.breaks.clear();
    world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].signatures.clear());
    world.break_reply("www.example.org", RecordType::DS, |response| {
        response.authority.clear();
        let owner = name("www.example.org");
        response.answer = vec![unsigned_set(&owner, RecordType::CNAME, vec![target("x.org").into()])];
    });
    world.resolve("www.example.org", RecordType::A).is_bogus();
}

#[test]
fn ds_and_dnskey_can_be_asked_for_by_a_client() {
    let world = world(Denies::Nsec);
    for (qname, qtype) in [
        ("example.org", RecordType::DS),
        ("example.org", RecordType::DNSKEY),
        (".", RecordType::DNSKEY),
        (".", RecordType::SOA),
        ("org", RecordType::NS),
    ] {
        world.cache.clear();
        let run = world.resolve(qname, qtype);
        assert_eq!(run.is_secure().response().answer.len(), 1);
        // The client's own question is not asked again, which `resolve` would not let pass.
        assert!(!run.asked.contains(&format!("{} {qtype}", name(qname))));
    }
    let denied = world.resolve("www.example.org", RecordType::DS);
    assert_eq!(denied.is_secure().response().rcode, RCode::NOERROR);
    world.resolve(".", RecordType::DS).is_secure();
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
fn a_secure_status_does_not_outlive_its_keys() {
    let mut world = world(Denies::Nsec);
    world.resolve("www.example.org", RecordType::A).is_secure();
    world.now.boot_ns += 3000 * NS_PER_S;
    assert_eq!(world.resolve("www.example.org", RecordType::A).is_secure().ttl_s(), TTL_S - 3000);
}

#[test]
fn keys_are_not_kept_beyond_the_ds_that_vouches_for_them() {
    let mut world = world(Denies::Nsec);
    world.break_reply("example.org", RecordType::DS, |response| response.answer[0].ttl_s = 50);
    world.resolve("www.example.org", RecordType::A).is_secure();
    world.now.boot_ns += 50 * NS_PER_S;
    let run = world.resolve("www.example.org", RecordType::A);
    assert_eq!(run.asked, ["example.org. DS", "example.org. DNSKEY"]);
}

#[test]
fn nothing_below_an_insecure_zone_is_asked_about() {
    let mut world =
        World::new(&[("org", Denies::Nsec), ("unsigned.org", Denies::Unsigned), ("deep.unsigned.org", NSEC3)]);
    world.add("www.deep.unsigned.org", RecordType::A, &ADDRESS);
    world.resolve("unsigned.org", RecordType::SOA).is_insecure();
    let run = world.resolve("www.deep.unsigned.org", RecordType::A);
    run.is_insecure();
    assert!(run.asked.is_empty());
    // From cold, the signer leads to the question that its parent cannot answer.
    world.cache.clear();
    let run = world.resolve("www.deep.unsigned.org", RecordType::A);
    run.is_insecure();
    assert_eq!(run.asked, ["deep.unsigned.org. DS", ". DNSKEY", "org. DS", "org. DNSKEY", "unsigned.org. DS"]);
}

#[test]
fn a_ds_from_a_wildcard_delegates_nothing() {
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.delegate(Zone::new("x.wild.org", Denies::Nsec, 15));
    world.add("www.x.wild.org", RecordType::A, &ADDRESS);
    world.resolve("www.x.wild.org", RecordType::A).is_secure();
    world.cache.clear();
    let sets = &mut world.zone("org").sets;
    sets.remove(&(name("x.wild.org"), RecordType::NS));
    let ds = sets.remove(&(name("x.wild.org"), RecordType::DS)).unwrap();
    sets.insert((name("*.wild.org"), RecordType::DS), ds);
    world.resolve("www.x.wild.org", RecordType::A).is_bogus();
}

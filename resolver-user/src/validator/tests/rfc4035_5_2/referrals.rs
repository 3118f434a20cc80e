//! From parent to child: DS, its absence, and who may say so.

use crate::validator::tests::signed_world as world;
use crate::validator::tests::*;

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

/// The DS of a sibling, signed by the same parent, put in the place of the zone's own.
#[test]
fn the_ds_of_a_sibling_vouches_for_nobody_else() {
    for owner in ["sibling.org", "example.org"] {
        let mut world = world(Denies::Nsec);
        world.delegate(Zone::new("sibling.org", Denies::Nsec, 15));
        let mut set = world.zone("org").set(&name("sibling.org"), RecordType::DS, &name("sibling.org"));
        set.owner = name(owner);
        world.break_reply("example.org", RecordType::DS, move |response| response.answer = vec![set.clone()]);
        world.resolve("www.example.org", RecordType::A).is_bogus();
        world.resolve("sibling.org", RecordType::SOA).is_secure();
    }
}

/// A DS that the child publishes at its own apex, with keys of its own choice, is not asked for and not believed.
#[test]
fn a_ds_in_the_child_adds_no_keys() {
    let mut world = world(Denies::Nsec);
    let other = SigningKey::new(15, 257);
    let ds = other.ds(&name("example.org"), 2);
    let zone = world.zone("example.org");
    zone.add(&name("example.org"), RecordType::DS, ds);
    zone.keys = vec![other];
    zone.publish_keys();
    let reason = BogusReason::NoMatchingKey { zone: name("example.org") };
    assert_eq!(*world.resolve("www.example.org", RecordType::A).is_bogus(), reason);
}

//! Negative answers, as a whole. The proofs by themselves are tested where they are made.

use crate::validator::tests::*;

/// A zone with a name of each kind.
fn world(denies: Denies) -> World {
    let mut world = World::new(&[("org", denies), ("unsigned.org", Denies::Unsigned), ("signed.org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world.add("a.empty.org", RecordType::A, &ADDRESS);
    world.add("*.wild.org", RecordType::A, &ADDRESS);
    world.add("www.unsigned.org", RecordType::A, &ADDRESS);
    world
}

/// What is not there, and whether the name is not there either.
const DENIED: [(&str, RecordType, RCode); 8] = [
    ("www.org", RecordType::TXT, RCode::NOERROR),
    ("org", RecordType::TXT, RCode::NOERROR),
    ("empty.org", RecordType::A, RCode::NOERROR),
    ("www.org", RecordType::DS, RCode::NOERROR),
    ("nothing.org", RecordType::A, RCode::NXDOMAIN),
    ("deep.below.nothing.org", RecordType::A, RCode::NXDOMAIN),
    ("below.www.org", RecordType::A, RCode::NXDOMAIN),
    ("x.wild.org", RecordType::TXT, RCode::NOERROR),
];

#[test]
fn what_is_proven_not_to_exist_is_secure() {
    for denies in [Denies::Nsec, NSEC3] {
        let world = world(denies);
        for (qname, qtype, rcode) in DENIED {
            let run = world.resolve(qname, qtype);
            let validated = run.is_secure();
            assert_eq!(validated.response().rcode, rcode, "{qname} {qtype}");
            assert!(validated.response().answer.is_empty());
            assert_eq!(validated.ttl_s(), MINIMUM_S);
            let sets = &validated.response().authority;
            assert!(sets[0].rtype == RecordType::SOA && sets[0].ttl_s == MINIMUM_S);
            assert!(sets.len() > 1 && sets.iter().all(|set| !set.signatures.is_empty()));
        }
    }
}

#[test]
fn each_set_of_a_proof_is_needed() {
    for denies in [Denies::Nsec, NSEC3] {
        for (qname, qtype, _) in DENIED {
            let whole = world(denies).answer(&Question::new(name(qname), qtype));
            for missing in 1..whole.authority.len() {
                let mut world = world(denies);
                world.break_reply(qname, qtype, move |response| {
                    response.authority.remove(missing);
                });
                let question = Question::new(name(qname), qtype);
                let run = world.resolve(qname, qtype);
                assert_eq!(*run.is_bogus(), BogusReason::MissingDenial { question }, "without number {missing}");
            }
        }
    }
}

#[test]
fn a_denial_of_something_else_proves_nothing() {
    for denies in ALL {
        for (other, qtype, _) in DENIED {
            let mut world = world(denies);
            let replayed = world.answer(&Question::new(name(other), qtype));
            world.break_reply("www.org", RecordType::A, move |response| {
                response.rcode = replayed.rcode;
                response.answer.clear();
                response.authority = replayed.authority.clone();
            });
            let run = world.resolve("www.org", RecordType::A);
            let question = Question::new(name("www.org"), RecordType::A);
            assert_eq!(*run.is_bogus(), BogusReason::MissingDenial { question }, "{other} {qtype}");
        }
    }
}

#[test]
fn a_denial_that_is_not_signed_is_bogus() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        world.break_reply("nothing.org", RecordType::A, |response| {
            response.authority.iter_mut().for_each(|set| set.signatures.clear());
        });
        world.resolve("nothing.org", RecordType::A).is_bogus();
        world.breaks.clear();
        world.break_reply("nothing.org", RecordType::A, |response| response.authority.clear());
        world.resolve("nothing.org", RecordType::A).is_bogus();
        // A SOA that fails, though the proof holds: the time to keep the answer would be a stranger's.
        world.breaks.clear();
        world.break_reply("nothing.org", RecordType::A, |response| {
            *response.authority[0].rdatas[0].last_mut().unwrap() ^= 1;
        });
        let (owner, rtype) = (name("org"), RecordType::SOA);
        let run = world.resolve("nothing.org", RecordType::A);
        assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype });
    }
}

#[test]
fn a_denial_without_soa_is_kept_as_long_as_its_proof() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        world.break_reply("nothing.org", RecordType::A, |response| {
            response.authority.remove(0);
        });
        assert_eq!(world.resolve("nothing.org", RecordType::A).is_secure().ttl_s(), MINIMUM_S);
    }
}

#[test]
fn the_proof_decides_between_nxdomain_and_nodata() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        // Servers are known to say NXDOMAIN for an empty non-terminal.
        world.break_reply("empty.org", RecordType::A, |response| response.rcode = RCode::NXDOMAIN);
        assert_eq!(world.resolve("empty.org", RecordType::A).is_secure().response().rcode, RCode::NOERROR);
        world.break_reply("nothing.org", RecordType::A, |response| response.rcode = RCode::NOERROR);
        world.resolve("nothing.org", RecordType::A).is_bogus();
    }
}

#[test]
fn a_denial_in_an_opt_out_span_is_insecure() {
    let world = world(OPT_OUT);
    for (qname, qtype, rcode) in DENIED {
        let run = world.resolve(qname, qtype);
        let opted_out = qname.contains("nothing") || qname.starts_with("below") || qname.contains("wild");
        let validated = if opted_out { run.is_insecure() } else { run.is_secure() };
        assert_eq!(validated.response().rcode, rcode, "{qname} {qtype}");
        let reason = InsecureReason::OptOut { zone: name("org") };
        assert_eq!(validated.insecure_reason(), opted_out.then_some(&reason));
    }
}

#[test]
fn an_unsigned_denial_in_an_opt_out_span_is_insecure_and_elsewhere_bogus() {
    let mut world = world(OPT_OUT);
    world.break_with(|question, response| {
        let is_it = question.qtype == RecordType::A;
        if is_it {
            response.authority.retain(|set| set.rtype == RecordType::SOA);
        }
        is_it
    });
    // An unsigned zone may start at the first name, but not at the second, which the chain of hashes holds.
    world.resolve("nothing.org", RecordType::A).is_insecure();
    world.resolve("empty.org", RecordType::A).is_bogus();
}

#[test]
fn an_unsigned_zone_denies_with_its_soa_alone() {
    for denies in ALL {
        let mut world = world(denies);
        for (qname, qtype) in [("www.unsigned.org", RecordType::TXT), ("nothing.unsigned.org", RecordType::A)] {
            let run = world.resolve(qname, qtype);
            let validated = run.is_insecure();
            assert_eq!(validated.ttl_s(), MINIMUM_S);
            let types: Vec<RecordType> = validated.response().authority.iter().map(|set| set.rtype).collect();
            assert_eq!(types, [RecordType::SOA]);
        }
        // Real servers leave the SOA out; such an answer may be given but not kept (RFC 2308 §5).
        world.break_reply("www.unsigned.org", RecordType::TXT, |response| response.authority.clear());
        assert_eq!(world.resolve("www.unsigned.org", RecordType::TXT).is_insecure().ttl_s(), 0);
    }
}

#[test]
fn the_absence_of_a_ds_can_be_asked_for_by_a_client() {
    for denies in ALL {
        let run = world(denies).resolve("unsigned.org", RecordType::DS);
        let validated = if denies == OPT_OUT { run.is_insecure() } else { run.is_secure() };
        assert_eq!(validated.response().rcode, RCode::NOERROR);
        // Below an unsigned delegation it cannot be proven any more.
        world(denies).resolve("www.unsigned.org", RecordType::DS).is_insecure();
    }
}

#[test]
fn the_parents_record_of_a_delegation_does_not_deny_the_childs_data() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        world.add("www.signed.org", RecordType::A, &ADDRESS);
        // The parent's denial of DS at another type: "there is no A at signed.org", says a record that knows only NS.
        let parent = world.zones.iter().position(|zone| zone.name == name("org")).unwrap();
        let denial = world.zones[parent].answer(&Question::new(name("signed.org"), RecordType::A)).authority;
        for qname in ["signed.org", "www.signed.org"] {
            let replayed = denial.clone();
            world.break_reply(qname, RecordType::A, move |response| {
                response.answer.clear();
                response.authority = replayed.clone();
            });
            world.resolve(qname, RecordType::A).is_bogus();
        }
    }
}

#[test]
fn records_of_the_parent_beside_a_denial_do_no_harm() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        let piggyback = world.answer(&Question::new(name("nothing.org"), RecordType::A)).authority;
        world.break_reply("www.signed.org", RecordType::A, move |response| {
            let own = std::mem::replace(&mut response.authority, piggyback.clone());
            response.authority.extend(own);
        });
        let run = world.resolve("www.signed.org", RecordType::A);
        let authority = &run.is_secure().response().authority;
        assert!(authority.iter().all(|set| set.signatures[0].signer == name("signed.org")));
    }
}

#[test]
fn the_walk_ends_where_nothing_is_below() {
    let mut world = world(Denies::Nsec);
    world.break_reply("a.b.c.nothing.org", RecordType::A, |response| response.authority.clear());
    let run = world.resolve("a.b.c.nothing.org", RecordType::A);
    run.is_bogus();
    assert_eq!(run.asked.last().unwrap(), "nothing.org. DS");
}

/// An ancestor's records speak for nothing below the cut that leads to the child, however far below.
#[test]
fn the_record_of_a_grandparent_denies_nothing_in_a_grandchild() {
    for denies in [Denies::Nsec, NSEC3] {
        for replayed_for in ["nothing.org", "signed.org"] {
            let mut world = world(denies);
            world.delegate(Zone::new("deep.signed.org", denies, 15));
            world.add("www.deep.signed.org", RecordType::A, &ADDRESS);
            let org = world.zones.iter().position(|zone| zone.name == name("org")).unwrap();
            let denial = world.zones[org].answer(&Question::new(name(replayed_for), RecordType::TXT));
            for rcode in [RCode::NXDOMAIN, RCode::NOERROR] {
                let authority = denial.authority.clone();
                world.break_reply("www.deep.signed.org", RecordType::A, move |response| {
                    response.rcode = rcode;
                    response.answer.clear();
                    response.authority = authority.clone();
                });
                world.resolve("www.deep.signed.org", RecordType::A).is_bogus();
            }
        }
    }
}

/// A denial of another type, or by a record that has the type, at the very name.
#[test]
fn a_denial_of_one_type_is_none_of_another() {
    for denies in ALL {
        let mut world = world(denies);
        let denial = world.answer(&Question::new(name("www.org"), RecordType::TXT));
        world.break_reply("www.org", RecordType::A, move |response| {
            response.answer.clear();
            response.authority = denial.authority.clone();
        });
        world.resolve("www.org", RecordType::A).is_bogus();
        // An alias is an answer to every type, so its name has no NODATA.
        world.add("alias.org", RecordType::CNAME, &target("www.org"));
        let denial = world.zone("org").answer(&Question::new(name("alias.org"), RecordType::DS)).authority;
        world.break_reply("alias.org", RecordType::A, move |response| {
            response.answer.clear();
            response.authority = denial.clone();
        });
        world.resolve("alias.org", RecordType::A).is_bogus();
    }
}

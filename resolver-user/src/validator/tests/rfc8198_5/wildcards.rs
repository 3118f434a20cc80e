//! Answers made from wildcards (RFC 8198 §5.3): those that the zone itself would give, to names that no closer name shadows.

use super::*;

/// The verdict on what is known of a question, with honest servers for what it leads to; none if nothing is known.
fn expanded(world: &World, cache: &ZoneCache, qname: &str, qtype: RecordType) -> Option<Run> {
    let known = cache.denials.expand(&question(qname, qtype), &world.trust_anchors(), world.now)?;
    assert_eq!(known.question, question(qname, qtype));
    Some(world.judge(known))
}

#[test]
fn one_answer_of_a_wildcard_answers_for_the_names_beside() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        // With NSEC one suffices; with NSEC3 as many as it takes to have seen every span.
        let asked = ('a'..='s').flat_map(|label| [format!("{label}.wild.org"), format!("{label}.alias.org")]);
        let asked: Vec<String> = asked.take(if denies == NSEC3 { usize::MAX } else { 2 }).collect();
        let asked: Vec<_> = asked.iter().map(|qname| (&**qname, RecordType::A)).collect();
        let cache = learned(&mut world, &asked);
        world.cache = Arc::clone(&cache);
        for (qname, qtype, sets) in [
            ("X.wild.org", RecordType::A, 1),
            ("deep.x.wild.org", RecordType::A, 1),
            ("c.alias.org", RecordType::A, 2),
            ("c.d.alias.org", RecordType::CNAME, 1),
        ] {
            let run = expanded(&world, &cache, qname, qtype);
            let run = run.unwrap_or_else(|| panic!("{denies:?}: {qname} {qtype} is known"));
            let secure = run.is_secure();
            assert_eq!((secure.response().rcode, secure.response().answer.len()), (RCode::NOERROR, sets));
            assert_eq!(secure.response().answer[0].owner, name(qname));
            assert!(secure.ttl_s() <= MINIMUM_S, "no longer than the proof");
            let wild_only = qname.contains("wild");
            assert!(!wild_only || run.asked.is_empty(), "{:?}", run.asked);
        }
    }
}

#[test]
fn what_is_made_from_a_wildcard_never_contradicts_the_zone() {
    for denies in [Denies::Nsec, NSEC3, OPT_OUT] {
        let mut world = world(denies);
        let all: Vec<_> = NAMES.iter().flat_map(|name| TYPES.map(|rtype| (*name, rtype))).collect();
        let mut made = 0;
        for known in all.chunks(1).chain([&*all]) {
            let cache = learned(&mut world, known);
            for &(qname, qtype) in &all {
                let Some(run) = expanded(&world, &cache, qname, qtype) else { continue };
                made += 1;
                let (proven, honest) = (run.is_secure(), world.resolve(qname, qtype));
                let honest = honest.is_secure();
                assert_eq!(proven.response().answer, honest.response().answer, "{denies:?} {known:?}: {qname} {qtype}");
                assert!(proven.ttl_s() <= honest.ttl_s());
            }
        }
        // No span of a zone that opts out shows that there is no closer name.
        assert_eq!(made == 0, denies == OPT_OUT, "{denies:?}: {made}");
    }
}

/// Each of these has a name that is closer than the wildcard, or is not the wildcard's to answer.
#[test]
fn a_wildcard_does_not_answer_for_what_is_there() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        for there in ["there.wild.org", "a.empty.wild.org"] {
            world.add(there, RecordType::TXT, b"\x01t");
        }
        world.delegate(Zone::new("cut.wild.org", Denies::Nsec, 13));
        world.add("dname.wild.org", RecordType::DNAME, name("org").wire());
        let known: Vec<_> = ["b", "there", "empty", "a.empty", "z.empty", "cut", "dname", "zz", "e", "d", "t"]
            .map(|label| format!("{label}.wild.org"))
            .to_vec();
        let questions: Vec<_> = known
            .iter()
            .flat_map(|name| [(&**name, RecordType::A), (&**name, RecordType::MX), (&**name, RecordType::DS)])
            .collect();
        let cache = learned(&mut world, &questions);
        assert!(expanded(&world, &cache, "c.wild.org", RecordType::A).is_some(), "{denies:?}");
        for qname in [
            "there.wild.org",
            "below.there.wild.org",
            "empty.wild.org",
            "a.empty.wild.org",
            "z.empty.wild.org",
            "cut.wild.org",
            "www.cut.wild.org",
            "below.dname.wild.org",
            "wild.org",
            "org",
        ] {
            assert!(expanded(&world, &cache, qname, RecordType::A).is_none(), "{denies:?}: {qname}");
        }
        // The type is not known of the wildcard, or is none that is made.
        for qtype in
            [RecordType::TXT, RecordType::DS, RecordType::NS, RecordType::NSEC, RecordType::ANY, RecordType::RRSIG]
        {
            assert!(expanded(&world, &cache, "c.wild.org", qtype).is_none(), "{denies:?}: {qtype}");
        }
    }
}

#[test]
fn nothing_is_made_without_the_proof_that_no_closer_name_exists() {
    let mut world = world(Denies::Nsec);
    // The wildcard by its own name: there is no proof about others.
    let cache = learned(&mut world, &[("*.wild.org", RecordType::A)]);
    assert!(expanded(&world, &cache, "x.wild.org", RecordType::A).is_none());
    let cache = learned(&mut world, &[("*.wild.org", RecordType::A), ("y.wild.org", RecordType::TXT)]);
    expanded(&world, &cache, "x.wild.org", RecordType::A).unwrap().is_secure();
}

#[test]
fn nothing_is_made_from_wildcards_across_a_negative_anchor_or_an_island() {
    let mut world = world(Denies::Nsec);
    let cache = learned(&mut world, &[("b.wild.org", RecordType::A)]);
    world.negative_anchors = vec![name("y.wild.org")];
    assert!(expanded(&world, &cache, "y.wild.org", RecordType::A).is_none());
    assert!(expanded(&world, &cache, "x.y.wild.org", RecordType::A).is_none());
    assert!(expanded(&world, &cache, "x.wild.org", RecordType::A).is_some());
    world.negative_anchors.clear();
    world.zones.push(Zone::new("y.wild.org", Denies::Nsec, 15));
    world.anchor("y.wild.org");
    assert!(expanded(&world, &cache, "x.y.wild.org", RecordType::A).is_none());
}

#[test]
fn what_was_made_from_a_wildcard_ends_with_the_shorter_lived_of_its_parts() {
    for (rtype, ttl_s) in [(RecordType::A, 40), (RecordType::NSEC, 20)] {
        let mut world = world(Denies::Nsec);
        world.break_reply("b.wild.org", RecordType::A, move |response| {
            let sets = response.answer.iter_mut().chain(&mut response.authority);
            sets.filter(|set| set.rtype == rtype).for_each(|set| set.ttl_s = ttl_s);
        });
        let cache = learned(&mut world, &[("b.wild.org", RecordType::A)]);
        let left =
            |world: &World| expanded(world, &cache, "x.wild.org", RecordType::A).map(|run| run.is_secure().ttl_s());
        assert_eq!(left(&world), Some(ttl_s));
        world.now = at(&world, 15);
        assert_eq!(left(&world), Some(ttl_s - 15));
        world.now = at(&world, u64::from(ttl_s) - 15);
        assert_eq!(left(&world), None);
    }
}

//! Sets expanded from a wildcard (§5.3.2, §5.3.4; RFC 5155 §8.8).

use crate::validator::tests::rfc1034_3_6_2::owners;
use crate::validator::tests::*;

#[test]
fn a_wildcard_answers_for_names_that_do_not_exist() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = World::new(&[("org", denies)]);
        world.add("*.wild.org", RecordType::TXT, b"\x01x");
        world.add("a.wild.org", RecordType::TXT, b"\x01a");
        for qname in ["b.wild.org", "c.b.wild.org", "*.wild.org"] {
            let run = world.resolve(qname, RecordType::TXT);
            let validated = run.is_secure();
            assert_eq!(owners(validated), [format!("{} TXT", name(qname))]);
            assert_eq!(validated.response().authority.is_empty(), qname.starts_with('*'));
        }
        // Without the proof that no closer name exists, or with that for another name, it is a replay.
        let proof = world.answer(&Question::new(name("b.wild.org"), RecordType::TXT)).authority;
        world.break_reply("b.wild.org", RecordType::TXT, |response| response.authority.clear());
        let question = Question::new(name("b.wild.org"), RecordType::TXT);
        let run = world.resolve("b.wild.org", RecordType::TXT);
        assert_eq!(*run.is_bogus(), BogusReason::MissingDenial { question });
        let replayed = world.zone("org").set(&name("*.wild.org"), RecordType::TXT, &name("a.wild.org"));
        world.break_reply("a.wild.org", RecordType::TXT, move |response| {
            response.answer = vec![replayed.clone()];
            response.authority = proof.clone();
        });
        world.resolve("a.wild.org", RecordType::TXT).is_bogus();
    }
}

#[test]
fn a_wildcard_must_be_denied_at_the_next_closer_name() {
    // `x.b.wild.org` does not exist, but `b.wild.org` does, so `*.wild.org` does not answer for it.
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = World::new(&[("org", denies)]);
        world.add("*.wild.org", RecordType::TXT, b"\x01x");
        world.add("b.wild.org", RecordType::A, &ADDRESS);
        world.add("y.b.wild.org", RecordType::A, &ADDRESS);
        let replayed = world.zone("org").set(&name("*.wild.org"), RecordType::TXT, &name("x.b.wild.org"));
        world.break_reply("x.b.wild.org", RecordType::TXT, move |response| {
            response.rcode = RCode::NOERROR;
            response.answer = vec![replayed.clone()];
        });
        let question = Question::new(name("x.b.wild.org"), RecordType::TXT);
        let run = world.resolve("x.b.wild.org", RecordType::TXT);
        assert_eq!(*run.is_bogus(), BogusReason::MissingDenial { question });
    }
}

#[test]
fn a_wildcard_in_an_opt_out_span_is_insecure() {
    let mut world = World::new(&[("org", OPT_OUT)]);
    world.add("*.wild.org", RecordType::TXT, b"\x01x");
    let run = world.resolve("b.wild.org", RecordType::TXT);
    let reason = InsecureReason::OptOut { zone: name("org") };
    assert_eq!(run.is_insecure().insecure_reason(), Some(&reason));
}

#[test]
fn a_denial_record_expanded_from_a_wildcard_proves_nothing() {
    // CVE-2017-15105: `*.wild.org NSEC` shows itself as the NSEC of any name, here of one that exists. An honest zone
    // would have it end at that name; this one is made so that nothing else is wrong with it.
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world.add("*.wild.org", RecordType::TXT, b"\x01x");
    world.add("a.wild.org", RecordType::A, &ADDRESS);
    let zone = world.zone("org");
    let mut forged = zone.nsec(&name("*.wild.org"), &name("z.wild.org"), &[RecordType::TXT, RecordType::NSEC]);
    forged.owner = name("a.wild.org");
    world.break_reply("a.wild.org", RecordType::A, move |response| {
        response.answer.clear();
        response.authority = vec![forged.clone()];
    });
    world.resolve("a.wild.org", RecordType::A).is_bogus();
}

/// The wildcard's own set, signature and all, in the place of the set of another type or owner that exists.
#[test]
fn a_wildcard_replayed_for_a_name_that_exists_is_bogus_whatever_proof_comes_with_it() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = World::new(&[("org", denies)]);
        world.add("*.wild.org", RecordType::A, &[6, 6, 6, 6]);
        world.add("host.wild.org", RecordType::A, &ADDRESS);
        world.add("text.wild.org", RecordType::TXT, b"\x01x");
        for qname in ["host.wild.org", "text.wild.org"] {
            for proof_for in ["other.wild.org", "gost.wild.org", "z.wild.org", "nothing.org", qname] {
                let replayed = world.zone("org").set(&name("*.wild.org"), RecordType::A, &name(qname));
                let proof = world.zone("org").answer(&Question::new(name(proof_for), RecordType::MX)).authority;
                world.breaks.clear();
                world.break_reply(qname, RecordType::A, move |response| {
                    response.rcode = RCode::NOERROR;
                    response.answer = vec![replayed.clone()];
                    response.authority = proof.clone();
                });
                world.resolve(qname, RecordType::A).is_bogus();
            }
        }
        world.breaks.clear();
        world.resolve("other.wild.org", RecordType::A).is_secure();
    }
}

#[test]
fn a_wildcard_in_an_opt_out_span_makes_nothing_but_its_span_insecure() {
    let mut world = World::new(&[("org", OPT_OUT)]);
    world.add("*.org", RecordType::CNAME, &target("www.org"));
    world.add("www.org", RecordType::A, &ADDRESS);
    // Unsigned data in the span: the search for a DS ends at the wildcard, which the span may hide a delegation from.
    world.break_reply("q.org", RecordType::A, |response| {
        response.answer = vec![unsigned_set(&name("q.org"), RecordType::A, vec![ADDRESS.into()])];
        response.authority.clear();
    });
    world.resolve("q.org", RecordType::A).is_insecure();
    world.resolve("www.org", RecordType::A).is_secure();
    world.break_reply("www.org", RecordType::A, |response| response.answer[0].signatures.clear());
    world.resolve("www.org", RecordType::A).is_bogus();
}

//! Answers without signatures, where the operator does not want the proof that they need none.

use crate::validator::tests::*;

fn world() -> World {
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world.add("alias.org", RecordType::CNAME, &target("www.org"));
    world.policy.unsigned_checked = false;
    world
}

fn strip(world: &mut World) {
    world.break_with(|_, response| {
        for set in response.answer.iter_mut().chain(&mut response.authority) {
            set.signatures.clear();
        }
        response.authority.retain(|set| set.rtype == RecordType::SOA);
        true
    });
}

#[test]
fn unsigned_answers_pass_as_unchecked_and_never_as_proven() {
    let mut world = world();
    strip(&mut world);
    for (qname, qtype, answers) in [
        ("www.org", RecordType::A, 1),
        ("alias.org", RecordType::A, 2),
        ("nothing.org", RecordType::A, 0),
        ("www.org", RecordType::TXT, 0),
    ] {
        let run = world.resolve(qname, qtype);
        match &run.verdict {
            Verdict::Unchecked { response, ttl_s } => {
                assert_eq!((response.answer.len(), *ttl_s > 0), (answers, true), "{qname} {qtype}");
            }
            other => panic!("{qname} {qtype}: {other:?}"),
        }
    }
    world.policy.unsigned_checked = true;
    world.resolve("www.org", RecordType::A).is_bogus();
}

#[test]
fn signed_answers_are_validated_all_the_same() {
    let mut world = world();
    world.resolve("www.org", RecordType::A).is_secure();
    world.resolve("alias.org", RecordType::A).is_secure();
    world.resolve("nothing.org", RecordType::A).is_secure();
    world.break_reply("www.org", RecordType::A, |response| response.answer[0].rdatas[0][0] ^= 1);
    world.resolve("www.org", RecordType::A).is_bogus();
}

#[test]
fn one_unsigned_link_makes_an_alias_chain_unchecked_and_a_forged_one_bogus() {
    let mut world = world();
    world.break_reply("alias.org", RecordType::A, |response| response.answer[0].signatures.clear());
    assert!(matches!(world.resolve("alias.org", RecordType::A).verdict, Verdict::Unchecked { .. }));
    world.break_reply("www.org", RecordType::A, |response| response.answer[0].rdatas[0][0] ^= 1);
    world.resolve("alias.org", RecordType::A).is_bogus();
}

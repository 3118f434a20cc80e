//! What is kept of answers, and what it is used for. Answers are those of a world of zones that are signed in memory.

use std::sync::Arc;

use super::*;
use crate::validator::Verdict;
use crate::validator::tests::world::World;
use crate::validator::tests::zone::{Denies, NSEC3};

const START: Moment = Moment { generation: 1, boot_ns: 1000 * NS_PER_S };

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn question(qname: &str, qtype: RecordType) -> Question {
    Question::new(name(qname), qtype)
}

fn after_s(seconds: u64) -> Moment {
    Moment { boot_ns: START.boot_ns + seconds * NS_PER_S, ..START }
}

/// Aliases of every kind in a signed zone (`org`) and one that is not (`net`), to each other.
fn world() -> World {
    let mut world = World::new(&[("org", NSEC3), ("net", Denies::Unsigned)]);
    world.follows = true;
    for (owner, rtype, target) in [
        ("alias.org", RecordType::CNAME, "www.org"),
        ("chain.org", RecordType::CNAME, "alias.org"),
        ("out.org", RecordType::CNAME, "www.net"),
        ("tree.org", RecordType::DNAME, "org"),
        ("long.org", RecordType::DNAME, "x123456789.x123456789.x123456789.x123456789.x123456789.x123456789.org"),
        ("*.wild.org", RecordType::CNAME, "www.org"),
        ("alias.net", RecordType::CNAME, "other.net"),
        ("other.net", RecordType::CNAME, "www.net"),
        ("tree.net", RecordType::DNAME, "net"),
    ] {
        world.add(owner, rtype, name(target).wire());
    }
    for owner in ["www.org", "www.net"] {
        world.add(owner, RecordType::A, &[192, 0, 2, 1]);
    }
    world
}

fn proven(world: &World, qname: &str, qtype: RecordType) -> Arc<Validated> {
    match world.resolve(qname, qtype).verdict {
        Verdict::Proven(validated) => validated,
        other => panic!("{qname} {qtype}: {other:?}"),
    }
}

/// What is kept after these questions.
fn learned(world: &World, asked: &[(&str, RecordType)]) -> SetCache {
    let sets = SetCache::new(100);
    for (qname, qtype) in asked {
        sets.learn(&proven(world, qname, *qtype), |_| false, u32::MAX, START);
    }
    sets
}

/// Owners and types of what is at hand, and its RCODE.
fn at_hand(sets: &SetCache, qname: &str, qtype: RecordType) -> Option<(Vec<String>, RCode)> {
    let reply = sets.reply(&question(qname, qtype), START, |_| true)?.response;
    Some((reply.answer.iter().map(|set| format!("{} {}", set.owner, set.rtype)).collect(), reply.rcode))
}

#[track_caller]
fn check(sets: &SetCache, (qname, qtype): (&str, RecordType), expected: &[&str]) {
    let found = at_hand(sets, qname, qtype).map(|(owners, _)| owners).unwrap_or_default();
    assert_eq!(found, expected, "{qname} {qtype}");
}

#[test]
fn an_alias_answers_for_every_type_but_those_beside_it() {
    for (zone, qtype) in [("org", RecordType::A), ("org", RecordType::CNAME), ("net", RecordType::A)] {
        let alias = format!("alias.{zone}");
        let sets = learned(&world(), &[(&alias, qtype)]);
        let cname = format!("alias.{zone}. CNAME");
        for other in [RecordType::A, RecordType::MX, RecordType::CNAME, RecordType::HTTPS, RecordType::DNAME] {
            check(&sets, (&alias.to_uppercase(), other), &[&cname]);
        }
        for beside in [RecordType::DS, RecordType::DNSKEY, RecordType::NSEC, RecordType::RRSIG, RecordType::ANY] {
            check(&sets, (&alias, beside), &[]);
        }
    }
}

#[test]
fn of_a_secure_answer_every_set_is_kept_and_of_an_insecure_one_the_first_alias() {
    let world = world();
    let sets = learned(&world, &[("chain.org", RecordType::A), ("alias.net", RecordType::A)]);
    check(&sets, ("chain.org", RecordType::MX), &["chain.org. CNAME"]);
    check(&sets, ("alias.org", RecordType::MX), &["alias.org. CNAME"]);
    check(&sets, ("www.org", RecordType::A), &["www.org. A"]);
    check(&sets, ("www.org", RecordType::MX), &[]);
    check(&sets, ("alias.net", RecordType::MX), &["alias.net. CNAME"]);
    // RFC 2181 §5.4.1: it may be hearsay.
    check(&sets, ("other.net", RecordType::A), &[]);
    check(&sets, ("www.net", RecordType::A), &[]);
    let mixed = learned(&world, &[("out.org", RecordType::A)]);
    check(&mixed, ("out.org", RecordType::MX), &["out.org. CNAME"]);
    check(&mixed, ("www.net", RecordType::A), &[]);
    assert_eq!(
        learned(&world, &[("www.org", RecordType::A), ("www.net", RecordType::A)]).len(),
        0,
        "the answers are kept"
    );
}

#[test]
fn a_secure_dname_speaks_for_all_names_below_it() {
    let world = world();
    for asked in [("www.tree.org", RecordType::A), ("tree.org", RecordType::DNAME), ("www.tree.org", RecordType::CNAME)]
    {
        let sets = learned(&world, &[asked]);
        check(&sets, ("a.b.TREE.org", RecordType::MX), &["tree.org. DNAME", "a.b.TREE.org. CNAME"]);
        check(&sets, ("other.tree.org", RecordType::CNAME), &["tree.org. DNAME", "other.tree.org. CNAME"]);
        check(&sets, ("tree.org", RecordType::DNAME), &["tree.org. DNAME"]);
        check(&sets, ("tree.org", RecordType::A), &[]);
        check(&sets, ("mytree.org", RecordType::A), &[]);
        let reply = sets.reply(&question("x.tree.org", RecordType::A), START, |_| true).unwrap().response;
        assert_eq!(&*reply.answer[1].rdatas[0], name("x.org").wire());
        assert!(
            sets.reply(&question("x.tree.org", RecordType::A), START, |owner| *owner != name("tree.org")).is_none()
        );
    }
}

#[test]
fn a_dname_that_was_not_secure_speaks_for_nobody_else() {
    let world = world();
    let sets = learned(&world, &[("www.tree.net", RecordType::A), ("tree.net", RecordType::DNAME)]);
    check(&sets, ("other.tree.net", RecordType::A), &[]);
    check(&sets, ("www.tree.net", RecordType::MX), &[]);
    assert!(sets.is_empty());
}

#[test]
fn a_dname_that_makes_too_long_a_name_says_so() {
    let sets = learned(&world(), &[("www.long.org", RecordType::CNAME)]);
    let below = format!("{0}.{0}.{0}.{0}.long.org", "y".repeat(50));
    let too_long = Some((vec!["long.org. DNAME".to_owned()], RCode::YXDOMAIN));
    assert_eq!(at_hand(&sets, &below, RecordType::A), too_long);
}

#[test]
fn what_a_wildcard_was_expanded_to_is_not_kept_without_its_proof() {
    let sets = learned(&world(), &[("x.wild.org", RecordType::A)]);
    check(&sets, ("x.wild.org", RecordType::MX), &[]);
    check(&sets, ("www.org", RecordType::A), &["www.org. A"]);
    let literal = learned(&world(), &[("*.wild.org", RecordType::A)]);
    check(&literal, ("*.wild.org", RecordType::MX), &["*.wild.org. CNAME"]);
    check(&literal, ("x.wild.org", RecordType::MX), &[]);
}

#[test]
fn a_set_lives_as_long_as_its_own_ttl_and_ages() {
    let world = world();
    let sets = SetCache::new(100);
    sets.learn(&proven(&world, "alias.org", RecordType::A), |_| false, 1000, START);
    let ttls = |seconds| {
        let reply = sets.reply(&question("alias.org", RecordType::MX), after_s(seconds), |_| true);
        reply.map(|reply| (reply.response.answer[0].ttl_s, reply.response.answer[0].signatures[0].ttl_s))
    };
    assert_eq!([ttls(0), ttls(400), ttls(999), ttls(1000)], [Some((1000, 1000)), Some((600, 600)), Some((1, 1)), None]);
    let expires_at_boot_ns = after_s(1000).boot_ns;
    let reply = sets.reply(&question("alias.org", RecordType::MX), after_s(7), |_| true).unwrap();
    assert_eq!(reply.expires_at_boot_ns, expires_at_boot_ns);
}

#[test]
fn ttl_0_is_for_one_use() {
    let mut world = world();
    world.break_reply("alias.org", RecordType::A, |response| response.answer[0].ttl_s = 0);
    world.break_reply("www.tree.org", RecordType::A, |response| response.answer[0].ttl_s = 0);
    let sets = learned(&world, &[("alias.org", RecordType::A), ("www.tree.org", RecordType::A)]);
    check(&sets, ("alias.org", RecordType::MX), &[]);
    check(&sets, ("x.tree.org", RecordType::A), &[]);
    check(&sets, ("www.org", RecordType::A), &["www.org. A"]);
    assert_eq!(SetCache::new(0).reply(&question("www.org", RecordType::A), START, |_| true), None);
}

#[test]
fn nothing_is_used_under_another_generation_and_nothing_known_is_learned_again() {
    let world = world();
    let sets = learned(&world, &[("alias.org", RecordType::A)]);
    let asked = question("alias.org", RecordType::MX);
    assert!(sets.reply(&asked, Moment { generation: 2, ..START }, |_| true).is_none());
    let answer = proven(&world, "alias.org", RecordType::A);
    sets.learn(&answer, |set| set.rtype == RecordType::CNAME, u32::MAX, after_s(100));
    assert_eq!(sets.reply(&asked, START, |_| true).unwrap().expires_at_boot_ns, after_s(3600).boot_ns);
    sets.learn(&answer, |_| false, u32::MAX, after_s(100));
    assert_eq!(sets.reply(&asked, START, |_| true).unwrap().expires_at_boot_ns, after_s(3700).boot_ns);
    sets.clear();
    check(&sets, ("alias.org", RecordType::MX), &[]);
}

#[test]
fn the_number_of_sets_is_bounded() {
    let mut world = world();
    let sets = SetCache::new(40);
    for number in 0..200 {
        let owner = format!("n{number}.org");
        world.add(&owner, RecordType::CNAME, name("www.org").wire());
        sets.learn(&proven(&world, &owner, RecordType::CNAME), |_| false, u32::MAX, START);
    }
    assert!((10..=32).contains(&sets.len()), "{}", sets.len());
}

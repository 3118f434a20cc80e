//! Negative anchors: validation off at and below a name.

use super::*;

fn world() -> World {
    let mut world =
        World::new(&[("org", Denies::Nsec), ("broken.org", Denies::Nsec), ("good.broken.org", Denies::Nsec)]);
    for owner in ["www.org", "www.broken.org", "www.good.broken.org"] {
        world.add(owner, RecordType::A, &ADDRESS);
    }
    // Its DS leads nowhere.
    world.zone("org").sets.get_mut(&(name("broken.org"), RecordType::DS)).unwrap()[0][9] ^= 1;
    world
}

#[test]
fn a_negative_anchor_makes_what_is_at_and_below_it_insecure_and_nothing_else() {
    let mut world = world();
    world.resolve("www.broken.org", RecordType::A).is_bogus();
    world.negative_anchors = vec![name("Broken.ORG")];
    world.cache.clear();
    let anchor = name("broken.org");
    for (qname, qtype) in [
        ("broken.org", RecordType::SOA),
        ("www.broken.org", RecordType::A),
        ("www.good.broken.org", RecordType::A),
        ("nothing.broken.org", RecordType::A),
    ] {
        let run = world.resolve(qname, qtype);
        let expected = InsecureReason::NegativeAnchor { anchor: anchor.clone() };
        assert_eq!(run.is_insecure().insecure_reason(), Some(&expected), "{qname}");
        assert!(run.asked.is_empty());
    }
    world.resolve("www.org", RecordType::A).is_secure();
    world.resolve("notbroken.org", RecordType::A).is_secure();
    // The DS is its parent's.
    world.resolve("broken.org", RecordType::DS).is_secure();
}

#[test]
fn a_positive_anchor_below_a_negative_one_validates_and_one_beside_it_does_not() {
    let mut world = world();
    world.negative_anchors = vec![name("broken.org")];
    world.anchor("good.broken.org");
    world.resolve("www.good.broken.org", RecordType::A).is_secure();
    world.break_reply("www.good.broken.org", RecordType::A, |response| response.answer[0].signatures.clear());
    world.resolve("www.good.broken.org", RecordType::A).is_bogus();
    world.resolve("www.broken.org", RecordType::A).is_insecure();
    world.anchor("broken.org");
    world.resolve("www.broken.org", RecordType::A).is_insecure();
}

#[test]
fn an_alias_through_a_negative_anchor_is_insecure_as_a_whole() {
    let mut world = world();
    world.add("alias.org", RecordType::CNAME, &target("www.broken.org"));
    world.negative_anchors = vec![name("broken.org")];
    world.resolve("alias.org", RecordType::A).is_insecure();
}

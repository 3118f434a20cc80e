//! Aggressive use of what was proven before (RFC 8198): never another answer than the zone itself would give.

use super::*;
use crate::validator::DenialCache;

const NAMES: [&str; 16] = [
    "org",
    "www.org",
    "aaa.org",
    "mmm.org",
    "zzz.org",
    "empty.org",
    "a.empty.org",
    "b.empty.org",
    "x.wild.org",
    "wild.org",
    "*.wild.org",
    "below.www.org",
    "cut.org",
    "www.cut.org",
    "deep.below.nothing.org",
    "redirected.org",
];
const TYPES: [RecordType; 5] = [RecordType::A, RecordType::TXT, RecordType::DS, RecordType::CNAME, RecordType::NS];

fn world(denies: Denies) -> World {
    let mut world = World::new(&[("org", denies), ("cut.org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world.add("a.empty.org", RecordType::A, &ADDRESS);
    world.add("*.wild.org", RecordType::A, &ADDRESS);
    world.add("www.cut.org", RecordType::A, &ADDRESS);
    world.add("redirected.org", RecordType::CNAME, name("www.org").wire());
    world
}

fn question(qname: &str, qtype: RecordType) -> Question {
    Question::new(name(qname), qtype)
}

fn learned(world: &World, questions: &[(&str, RecordType)]) -> DenialCache {
    let cache = DenialCache::new(1000);
    for &(qname, qtype) in questions {
        if let Verdict::Proven(validated) = world.resolve(qname, qtype).verdict {
            cache.learn(&validated, world.now);
        }
    }
    cache
}

#[test]
fn one_denial_answers_for_its_neighbours() {
    for denies in [Denies::Nsec, NSEC3] {
        let world = world(denies);
        let cache = learned(&world, &[("aaa.org", RecordType::A), ("www.org", RecordType::TXT)]);
        // The very question, another type at the denied name, another type at a name that exists.
        for (qname, qtype, rcode) in [
            ("aaa.org", RecordType::A, RCode::NXDOMAIN),
            ("AAA.org", RecordType::TXT, RCode::NXDOMAIN),
            ("www.org", RecordType::MX, RCode::NOERROR),
        ] {
            let validated = cache.deny(&question(qname, qtype), &world.trust_anchors(), world.now);
            let validated = validated.unwrap_or_else(|| panic!("{denies:?}: {qname} {qtype} is known not to exist"));
            assert_eq!((validated.response().rcode, validated.status()), (rcode, ProvenStatus::Secure));
            assert!(validated.response().answer.is_empty() && validated.response().authority.len() > 1);
        }
        assert_eq!(
            cache.deny(&question("www.org", RecordType::A), &world.trust_anchors(), world.now),
            None,
            "it exists"
        );
    }
}

#[test]
fn what_is_known_never_contradicts_the_zone() {
    for denies in [Denies::Nsec, NSEC3, OPT_OUT] {
        let world = world(denies);
        let all: Vec<_> = NAMES.iter().flat_map(|name| TYPES.map(|rtype| (*name, rtype))).collect();
        let mut denied = 0;
        // From each answer alone, and from all of them.
        for known in all.chunks(1).chain([&*all]) {
            let cache = learned(&world, known);
            for &(qname, qtype) in &all {
                let Some(validated) = cache.deny(&question(qname, qtype), &world.trust_anchors(), world.now) else {
                    continue;
                };
                denied += 1;
                let Verdict::Proven(honest) = world.resolve(qname, qtype).verdict else { panic!("{qname} {qtype}") };
                assert!(honest.response().answer.is_empty(), "{denies:?} {known:?}: {qname} {qtype} exists");
                assert_eq!(
                    validated.response().rcode,
                    honest.response().rcode,
                    "{denies:?} {known:?}: {qname} {qtype}"
                );
                assert_eq!(honest.status(), ProvenStatus::Secure);
                assert!(validated.ttl_s() <= honest.ttl_s());
            }
        }
        assert!(denied > 100, "{denies:?}: {denied}");
    }
}

#[test]
fn an_opt_out_span_denies_no_name() {
    let world = world(OPT_OUT);
    let cache = learned(&world, &[("aaa.org", RecordType::A), ("mmm.org", RecordType::A), ("zzz.org", RecordType::A)]);
    assert_eq!(cache.deny(&question("bbb.org", RecordType::A), &world.trust_anchors(), world.now), None);
}

#[test]
fn what_was_learned_ends_with_its_ttl() {
    let world = world(Denies::Nsec);
    let cache = learned(&world, &[("aaa.org", RecordType::A)]);
    let at = |seconds: u64| Now {
        unix_s: world.now.unix_s + seconds,
        boot_ns: world.now.boot_ns + seconds * crate::clock::NS_PER_S,
    };
    let left = |seconds| {
        cache
            .deny(&question("aab.org", RecordType::A), &world.trust_anchors(), at(seconds))
            .map(|validated| validated.ttl_s())
    };
    let whole = left(0).expect("learned");
    assert_eq!(left(10), Some(whole - 10));
    assert_eq!(left(u64::from(whole)), None);
}

#[test]
fn nothing_is_learned_from_what_is_not_secure() {
    let mut world = world(Denies::Nsec);
    world.delegate(Zone::new("plain.org", Denies::Unsigned, 13));
    let cache = learned(&world, &[("nothing.plain.org", RecordType::A)]);
    assert!(cache.is_empty());
}

#[test]
fn a_full_cache_starts_anew() {
    let world = world(Denies::Nsec);
    let cache = DenialCache::new(4);
    for name in NAMES {
        if let Verdict::Proven(validated) = world.resolve(name, RecordType::TXT).verdict {
            cache.learn(&validated, world.now);
        }
        assert!(cache.len() <= 4);
    }
    cache.clear();
    assert!(cache.is_empty());
}

/// RFC 7646, and islands: the zones above such a name have no say in it, as those of split DNS deny what is inside.
#[test]
fn a_zone_denies_nothing_below_a_negative_anchor_nor_in_an_island() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        let cache = learned(&world, &[("aaa.org", RecordType::A), ("www.org", RecordType::TXT)]);
        let denied = |world: &World, qname: &str, qtype| {
            cache.deny(&question(qname, qtype), &world.trust_anchors(), world.now).is_some()
        };
        assert!(denied(&world, "aaa.org", RecordType::A));
        world.negative_anchors = vec![name("aaa.org")];
        assert!(!denied(&world, "aaa.org", RecordType::A));
        assert!(!denied(&world, "host.aaa.org", RecordType::A));
        // Its DS is still the parent's to deny.
        assert!(denied(&world, "aaa.org", RecordType::DS));
        assert!(denied(&world, "www.org", RecordType::MX));
        world.negative_anchors.clear();
        let island = Zone::new("aaa.org", Denies::Nsec, 15);
        world.zones.push(island);
        world.anchor("aaa.org");
        assert!(!denied(&world, "host.aaa.org", RecordType::A));
        assert!(denied(&world, "www.org", RecordType::MX));
        // Where nothing is anchored any more, nothing is known either.
        world.anchors.clear();
        assert!(!denied(&world, "www.org", RecordType::MX));
    }
}

#[test]
fn what_was_learned_ends_with_the_proof_of_its_zone() {
    let mut world = world(Denies::Nsec);
    world.break_reply("org", RecordType::DS, |response| response.answer[0].ttl_s = 50);
    let cache = learned(&world, &[("aaa.org", RecordType::A)]);
    let left = |seconds: u64| {
        let now = Now { boot_ns: world.now.boot_ns + seconds * crate::clock::NS_PER_S, ..world.now };
        cache.deny(&question("aab.org", RecordType::A), &world.trust_anchors(), now).map(|known| known.ttl_s())
    };
    assert_eq!((left(0), left(49), left(50)), (Some(50), Some(1), None));
}

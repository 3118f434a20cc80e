//! Aggressive use of what was proven before (RFC 8198): never another answer than the zone itself would give.

use std::sync::Arc;

use super::*;
use crate::validator::ZoneCache;

mod wildcards;

const NAMES: [&str; 19] = [
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
    "x.alias.org",
    "x.y.alias.org",
    "x.there.alias.org",
];
const TYPES: [RecordType; 5] = [RecordType::A, RecordType::TXT, RecordType::DS, RecordType::CNAME, RecordType::NS];

fn world(denies: Denies) -> World {
    let mut world = World::new(&[("org", denies), ("cut.org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world.add("a.empty.org", RecordType::A, &ADDRESS);
    world.add("*.wild.org", RecordType::A, &ADDRESS);
    world.add("www.cut.org", RecordType::A, &ADDRESS);
    world.add("redirected.org", RecordType::CNAME, name("www.org").wire());
    world.add("*.alias.org", RecordType::CNAME, name("www.org").wire());
    world.add("a.there.alias.org", RecordType::A, &ADDRESS);
    world
}

fn question(qname: &str, qtype: RecordType) -> Question {
    Question::new(name(qname), qtype)
}

/// What validations of these questions teach, and nothing else.
fn learned(world: &mut World, questions: &[(&str, RecordType)]) -> Arc<ZoneCache> {
    let before = std::mem::replace(&mut world.cache, Arc::new(ZoneCache::new(1000, 1000)));
    for &(qname, qtype) in questions {
        world.resolve(qname, qtype);
    }
    std::mem::replace(&mut world.cache, before)
}

fn at(world: &World, seconds: u64) -> Now {
    Now { unix_s: world.now.unix_s + seconds, boot_ns: world.now.boot_ns + seconds * NS_PER_S }
}

#[test]
fn one_denial_answers_for_its_neighbours() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        let cache = learned(&mut world, &[("aaa.org", RecordType::A), ("www.org", RecordType::TXT)]);
        // The very question, another type at the denied name, another type at a name that exists.
        for (qname, qtype, rcode) in [
            ("aaa.org", RecordType::A, RCode::NXDOMAIN),
            ("AAA.org", RecordType::TXT, RCode::NXDOMAIN),
            ("www.org", RecordType::MX, RCode::NOERROR),
        ] {
            let validated = cache.denials.deny(&question(qname, qtype), &world.trust_anchors(), world.now);
            let validated = validated.unwrap_or_else(|| panic!("{denies:?}: {qname} {qtype} is known not to exist"));
            assert_eq!((validated.response().rcode, validated.status()), (rcode, ProvenStatus::Secure));
            assert!(validated.response().answer.is_empty() && validated.response().authority.len() > 1);
        }
        assert_eq!(
            cache.denials.deny(&question("www.org", RecordType::A), &world.trust_anchors(), world.now),
            None,
            "it exists"
        );
    }
}

#[test]
fn what_is_known_never_contradicts_the_zone() {
    for denies in [Denies::Nsec, NSEC3, OPT_OUT] {
        let mut world = world(denies);
        let all: Vec<_> = NAMES.iter().flat_map(|name| TYPES.map(|rtype| (*name, rtype))).collect();
        let mut denied = 0;
        // From each answer alone, and from all of them.
        for known in all.chunks(1).chain([&*all]) {
            let cache = learned(&mut world, known);
            for &(qname, qtype) in &all {
                let Some(validated) = cache.denials.deny(&question(qname, qtype), &world.trust_anchors(), world.now)
                else {
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
    let mut world = world(OPT_OUT);
    let cache =
        learned(&mut world, &[("aaa.org", RecordType::A), ("mmm.org", RecordType::A), ("zzz.org", RecordType::A)]);
    assert_eq!(cache.denials.deny(&question("bbb.org", RecordType::A), &world.trust_anchors(), world.now), None);
}

#[test]
fn what_was_learned_ends_with_its_ttl() {
    let mut world = world(Denies::Nsec);
    let cache = learned(&mut world, &[("aaa.org", RecordType::A)]);
    let left = |seconds| {
        cache
            .denials
            .deny(&question("aab.org", RecordType::A), &world.trust_anchors(), at(&world, seconds))
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
    world.zone("plain.org").add(&name("*.wild.plain.org"), RecordType::A, ADDRESS.to_vec());
    let known_of_org = learned(&mut world, &[("plain.org", RecordType::DS)]).denials.len();
    let cache = learned(&mut world, &[("nothing.plain.org", RecordType::A), ("x.wild.plain.org", RecordType::A)]);
    // The NSEC at plain.org, which the DS was denied with, and the SOA beside it.
    assert_eq!((cache.denials.len(), known_of_org), (2, 2));
}

#[test]
fn a_zone_with_many_records_makes_room_and_leaves_the_others_what_they_know() {
    let mut world = world(Denies::Nsec);
    world.cache = Arc::new(ZoneCache::new(1000, 10));
    world.resolve("nothing.cut.org", RecordType::A);
    for name in ["", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"].map(|label| format!("{label}x.org")) {
        world.add(&name, RecordType::A, &ADDRESS);
        world.resolve(&name, RecordType::TXT);
        let known = world.cache.denials.len();
        assert!((3..=10).contains(&known), "{known}");
    }
    let denied =
        world.cache.denials.deny(&question("nothing2.cut.org", RecordType::A), &world.trust_anchors(), world.now);
    assert!(denied.is_some(), "the flood was not in this zone");
    world.cache.denials.clear();
    assert!(world.cache.denials.is_empty());
}

/// RFC 7646, and islands: the zones above such a name have no say in it, as those of split DNS deny what is inside.
#[test]
fn a_zone_denies_nothing_below_a_negative_anchor_nor_in_an_island() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        let cache = learned(&mut world, &[("aaa.org", RecordType::A), ("www.org", RecordType::TXT)]);
        let denied = |world: &World, qname: &str, qtype| {
            cache.denials.deny(&question(qname, qtype), &world.trust_anchors(), world.now).is_some()
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
    let cache = learned(&mut world, &[("aaa.org", RecordType::A)]);
    let left = |seconds: u64| {
        let now = Now { boot_ns: world.now.boot_ns + seconds * crate::clock::NS_PER_S, ..world.now };
        cache.denials.deny(&question("aab.org", RecordType::A), &world.trust_anchors(), now).map(|known| known.ttl_s())
    };
    assert_eq!((left(0), left(49), left(50)), (Some(50), Some(1), None));
}

/// Its own words come back when a search takes them for a server's.
#[test]
fn what_is_learned_from_what_was_known_lives_neither_longer_nor_shorter() {
    let mut world = world(Denies::Nsec);
    let cache = learned(&mut world, &[("aaa.org", RecordType::A), ("b.wild.org", RecordType::A)]);
    world.cache = cache;
    let left = |world: &World| {
        let known = question("aab.org", RecordType::A);
        world.cache.denials.deny(&known, &world.trust_anchors(), world.now).map(|known| known.ttl_s())
    };
    world.now = at(&world, 100);
    let before = left(&world);
    assert_eq!(before, Some(MINIMUM_S - 100));
    let denial = world.cache.denials.deny(&question("aab.org", RecordType::A), &world.trust_anchors(), world.now);
    let made = world.cache.denials.expand(&question("c.wild.org", RecordType::A), &world.trust_anchors(), world.now);
    let mut short = denial.unwrap().response().clone();
    world.judge(short.clone()).is_secure();
    short.authority.iter_mut().for_each(|set| set.ttl_s = 1);
    world.judge(short).is_secure();
    world.judge(made.unwrap()).is_secure();
    assert_eq!(left(&world), before);
    world.now = at(&world, u64::from(MINIMUM_S) - 100);
    assert_eq!(left(&world), None);
}

/// RFC 9077: not even where records outlive the SOA, and another one has come meanwhile.
#[test]
fn no_denial_outlives_the_negative_ttl_of_its_zone() {
    let mut world = world(Denies::Nsec);
    // The zone's own NSEC live longer than its SOA allows.
    world.break_with(|_, response| {
        let nsecs = response.authority.iter_mut().filter(|set| set.rtype == RecordType::NSEC);
        nsecs.map(|set| set.ttl_s = TTL_S).count() > 0
    });
    let cache = learned(&mut world, &[("aaa.org", RecordType::A)]);
    let last_s = u64::from(MINIMUM_S) - 1;
    world.now = at(&world, last_s);
    world.cache = cache;
    let denied = |world: &World, seconds| {
        let known = question("aab.org", RecordType::A);
        world.cache.denials.deny(&known, &world.trust_anchors(), at(world, seconds)).map(|known| known.ttl_s())
    };
    // The SOA comes anew, with a proof of something else.
    world.resolve("www.org", RecordType::TXT);
    assert_eq!((denied(&world, 0), denied(&world, 1)), (Some(1), None));
}

/// What came with another answer, such as a referral, is known as well; for the DS itself only if the parent said it.
#[test]
fn the_absence_of_a_ds_is_known_from_proofs_that_came_with_other_answers() {
    for denies in [Denies::Nsec, NSEC3, OPT_OUT] {
        let mut world = world(denies);
        world.delegate(Zone::new("plain.org", Denies::Unsigned, 13));
        world.add("www.plain.org", RecordType::A, &ADDRESS);
        let cache = learned(&mut world, &[("www.plain.org", RecordType::A)]);
        let denied =
            |qname: &str, qtype| cache.denials.deny(&question(qname, qtype), &world.trust_anchors(), world.now);
        let ds = denied("plain.org", RecordType::DS);
        // RFC 8198 §5.2: an opt-out span denies nothing to a client.
        assert_eq!(ds.is_some(), denies != OPT_OUT, "{denies:?}");
        assert!(ds.is_none_or(|ds| ds.response().rcode == RCode::NOERROR));
        assert!(denied("plain.org", RecordType::SOA).is_none() && denied("x.plain.org", RecordType::DS).is_none());
    }
}

#[test]
fn an_unsigned_delegation_that_a_known_proof_shows_is_not_asked_about() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        let zones = ["plain.org", "plain2.org", "plain3.org"];
        for zone in zones {
            world.delegate(Zone::new(zone, Denies::Unsigned, 13));
            world.add(&format!("www.{zone}"), RecordType::A, &ADDRESS);
        }
        // Denials of their neighbours.
        for neighbour in 0..60 {
            world.resolve(&format!("plain{neighbour}x.org"), RecordType::A).is_secure();
        }
        let asked = zones.iter().filter(|zone| {
            let run = world.resolve(&format!("www.{zone}"), RecordType::A);
            run.is_insecure();
            run.asked.contains(&format!("{zone}. DS"))
        });
        assert_eq!(asked.count(), 0, "{denies:?}");
        // What is signed must be, whatever is known of others.
        world.break_reply("www.cut.org", RecordType::A, |response| response.answer[0].signatures.clear());
        world.resolve("www.cut.org", RecordType::A).is_bogus();
    }
}

/// What the zone above said of the delegation before there was a zone in between, which now says that it is signed.
#[test]
fn a_zone_further_up_does_not_tell_that_a_delegation_is_unsigned() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = World::new(&[("org", denies)]);
        let delegate = |world: &mut World| {
            world.delegate(Zone::new("b.cut.org", Denies::Unsigned, 13));
            world.add("www.b.cut.org", RecordType::A, &ADDRESS);
        };
        delegate(&mut world);
        let asked: Vec<String> = (0..30).map(|number| format!("b{number}.cut.org")).collect();
        let asked: Vec<_> = asked.iter().map(|qname| (&**qname, RecordType::A)).collect();
        let asks_for_ds = |world: &mut World| {
            world.cache = learned(world, &asked);
            let run = world.resolve("www.b.cut.org", RecordType::A);
            run.is_insecure();
            run.asked.contains(&"b.cut.org. DS".to_owned())
        };
        assert!(!asks_for_ds(&mut world), "{denies:?}: its parent has said so");
        let cache = learned(&mut world, &asked);
        world.zones.pop();
        world.zone("org").sets.remove(&(name("b.cut.org"), RecordType::NS));
        world.delegate(Zone::new("cut.org", Denies::Nsec, 13));
        delegate(&mut world);
        world.cache = cache;
        let run = world.resolve("www.b.cut.org", RecordType::A);
        run.is_insecure();
        assert!(run.asked.contains(&"b.cut.org. DS".to_owned()), "{denies:?}: {:?}", run.asked);
    }
}

#[test]
fn a_zone_that_has_just_been_signed_is_secure_by_its_signatures() {
    let mut world = world(Denies::Nsec);
    world.delegate(Zone::new("plain.org", Denies::Unsigned, 13));
    world.add("www.plain.org", RecordType::A, &ADDRESS);
    world.resolve("plain.org", RecordType::DS);
    world.zones.pop();
    world.zone("org").sets.remove(&(name("plain.org"), RecordType::NS));
    world.delegate(Zone::new("plain.org", Denies::Nsec, 13));
    world.add("www.plain.org", RecordType::A, &ADDRESS);
    world.resolve("www.plain.org", RecordType::A).is_secure();
}

/// The parent's proof of a time before the zone was signed, still in time, in the mouth of the zone's own servers.
#[test]
fn what_merely_came_along_is_neither_learned_nor_believed() {
    for denies in ALL {
        let mut world = World::new(&[("org", denies), ("cut.org", Denies::Nsec)]);
        world.add("www.cut.org", RecordType::A, &ADDRESS);
        let (ds, key) = ((name("cut.org"), RecordType::DS), (name("cut.org"), RecordType::NS));
        let now_signed = world.zone("org").sets.remove(&ds).unwrap();
        let old = world.answer(&question("cut.org", RecordType::DS));
        assert!(old.answer.is_empty() && world.zone("org").sets.contains_key(&key));
        world.zone("org").sets.insert(ds, now_signed);
        for (qname, qtype) in
            [("www.cut.org", RecordType::A), ("nothing.cut.org", RecordType::A), ("cut.org", RecordType::SOA)]
        {
            world.breaks.clear();
            world.cache.clear();
            let authority = old.authority.clone();
            world.break_reply(qname, qtype, move |response| {
                response.answer.iter_mut().for_each(|set| set.signatures.clear());
                response.authority = authority.clone();
            });
            // Keys of the parent are known, so that its records can be verified at once.
            world.resolve("org", RecordType::SOA).is_secure();
            let run = world.resolve(qname, qtype);
            if denies == OPT_OUT && qname == "nothing.cut.org" {
                // RFC 5155 §6: such a span leaves all below it open.
                run.is_insecure();
            } else {
                run.is_bogus();
                assert!(run.asked.contains(&"cut.org. DS".to_owned()), "{denies:?} {qname}: the parent was not asked");
            }
            let denied =
                world.cache.denials.deny(&question("cut.org", RecordType::DS), &world.trust_anchors(), world.now);
            assert_eq!(denied, None, "{denies:?} {qname}");
        }
    }
}

/// Whoever serves both sides of a cut may say of the DS only in passing that there is none.
#[test]
fn a_delegation_that_is_shown_in_passing_counts_once_its_ds_cannot_be_had() {
    for denies in ALL {
        let mut world = World::new(&[("org", denies), ("plain.org", Denies::Unsigned)]);
        world.add("www.plain.org", RecordType::A, &ADDRESS);
        let authority = world.answer(&question("plain.org", RecordType::DS)).authority;
        world.break_reply("www.plain.org", RecordType::A, move |response| response.authority = authority.clone());
        world.resolve("org", RecordType::SOA).is_secure();
        let run = world.resolve("www.plain.org", RecordType::A);
        run.is_insecure();
        assert!(run.asked.contains(&"plain.org. DS".to_owned()));
        world.cache.clear();
        world.unreachable.push(("plain.org".to_owned(), RecordType::DS));
        world.resolve("org", RecordType::SOA).is_secure();
        world.resolve("www.plain.org", RecordType::A).is_insecure();
    }
}

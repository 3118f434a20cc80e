//! Where a chain starts: islands of security, anchors below others, none at all (RFC 4035 §5).

use crate::validator::tests::signed_world as world;
use crate::validator::tests::*;

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

/// RFC 6840 §5.10: a proof from any anchor counts. Not what is no proof, and not past a negative anchor or for a private domain.
#[test]
fn a_zone_above_an_anchor_may_prove_that_there_is_nothing() {
    for denies in [Denies::Nsec, NSEC3, OPT_OUT] {
        let mut world = World::new(&[("org", denies)]);
        world.add("aaa.org", RecordType::A, &ADDRESS);
        // The zone is gone, and its anchor was forgotten; who is asked for it says so.
        world.anchors.push(gone_anchor());
        let run = world.resolve("www.gone.org", RecordType::A);
        if denies == OPT_OUT {
            // A span that opts out proves nothing, so what the anchor demands is missing.
            run.is_bogus();
            continue;
        }
        assert_eq!(run.is_secure().response().rcode, RCode::NXDOMAIN);
        world.resolve("gone.org", RecordType::SOA).is_secure();
        for spoilt in [RecordType::SOA, RecordType::NSEC, RecordType::NSEC3] {
            let mut world = World::new(&[("org", denies)]);
            world.anchors = vec![world.anchors[0].clone(), gone_anchor()];
            world.break_reply("www.gone.org", RecordType::A, move |response| {
                response.authority.iter_mut().filter(|set| set.rtype == spoilt).for_each(|set| set.signatures.clear());
            });
            let run = world.resolve("www.gone.org", RecordType::A);
            let is_of_zone = spoilt == RecordType::SOA || (spoilt == RecordType::NSEC) == (denies == Denies::Nsec);
            assert_eq!(matches!(run.verdict, Verdict::Bogus(_)), is_of_zone, "{denies:?} {spoilt}");
        }
        world.cache.clear();
        let mut domains = crate::wire::DomainMap::default();
        domains.entry(&crate::wire::DomainPattern::Domain(name("gone.org")), || true);
        world.private = domains;
        world.resolve("www.gone.org", RecordType::A).is_bogus();
        world.private = crate::wire::DomainMap::default();
        world.negative_anchors = vec![name("org")];
        world.resolve("www.gone.org", RecordType::A).is_bogus();
    }
}

fn gone_anchor() -> crate::validator::DsAnchor {
    let mut world = World::new(&[("org", Denies::Nsec), ("gone.org", Denies::Nsec)]);
    world.anchor("gone.org");
    world.anchors.remove(1)
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

//! The way from an anchor to an answer.

use super::*;

/// Two signed zones below the root, an address in the lower one.
fn world(denies: Denies) -> World {
    let mut world = World::new(&[("org", denies), ("example.org", denies)]);
    world.add("www.example.org", RecordType::A, &ADDRESS);
    world
}

const ALL: [Denies; 3] = [Denies::Nsec, NSEC3, OPT_OUT];

#[test]
fn a_signed_answer_below_an_anchor_is_secure() {
    for denies in ALL {
        let run = world(denies).resolve("www.example.org", RecordType::A);
        let validated = run.is_secure();
        assert_eq!(validated.response().rcode, RCode::NOERROR);
        assert_eq!(validated.response().answer.len(), 1);
        assert_eq!(validated.response().answer[0].signatures.len(), 1);
        assert_eq!(validated.ttl_s(), TTL_S);
        assert_eq!(
            run.asked,
            ["example.org. DS", "org. DS", ". DNSKEY", "org. DNSKEY", "example.org. DNSKEY"]
        );
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

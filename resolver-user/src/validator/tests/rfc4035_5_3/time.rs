//! Signature times: serial arithmetic, and where they are not looked at because the operator says so or the clock is not set.

use crate::validator::tests::signed_world as world;
use crate::validator::tests::*;

#[test]
fn where_times_are_not_checked_only_they_are_not() {
    for unix_s in [0, u64::from(NOW_S) - 20 * 86_400, u64::from(NOW_S) + 20 * 86_400] {
        let mut world = World::new(&[("org", Denies::Nsec)]);
        world.add("www.org", RecordType::A, &ADDRESS);
        world.now.unix_s = unix_s;
        world.resolve("www.org", RecordType::A).is_bogus();
        world.policy.times_checked = false;
        let run = world.resolve("www.org", RecordType::A);
        assert_eq!(run.is_secure().ttl_s(), TTL_S);
        world.resolve("nothing.org", RecordType::A).is_secure();
        world.break_reply("www.org", RecordType::A, |response| response.answer[0].rdatas[0][0] ^= 1);
        world.resolve("www.org", RecordType::A).is_bogus();
    }
}

#[test]
fn a_signature_that_expires_before_it_begins_is_bogus_at_any_time() {
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world.resolve("org", RecordType::SOA).is_secure();
    let zone = world.zone("org");
    (zone.terms.inception, zone.terms.expiration) = (NOW_S + 100, NOW_S - 100);
    world.resolve("www.org", RecordType::A).is_bogus();
    let zone = world.zone("org");
    (zone.terms.inception, zone.terms.expiration) = (NOW_S + 1, NOW_S);
    world.resolve("www.org", RecordType::A).is_bogus();
}

#[test]
fn a_signature_out_of_its_time_is_bogus_and_says_so() {
    let (owner, rtype) = (name("www.example.org"), RecordType::A);
    let check = |inception, expiration, expected: BogusReason| {
        let mut world = world(Denies::Nsec);
        world.resolve("nothing.example.org", RecordType::A).is_secure();
        world.zone("example.org").terms = Terms { inception, expiration, labels: None };
        assert_eq!(*world.resolve("www.example.org", RecordType::A).is_bogus(), expected);
    };
    let expired = BogusReason::Expired { owner: owner.clone(), rtype, expiration: NOW_S - 1 };
    check(NOW_S - 100, NOW_S - 1, expired);
    let early = BogusReason::NotYetValid { owner: owner.clone(), rtype, inception: NOW_S + 1 };
    check(NOW_S + 1, NOW_S + 100, early);
    check(NOW_S + 100, NOW_S - 100, BogusReason::BadSignature { owner: owner.clone(), rtype });
    // Half the circle apart: neither comes first (RFC 1982 §3.2).
    check(NOW_S - 5, (NOW_S - 5).wrapping_add(1 << 31), BogusReason::BadSignature { owner, rtype });
}

#[test]
fn signature_times_wrap_around_in_2106() {
    let mut world = world(Denies::Nsec);
    world.now.unix_s = (1 << 32) + 5;
    for zone in &mut world.zones {
        zone.terms = Terms { inception: u32::MAX - 5, expiration: 1000, labels: None };
    }
    assert_eq!(world.resolve("www.example.org", RecordType::A).is_secure().ttl_s(), 995);
}

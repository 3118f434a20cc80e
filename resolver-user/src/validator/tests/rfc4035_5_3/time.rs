//! Signature times that are not looked at, because the operator says so or the clock is not set yet.

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

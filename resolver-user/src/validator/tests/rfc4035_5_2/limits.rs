//! What the way to a zone's keys may cost, and need not keep.

use crate::validator::tests::*;

fn world() -> World {
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world
}

#[test]
fn only_so_many_ds_records_are_looked_at() {
    for (others, found) in [(7, true), (8, false)] {
        let mut world = world();
        let set = world.zones[0].sets.get_mut(&(name("org"), RecordType::DS)).unwrap();
        for _ in 0..others {
            set.insert(0, SigningKey::new(15, 257).ds(&name("org"), 2));
        }
        let run = world.resolve("www.org", RecordType::A);
        if found {
            run.is_secure();
        } else {
            assert_eq!(*run.is_bogus(), BogusReason::NoMatchingKey { zone: name("org") });
        }
    }
}

#[test]
fn the_zone_cache_need_not_hold_anything_for_a_validation_to_end() {
    let mut world = world();
    world.cache = std::sync::Arc::new(crate::validator::ZoneCache::new(0, 0));
    world.resolve("www.org", RecordType::A).is_secure();
    for zone in &mut world.zones {
        zone.terms.expiration = NOW_S;
    }
    assert_eq!(world.resolve("www.org", RecordType::A).is_secure().ttl_s(), 0);
}

//! How long what was verified may be kept (§5.3.3): never longer than its proof.

use crate::validator::tests::signed_world as world;
use crate::validator::tests::*;

#[test]
fn an_answer_is_not_kept_beyond_its_signature_nor_its_original_ttl() {
    let mut world = world(Denies::Nsec);
    world.zone("example.org").terms.expiration = NOW_S + 20;
    assert_eq!(world.resolve("www.example.org", RecordType::A).is_secure().ttl_s(), 20);
    let mut world = self::world(Denies::Nsec);
    world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].ttl_s = 1_000_000);
    let run = world.resolve("www.example.org", RecordType::A);
    assert_eq!(run.is_secure().response().answer[0].ttl_s, TTL_S);
}

#[test]
fn a_status_does_not_outlive_its_proof() {
    let mut world = world(Denies::Nsec);
    world.delegate(Zone::new("unsigned.org", Denies::Unsigned, 15));
    world.add("www.unsigned.org", RecordType::A, &ADDRESS);
    assert_eq!(world.resolve("www.unsigned.org", RecordType::A).is_insecure().ttl_s(), MINIMUM_S);
    world.now.boot_ns += 100 * NS_PER_S;
    let run = world.resolve("www.unsigned.org", RecordType::A);
    assert_eq!(run.is_insecure().ttl_s(), MINIMUM_S - 100);
    assert!(run.asked.is_empty());
    // Signed since, and the proof has run out.
    world.now.boot_ns += 200 * NS_PER_S;
    let run = world.resolve("www.unsigned.org", RecordType::A);
    assert_eq!(run.asked, ["unsigned.org. DS"]);
}

#[test]
fn a_secure_status_does_not_outlive_its_keys() {
    let mut world = world(Denies::Nsec);
    world.resolve("www.example.org", RecordType::A).is_secure();
    world.now.boot_ns += 3000 * NS_PER_S;
    assert_eq!(world.resolve("www.example.org", RecordType::A).is_secure().ttl_s(), TTL_S - 3000);
}

#[test]
fn keys_are_not_kept_beyond_the_ds_that_vouches_for_them() {
    let mut world = world(Denies::Nsec);
    world.break_reply("example.org", RecordType::DS, |response| response.answer[0].ttl_s = 50);
    world.resolve("www.example.org", RecordType::A).is_secure();
    world.now.boot_ns += 50 * NS_PER_S;
    let run = world.resolve("www.example.org", RecordType::A);
    assert_eq!(run.asked, ["example.org. DS", "example.org. DNSKEY"]);
}

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

/// Every kind of conclusion, from cold and from the zone cache: it may be kept no longer than what it rests on, however
/// long the record's own TTL is.
#[test]
fn no_cached_status_outlives_its_proof() {
    const PROOF_S: u32 = 40;
    let mut world = World::new(&[("org", Denies::Nsec), ("example.org", Denies::Nsec), ("opt.org", OPT_OUT)]);
    world.delegate(Zone::new("plain.org", Denies::Unsigned, 15));
    world.delegate(Zone::new("plain.opt.org", Denies::Unsigned, 15));
    world.delegate(Zone::new("odd.org", Denies::Nsec, 200));
    for owner in ["www.example.org", "www.plain.org", "www.plain.opt.org", "www.odd.org"] {
        world.add(owner, RecordType::A, &ADDRESS);
    }
    world.break_with(|question, response| {
        let proof = matches!(question.qtype, RecordType::DS | RecordType::DNSKEY);
        for set in response.answer.iter_mut().chain(&mut response.authority).filter(|_| proof) {
            set.ttl_s = set.ttl_s.min(PROOF_S);
        }
        proof
    });
    for owner in ["www.example.org", "www.plain.org", "www.plain.opt.org", "www.odd.org"] {
        world.cache.clear();
        world.now = NOW;
        let cold = world.resolve(owner, RecordType::A);
        assert!(cold.proven().ttl_s() <= PROOF_S, "{owner}: {}", cold.proven().ttl_s());
        world.now.boot_ns += 30 * NS_PER_S;
        let warm = world.resolve(owner, RecordType::A);
        assert!(warm.asked.is_empty(), "{owner}");
        assert!(warm.proven().ttl_s() <= PROOF_S - 30, "{owner}: {}", warm.proven().ttl_s());
        world.now.boot_ns += 10 * NS_PER_S;
        assert!(!world.resolve(owner, RecordType::A).asked.is_empty(), "{owner}: proven anew");
    }
}

/// Bogus after good: what was proven of the zone is kept for its time, and no longer.
#[test]
fn a_zone_that_loses_its_signatures_is_bogus_and_one_that_loses_its_ds_is_insecure_once_the_old_proof_ends() {
    let mut world = world(Denies::Nsec);
    world.resolve("www.example.org", RecordType::A).is_secure();
    world.zone("org").sets.remove(&(name("example.org"), RecordType::DS));
    let zone = world.zone("example.org");
    zone.denies = Denies::Unsigned;
    zone.keys.clear();
    world.resolve("www.example.org", RecordType::A).is_bogus();
    world.now.boot_ns += u64::from(TTL_S) * NS_PER_S;
    world.resolve("www.example.org", RecordType::A).is_insecure();
}

/// `proof_ttl_s` is what `min-cache-ttl` may lengthen an answer to: never over what the status rests on.
#[test]
fn a_proof_holds_longer_than_the_answers_ttl_but_not_longer_than_signature_chain_and_denial() {
    let mut world = world(Denies::Nsec);
    // The data's own TTL is short: the proof is bounded by the chain.
    world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].ttl_s = 5);
    let secure = world.resolve("www.example.org", RecordType::A);
    let validated = secure.is_secure();
    assert_eq!((validated.ttl_s(), validated.proof_ttl_s()), (5, TTL_S));
    // The signature ends before the chain does.
    let mut world = self::world(Denies::Nsec);
    world.zone("example.org").terms.expiration = NOW_S + 20;
    assert_eq!(world.resolve("www.example.org", RecordType::A).is_secure().proof_ttl_s(), 20);
    // The proof that a zone is unsigned.
    let mut world = self::world(Denies::Nsec);
    world.delegate(Zone::new("unsigned.org", Denies::Unsigned, 15));
    world.add("www.unsigned.org", RecordType::A, &ADDRESS);
    world.break_reply("www.unsigned.org", RecordType::A, |response| response.answer[0].ttl_s = 5);
    let insecure = world.resolve("www.unsigned.org", RecordType::A);
    assert_eq!((insecure.is_insecure().ttl_s(), insecure.is_insecure().proof_ttl_s()), (5, MINIMUM_S));
    // A denial's records are its proof.
    let denied = world.resolve("nowhere.example.org", RecordType::A);
    assert_eq!(denied.is_secure().proof_ttl_s(), denied.is_secure().ttl_s());
}

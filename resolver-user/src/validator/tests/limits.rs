//! What a response can make us do, and what happens when it asks for more.

use super::*;
use crate::validator::{BudgetItem, Pace, Step, Validation, WorkBudget, WorkLimits};

fn world() -> World {
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world
}

#[track_caller]
fn is_over_budget(run: &Run, expected: BudgetItem) {
    match &run.verdict {
        Verdict::Indeterminate(IndeterminateReason::Budget { item }) => assert_eq!(*item, expected),
        other => panic!("not over the budget: {other:?}"),
    }
}

#[test]
fn signature_checks_are_paid_once_for_each_set() {
    // Root DNSKEY, DS, DNSKEY, A.
    for (checks, enough) in [(4, true), (3, false)] {
        let mut world = world();
        world.policy.limits.signature_checks = checks;
        let run = world.resolve("www.org", RecordType::A);
        if enough {
            run.is_secure();
        } else {
            is_over_budget(&run, BudgetItem::SignatureChecks);
        }
    }
}

#[test]
fn a_budget_is_shared_by_all_validations_of_a_query() {
    let world = world();
    let mut budget = WorkBudget::new(WorkLimits { signature_checks: 5, ..WorkLimits::DEFAULT });
    world.resolve_with("www.org", RecordType::A, &mut budget).is_secure();
    world.resolve_with("www.org", RecordType::A, &mut budget).is_secure();
    is_over_budget(&world.resolve_with("www.org", RecordType::A, &mut budget), BudgetItem::SignatureChecks);
}

/// KeyTrap (CVE-2023-50387): many keys of one tag, many signatures that name it, none of which verifies.
#[test]
fn colliding_keys_and_signatures_cost_a_bounded_number_of_checks() {
    let mut world = world();
    // Keys whose tag is the same: each swaps two words of the last, which leaves the sum alone.
    let zone = world.zone("org");
    let first = zone.keys[0].dnskey.clone();
    for index in 0..14 {
        let mut twin = first.clone();
        let at = 4 + 2 * index;
        twin.swap(at, at + 2);
        twin.swap(at + 1, at + 3);
        if twin != first {
            zone.add(&name("org"), RecordType::DNSKEY, twin);
        }
    }
    world.resolve("org", RecordType::SOA).is_secure();
    world.break_reply("www.org", RecordType::A, |response| {
        let good = response.answer[0].signatures[0].clone();
        response.answer[0].signatures = (0..100)
            .map(|index| {
                let mut bad = good.clone();
                bad.signature[0] ^= index + 1;
                bad
            })
            .collect();
    });
    let mut budget = WorkBudget::new(WorkLimits { signature_checks: 20, ..WorkLimits::DEFAULT });
    // Two keys for each of eight signatures, and two for each set of the DS denial that could make it insecure.
    let run = world.resolve_with("www.org", RecordType::A, &mut budget);
    let (owner, rtype) = (name("www.org"), RecordType::A);
    assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype });
    budget = WorkBudget::new(WorkLimits { signature_checks: 15, ..WorkLimits::DEFAULT });
    is_over_budget(&world.resolve_with("www.org", RecordType::A, &mut budget), BudgetItem::SignatureChecks);
}

/// Signatures that all fail, in place of one that holds.
fn jam(world: &mut World) {
    world.break_reply("www.org", RecordType::A, |response| {
        let good = response.answer[0].signatures[0].clone();
        let bad = (1..=100).map(|number| {
            let mut bad = good.clone();
            bad.signature[0] ^= number;
            bad
        });
        response.answer[0].signatures = bad.collect();
    });
}

#[test]
fn pauses_change_neither_verdict_nor_cost() {
    let cost = |pace| {
        let mut world = world();
        jam(&mut world);
        world.pace = pace;
        let mut budget = WorkBudget::new(WorkLimits::DEFAULT);
        let run = world.resolve_with("www.org", RecordType::A, &mut budget);
        (run.is_bogus().clone(), *budget.spent(), run.pauses)
    };
    let (verdict, spent, pauses) = cost(Pace::Unhindered);
    assert_eq!((spent.failed_checks, pauses), (8, 0));
    for pace in [Pace::WhileCheap, Pace::Slice] {
        let paused = cost(pace);
        assert_eq!((&paused.0, paused.1), (&verdict, spent), "{pace:?}");
        // A slice is at most two checks of these keys.
        assert!(paused.2 >= 4, "{pace:?}: {}", paused.2);
    }
}

#[test]
fn honest_validations_do_not_pause_and_crowded_sets_do_before_the_first_check() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut honest = signed_world(denies);
        honest.pace = Pace::WhileCheap;
        for qname in ["www.example.org", "nothing.example.org"] {
            let run = honest.resolve(qname, RecordType::A);
            assert_eq!((run.is_secure().status(), run.pauses), (ProvenStatus::Secure, 0), "{denies:?} {qname}");
        }
    }
    let mut world = world();
    world.resolve("org", RecordType::SOA).is_secure();
    jam(&mut world);
    let (question, policy) = (Question::new(name("www.org"), RecordType::A), world.policy);
    let (response, anchors) = (world.answer(&question).into(), world.trust_anchors().into());
    let mut validation = Validation::new(question, response, anchors, world.cache.clone(), policy);
    let mut budget = WorkBudget::new(policy.limits);
    for _ in 0..2 {
        let step = validation.advance(NOW, &mut budget, Pace::WhileCheap);
        assert!(matches!(&step, Step::Costly { zone } if *zone == name("org")), "{step:?}");
    }
    assert_eq!(budget.spent().signature_checks, 0);
}

/// A check of P-384 or Ed448 costs a multiple of the others, so fewer of them are made.
#[test]
fn costly_algorithms_are_paid_by_weight() {
    for (algorithm, weight) in [(13, 1), (14, 2), (15, 1), (16, 4)] {
        let mut world = World::new(&[]);
        world.delegate(Zone::new("org", Denies::Nsec, algorithm));
        world.add("www.org", RecordType::A, &ADDRESS);
        let mut budget = WorkBudget::new(WorkLimits::DEFAULT);
        world.resolve_with("www.org", RecordType::A, &mut budget).is_secure();
        // Two checks of the root's keys, two of the zone's.
        let spent = budget.spent();
        assert_eq!((spent.signature_checks, spent.signature_weight), (4, 2 + 2 * weight), "{algorithm}");
    }
}

/// The most that an honest chain can cost: a denial by NSEC3, cold, in a zone of the costliest algorithm below another.
#[test]
fn a_cold_denial_in_zones_of_the_costliest_algorithm_stays_within_the_limits() {
    let mut world = World::new(&[]);
    world.delegate(Zone::new("org", NSEC3, 16));
    world.delegate(Zone::new("example.org", NSEC3, 16));
    world.add("www.deep.example.org", RecordType::A, &ADDRESS);
    world.resolve("nothing.deep.example.org", RecordType::A).is_secure();
}

#[test]
fn a_good_signature_behind_too_many_bad_ones_is_not_found() {
    for (bad, found) in [(7, true), (8, false)] {
        let mut world = world();
        world.break_reply("www.org", RecordType::A, move |response| {
            let signatures = &mut response.answer[0].signatures;
            let mut broken = signatures[0].clone();
            broken.signature[0] ^= 1;
            for _ in 0..bad {
                signatures.insert(0, broken.clone());
            }
        });
        let run = world.resolve("www.org", RecordType::A);
        if found {
            assert_eq!(run.is_secure().response().answer[0].signatures.len(), 8);
        } else {
            run.is_bogus();
        }
    }
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
fn nsec3_iterations_over_the_limits_are_insecure_then_bogus() {
    for (iterations, verdict) in [(50, "secure"), (51, "insecure"), (150, "insecure"), (151, "bogus")] {
        let mut world = World::new(&[("org", Denies::Nsec3 { iterations, opt_out: false })]);
        world.add("www.org", RecordType::A, &ADDRESS);
        world.add("*.wild.org", RecordType::A, &ADDRESS);
        world.delegate(Zone::new("unsigned.org", Denies::Unsigned, 15));
        world.add("www.unsigned.org", RecordType::A, &ADDRESS);
        let zone = name("org");
        let insecure = InsecureReason::Iterations { zone: zone.clone(), iterations };
        let bogus = BogusReason::Iterations { zone: zone.clone(), iterations };
        for (qname, qtype) in [
            ("nothing.org", RecordType::A),
            ("www.org", RecordType::TXT),
            ("x.wild.org", RecordType::A),
            ("x.wild.org", RecordType::TXT),
        ] {
            let run = world.resolve(qname, qtype);
            match verdict {
                "secure" => assert_eq!(run.is_secure().insecure_reason(), None),
                "insecure" => assert_eq!(run.is_insecure().insecure_reason(), Some(&insecure)),
                _ => assert_eq!(*run.is_bogus(), bogus),
            }
        }
        // A delegation from such a zone is insecure at best; what it signs itself stays secure.
        let run = world.resolve("www.unsigned.org", RecordType::A);
        if verdict == "bogus" {
            assert_eq!(*run.is_bogus(), bogus);
        } else {
            run.is_insecure();
        }
        world.resolve("www.org", RecordType::A).is_secure();
    }
}

/// CVE-2023-50868: a deep name makes many candidates for the closest encloser.
#[test]
fn nsec3_hashes_are_bounded_for_each_proof_and_in_all() {
    let mut world = World::new(&[("org", Denies::Nsec3 { iterations: 50, opt_out: false })]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world.resolve("nothing.org", RecordType::A).is_secure();
    let deep = format!("{}nothing.org", "a.".repeat(100));
    is_over_budget(&world.resolve(&deep, RecordType::A), BudgetItem::Nsec3Hashes);
    world.policy.limits.nsec3_hashes_per_proof = 1000;
    is_over_budget(&world.resolve(&deep, RecordType::A), BudgetItem::Nsec3Hashes);
    world.policy.limits.nsec3_rounds = 1_000_000;
    world.resolve(&deep, RecordType::A).is_secure();
}

#[test]
fn the_zone_cache_need_not_hold_anything_for_a_validation_to_end() {
    let mut world = world();
    world.cache = std::sync::Arc::new(crate::validator::ZoneCache::new(0));
    world.resolve("www.org", RecordType::A).is_secure();
    for zone in &mut world.zones {
        zone.terms.expiration = NOW_S;
    }
    assert_eq!(world.resolve("www.org", RecordType::A).is_secure().ttl_s(), 0);
}

#[test]
fn the_longest_reverse_name_can_be_denied_by_nsec3() {
    let world = World::new(&[("arpa", NSEC3)]);
    let qname = format!("{}ip6.arpa", "0.".repeat(32));
    world.resolve(&qname, RecordType::PTR).is_secure();
}

#[test]
fn a_set_is_given_up_after_so_many_failed_checks() {
    for (bad, found) in [(2, true), (3, false)] {
        let mut world = world();
        world.policy.limits.failed_checks_per_rrset = 3;
        world.resolve("org", RecordType::SOA).is_secure();
        world.break_reply("www.org", RecordType::A, move |response| {
            let signatures = &mut response.answer[0].signatures;
            let mut broken = signatures[0].clone();
            broken.signature[0] ^= 1;
            for _ in 0..bad {
                signatures.insert(0, broken.clone());
            }
        });
        let run = world.resolve("www.org", RecordType::A);
        if found {
            run.is_secure();
        } else {
            run.is_bogus();
        }
    }
}

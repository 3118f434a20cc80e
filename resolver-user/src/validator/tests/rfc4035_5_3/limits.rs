//! What the signatures of a response can make us do, and what happens when they ask for more (RFC 4035 §5.3.1, §5.3.3).

use crate::validator::tests::*;
use crate::validator::{Pace, Step, Validation, WorkBudget, WorkLimits};

fn world() -> World {
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world
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
            run.is_over_budget(BudgetItem::SignatureChecks);
        }
    }
}

#[test]
fn a_budget_is_shared_by_all_validations_of_a_query() {
    let world = world();
    let mut budget = WorkBudget::new(WorkLimits { signature_checks: 5, ..WorkLimits::DEFAULT });
    world.resolve_with("www.org", RecordType::A, &mut budget).is_secure();
    world.resolve_with("www.org", RecordType::A, &mut budget).is_secure();
    world.resolve_with("www.org", RecordType::A, &mut budget).is_over_budget(BudgetItem::SignatureChecks);
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
                bad.signature_mut()[0] ^= index + 1;
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
    world.resolve_with("www.org", RecordType::A, &mut budget).is_over_budget(BudgetItem::SignatureChecks);
}

/// Signatures that all fail, in place of one that holds.
fn jam(world: &mut World) {
    world.break_reply("www.org", RecordType::A, |response| {
        let good = response.answer[0].signatures[0].clone();
        let bad = (1..=100).map(|number| {
            let mut bad = good.clone();
            bad.signature_mut()[0] ^= number;
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
            broken.signature_mut()[0] ^= 1;
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
fn a_set_is_given_up_after_so_many_failed_checks() {
    for (bad, found) in [(2, true), (3, false)] {
        let mut world = world();
        world.policy.limits.failed_checks_per_rrset = 3;
        world.resolve("org", RecordType::SOA).is_secure();
        world.break_reply("www.org", RecordType::A, move |response| {
            let signatures = &mut response.answer[0].signatures;
            let mut broken = signatures[0].clone();
            broken.signature_mut()[0] ^= 1;
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

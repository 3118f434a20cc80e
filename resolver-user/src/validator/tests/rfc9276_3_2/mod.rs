//! Limits of NSEC3: iterations, and hashes of one proof and in all.

use super::*;

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
    world.resolve(&deep, RecordType::A).is_over_budget(BudgetItem::Nsec3Hashes);
    world.policy.limits.nsec3_hashes_per_proof = 1000;
    world.resolve(&deep, RecordType::A).is_over_budget(BudgetItem::Nsec3Hashes);
    world.policy.limits.nsec3_rounds = 1_000_000;
    world.resolve(&deep, RecordType::A).is_secure();
}

#[test]
fn the_longest_reverse_name_can_be_denied_by_nsec3() {
    let world = World::new(&[("arpa", NSEC3)]);
    let qname = format!("{}ip6.arpa", "0.".repeat(32));
    world.resolve(&qname, RecordType::PTR).is_secure();
}

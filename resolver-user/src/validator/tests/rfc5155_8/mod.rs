//! What NSEC3 records prove by themselves.

use super::evidence::*;
use super::zone::{bitmap, decode, hash};
use super::*;
use crate::validator::denial::{Delegation, Denial, Evidence};

/// One NSEC3: the name whose hash is the owner, the name whose hash is next, types, flags.
struct Nsec3<'a> {
    owner: &'a str,
    next: String,
    types: &'a [RecordType],
    flags: u8,
    algorithm: u8,
    iterations: u8,
    salt: [u8; 2],
    /// The name that the hash stands in front of.
    above: &'a str,
}

/// Matches `owner` and covers nothing.
fn matching<'a>(owner: &'a str, types: &'a [RecordType]) -> Nsec3<'a> {
    let mut next = decode(&hash(&name(owner), 0));
    let last = next.last_mut().unwrap();
    *last = last.checked_add(1).expect("no hash of a test ends in 255");
    let next = next.iter().map(|byte| format!("{byte:02x}")).collect();
    Nsec3 { owner, next, types, flags: 0, algorithm: 1, iterations: 0, salt: [0xab, 0xcd], above: "z" }
}

/// Covers all names but `owner`.
fn covering<'a>(owner: &'a str, types: &'a [RecordType]) -> Nsec3<'a> {
    let next = decode(&hash(&name(owner), 0)).iter().map(|byte| format!("{byte:02x}")).collect();
    Nsec3 { next, ..matching(owner, types) }
}

fn nsec3s(records: &[Nsec3<'_>]) -> Evidence {
    let mut evidence = Evidence::new(name("z"));
    records.iter().for_each(|record| evidence.add(&record_set(record)));
    evidence
}

fn record_set(record: &Nsec3<'_>) -> RrSet {
    let digits = |at: usize| u8::from_str_radix(&record.next[at..at + 2], 16).unwrap();
    let next: Vec<u8> = (0..40).step_by(2).map(digits).collect();
    let fixed = [record.algorithm, record.flags, 0, record.iterations, 2, record.salt[0], record.salt[1], 20];
    let rdata = [&fixed[..], &next, &bitmap(record.types)].concat();
    let owner = name(record.above).prepend(hash(&name(record.owner), 0).as_bytes()).unwrap();
    unsigned_set(&owner, RecordType::NSEC3, vec![rdata.into()])
}

#[test]
fn an_nsec3_name_error_needs_encloser_next_closer_and_wildcard() {
    let apex = || matching("z", &[NS, SOA]);
    let rest = || covering("q.z", &[A]);
    assert!(name_error(&nsec3s(&[apex(), rest()]), "b.z"));
    assert!(name_error(&nsec3s(&[apex(), rest()]), "a.b.z"));
    assert!(!name_error(&nsec3s(&[apex()]), "b.z"));
    assert!(!name_error(&nsec3s(&[rest()]), "b.z"));
    assert!(!name_error(&nsec3s(&[apex(), rest()]), "q.z"));
    assert!(!name_error(&nsec3s(&[apex(), covering("*.z", &[A])]), "b.z"));
}

#[test]
fn an_nsec3_of_a_cut_or_a_dname_encloses_nothing() {
    for types in [&[NS][..], &[NS, DS], &[DNAME]] {
        let evidence = nsec3s(&[matching("b.z", types), covering("q.z", &[A])]);
        assert!(!name_error(&evidence, "a.b.z"), "{types:?}");
        assert_eq!(delegation(&evidence, "a.b.z"), Delegation::Unproven);
        assert!(!no_data(&evidence, "a.b.z", A));
    }
}

#[test]
fn nsec3_records_of_unknown_kinds_prove_nothing() {
    let apex = || matching("z", &[NS, SOA]);
    let check = |change: &dyn Fn(&mut Nsec3<'_>), proven: bool| {
        let mut rest = covering("q.z", &[A]);
        change(&mut rest);
        assert_eq!(name_error(&nsec3s(&[apex(), rest]), "b.z"), proven);
    };
    check(&|_| {}, true);
    check(&|rest| rest.algorithm = 2, false);
    check(&|rest| rest.flags = 2, false);
    check(&|rest| rest.flags = 0x81, false);
    // Another chain of the same zone, such as during a change of salt.
    check(&|rest| rest.salt = [0, 0], false);
    check(&|rest| rest.iterations = 1, false);
    // A hash below another name: a child's record, or one that a name in the zone was made to look like.
    check(&|rest| rest.above = "b.z", false);
    check(&|rest| rest.above = "y", false);
    // Opt-out is known, and proves less.
    let mut rest = covering("q.z", &[A]);
    rest.flags = 1;
    let evidence = nsec3s(&[apex(), rest]);
    assert_eq!(evidence.name_error(&name("b.z"), &mut budget()), Ok(Denial::OptOut));
    assert_eq!(evidence.no_data(&name("b.z"), A, &mut budget()), Ok(Denial::OptOut));
    assert_eq!(delegation(&evidence, "b.z"), Delegation::OptOut);
}

#[test]
fn an_opt_out_flag_on_a_record_that_only_matches_does_not_matter() {
    let mut apex = matching("z", &[NS, SOA]);
    apex.flags = 1;
    assert!(name_error(&nsec3s(&[apex, covering("q.z", &[A])]), "b.z"));
}

#[test]
fn an_nsec3_tells_what_is_delegated() {
    for (types, expected) in [
        (&[NS][..], Delegation::Unsigned),
        (&[NS, DS], Delegation::Unproven),
        (&[NS, SOA], Delegation::Unproven),
        (&[A], Delegation::NotThere),
        (&[], Delegation::NotThere),
    ] {
        let mut record = matching("b.z", types);
        record.flags = 1;
        assert_eq!(delegation(&nsec3s(&[record]), "b.z"), expected, "{types:?}");
    }
    let evidence = nsec3s(&[matching("z", &[NS, SOA]), covering("q.z", &[A])]);
    assert_eq!(delegation(&evidence, "b.z"), Delegation::Nothing);
}

#[test]
fn an_nsec3_no_data_for_a_wildcard_needs_the_name_denied_too() {
    let wildcard = || matching("*.z", &[A]);
    let apex = || matching("z", &[NS, SOA]);
    let rest = || covering("q.z", &[A]);
    assert!(no_data(&nsec3s(&[apex(), wildcard(), rest()]), "b.z", RecordType::TXT));
    assert!(!no_data(&nsec3s(&[apex(), wildcard(), rest()]), "b.z", A));
    assert!(!no_data(&nsec3s(&[apex(), wildcard()]), "b.z", RecordType::TXT));
    assert!(!no_data(&nsec3s(&[wildcard(), rest()]), "b.z", RecordType::TXT));
    assert!(!no_data(&nsec3s(&[apex(), rest()]), "b.z", RecordType::TXT));
}

/// A hash that equals the start or the end of a span is that of a name that exists, or collides with one.
#[test]
fn a_hash_at_either_end_of_a_span_is_not_in_it() {
    let apex = || matching("z", &[NS, SOA]);
    let ends_at = |owner: &'static str| {
        let next = decode(&hash(&name("b.z"), 0)).iter().map(|byte| format!("{byte:02x}")).collect();
        Nsec3 { next, ..matching(owner, &[A]) }
    };
    // From anywhere up to the hash of b.z: neither of them is covered, wherever the span starts.
    assert!(!name_error(&nsec3s(&[apex(), ends_at("q.z")]), "b.z"));
    assert!(!name_error(&nsec3s(&[apex(), covering("q.z", &[A])]), "q.z"));
    assert_eq!(delegation(&nsec3s(&[apex(), ends_at("q.z")]), "b.z"), Delegation::Unproven);
}

/// The child's apex knows nothing of its own DS, and the parent's record of the cut nothing of the child's data.
#[test]
fn an_nsec3_from_the_other_side_of_a_cut_denies_nothing() {
    let apex_of_child = || matching("b.z", &[NS, SOA, RecordType::DNSKEY]);
    assert_eq!(delegation(&nsec3s(&[apex_of_child()]), "b.z"), Delegation::Unproven);
    assert!(!no_data(&nsec3s(&[apex_of_child()]), "b.z", DS));
    let cut = || matching("b.z", &[NS]);
    assert!(!no_data(&nsec3s(&[cut()]), "b.z", A));
    assert!(no_data(&nsec3s(&[cut()]), "b.z", DS));
}

/// Two chains of one zone during a change of salt: each proves by itself or not at all.
#[test]
fn parts_of_two_chains_make_no_proof() {
    let apex = || matching("z", &[NS, SOA]);
    let salted = |mut record: Nsec3<'static>| {
        record.salt = [1, 2];
        record
    };
    assert!(!name_error(&nsec3s(&[apex(), salted(covering("q.z", &[A]))]), "b.z"));
    assert!(!name_error(&nsec3s(&[salted(apex()), covering("q.z", &[A])]), "b.z"));
    assert!(name_error(&nsec3s(&[apex(), covering("q.z", &[A]), salted(covering("q.z", &[A]))]), "b.z"));
}

/// A delegated zone can have any name, so also that of a hash; its apex then looks like the parent's NSEC3 of that hash.
#[test]
fn a_child_named_by_a_hash_denies_nothing_in_its_parent() {
    let mut world = World::new(&[("org", NSEC3)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    let impostor = name("org").prepend(hash(&name("www.org"), 0).as_bytes()).unwrap();
    world.delegate(Zone::new(&impostor.to_string(), NSEC3, 15));
    world.resolve("www.org", RecordType::A).is_secure();
    world.resolve(&impostor.to_string(), RecordType::SOA).is_secure();
    // Signed by the child, and it says that the name has nothing but what an apex has.
    let mut record = matching("www.org", &[NS, SOA]);
    record.above = "org";
    let mut set = record_set(&record);
    set.ttl_s = world.zone("org").set(&name("org"), SOA, &name("org")).ttl_s;
    assert_eq!(set.owner, impostor);
    for (signer, with_soa) in [("org", true), ("child", true), ("child", false)] {
        let signer = if signer == "child" { impostor.to_string() } else { signer.to_owned() };
        world.zone(&signer).sign(&mut set);
        let (set, soa) = (set.clone(), world.zone("org").set(&name("org"), SOA, &name("org")));
        world.breaks.clear();
        world.break_reply("www.org", RecordType::TXT, move |response| {
            (response.answer, response.authority) = (vec![], vec![set.clone()]);
            response.authority.extend(with_soa.then(|| soa.clone()));
        });
        let run = world.resolve("www.org", RecordType::TXT);
        // The parent itself could say so, which shows that nothing but the signer is wrong.
        if signer == "org" {
            run.is_secure();
        } else {
            run.is_bogus();
        }
    }
}

#[test]
fn a_name_error_under_opt_out_whose_wildcard_is_not_denied_is_bogus_and_no_denial_of_the_type() {
    let mut world = World::new(&[("org", OPT_OUT)]);
    world.add("www.org", RecordType::A, &[192, 0, 2, 1]);
    let run = world.resolve("nothing.org", RecordType::A);
    assert_eq!(run.is_insecure().response().rcode, RCode::NXDOMAIN);
    let wildcard = hash(&name("*.org"), 0);
    let covers_wildcard = move |set: &RrSet| {
        let next = set.rdatas.first().and_then(|rdata| rdata.get(8..28)).unwrap_or_default();
        let owner = decode(&set.owner.to_string()[..32]);
        let (target, owner, next) = (decode(&wildcard), owner.as_slice(), next);
        if owner < next { owner < &*target && &*target < next } else { owner < &*target || &*target < next }
    };
    world.break_reply("nothing.org", RecordType::A, move |response| {
        response.authority.retain(|set| set.rtype != RecordType::NSEC3 || !covers_wildcard(set));
        let mut evidence = Evidence::new(name("org"));
        response.authority.iter().for_each(|set| evidence.add(set));
        assert_eq!(delegation(&evidence, "nothing.org"), Delegation::OptOut, "the span over the name is there");
    });
    let question = Question::new(name("nothing.org"), RecordType::A);
    assert_eq!(*world.resolve("nothing.org", RecordType::A).is_bogus(), BogusReason::MissingDenial { question });
}

//! The proofs by themselves, from records that no honest zone would hold together.

use super::super::denial::{Delegation, Denial, Evidence};
use super::zone::{bitmap, decode, hash};
use super::*;
use crate::validator::{WorkBudget, WorkLimits};

const NS: RecordType = RecordType::NS;
const SOA: RecordType = RecordType::SOA;
const DS: RecordType = RecordType::DS;
const A: RecordType = RecordType::A;
const CNAME: RecordType = RecordType::CNAME;
const DNAME: RecordType = RecordType::DNAME;
const NSEC: RecordType = RecordType::NSEC;

fn budget() -> WorkBudget {
    WorkBudget::new(WorkLimits::DEFAULT)
}

/// One NSEC: owner, next name, types.
type Link<'a> = (&'a str, &'a str, &'a [RecordType]);

fn nsecs(zone: &str, links: &[Link<'_>]) -> Evidence {
    let mut evidence = Evidence::new(name(zone));
    for (owner, next, types) in links {
        let rdata = [name(next).wire(), &bitmap(types)].concat();
        evidence.add(&unsigned_set(&name(owner), NSEC, vec![rdata.into()]));
    }
    evidence
}

#[track_caller]
fn no_data(evidence: &Evidence, qname: &str, qtype: RecordType) -> bool {
    evidence.no_data(&name(qname), qtype, &mut budget()).unwrap() == Denial::Proven
}

#[track_caller]
fn name_error(evidence: &Evidence, qname: &str) -> bool {
    evidence.name_error(&name(qname), &mut budget()).unwrap() == Denial::Proven
}

fn delegation(evidence: &Evidence, child: &str) -> Delegation {
    evidence.delegation(&name(child), &mut budget()).unwrap()
}

#[test]
fn an_nsec_must_lead_forward_within_its_zone() {
    for (owner, next, good) in [
        ("a.z", "c.z", true),
        ("a.z", "z", true),
        ("z", "z", true),
        ("a.z", "c.other", false),
        ("a.z", "z.other", false),
        // A next name that is the owner's own, or comes before it, and is not the apex.
        ("a.z", "a.z", false),
        ("b.z", "a.z", false),
        // An owner out of the zone.
        ("a.other", "z", false),
    ] {
        assert_eq!(
            name_error(&nsecs("z", &[("z", "a.z", &[NS, SOA]), (owner, next, &[A])]), "b.z"),
            good && owner != "b.z",
            "{owner} {next}"
        );
    }
}

#[test]
fn an_nsec_covers_what_lies_between_its_names_and_nothing_else() {
    let evidence = nsecs("z", &[("z", "b.z", &[NS, SOA]), ("b.z", "d.z", &[A])]);
    for (qname, denied) in [
        ("c.z", true),
        ("a.c.z", true),
        ("below.b.z", true),
        ("b.z", false),
        ("d.z", false),
        ("e.z", false),
        ("z", false),
        ("c.y", false),
    ] {
        assert_eq!(name_error(&evidence, qname), denied, "{qname}");
    }
    // The last leads to the apex and covers the rest of the zone.
    let evidence = nsecs("z", &[("z", "b.z", &[NS, SOA]), ("b.z", "z", &[A])]);
    assert!(name_error(&evidence, "zz.z") && !name_error(&evidence, "zz.zz"));
}

#[test]
fn a_name_error_needs_the_wildcard_denied_at_the_closest_encloser() {
    let covering: Link<'_> = ("a.z", "c.z", &[A]);
    assert!(!name_error(&nsecs("z", &[covering]), "b.z"));
    assert!(name_error(&nsecs("z", &[covering, ("z", "a.z", &[NS, SOA])]), "b.z"));
    // The encloser is known from the next name too: x.b.z has `b.z` above, as y.b.z shows.
    let deep: Link<'_> = ("a.z", "y.b.z", &[A]);
    assert!(name_error(&nsecs("z", &[deep]), "x.b.z"));
    assert!(!name_error(&nsecs("z", &[("a.z", "*.b.z", &[A]), ("*.b.z", "y.b.z", &[A])]), "x.b.z"));
    // A wildcard that exists without records of its own.
    assert!(!name_error(&nsecs("z", &[covering, ("z", "x.*.z", &[NS, SOA])]), "b.z"));
}

#[test]
fn an_empty_non_terminal_has_no_data_and_is_no_name_error() {
    let evidence = nsecs("z", &[("z", "x.b.z", &[NS, SOA])]);
    assert!(no_data(&evidence, "b.z", A) && !name_error(&evidence, "b.z"));
    assert!(!no_data(&evidence, "x.b.z", A) && !no_data(&evidence, "a.z", A));
    assert_eq!(delegation(&evidence, "b.z"), Delegation::NotThere);
}

#[test]
fn types_that_are_listed_are_not_denied() {
    for (types, qtype, denied) in [
        (&[A][..], RecordType::TXT, true),
        (&[A], A, false),
        (&[CNAME], A, false),
        (&[CNAME], CNAME, false),
        (&[A], RecordType::ANY, false),
        // The parent's side of a cut, asked for the child's data and for its own.
        (&[NS], A, false),
        (&[NS, DS], A, false),
        (&[NS], DS, true),
        (&[NS, DS], DS, false),
        // The child's side, asked likewise.
        (&[NS, SOA], A, true),
        (&[NS, SOA], DS, false),
        // A DNAME redirects what is below, not the name itself.
        (&[DNAME], A, true),
    ] {
        assert_eq!(no_data(&nsecs("z", &[("b.z", "c.z", types)]), "b.z", qtype), denied, "{types:?} {qtype}");
    }
    // The root has no parent to ask for its DS.
    assert!(no_data(&nsecs(".", &[(".", "a", &[NS, SOA])]), ".", DS));
}

#[test]
fn nothing_below_a_cut_or_a_dname_is_denied_by_the_name_above() {
    for types in [&[NS][..], &[NS, DS], &[DNAME], &[A, DNAME]] {
        let evidence = nsecs("z", &[("b.z", "c.z", types), ("z", "a.z", &[NS, SOA])]);
        assert!(!name_error(&evidence, "a.b.z"), "{types:?}");
        assert_eq!(delegation(&evidence, "a.b.z"), Delegation::Unproven);
        // What only follows it in order is denied all the same.
        assert!(name_error(&evidence, "ba.z"));
    }
    let evidence = nsecs("z", &[("z", "c.z", &[NS, SOA])]);
    assert!(name_error(&evidence, "b.z"));
    // An empty non-terminal below a cut is the child's affair.
    let evidence = nsecs("z", &[("b.z", "x.a.b.z", &[NS])]);
    assert!(!no_data(&evidence, "a.b.z", A));
}

#[test]
fn a_wildcard_without_the_type_denies_it() {
    let links: [Link<'_>; 2] = [("*.w.z", "c.w.z", &[A]), ("c.w.z", "z", &[A])];
    let evidence = nsecs("z", &links);
    assert!(no_data(&evidence, "b.w.z", RecordType::TXT));
    assert!(!no_data(&evidence, "b.w.z", A));
    // The wildcard alone does not say that the name is not there.
    assert!(!no_data(&nsecs("z", &[("*.w.z", "a.w.z", &[A])]), "b.w.z", RecordType::TXT));
    // Nor does one of another branch answer for it.
    assert!(!no_data(&nsecs("z", &[("*.z", "c.w.z", &[A])]), "b.w.z", RecordType::TXT));
}

#[test]
fn an_nsec_tells_what_is_delegated() {
    for (types, expected) in [
        (&[NS][..], Delegation::Unsigned),
        (&[NS, DS], Delegation::Unproven),
        (&[NS, SOA], Delegation::Unproven),
        (&[A], Delegation::NotThere),
        (&[CNAME], Delegation::NotThere),
    ] {
        let evidence = nsecs("z", &[("b.z", "d.z", types)]);
        assert_eq!(delegation(&evidence, "b.z"), expected, "{types:?}");
        assert_eq!(delegation(&evidence, "c.z"), Delegation::Nothing);
        assert_eq!(delegation(&evidence, "e.z"), Delegation::Unproven);
    }
}

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
    for record in records {
        let digits = |at: usize| u8::from_str_radix(&record.next[at..at + 2], 16).unwrap();
        let next: Vec<u8> = (0..40).step_by(2).map(digits).collect();
        let fixed = [record.algorithm, record.flags, 0, record.iterations, 2, record.salt[0], record.salt[1], 20];
        let rdata = [&fixed[..], &next, &bitmap(record.types)].concat();
        let owner = name(record.above).prepend(hash(&name(record.owner), 0).as_bytes()).unwrap();
        evidence.add(&unsigned_set(&owner, RecordType::NSEC3, vec![rdata.into()]));
    }
    evidence
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

#[test]
fn a_denial_record_expanded_from_a_wildcard_proves_nothing() {
    // CVE-2017-15105: `*.wild.org NSEC` shows itself as the NSEC of any name, here of one that exists. An honest zone
    // would have it end at that name; this one is made so that nothing else is wrong with it.
    let mut world = World::new(&[("org", Denies::Nsec)]);
    world.add("www.org", A, &ADDRESS);
    world.add("*.wild.org", RecordType::TXT, b"\x01x");
    world.add("a.wild.org", A, &ADDRESS);
    let zone = world.zone("org");
    let mut forged = zone.nsec(&name("*.wild.org"), &name("z.wild.org"), &[RecordType::TXT, NSEC]);
    forged.owner = name("a.wild.org");
    world.break_reply("a.wild.org", A, move |response| {
        response.answer.clear();
        response.authority = vec![forged.clone()];
    });
    world.resolve("a.wild.org", A).is_bogus();
}

//! What NSEC records prove by themselves.

use crate::validator::denial::Delegation;
use crate::validator::tests::evidence::*;
use crate::validator::tests::*;

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

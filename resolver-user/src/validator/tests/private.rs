//! Split DNS: domains that the operator has given servers of their own.

use super::*;
use crate::wire::{DomainMap, DomainPattern};

/// A public tree, and a zone `corp.org` without signatures that only its own servers know.
fn world(denies: Denies) -> World {
    let mut world = World::new(&[("org", denies), ("signed.org", denies)]);
    world.add("www.org", RecordType::A, &ADDRESS);
    world.add("www.signed.org", RecordType::A, &ADDRESS);
    world.zones.push(Zone::new("corp.org", Denies::Unsigned, 15));
    world.add("www.corp.org", RecordType::A, &ADDRESS);
    world.add("a.deep.corp.org", RecordType::A, &ADDRESS);
    world
}

fn private(domains: &[(&str, bool)]) -> DomainMap<bool> {
    let mut map = DomainMap::default();
    for (domain, private) in domains {
        let pattern =
            if domain.is_empty() { DomainPattern::Undotted } else { DomainPattern::Domain(domain.parse().unwrap()) };
        map.entry(&pattern, || *private);
    }
    map
}

fn is_private(run: &Run, domain: &str) {
    let reason = InsecureReason::PrivateDomain { domain: name(domain) };
    assert_eq!(run.is_insecure().insecure_reason(), Some(&reason));
}

#[test]
fn a_domain_that_the_public_tree_lacks_is_insecure_if_it_has_servers_of_its_own_and_bogus_if_not() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        world.resolve("www.corp.org", RecordType::A).is_bogus();
        world.private = private(&[("Corp.ORG", true)]);
        for (qname, qtype) in [
            ("corp.org", RecordType::SOA),
            ("www.corp.org", RecordType::A),
            ("a.deep.corp.org", RecordType::A),
            ("nothing.corp.org", RecordType::A),
            ("www.corp.org", RecordType::MX),
            ("corp.org", RecordType::DNSKEY),
        ] {
            is_private(&world.resolve(qname, qtype), "corp.org");
        }
        let run = world.resolve("a.deep.corp.org", RecordType::A);
        assert!(run.asked.is_empty(), "the proof was kept: {:?}", run.asked);
        // The DS is the parent's, and its absence is proven as ever; beside the domain nothing changes.
        world.resolve("corp.org", RecordType::DS).is_secure();
        world.resolve("www.org", RecordType::A).is_secure();
        world.break_reply("www.org", RecordType::A, |response| response.answer[0].signatures.clear());
        world.resolve("www.org", RecordType::A).is_bogus();
    }
}

#[test]
fn a_domain_that_is_signed_in_public_must_be_signed_by_its_own_servers_too() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        world.private = private(&[("signed.org", true)]);
        world.resolve("www.signed.org", RecordType::A).is_secure();
        world.break_reply("www.signed.org", RecordType::A, |response| response.answer[0].signatures.clear());
        world.resolve("www.signed.org", RecordType::A).is_bogus();
    }
}

#[test]
fn a_parent_that_proves_nothing_leaves_the_domain_bogus() {
    let mut world = world(Denies::Nsec);
    world.private = private(&[("corp.org", true)]);
    world.break_reply("corp.org", RecordType::DS, |response| {
        response.authority.iter_mut().for_each(|set| set.signatures.clear());
    });
    world.resolve("www.corp.org", RecordType::A).is_bogus();
    assert!(world.broken.get() > 0);
}

#[test]
fn an_anchor_at_or_below_the_domain_decides() {
    let mut world = world(Denies::Nsec);
    let mut zone = Zone::new("home.corp.org", Denies::Nsec, 15);
    zone.add(&name("www.home.corp.org"), RecordType::A, ADDRESS.to_vec());
    world.zones.push(zone);
    world.private = private(&[("corp.org", true)]);
    is_private(&world.resolve("www.home.corp.org", RecordType::A), "corp.org");
    world.cache.clear();
    world.anchor("home.corp.org");
    world.resolve("www.home.corp.org", RecordType::A).is_secure();
    world.break_reply("www.home.corp.org", RecordType::A, |response| response.answer[0].signatures.clear());
    world.resolve("www.home.corp.org", RecordType::A).is_bogus();
    is_private(&world.resolve("www.corp.org", RecordType::A), "corp.org");
    world.negative_anchors = vec![name("corp.org")];
    let reason = InsecureReason::NegativeAnchor { anchor: name("corp.org") };
    assert_eq!(world.resolve("www.corp.org", RecordType::A).is_insecure().insecure_reason(), Some(&reason));
}

#[test]
fn a_domain_inside_that_is_excepted_is_judged_by_the_public_tree() {
    for asked_before in [false, true] {
        let mut world = World::new(&[("org", Denies::Nsec)]);
        world.add("public.corp.org", RecordType::A, &ADDRESS);
        world.add("www.corp.org", RecordType::A, &ADDRESS);
        // What the domain's own servers say is not signed.
        world.break_reply("www.corp.org", RecordType::A, |response| response.answer[0].signatures.clear());
        world.private = private(&[("corp.org", true), ("public.corp.org", false)]);
        if asked_before {
            is_private(&world.resolve("www.corp.org", RecordType::A), "corp.org");
        }
        world.resolve("public.corp.org", RecordType::A).is_secure();
        world.break_reply("public.corp.org", RecordType::A, |response| {
            for signature in &mut response.answer[0].signatures {
                signature.signer = name("corp.org");
            }
        });
        world.resolve("public.corp.org", RecordType::A).is_bogus();
        is_private(&world.resolve("www.corp.org", RecordType::A), "corp.org");
    }
}

#[test]
fn signatures_taken_from_an_excepted_domain_are_missed() {
    for denied_by_somebody in [false, true] {
        let mut world = World::new(&[("org", Denies::Nsec)]);
        world.add("public.corp.org", RecordType::A, &ADDRESS);
        world.private = private(&[("corp.org", true), ("public.corp.org", false)]);
        world.break_reply("public.corp.org", RecordType::A, |response| response.answer[0].signatures.clear());
        if denied_by_somebody {
            // Nor does it help to say without signatures that no zone starts there.
            world.break_reply("public.corp.org", RecordType::DS, |response| {
                response.authority.iter_mut().for_each(|set| set.signatures.clear());
            });
        }
        world.resolve("public.corp.org", RecordType::A).is_bogus();
    }
}

#[test]
fn a_private_domain_inside_another_is_one_too_and_taints_nothing() {
    let mut world = world(Denies::Nsec);
    world.zones.push(Zone::new("lab.corp.org", Denies::Unsigned, 15));
    world.add("www.lab.corp.org", RecordType::A, &ADDRESS);
    world.private = private(&[("corp.org", true), ("lab.corp.org", true), ("www.corp.org", false)]);
    is_private(&world.resolve("www.lab.corp.org", RecordType::A), "corp.org");
    is_private(&world.resolve("a.deep.corp.org", RecordType::A), "corp.org");
    world.resolve("www.corp.org", RecordType::A).is_bogus();
}

#[test]
fn names_of_one_label_are_domains_each_for_itself() {
    let mut world = world(Denies::Nsec);
    world.zones.push(Zone::new("nas", Denies::Unsigned, 15));
    world.add("nas", RecordType::A, &ADDRESS);
    world.resolve("nas", RecordType::A).is_bogus();
    world.private = private(&[("", true)]);
    is_private(&world.resolve("nas", RecordType::A), "nas");
    world.break_reply("org", RecordType::SOA, |response| response.answer[0].signatures.clear());
    world.resolve("org", RecordType::SOA).is_bogus();
}

#[test]
fn an_alias_into_a_private_domain_is_as_secure_as_its_weakest_link() {
    let mut world = world(Denies::Nsec);
    world.private = private(&[("corp.org", true)]);
    world.add("alias.org", RecordType::CNAME, &target("www.corp.org"));
    is_private(&world.resolve("alias.org", RecordType::A), "corp.org");
    world.add("alias.corp.org", RecordType::CNAME, &target("www.org"));
    is_private(&world.resolve("alias.corp.org", RecordType::A), "corp.org");
    world.break_reply("www.org", RecordType::A, |response| response.answer[0].signatures.clear());
    world.resolve("alias.corp.org", RecordType::A).is_bogus();
}

#[test]
fn reverse_domains_of_private_addresses_need_no_proof() {
    let mut world = world(Denies::Nsec);
    world.zones.push(Zone::new("168.192.in-addr.arpa", Denies::Unsigned, 15));
    world.add("1.0.168.192.in-addr.arpa", RecordType::PTR, name("nas.corp.org").wire());
    // As recursive servers do, which answer for these by themselves.
    world.break_with(|question, response| {
        let made_up = question.qtype == RecordType::DS && question.qname.is_at_or_below(&name("arpa"));
        if made_up {
            response.authority.clear();
        }
        made_up
    });
    world.resolve("1.0.168.192.in-addr.arpa", RecordType::PTR).is_bogus();
    world.private = private(&[("168.192.in-addr.arpa", true)]);
    let run = world.resolve("1.0.168.192.in-addr.arpa", RecordType::PTR);
    is_private(&run, "168.192.in-addr.arpa");
    assert!(run.asked.is_empty(), "{:?}", run.asked);
}

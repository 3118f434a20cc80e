//! Aliases: every link is judged, and the weakest decides.

use super::*;

/// `alias.example.org` leads to `www.example.net`; both zones signed, `example.com` not.
pub fn world() -> World {
    let zones = [
        ("org", Denies::Nsec),
        ("net", NSEC3),
        ("com", Denies::Nsec),
        ("example.org", Denies::Nsec),
        ("example.net", NSEC3),
        ("example.com", Denies::Unsigned),
    ];
    let mut world = World::new(&zones);
    world.add("www.example.net", RecordType::A, &ADDRESS);
    world.add("www.example.com", RecordType::A, &ADDRESS);
    world.add("alias.example.org", RecordType::CNAME, &target("www.example.net"));
    world.add("first.example.org", RecordType::CNAME, &target("alias.example.org"));
    world.add("out.example.org", RecordType::CNAME, &target("www.example.com"));
    world.add("back.example.com", RecordType::CNAME, &target("www.example.net"));
    world.add("nowhere.example.org", RecordType::CNAME, &target("gone.example.net"));
    world
}

pub fn owners(validated: &Validated) -> Vec<String> {
    validated.response().answer.iter().map(|set| format!("{} {}", set.owner, set.rtype)).collect()
}

#[test]
fn an_alias_into_another_zone_is_followed_whether_or_not_the_upstream_does() {
    for follows in [true, false] {
        let mut world = world();
        world.follows = follows;
        let run = world.resolve("first.example.org", RecordType::A);
        let expected = ["first.example.org. CNAME", "alias.example.org. CNAME", "www.example.net. A"];
        assert_eq!(owners(run.is_secure()), expected);
        assert_eq!(run.is_secure().response().question.to_string(), "first.example.org. A");
        assert_eq!(run.asked.contains(&"www.example.net. A".to_string()), !follows);
    }
}

#[test]
fn the_weakest_link_of_an_alias_chain_decides() {
    for follows in [true, false] {
        let mut world = world();
        world.follows = follows;
        // Secure alias to an insecure address, and the other way round.
        world.resolve("out.example.org", RecordType::A).is_insecure();
        world.resolve("back.example.com", RecordType::A).is_insecure();
        world.break_with(|_, response| {
            let mut broke = false;
            for set in response.answer.iter_mut().filter(|set| set.owner == name("www.example.net")) {
                set.rdatas[0][0] ^= 1;
                broke = true;
            }
            broke
        });
        world.resolve("back.example.com", RecordType::A).is_bogus();
        world.resolve("alias.example.org", RecordType::A).is_bogus();
        world.resolve("out.example.org", RecordType::A).is_insecure();
    }
}

#[test]
fn a_forged_alias_is_bogus() {
    let mut world = world();
    world.break_reply("alias.example.org", RecordType::A, |response| {
        response.answer[0].rdatas = vec![target("www.example.com").into()];
    });
    let (owner, rtype) = (name("alias.example.org"), RecordType::CNAME);
    assert_eq!(
        *world.resolve("alias.example.org", RecordType::A).is_bogus(),
        BogusReason::BadSignature { owner, rtype }
    );
}

#[test]
fn aliases_that_loop_are_unrelated() {
    for follows in [true, false] {
        let mut world = world();
        world.follows = follows;
        world.add("a.example.org", RecordType::CNAME, &target("b.example.net"));
        world.add("b.example.net", RecordType::CNAME, &target("a.example.org"));
        world.add("self.example.org", RecordType::CNAME, &target("self.example.org"));
        for qname in ["a.example.org", "self.example.org"] {
            let question = Question::new(name(qname), RecordType::A);
            let run = world.resolve(qname, RecordType::A);
            assert_eq!(*run.is_bogus(), BogusReason::Unrelated { question });
        }
    }
}

#[test]
fn aliases_beyond_the_limit_are_not_followed() {
    for follows in [true, false] {
        let mut world = World::new(&[("org", Denies::Nsec)]);
        world.follows = follows;
        for index in 0..12 {
            let next = target(&format!("n{}.org", index + 1));
            world.add(&format!("n{index}.org"), RecordType::CNAME, &next);
        }
        world.add("n12.org", RecordType::A, &ADDRESS);
        world.resolve("n1.org", RecordType::A).is_secure();
        match world.resolve("n0.org", RecordType::A).verdict {
            Verdict::Indeterminate(reason) => {
                assert_eq!(reason, IndeterminateReason::Budget { item: BudgetItem::AliasHops });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_alias_to_nothing_is_denied_by_the_zone_of_its_target() {
    for follows in [true, false] {
        let mut world = world();
        world.follows = follows;
        let run = world.resolve("nowhere.example.org", RecordType::A);
        let response = run.is_secure().response();
        assert_eq!(response.rcode, RCode::NXDOMAIN);
        assert_eq!(owners(run.is_secure()), ["nowhere.example.org. CNAME"]);
        assert_eq!(response.authority[0].owner, name("example.net"));
        // The type is missing at the end of the chain.
        let run = world.resolve("alias.example.org", RecordType::TXT);
        assert_eq!(run.is_secure().response().rcode, RCode::NOERROR);
        assert_eq!(run.is_secure().ttl_s(), MINIMUM_S);
    }
}

#[test]
fn a_denial_by_the_aliass_own_zone_does_not_end_the_path() {
    let mut world = world();
    let soa = world.zone("example.org").set(&name("example.org"), RecordType::SOA, &name("example.org"));
    for rcode in [RCode::NOERROR, RCode::NXDOMAIN] {
        let soa = soa.clone();
        world.break_reply("alias.example.org", RecordType::A, move |response| {
            response.rcode = rcode;
            response.authority = vec![soa.clone()];
        });
        let run = world.resolve("alias.example.org", RecordType::A);
        assert_eq!(owners(run.is_secure()), ["alias.example.org. CNAME", "www.example.net. A"]);
        assert_eq!(run.is_secure().response().rcode, RCode::NOERROR);
    }
}

#[test]
fn an_alias_is_not_followed_for_its_own_type_nor_for_any() {
    let world = world();
    let run = world.resolve("alias.example.org", RecordType::CNAME);
    assert_eq!(owners(run.is_secure()), ["alias.example.org. CNAME"]);
    let run = world.resolve("alias.example.org", RecordType::ANY);
    assert_eq!(owners(run.is_secure()), ["alias.example.org. CNAME"]);
}

#[test]
fn sets_off_the_path_are_not_passed_on() {
    let mut world = world();
    world.break_reply("www.example.net", RecordType::A, |response| {
        let set = unsigned_set(&name("www.bank.example"), RecordType::A, vec![ADDRESS.into()]);
        response.answer.insert(0, set.clone());
        let mut same_name = set.clone();
        (same_name.owner, same_name.rtype) = (name("www.example.net"), RecordType::TXT);
        response.answer.push(same_name);
        response.authority.push(set);
        response.authority.push(unsigned_set(
            &name("example.net"),
            RecordType::NS,
            vec![b"\x01x\x00".as_slice().into()],
        ));
    });
    let run = world.resolve("www.example.net", RecordType::A);
    assert_eq!(owners(run.is_secure()), ["www.example.net. A"]);
    assert!(run.is_secure().response().authority.is_empty());
}

#[test]
fn a_wildcard_alias_is_followed() {
    let mut world = world();
    world.add("*.wild.example.org", RecordType::CNAME, &target("www.example.net"));
    let run = world.resolve("a.wild.example.org", RecordType::A);
    assert_eq!(owners(run.is_secure()), ["a.wild.example.org. CNAME", "www.example.net. A"]);
    assert_eq!(run.is_secure().response().authority.len(), 1);
}

//! DNAME: the alias made from it is as good as it is, and no better.

use super::rfc1034_3_6_2::{owners, world};
use super::*;

#[test]
fn a_dname_vouches_for_the_alias_made_from_it_and_no_other() {
    for follows in [true, false] {
        let mut world = world();
        world.follows = follows;
        world.add("tree.example.org", RecordType::DNAME, &target("example.net"));
        let run = world.resolve("www.tree.example.org", RecordType::A);
        let expected = ["tree.example.org. DNAME", "www.tree.example.org. CNAME", "www.example.net. A"];
        assert_eq!(owners(run.is_secure()), expected);
        // The CNAME may be asked for, and may be left out.
        let run = world.resolve("www.tree.example.org", RecordType::CNAME);
        assert_eq!(owners(run.is_secure()), expected[..2]);
        world.break_reply("www.tree.example.org", RecordType::A, |response| {
            response.answer.retain(|set| set.rtype != RecordType::CNAME);
        });
        assert_eq!(owners(world.resolve("www.tree.example.org", RecordType::A).is_secure()), expected);
        // Another CNAME beside the DNAME needs its own signature.
        world.breaks.clear();
        world.break_reply("www.tree.example.org", RecordType::A, |response| {
            response.answer[1].rdatas = vec![target("www.example.com").into()];
        });
        let (owner, rtype) = (name("www.tree.example.org"), RecordType::CNAME);
        let run = world.resolve("www.tree.example.org", RecordType::A);
        assert_eq!(*run.is_bogus(), BogusReason::MissingRrsig { owner, rtype });
    }
}

#[test]
fn a_forged_dname_is_bogus() {
    let mut world = world();
    world.add("tree.example.org", RecordType::DNAME, &target("example.net"));
    world.break_reply("www.tree.example.org", RecordType::A, |response| {
        response.answer[0].rdatas = vec![target("example.com").into()];
        response.answer[1].rdatas = vec![target("www.example.com").into()];
    });
    let (owner, rtype) = (name("tree.example.org"), RecordType::DNAME);
    let run = world.resolve("www.tree.example.org", RecordType::A);
    assert_eq!(*run.is_bogus(), BogusReason::BadSignature { owner, rtype });
}

#[test]
fn a_dname_that_makes_too_long_a_name_is_yxdomain() {
    let mut world = world();
    let long = format!("{0}.{0}.{0}.example.net", "x".repeat(60));
    world.add("tree.example.org", RecordType::DNAME, &target(&long));
    let run = world.resolve(&format!("{}.tree.example.org", "y".repeat(60)), RecordType::A);
    assert_eq!(run.is_secure().response().rcode, RCode::YXDOMAIN);
    assert_eq!(owners(run.is_secure()), ["tree.example.org. DNAME"]);
}

//! Questions for more than one type: ANY and RRSIG.

use crate::validator::tests::rfc1034_3_6_2::{owners, world};
use crate::validator::tests::*;

#[test]
fn bare_signatures_are_passed_on_unproven_whoever_sends_them() {
    let mut world = world();
    let signed = world.zone("example.net").set(&name("www.example.net"), RecordType::A, &name("www.example.net"));
    for qname in ["www.example.net", "www.example.com"] {
        let mut bare = signed.clone();
        bare.owner = name(qname);
        bare.rdatas.clear();
        world.break_reply(qname, RecordType::RRSIG, move |response| {
            response.answer = vec![bare.clone()];
            response.authority.clear();
        });
    }
    for qname in ["www.example.net", "www.example.com"] {
        let run = world.resolve(qname, RecordType::RRSIG);
        assert!(matches!(&run.verdict, Verdict::Unchecked { response, .. } if response.answer.len() == 1), "{qname}");
    }
    // Signatures without their set are no answer to the question for the set.
    let bare = RrSet { rdatas: vec![], ..signed };
    world.break_reply("www.example.net", RecordType::A, move |response| response.answer = vec![bare.clone()]);
    world.resolve("www.example.net", RecordType::A).is_bogus();
}

#[test]
fn any_answers_are_secure_only_if_each_set_is() {
    let mut world = world();
    world.add("www.example.net", RecordType::TXT, b"\x01x");
    let run = world.resolve("www.example.net", RecordType::ANY);
    assert_eq!(owners(run.is_secure()), ["www.example.net. A", "www.example.net. TXT"]);
    world.break_reply("www.example.net", RecordType::ANY, |response| response.answer[1].signatures.clear());
    world.resolve("www.example.net", RecordType::ANY).is_bogus();
    let run = world.resolve("www.example.com", RecordType::ANY);
    assert_eq!(owners(run.is_insecure()), ["www.example.com. A"]);
}

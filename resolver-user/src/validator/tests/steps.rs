//! What a validation tells of its way.

use super::*;
use crate::validator::{ChainStep, ZoneStanding};

fn told(run: &Run) -> Vec<String> {
    let step = |step: &ChainStep| match step {
        ChainStep::Zone { name, standing: ZoneStanding::Secure(keys) } => format!("{name} secure {}", keys.len()),
        ChainStep::Zone { name, standing } => format!("{name} {standing}"),
        ChainStep::Set { owner, rtype, signer, verified } => format!("{owner} {rtype} by {signer} {verified}"),
    };
    run.steps.iter().map(step).collect()
}

#[test]
fn zones_and_sets_are_told_in_the_order_in_which_the_walk_found_them_out() {
    let mut world = signed_world(Denies::Nsec);
    let expected = [
        ". DNSKEY by . true",
        ". secure 1",
        "org. DS by . true",
        "org. DNSKEY by org. true",
        "org. secure 1",
        "example.org. DS by org. true",
        "example.org. DNSKEY by example.org. true",
        "example.org. secure 1",
        "www.example.org. A by example.org. true",
    ];
    assert_eq!(told(&world.resolve("www.example.org", RecordType::A)), expected);
    // What is known already is told too; what was verified then is not verified now.
    let warm = told(&world.resolve("www.example.org", RecordType::A));
    assert!(warm.contains(&"example.org. secure 1".to_owned()), "{warm:?}");
    assert_eq!(warm.last().unwrap(), "www.example.org. A by example.org. true");
    world.break_reply("www.example.org", RecordType::A, |response| response.answer[0].rdatas[0][0] ^= 1);
    let bogus = told(&world.resolve("www.example.org", RecordType::A));
    assert!(bogus.contains(&"www.example.org. A by example.org. false".to_owned()), "{bogus:?}");
}

#[test]
fn the_reason_of_an_insecure_zone_is_told() {
    let mut world = signed_world(Denies::Nsec);
    world.delegate(Zone::new("plain.org", Denies::Unsigned, 15));
    world.add("www.plain.org", RecordType::A, &ADDRESS);
    let told = told(&world.resolve("www.plain.org", RecordType::A));
    assert!(told.contains(&"plain.org. insecure, plain.org. is an unsigned delegation".to_owned()), "{told:?}");
}

#[test]
fn a_validation_says_the_same_again_until_it_is_supplied() {
    use crate::validator::{Pace, Step, TrustAnchors, Validation, WorkBudget};
    use std::sync::Arc;
    let world = super::rfc1034_3_6_2::world();
    let question = Question::new(name("www.example.net"), RecordType::A);
    let response = Arc::new(world.answer(&question));
    let anchors = Arc::new(TrustAnchors::new(world.anchors.clone(), vec![]));
    let mut validation = Validation::new(question, response, anchors, world.cache.clone(), world.policy);
    let mut budget = WorkBudget::new(world.policy.limits);
    for _ in 0..3 {
        match validation.advance(NOW, &mut budget, Pace::Unhindered) {
            Step::Need(question) => assert_eq!(question.to_string(), "example.net. DS"),
            other => panic!("{other:?}"),
        }
    }
}

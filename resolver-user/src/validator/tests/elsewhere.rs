//! What happens when another server has something better to say than the one whose reply made a verdict bogus.

use std::sync::Arc;

use super::*;
use crate::validator::{Blame, Pace, Step, TrustAnchors, Validation, WorkBudget};

/// What came of a question of which some replies were bogus at first.
struct Mended {
    verdict: Verdict,
    /// What was blamed, in order: question, and zone that it speaks for.
    blamed: Vec<String>,
    /// What was fetched on the way.
    asked: Vec<String>,
    budget: WorkBudget,
}

/// Resolves where some replies are broken. Those that are blamed are `mended` elsewhere, or just as broken there.
fn resolve(world: &mut World, question: &Question, mended: bool) -> Mended {
    resolve_with(world, question, mended, false)
}

/// The same; `early`: what only looks bogus is told as well.
fn resolve_with(world: &mut World, question: &Question, mended: bool, early: bool) -> Mended {
    let mut budget = WorkBudget::new(world.policy.limits);
    let anchors = Arc::new(TrustAnchors::new(world.anchors.clone(), vec![]));
    let response = Arc::new(world.answer(question));
    let mut validation = Validation::new(question.clone(), response, anchors, world.cache.clone(), world.policy);
    if early {
        validation.tell_suspicions();
    }
    let (mut blamed, mut asked) = (Vec::new(), Vec::new());
    // Bound: a test world is small.
    for _ in 0..100 {
        match validation.advance(NOW, &mut budget, Pace::Unhindered) {
            Step::Need(needed) => {
                asked.push(needed.to_string());
                validation.supply(Ok(Arc::new(world.answer(&needed))));
            }
            Step::Costly { .. } => panic!("nothing pauses"),
            Step::Done(verdict @ Verdict::Bogus(_)) => {
                let Some(Blame { question, zone, is_proven }) = validation.blame(NOW) else {
                    return Mended { verdict, blamed, asked, budget };
                };
                let told = format!("{question} of {zone}");
                if blamed.contains(&told) {
                    if is_proven {
                        return Mended { verdict, blamed, asked, budget };
                    }
                    validation.settle();
                    continue;
                }
                blamed.push(told);
                let breaks = std::mem::take(&mut world.breaks);
                let honest = world.answer(&question);
                world.breaks = breaks;
                let other = if mended { honest } else { world.answer(&question) };
                validation.replace(Arc::new(other));
            }
            Step::Done(verdict) => return Mended { verdict, blamed, asked, budget },
        }
    }
    panic!("no end; blamed {blamed:?}");
}

fn strip(response: &mut Response) {
    for set in response.answer.iter_mut().chain(&mut response.authority) {
        set.signatures.clear();
    }
    response.authority.retain(|set| !matches!(set.rtype, RecordType::NSEC | RecordType::NSEC3));
}

#[test]
fn the_reply_at_fault_is_blamed_and_a_better_one_makes_the_answer_secure() {
    let a = || Question::new(name("www.example.org"), RecordType::A);
    let none = || Question::new(name("none.example.org"), RecordType::A);
    for denies in ALL {
        for (at, rtype, question, zone) in [
            ("www.example.org", RecordType::A, a(), "example.org."),
            ("example.org", RecordType::DNSKEY, a(), "example.org."),
            ("example.org", RecordType::DS, a(), "org."),
            ("org", RecordType::DNSKEY, a(), "org."),
            (".", RecordType::DNSKEY, a(), "."),
            ("none.example.org", RecordType::A, none(), "example.org."),
        ] {
            // In the span of an opt-out, a denial that lacks its proof is one of an unsigned delegation, maybe.
            if denies == OPT_OUT && question == none() {
                continue;
            }
            let mut world = signed_world(denies);
            world.break_reply(at, rtype, strip);
            let mended = resolve(&mut world, &question, true);
            assert!(world.broken.get() > 0, "{at} {rtype} was asked");
            let expected = format!("{} of {zone}", Question::new(name(at), rtype));
            assert_eq!(mended.blamed, [expected], "{question}");
            let Verdict::Proven(validated) = mended.verdict else { panic!("{at} {rtype}: {:?}", mended.verdict) };
            assert_eq!(validated.status(), ProvenStatus::Secure, "{at} {rtype} {denies:?}");
        }
    }
}

#[test]
fn a_server_that_strips_everything_is_seen_through_reply_by_reply() {
    let mut world = signed_world(Denies::Nsec);
    world.break_with(|_, response| {
        strip(response);
        true
    });
    let mended = resolve(&mut world, &Question::new(name("www.example.org"), RecordType::A), true);
    let Verdict::Proven(validated) = mended.verdict else { panic!("{:?}", mended.verdict) };
    assert_eq!(validated.status(), ProvenStatus::Secure);
    assert_eq!(mended.blamed.first().unwrap(), ". DNSKEY of .");
    assert_eq!(mended.blamed.last().unwrap(), "www.example.org. A of example.org.");
}

#[test]
fn what_was_judged_of_a_reply_goes_with_it_and_what_was_proven_is_not_paid_for_twice() {
    let mut world = signed_world(Denies::Nsec);
    world.add("alias.example.org", RecordType::CNAME, &target("www.example.org"));
    world.follows = true;
    // The alias is as it should be, what it leads to is not.
    world.break_reply("alias.example.org", RecordType::A, |response| response.answer[1].rdatas[0][3] ^= 1);
    let question = Question::new(name("alias.example.org"), RecordType::A);
    let mended = resolve(&mut world, &question, true);
    let Verdict::Proven(validated) = mended.verdict else { panic!("{:?}", mended.verdict) };
    let types: Vec<String> = validated.response().answer.iter().map(|set| set.rtype.to_string()).collect();
    assert_eq!(types, ["CNAME", "A"], "each once");
    let spent = mended.budget.spent();
    // Three key sets, two DS, of each answer the alias and the address, and the two sets that prove that no zone starts at www; nothing
    // that was spent comes back.
    assert_eq!((spent.signature_checks, spent.failed_checks), (11, 1));
    assert_eq!(spent.alias_hops, 2);
}

#[test]
fn data_that_are_bogus_everywhere_stay_so_and_a_limit_of_ours_is_nobodys_fault() {
    let mut world = signed_world(Denies::Nsec);
    world.break_reply("www.example.org", RecordType::A, strip);
    let question = Question::new(name("www.example.org"), RecordType::A);
    let mended = resolve(&mut world, &question, false);
    let expected = BogusReason::MissingRrsig { owner: question.qname.clone(), rtype: RecordType::A };
    assert!(matches!(&mended.verdict, Verdict::Bogus(reason) if *reason == expected), "{:?}", mended.verdict);
    assert_eq!(mended.blamed.len(), 1);
    let mut world = World::new(&[("org", Denies::Nsec3 { iterations: 200, opt_out: false })]);
    world.add("www.org", RecordType::A, &ADDRESS);
    let mended = resolve(&mut world, &Question::new(name("none.org"), RecordType::A), true);
    assert!(matches!(mended.verdict, Verdict::Bogus(BogusReason::Iterations { .. })), "{:?}", mended.verdict);
    assert_eq!(mended.blamed, [""; 0]);
}

#[test]
fn what_only_looks_bogus_is_told_before_more_is_asked_and_is_insecure_all_the_same_where_that_is_proven() {
    let question = Question::new(name("www.example.org"), RecordType::A);
    // Signed wrongly; unsigned beside the servers of the secure zone.
    let breaks: [fn(&mut Response); 2] = [
        |response| response.answer[0].rdatas[0][3] ^= 1,
        |response| {
            strip(response);
            response.authority.push(unsigned_set(
                &name("example.org"),
                RecordType::NS,
                vec![b"\x02ns\x00".as_slice().into()],
            ));
        },
    ];
    for breaks in breaks {
        let mut world = signed_world(Denies::Nsec);
        world.break_reply("www.example.org", RecordType::A, breaks);
        let mended = resolve_with(&mut world, &question, true, true);
        assert!(matches!(mended.verdict, Verdict::Proven(_)), "{:?}", mended.verdict);
        assert_eq!(mended.blamed, ["www.example.org. A of example.org."]);
        assert!(!mended.asked.contains(&"www.example.org. DS".to_owned()), "{:?}", mended.asked);
        // Where there is no better one, the verdict is what it is without suspicions.
        let mended = resolve_with(&mut world, &question, false, true);
        assert!(matches!(mended.verdict, Verdict::Bogus(_)), "{:?}", mended.verdict);
    }
    // A signature by the zone above, in an unsigned zone.
    let mut world = signed_world(Denies::Nsec);
    world.delegate(Zone::new("unsigned.org", Denies::Unsigned, 15));
    world.add("www.unsigned.org", RecordType::A, &ADDRESS);
    let (key, terms) = (SigningKey::new(15, 256), world.zone("org").terms);
    world.break_reply("www.unsigned.org", RecordType::A, move |response| {
        let set = &mut response.answer[0];
        set.signatures = vec![key.sign(set, &name("org"), terms)];
    });
    let mended = resolve_with(&mut world, &Question::new(name("www.unsigned.org"), RecordType::A), false, true);
    let Verdict::Proven(validated) = &mended.verdict else { panic!("{:?}", mended.verdict) };
    assert_eq!(validated.status(), ProvenStatus::Insecure);
    assert_eq!(mended.blamed, ["www.unsigned.org. A of org."]);
}

#[test]
fn nothing_is_replaced_that_was_not_blamed() {
    let world = signed_world(Denies::Nsec);
    let question = Question::new(name("www.example.org"), RecordType::A);
    let anchors = Arc::new(TrustAnchors::new(world.anchors.clone(), vec![]));
    let response = Arc::new(world.answer(&question));
    let mut validation = Validation::new(question.clone(), response, anchors, world.cache.clone(), world.policy);
    let mut budget = WorkBudget::new(world.policy.limits);
    let mut forged = world.answer(&question);
    forged.answer[0].rdatas[0][3] ^= 1;
    let forged = Arc::new(forged);
    loop {
        validation.replace(Arc::clone(&forged));
        assert_eq!(validation.blame(NOW), None);
        match validation.advance(NOW, &mut budget, Pace::Unhindered) {
            Step::Need(needed) => validation.supply(Ok(Arc::new(world.answer(&needed)))),
            Step::Done(Verdict::Proven(validated)) => {
                return assert_eq!(&*validated.response().answer[0].rdatas[0], ADDRESS);
            }
            other => panic!("{other:?}"),
        }
    }
}

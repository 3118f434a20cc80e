//! Claims about reports, over the validator's world of zones that are signed in memory.

use std::sync::Arc;

use super::{ChainReport, Walk, report, text};
use crate::answer::Failure;
use crate::validator::tests::keys::SigningKey;
use crate::validator::tests::world::World;
use crate::validator::tests::zone::{Denies, NSEC3, OPT_OUT, Zone};
use crate::validator::{FetchFailure, Policy, TrustAnchors, Verdict};
use crate::wire::{Name, Question, RecordType};

const A: RecordType = RecordType::A;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// `example.org` below `org`, with an address at `www`.
fn world(denies: Denies) -> World {
    let mut world = World::new(&[("org", denies), ("example.org", denies)]);
    world.add("www.example.org", A, &[192, 0, 2, 1]);
    world
}

/// Walks, and holds the walk against a plain validation of the same question.
fn walk(world: &World, qname: &str, qtype: RecordType) -> ChainReport {
    let question = Question::new(name(qname), qtype);
    let mut walk = Walk::new(question, Arc::new(TrustAnchors::new(world.anchors.clone(), Vec::new())), Policy::DEFAULT);
    while let Some(needed) = walk.needed() {
        let gone = world.unreachable.iter().any(|(at, rtype)| name(at) == needed.qname && *rtype == needed.qtype);
        let reply = if gone { Err(FetchFailure::NoAnswer) } else { Ok(Arc::new(world.answer(&needed))) };
        walk.take(reply, None, 1500, world.now);
    }
    let walked = walk.finish().unwrap();
    let report = report(&walked, world.now);
    world.cache.clear();
    let plain = world.resolve(qname, qtype);
    assert_eq!(gist(&walked.verdict), gist(&plain.verdict));
    let asked: Vec<&String> = report.queries.iter().skip(1).map(|query| &query.question).collect();
    assert_eq!(asked, plain.asked.iter().collect::<Vec<_>>());
    assert!(!text(&report).chars().any(|letter| letter.is_control() && letter != '\n'));
    report
}

/// A verdict without its sets, in which ECDSA signatures differ each time.
fn gist(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Proven(proven) => format!("{:?} {:?} {}", proven.status(), proven.insecure_reason(), proven.ttl_s()),
        other => format!("{other:?}"),
    }
}

/// Each zone with its standing.
fn zones(report: &ChainReport) -> Vec<String> {
    report.zones.iter().map(|zone| format!("{} {}", zone.zone, zone.standing)).collect()
}

#[test]
fn a_secure_chain_is_told_from_the_anchor_down() {
    let report = walk(&world(Denies::Nsec), "www.example.org", A);
    assert_eq!(zones(&report), [". secure", "org. secure", "example.org. secure"]);
    let [root, org, example] = &report.zones[..] else { unreachable!() };
    assert!(root.anchors.iter().all(|anchor| anchor.matches) && root.anchors.len() == 1 && root.ds.is_none());
    for zone in [org, example] {
        let ds = zone.ds.as_ref().unwrap();
        assert!(ds.records[0].matches && ds.signatures.iter().all(|signature| signature.verifies));
        let key = &zone.dnskey[0];
        assert_eq!((key.role, key.state, key.vouched, key.bits), ("CSK", "in use", true, 256));
        assert!(zone.dnskey_signatures[0].verifies && zone.failures.is_empty());
        assert_eq!(zone.dnskey_signatures[0].validity_left_s, 7 * 86_400);
    }
    assert_eq!((root.dnskey[0].algorithm.name, org.dnskey[0].algorithm.name), ("ECDSAP256SHA256", "ED25519"));
    assert_eq!(example.dnskey[0].signs, ["A www.example.org.", "DNSKEY"]);
    assert_eq!(report.answers[0].sets[0].records, ["192.0.2.1"]);
    assert!(report.answers[0].proof.is_none());
    let verdict = &report.verdict;
    assert_eq!(
        (verdict.status, verdict.authentic, &*verdict.rcode, &verdict.reason),
        ("secure", true, "NOERROR", &None)
    );
    assert_eq!(report.queries[0].took_ms, 1.5);
}

#[test]
fn an_unsigned_delegation_is_told_with_its_proof() {
    for (denies, kind, shows) in [
        (Denies::Nsec, "NSEC", "matches plain.org.: no DS, a delegation"),
        (NSEC3, "NSEC3", "no DS, a delegation"),
        (OPT_OUT, "NSEC3 opt-out", "covers next closer plain.org. ("),
    ] {
        let mut world = world(denies);
        world.delegate(Zone::new("plain.org", Denies::Unsigned, 15));
        world.add("www.plain.org", A, &[192, 0, 2, 1]);
        let report = walk(&world, "www.plain.org", A);
        assert_eq!(zones(&report), [". secure", "org. secure", "plain.org. insecure"], "{kind}");
        let proof = report.zones[2].ds_denial.as_ref().unwrap();
        assert_eq!(proof.kind, Some(kind));
        let shown: Vec<&String> = proof.records.iter().flat_map(|record| &record.shows).collect();
        assert!(shown.iter().any(|shown| shown.contains(shows)), "{shown:?}");
        assert!(proof.records.iter().all(|record| record.signatures.iter().all(|signature| signature.verifies)));
        assert_eq!(proof.records[0].salt.as_deref(), (kind != "NSEC").then_some("abcd"));
        assert_eq!((report.verdict.status, report.verdict.authentic), ("insecure", false));
        assert!(report.zones[2].reason.is_some() && report.verdict.extended_error.is_none());
    }
}

#[test]
fn denials_are_told_with_the_part_of_each_name() {
    for (denies, qname, qtype, expected) in [
        (Denies::Nsec, "nx.example.org", A, &["covers nx.example.org.", "covers wildcard *.example.org."][..]),
        (Denies::Nsec, "www.example.org", RecordType::TXT, &["matches www.example.org.: no TXT"]),
        (
            NSEC3,
            "a.nx.example.org",
            A,
            &[
                "matches closest encloser example.org. (",
                "covers next closer nx.example.org. (",
                "covers wildcard *.example.org. (",
            ],
        ),
        (NSEC3, "www.example.org", RecordType::TXT, &["matches www.example.org. (", "): no TXT"]),
    ] {
        let report = walk(&world(denies), qname, qtype);
        let proof = report.answers[0].proof.as_ref().unwrap();
        let shown: String =
            proof.records.iter().flat_map(|record| &record.shows).map(|shown| format!("{shown}\n")).collect();
        for expected in expected {
            assert!(shown.contains(expected), "{qname} {qtype}: {expected} is not in {shown}");
        }
        assert!(proof.soa.is_some());
        assert_eq!(report.verdict.status, "secure", "{qname} {qtype}");
    }
}

#[test]
fn a_wildcard_answer_names_its_wildcard_and_the_proof_for_it() {
    for denies in [Denies::Nsec, NSEC3] {
        let mut world = world(denies);
        world.add("*.example.org", RecordType::TXT, b"\x01x");
        let report = walk(&world, "a.example.org", RecordType::TXT);
        let answer = &report.answers[0];
        assert_eq!(answer.sets[0].signatures[0].expanded_from.as_deref(), Some("*.example.org."));
        let mut shown = answer.proof.as_ref().unwrap().records.iter().flat_map(|record| &record.shows);
        assert!(shown.any(|shown| shown.starts_with("covers ") && shown.contains("a.example.org.")));
        assert_eq!(report.verdict.status, "secure");
    }
}

#[test]
fn every_link_of_an_alias_chain_is_told() {
    let mut world = World::new(&[("org", Denies::Nsec), ("net", NSEC3), ("com", Denies::Unsigned)]);
    world.add("alias.org", RecordType::CNAME, name("www.net").wire());
    world.add("www.net", RecordType::CNAME, name("www.com").wire());
    world.add("www.com", A, &[192, 0, 2, 1]);
    for (follows, questions) in [(true, &["alias.org. A"][..]), (false, &["alias.org. A", "www.net. A", "www.com. A"])]
    {
        world.follows = follows;
        let report = walk(&world, "alias.org", A);
        let asked: Vec<&str> = report.answers.iter().map(|answer| &*answer.question).collect();
        assert_eq!(asked, questions);
        let sets: Vec<&str> = report.answers.iter().flat_map(|answer| &answer.sets).map(|set| &*set.owner).collect();
        assert_eq!(sets, ["alias.org.", "www.net.", "www.com."]);
        assert_eq!(zones(&report), [". secure", "com. insecure", "net. secure", "org. secure"]);
        assert_eq!(report.verdict.reason.as_deref(), Some("com. is an unsigned delegation"));
    }
}

#[test]
fn keys_are_told_by_role_state_and_size() {
    let mut world = world(Denies::Nsec);
    let zone = world.zone("example.org");
    zone.keys.push(SigningKey::new(13, 256));
    zone.publish_keys();
    let apex = name("example.org");
    for (algorithm, flags) in [(15, 256), (15, 257 | 128), (13, 1), (5, 256)] {
        zone.add(&apex, RecordType::DNSKEY, SigningKey::new(algorithm, flags).dnskey);
    }
    let report = walk(&world, "www.example.org", A);
    let keys: Vec<_> =
        report.zones[2].dnskey.iter().map(|key| (key.role, key.state, key.algorithm.number, key.bits)).collect();
    let mut expected = [
        ("CSK", "in use", 15, 256),
        ("KSK", "revoked", 15, 256),
        ("KSK", "no zone key", 13, 256),
        ("ZSK", "in use", 13, 256),
        ("ZSK", "stand-by", 15, 256),
        ("ZSK", "not supported", 5, 512),
    ];
    let mut sorted = keys;
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(report.verdict.status, "secure");
}

#[test]
fn a_ds_says_which_key_it_matches_or_why_none() {
    let mut world = world(Denies::Nsec);
    let apex = name("example.org");
    let key = SigningKey::new(15, 257);
    let revoked = SigningKey::new(15, 257 | 128);
    world.zone("example.org").add(&apex, RecordType::DNSKEY, key.dnskey.clone());
    world.zone("example.org").add(&apex, RecordType::DNSKEY, revoked.dnskey.clone());
    let mut digest = key.ds(&apex, 2);
    digest[9] ^= 1;
    let mut gone = key.ds(&apex, 4);
    gone[0] ^= 1;
    let mut unassigned = key.ds(&apex, 2);
    unassigned[2] = 200;
    let mut gost = key.ds(&apex, 2);
    gost[3] = 3;
    for ds in [digest, gone, unassigned, gost, revoked.ds(&apex, 2)] {
        world.zone("org").add(&apex, RecordType::DS, ds);
    }
    let report = walk(&world, "www.example.org", A);
    let outcomes: Vec<&String> =
        report.zones[2].ds.as_ref().unwrap().records.iter().map(|record| &record.outcome).collect();
    for expected in [
        "matches DNSKEY",
        "digest differs from that of DNSKEY",
        "no DNSKEY with tag",
        "algorithm not supported",
        "digest type not supported",
        "which may not sign the zone",
    ] {
        assert!(outcomes.iter().any(|outcome| outcome.contains(expected)), "{expected}: {outcomes:?}");
    }
    assert_eq!(report.verdict.status, "secure");
}

#[test]
fn a_broken_signature_says_how_and_the_extended_error_follows() {
    type Break = fn(&mut World);
    let cases: [(Break, &str, u16); 5] = [
        (|world| world.zone("example.org").terms.expiration = 1_749_990_000, "expired", 7),
        (|world| world.zone("example.org").terms.inception = 1_750_010_000, "not yet valid", 8),
        (
            |world| world.break_reply("www.example.org", A, |reply| reply.answer[0].rdatas[0][0] ^= 1),
            "does not verify",
            6,
        ),
        (
            |world| world.break_reply("www.example.org", A, |reply| reply.answer[0].signatures[0].key_tag ^= 1),
            "no DNSKEY with tag",
            6,
        ),
        (|world| world.break_reply("www.example.org", A, |reply| reply.answer[0].signatures.clear()), "no RRSIG", 10),
    ];
    for (breaks, expected, code) in cases {
        let mut world = world(Denies::Nsec);
        breaks(&mut world);
        let report = walk(&world, "www.example.org", A);
        assert_eq!((report.verdict.status, &*report.verdict.rcode), ("bogus", "SERVFAIL"));
        assert_eq!(report.verdict.extended_error.as_ref().unwrap().code, code, "{expected}");
        assert!(text(&report).contains(expected), "{expected}: {}", text(&report));
    }
}

#[test]
fn a_ds_or_key_set_that_was_asked_for_is_told_as_an_answer() {
    let world = world(Denies::Nsec);
    for (qtype, expected) in [
        (RecordType::DS, &[". secure", "org. secure"][..]),
        (RecordType::DNSKEY, &[". secure", "org. secure", "example.org. secure"]),
    ] {
        world.cache.clear();
        let report = walk(&world, "example.org", qtype);
        assert_eq!(zones(&report), expected);
        assert_eq!((&*report.answers[0].sets[0].rtype, report.answers.len()), (&*qtype.to_string(), 1));
        assert_eq!(report.verdict.status, "secure");
    }
}

#[test]
fn a_ds_that_matches_nothing_leaves_its_zone_unproven() {
    let mut world = world(Denies::Nsec);
    world.zone("org").sets.get_mut(&(name("example.org"), RecordType::DS)).unwrap()[0][9] ^= 1;
    let report = walk(&world, "www.example.org", A);
    assert_eq!(zones(&report), [". secure", "org. secure", "example.org. unproven"]);
    assert!(!report.zones[2].ds.as_ref().unwrap().records[0].matches && !report.zones[2].dnskey[0].vouched);
    assert_eq!(report.verdict.extended_error.unwrap().code, 9);
}

#[test]
fn what_cannot_be_fetched_is_named() {
    let mut world = world(Denies::Nsec);
    world.unreachable.push(("example.org".into(), RecordType::DNSKEY));
    let report = walk(&world, "www.example.org", A);
    assert_eq!(report.zones[2].failures, ["DNSKEY: no server answered"]);
    assert!(report.zones[2].ds.as_ref().unwrap().records[0].outcome.contains("no DNSKEY set"));
    assert_eq!((report.verdict.status, report.verdict.extended_error.as_ref().unwrap().code), ("indeterminate", 22));
}

#[test]
fn a_question_that_nobody_answers_is_indeterminate() {
    let question = Question::new(name("www.example.org"), A);
    let mut walk = Walk::new(question, Arc::new(TrustAnchors::default()), Policy::DEFAULT);
    walk.take(Err(FetchFailure::Network), Some("192.0.2.1:53 cannot be reached".into()), 0, world(NSEC3).now);
    assert_eq!(walk.needed(), None);
    let walked = walk.finish().unwrap();
    let Verdict::Indeterminate(reason) = &walked.verdict else { panic!("{:?}", walked.verdict) };
    let report = report(&walked, world(NSEC3).now);
    assert_eq!(report.answers[0].failure.as_deref(), Some("192.0.2.1:53 cannot be reached"));
    let expected = Failure::Indeterminate(reason).extended_error().unwrap();
    assert_eq!(report.verdict.extended_error.unwrap().text, expected.text);
}

#[test]
fn the_json_has_what_the_text_has() {
    let report = walk(&world(NSEC3), "nx.example.org", A);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"]["status"], "secure");
    assert_eq!(json["zones"][1]["ds"]["records"][0]["matches"], true);
    assert_eq!(json["answers"][0]["proof"]["records"][0]["rtype"], "NSEC3");
    let text = text(&report);
    for zone in &report.zones {
        assert!(text.contains(&format!("\n{}  secure\n", zone.zone)), "{text}");
    }
    assert!(text.ends_with("verdict: secure\n  clients see NXDOMAIN, AD, kept for 300 s\n"), "{text}");
}

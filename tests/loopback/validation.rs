//! Validation through the whole daemon: what a client sees of secure, insecure and bogus data.

use std::net::UdpSocket;
use std::sync::Arc;

use resolver_tests::client::{ask, receive, udp};
use resolver_tests::daemon::Daemon;
use resolver_tests::message::{TestQuery, name};
use resolver_tests::signed::{SignedTree, TTL_S};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

/// A validating daemon before the signed tree.
fn start() -> (Upstream, Daemon) {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let daemon = RESOLVER.start(&["--dnssec", &anchor, &upstream.option()]);
    (upstream, daemon)
}

fn types(records: &[resolver_user::wire::Record]) -> Vec<String> {
    records.iter().map(|record| record.rtype.to_string()).collect()
}

/// INFO-CODE and EXTRA-TEXT of the extended error.
fn extended_error(answer: &Message) -> (u16, String) {
    let options = &answer.edns.as_ref().expect("an OPT").options;
    let [option] = &options[..] else { panic!("one option: {options:?}") };
    let (code, text) = option.data.split_first_chunk::<2>().expect("a code");
    (u16::from_be_bytes(*code), String::from_utf8_lossy(text).into_owned())
}

#[test]
fn secure_answers_carry_ad_for_those_who_understand_it() {
    let (_upstream, daemon) = start();
    let plain = TestQuery::new("WWW.example.", RecordType::A);
    let with_ad = TestQuery { authentic_data: true, ..plain.clone() };
    let with_do = plain.clone().edns(1232, true);
    let with_cd = TestQuery { checking_disabled: true, ..with_do.clone() };
    for (query, authentic, expected) in [
        (&plain, false, &["A"][..]),
        (&with_ad, true, &["A"]),
        (&with_do, true, &["A", "RRSIG"]),
        (&with_cd, true, &["A", "RRSIG"]),
        (&plain.clone().edns(1232, false), false, &["A"]),
    ] {
        let answer = ask(daemon.address, query);
        assert_eq!(answer.rcode(), RCode::NOERROR, "{query:?}");
        assert_eq!(answer.header.flags.authentic_data, authentic, "{query:?}");
        assert_eq!(answer.header.flags.checking_disabled, query.checking_disabled);
        assert_eq!(types(&answer.answer), expected, "{query:?}");
        assert!(answer.answer.iter().all(|record| record.ttl_s <= TTL_S && record.ttl_s > TTL_S - 10));
    }
    assert_eq!(daemon.counter("outcomes_secure"), 1);
}

#[test]
fn proven_insecure_answers_are_given_without_ad() {
    let (_upstream, daemon) = start();
    let answer = ask(daemon.address, &TestQuery::new("www.plain.", RecordType::A).edns(1232, true));
    assert_eq!((answer.rcode(), answer.answer.len()), (RCode::NOERROR, 1));
    assert!(!answer.header.flags.authentic_data);
    assert!(answer.edns.unwrap().options.is_empty());
    // Its own TTL is longer than that of the proof that it needs no signature.
    assert!(answer.answer.iter().all(|record| record.ttl_s <= 60));
    assert_eq!(daemon.counter("outcomes_insecure"), 1);
}

#[test]
fn a_denial_answers_for_its_neighbours_without_asking_upstream() {
    let (_upstream, daemon) = start();
    let query = |qname: &str, qtype| TestQuery::new(qname, qtype).edns(1232, true);
    let first = ask(daemon.address, &query("nx.example.", RecordType::A));
    assert_eq!(first.rcode(), RCode::NXDOMAIN);
    let sent = daemon.counter("upstream_udp");
    for (qname, qtype) in [("nx.example.", RecordType::TXT), ("below.nx.example.", RecordType::A)] {
        let denied = ask(daemon.address, &query(qname, qtype));
        assert_eq!((denied.rcode(), denied.header.flags.authentic_data), (RCode::NXDOMAIN, true), "{qname} {qtype}");
        assert_eq!(types(&denied.authority).first().map(String::as_str), Some("SOA"));
    }
    assert_eq!((daemon.counter("upstream_udp"), daemon.counter("denials_from_cache")), (sent, 2));
    let there = ask(daemon.address, &query("www.example.", RecordType::A));
    assert_eq!((there.rcode(), there.answer.is_empty()), (RCode::NOERROR, false));
}

#[test]
fn denials_are_proven_and_the_proof_is_given_for_do() {
    let (_upstream, daemon) = start();
    for (qname, qtype, rcode) in
        [("nx.example.", RecordType::A, RCode::NXDOMAIN), ("www.example.", RecordType::TXT, RCode::NOERROR)]
    {
        let query = TestQuery { authentic_data: true, ..TestQuery::new(qname, qtype) };
        let plain = ask(daemon.address, &query);
        assert_eq!((plain.rcode(), plain.header.flags.authentic_data), (rcode, true), "{qname}");
        assert_eq!(types(&plain.authority), ["SOA"]);
        let proof = ask(daemon.address, &query.edns(1232, true));
        assert_eq!((proof.rcode(), proof.header.flags.authentic_data), (rcode, true), "{qname}");
        assert_eq!(types(&proof.authority), ["SOA", "RRSIG", "NSEC", "RRSIG"]);
        assert!(proof.authority.iter().all(|record| record.ttl_s <= 60));
    }
}

#[test]
fn bogus_data_are_withheld_with_the_reason_unless_cd_is_set() {
    let (upstream, daemon) = start();
    for (qname, code, text) in [
        ("forged.example.", 6, "forged.example. A"),
        ("expired.example.", 7, "expired.example. A"),
        ("naked.example.", 10, "naked.example. A"),
    ] {
        let query = TestQuery::new(qname, RecordType::A).edns(1232, true);
        for _ in 0..3 {
            let answer = ask(daemon.address, &query);
            assert_eq!((answer.rcode(), answer.answer.len()), (RCode::SERVFAIL, 0), "{qname}");
            assert!(!answer.header.flags.authentic_data);
            let (told_code, told_text) = extended_error(&answer);
            assert_eq!(told_code, code, "{qname}: {told_text}");
            assert!(told_text.contains(text), "{told_text}");
        }
        let unchecked = ask(daemon.address, &TestQuery { checking_disabled: true, ..query });
        assert_eq!((unchecked.rcode(), unchecked.header.flags.authentic_data), (RCode::NOERROR, false));
        assert!(!unchecked.answer.is_empty());
        let asked = upstream.seen().into_iter().filter(|asked| asked.question.qname == name(qname));
        assert_eq!(asked.filter(|asked| asked.question.qtype == RecordType::A).count(), 1, "remembered");
    }
    assert_eq!(daemon.counter("outcomes_bogus"), 3);
}

#[test]
fn an_unreachable_dnskey_is_a_failure_and_not_bogus() {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| match asked.question.qtype {
        RecordType::DNSKEY => Reply::error(RCode::SERVFAIL),
        _ => tree.reply(asked),
    });
    let daemon = RESOLVER.start(&["--dnssec", &anchor, &upstream.option()]);
    let answer = ask(daemon.address, &TestQuery::new("www.example.", RecordType::A).edns(1232, false));
    assert_eq!(answer.rcode(), RCode::SERVFAIL);
    let (code, text) = extended_error(&answer);
    assert!(code == 22 && text.contains("DNSKEY"), "{code} {text}");
    assert_eq!(daemon.counter("outcomes_failed"), 1);
}

#[test]
fn a_wrong_anchor_makes_everything_bogus() {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let (head, tail) = anchor.split_at(anchor.len() - 4);
    let wrong = format!("{head}{}", if tail == "0000" { "1111" } else { "0000" });
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let daemon = RESOLVER.start(&["--dnssec", &wrong, &upstream.option()]);
    let answer = ask(daemon.address, &TestQuery::new("www.example.", RecordType::A).edns(1232, false));
    assert_eq!((answer.rcode(), extended_error(&answer).0), (RCode::SERVFAIL, 9));
}

#[test]
fn parallel_misses_under_one_zone_fetch_its_keys_once() {
    let (upstream, daemon) = start();
    let clients: Arc<[UdpSocket]> = (0..20).map(|_| udp(daemon.address)).collect();
    for (client, number) in clients.iter().zip(0..) {
        client.send(&TestQuery::new(&format!("x{number}.example."), RecordType::A).edns(1232, true).wire()).unwrap();
    }
    for client in clients.iter() {
        assert!(Message::read(&receive(client)).unwrap().header.flags.authentic_data);
    }
    let seen = upstream.seen();
    let of_type = |rtype| seen.iter().filter(|asked| asked.question.qtype == rtype).count();
    assert_eq!(of_type(RecordType::A), 20);
    assert_eq!((of_type(RecordType::DNSKEY), of_type(RecordType::DS)), (2, 1));
}

#[test]
fn a_set_is_verified_once_and_the_keys_of_its_zone_once_for_all() {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let daemon = RESOLVER.start(&["--dnssec", "--trust-anchor-signaling=no", &anchor, &upstream.option()]);
    let checks_after = |qname: &str, dnssec_ok: bool| {
        let query = TestQuery::new(qname, RecordType::A).edns(1232, dnssec_ok);
        assert_eq!(ask(daemon.address, &query).rcode(), RCode::NOERROR);
        let work = daemon.status().work;
        work.iter().find(|kind| kind.name == "signature_checks").expect("a kind of work").total
    };
    // The root's keys, the DS and the keys of example., and the set itself.
    assert_eq!(checks_after("x1.example.", true), 4);
    assert_eq!(checks_after("x1.example.", true), 4);
    assert_eq!(checks_after("x1.example.", false), 4, "the other form is of the same data");
    assert_eq!(checks_after("x2.example.", false), 5, "one for each new set");
    assert_eq!(checks_after("x3.example.", true), 6);
}

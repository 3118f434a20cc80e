//! How the daemon treats the servers it asks, and how many questions it asks them.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::{Arc, Barrier};

use resolver_tests::client::{ask, receive, udp};
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Asked, Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

fn address(asked: &Asked) -> Reply {
    Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [192, 0, 2, 7])])
}

#[test]
fn identical_misses_are_merged_into_one_question() {
    const CLIENTS: u16 = 40;
    let gate = Arc::new(Barrier::new(2));
    let server_gate = Arc::clone(&gate);
    let upstream = Upstream::replying(move |asked| {
        server_gate.wait();
        address(asked)
    });
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let clients: Vec<UdpSocket> = (0..CLIENTS).map(|_| udp(daemon.address)).collect();
    for (client, id) in clients.iter().zip(0..) {
        let qname = if id % 2 == 0 { "same.example." } else { "SAME.example." };
        client.send(&TestQuery::new(qname, RecordType::A).id(id).wire()).unwrap();
    }
    daemon.wait_for_counter("misses_merged", u64::from(CLIENTS) - 1);
    gate.wait();
    for (client, id) in clients.iter().zip(0..) {
        let answer = Message::read(&receive(client)).unwrap();
        assert_eq!((answer.header.id, answer.answer.len()), (id, 1));
        let qname = answer.question.unwrap().0.qname.to_string();
        assert_eq!(qname, if id % 2 == 0 { "same.example." } else { "SAME.example." });
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn ports_and_ids_are_random() {
    let upstream = Upstream::replying(address);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    for number in 0..40 {
        ask(daemon.address, &TestQuery::new(&format!("n{number}."), RecordType::A));
    }
    let seen = upstream.seen();
    let ids: HashSet<u16> = seen.iter().map(|asked| asked.message.header.id).collect();
    let ports: HashSet<u16> = seen.iter().map(|asked| asked.client.port()).collect();
    assert!(ids.len() >= 38 && ports.len() >= 38, "{} ids, {} ports", ids.len(), ports.len());
    let steps: HashSet<u16> =
        seen.windows(2).map(|pair| pair[1].client.port().wrapping_sub(pair[0].client.port())).collect();
    assert!(steps.len() >= 35, "ports do not follow each other");
}

#[test]
fn queries_ask_for_signatures_and_announce_1232_bytes() {
    for (options, checking_disabled) in [(&[][..], false), (&["--dnssec"], true)] {
        let upstream = Upstream::replying(address);
        let mut all = vec![upstream.option()];
        all.extend(options.iter().map(|option| (*option).to_owned()));
        let daemon = RESOLVER.start(&all.iter().map(String::as_str).collect::<Vec<_>>());
        ask(daemon.address, &TestQuery::new("Some.Name.", RecordType::A));
        let seen = upstream.seen();
        let asked = &seen.first().unwrap().message;
        let edns = asked.edns.clone().unwrap();
        assert_eq!((edns.udp_payload_len, edns.dnssec_ok), (1232, true));
        assert!(asked.header.flags.recursion_desired);
        assert_eq!(asked.header.flags.checking_disabled, checking_disabled);
    }
}

#[test]
fn replies_that_do_not_match_are_ignored() {
    let upstream = Upstream::scripted(|asked| {
        let mut forged = asked.clone();
        forged.packet[0] ^= 1;
        let other_id = Reply::answer(vec![a("victim.", 60, [6, 6, 6, 1])]).wire(&forged);
        let mut forged = asked.clone();
        forged.packet[13] ^= 1;
        let other_name = Reply::answer(vec![a("victim.", 60, [6, 6, 6, 2])]).wire(&forged);
        let mut no_response = Reply::answer(vec![a("victim.", 60, [6, 6, 6, 3])]).wire(asked);
        no_response[2] &= 0x7f;
        // From another port than was asked.
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from_elsewhere = Reply::answer(vec![a("victim.", 60, [6, 6, 6, 4])]).wire(asked);
        stranger.send_to(&from_elsewhere, asked.client).unwrap();
        vec![other_id, other_name, no_response, vec![0; 3], address(asked).wire(asked)]
    });
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let answer = ask(daemon.address, &TestQuery::new("victim.", RecordType::A));
    assert_eq!(&*answer.answer.first().unwrap().rdata, [192, 0, 2, 7]);
    assert_eq!(daemon.counter("upstream_mismatched"), 4);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn records_that_do_not_concern_the_question_are_dropped() {
    let upstream = Upstream::replying(|asked| {
        let mut reply = address(asked);
        reply.answer.push(a("bank.example.", 60, [6, 6, 6, 6]));
        reply
    });
    let daemon = RESOLVER.start(&[&upstream.option()]);
    assert_eq!(ask(daemon.address, &TestQuery::new("www.example.", RecordType::A)).answer.len(), 1);
}

#[test]
fn the_next_server_is_asked_when_one_fails() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed_option = format!("--server=127.0.0.1#{}", closed.port());
    let silent = Upstream::scripted(|_| Vec::new());
    let malformed = Upstream::scripted(|asked| {
        let mut reply = address(asked).wire(asked);
        reply.truncate(reply.len() - 13);
        vec![reply]
    });
    let refusing = |rcode| Upstream::replying(move |_| Reply::error(rcode));
    let servfail = refusing(RCode::SERVFAIL);
    let refused = refusing(RCode::REFUSED);
    let first_options = [closed_option, silent.option(), malformed.option(), servfail.option(), refused.option()];
    for first in &first_options {
        let good = Upstream::replying(address);
        let daemon = RESOLVER.start(&["--strict-order", first, &good.option()]);
        assert_eq!(ask(daemon.address, &TestQuery::new("x.", RecordType::A)).answer.len(), 1, "after {first}");
        let [bad, helped] = &daemon.status().servers[..] else { panic!("two servers") };
        assert!(bad.sent >= 1 && helped.sent >= 1, "{first}: {} and {}", bad.sent, helped.sent);
    }
    assert!(!silent.seen().is_empty());
}

#[test]
fn the_server_that_answered_is_favoured_after_a_race_of_all() {
    let bad = Upstream::replying(|_| Reply::error(RCode::SERVFAIL));
    let good = Upstream::replying(address);
    let daemon = RESOLVER.start(&[&bad.option(), &good.option()]);
    for number in 0..20 {
        assert_eq!(ask(daemon.address, &TestQuery::new(&format!("n{number}."), RecordType::A)).answer.len(), 1);
    }
    let [lost, won] = &daemon.status().servers[..] else { panic!("two servers") };
    // Never, if the good one was quicker in the race than we at asking both; once more for each time that it was late.
    assert!(lost.sent <= 5 && won.sent >= 20, "{} and {}", lost.sent, won.sent);
}

#[test]
fn a_failure_is_told_with_its_reason_and_remembered() {
    let upstream = Upstream::replying(|_| Reply::error(RCode::REFUSED));
    let daemon = RESOLVER.start(&[&upstream.option()]);
    for _ in 0..3 {
        let answer = ask(daemon.address, &TestQuery::new("x.", RecordType::A).edns(1232, false));
        assert_eq!(answer.rcode(), RCode::SERVFAIL);
        let edns = answer.edns.unwrap();
        let [option] = &edns.options[..] else { panic!("one option: {edns:?}") };
        assert_eq!((option.code, &option.data[..2]), (15, &[0, 22][..]));
        assert!(String::from_utf8_lossy(&option.data[2..]).contains("x. A"));
    }
    assert_eq!(upstream.seen().len(), 1);
}

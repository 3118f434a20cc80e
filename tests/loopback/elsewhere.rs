//! Another server is asked once what one has said is bogus: of those that are forwarded to, and of a zone's own.

use std::sync::Arc;

use resolver_tests::client::ask;
use resolver_tests::daemon::Daemon;
use resolver_tests::message::{TestQuery, record};
use resolver_tests::signed::SignedTree;
use resolver_tests::upstream::{Asked, Reply, Upstream};
use resolver_user::wire::{RCode, RecordType};

use super::RESOLVER;

/// What a broken server makes of the reply of an honest one.
type Break = fn(&Asked, Reply) -> Reply;

/// A server of the signed tree that breaks its replies.
fn server(tree: &Arc<SignedTree>, breaks: Break) -> Upstream {
    let tree = Arc::clone(tree);
    Upstream::replying(move |asked| breaks(asked, tree.reply(asked)))
}

/// The same as an authoritative server: AA and not RA.
fn authoritative(tree: &Arc<SignedTree>, breaks: Break) -> Upstream {
    let tree = Arc::clone(tree);
    Upstream::scripted(move |asked| {
        let mut wire = breaks(asked, tree.reply(asked)).wire(asked);
        wire[2] |= 4;
        wire[3] &= 0x7f;
        vec![wire]
    })
}

fn honest(_: &Asked, reply: Reply) -> Reply {
    reply
}

/// As a server that knows no DNSSEC: no signatures, no proofs.
fn strips(_: &Asked, mut reply: Reply) -> Reply {
    let is_proof = |rtype| matches!(rtype, RecordType::RRSIG | RecordType::NSEC);
    reply.answer.retain(|record| !is_proof(record.rtype));
    reply.authority.retain(|record| !is_proof(record.rtype));
    reply
}

/// Addresses are not those that were signed.
fn forges(_: &Asked, mut reply: Reply) -> Reply {
    let addresses = reply.answer.iter_mut().filter(|record| record.rtype == RecordType::A);
    addresses.for_each(|record| record.rdata = vec![6, 6, 6, 6]);
    reply
}

/// A validating daemon that asks these servers in turn.
fn start(tree: &SignedTree, servers: &[&Upstream]) -> Daemon {
    let options: Vec<String> = servers.iter().map(|server| server.option()).collect();
    let anchor = tree.anchor_option();
    let fixed = ["--dnssec", &anchor, "--strict-order"];
    RESOLVER.start(&[&fixed[..], &options.iter().map(String::as_str).collect::<Vec<_>>()].concat())
}

/// RCODE, AD, and the address of an answer.
fn seen(daemon: &Daemon, qname: &str) -> (RCode, bool, Vec<u8>) {
    let answer = ask(daemon.address, &TestQuery::new(qname, RecordType::A).edns(1232, true));
    let address = answer.answer.iter().find(|record| record.rtype == RecordType::A);
    let address = address.map(|record| record.rdata.to_vec()).unwrap_or_default();
    (answer.rcode(), answer.header.flags.authentic_data, address)
}

/// How often a server was asked for an address of a name.
fn asked_for(server: &Upstream, qname: &str) -> usize {
    let name = qname.parse().unwrap();
    server.seen().iter().filter(|asked| asked.question.qname == name && asked.question.qtype == RecordType::A).count()
}

fn right() -> (RCode, bool, Vec<u8>) {
    (RCode::NOERROR, true, vec![192, 0, 2, 1])
}

#[test]
fn an_upstream_that_strips_signatures_is_found_out_and_passed_over() {
    let tree = Arc::new(SignedTree::default());
    let (broken, good) = (server(&tree, strips), server(&tree, honest));
    let daemon = start(&tree, &[&broken, &good]);
    assert_eq!(seen(&daemon, "www.example."), right());
    assert_eq!(asked_for(&broken, "www.example."), 1, "it is the first");
    assert_eq!((daemon.counter("bogus_mended"), daemon.counter("outcomes_bogus")), (1, 0));
    let before = broken.seen().len();
    for number in 0..10 {
        assert_eq!(seen(&daemon, &format!("x{number}.example.")), right());
    }
    assert_eq!(broken.seen().len(), before, "it is doubted now");
    assert_eq!(seen(&daemon, "none.example."), (RCode::NXDOMAIN, true, vec![]));
}

#[test]
fn a_bogus_reply_is_in_no_cache_once_a_better_one_was_found() {
    let tree = Arc::new(SignedTree::default());
    let (broken, good) = (server(&tree, forges), server(&tree, honest));
    let daemon = start(&tree, &[&broken, &good]);
    assert_eq!(seen(&daemon, "www.example."), right());
    let unchecked = TestQuery { checking_disabled: true, ..TestQuery::new("www.example.", RecordType::A) };
    let answer = ask(daemon.address, &unchecked);
    assert_eq!(answer.answer.first().map(|record| record.rdata.to_vec()), Some(vec![192, 0, 2, 1]));
    assert_eq!((asked_for(&broken, "www.example."), asked_for(&good, "www.example.")), (1, 1));
}

#[test]
fn data_that_are_bogus_everywhere_are_asked_for_once_at_each_server_and_then_at_one() {
    let tree = Arc::new(SignedTree::default());
    let (first, second) = (server(&tree, honest), server(&tree, honest));
    let daemon = start(&tree, &[&first, &second]);
    assert_eq!(seen(&daemon, "forged.example."), (RCode::SERVFAIL, false, vec![]));
    assert_eq!((asked_for(&first, "forged.example."), asked_for(&second, "forged.example.")), (1, 1));
    assert_eq!((daemon.counter("bogus_replaced"), daemon.counter("bogus_mended")), (1, 0));
    // Whatever else is bogus in the zone: there is nobody left who might know better.
    assert_eq!(seen(&daemon, "naked.example."), (RCode::SERVFAIL, false, vec![]));
    assert_eq!(asked_for(&first, "naked.example.") + asked_for(&second, "naked.example."), 1);
    assert_eq!(seen(&daemon, "www.example."), right(), "what is right stays right");
    assert_eq!(daemon.counter("outcomes_bogus"), 2);
}

#[test]
fn of_two_servers_of_a_zone_the_one_with_good_data_is_enough() {
    let tree = Arc::new(SignedTree::default());
    for breaks in [forges as Break, strips] {
        let (broken, good) = (authoritative(&tree, breaks), authoritative(&tree, honest));
        let above = server(&tree, honest);
        let stub = |server: &Upstream| format!("--stub=/example/{}#{}", server.address.ip(), server.address.port());
        let anchor = tree.anchor_option();
        let daemon = RESOLVER.start(&["--dnssec", &anchor, &stub(&broken), &stub(&good), &above.option()]);
        for number in 0..30 {
            assert_eq!(seen(&daemon, &format!("x{number}.example.")), right(), "{number}");
        }
        let asked: usize = (0..30).map(|number| asked_for(&broken, &format!("x{number}.example."))).sum();
        assert!(asked <= 1, "asked {asked} times");
        assert_eq!(daemon.counter("outcomes_bogus"), 0);
    }
}

#[test]
fn a_zone_that_is_bogus_is_soon_told_to_be_though_the_other_server_is_dead() {
    let tree = Arc::new(SignedTree::default());
    let (alive, dead) = (server(&tree, honest), Upstream::scripted(|_| Vec::new()));
    let daemon = start(&tree, &[&dead, &alive]);
    // Until it is known to be silent.
    for number in 0..6 {
        assert_eq!(seen(&daemon, &format!("x{number}.example.")), right());
    }
    for qname in ["forged.example.", "naked.example.", "expired.example."] {
        assert_eq!(seen(&daemon, qname), (RCode::SERVFAIL, false, vec![]));
        assert!(asked_for(&dead, qname) <= 1, "one try for something better, and no wait for a second one");
    }
    assert_eq!(seen(&daemon, "x0.example."), right());
}

/// An unsigned zone whose replies look as if they were the root's own, with all signatures lost.
#[test]
fn a_zone_that_only_looks_bogus_takes_nothing_from_others() {
    fn poses(asked: &Asked, mut reply: Reply) -> Reply {
        if asked.question.qname.to_string().ends_with("www.plain.") {
            reply.authority.push(record(".", RecordType::NS, 300, b"\x02ns\x00"));
        }
        reply
    }
    let tree = Arc::new(SignedTree::default());
    let (broken, good) = (server(&tree, |asked, reply| poses(asked, forges_x(asked, reply))), server(&tree, poses));
    let daemon = start(&tree, &[&broken, &good]);
    let answer = ask(daemon.address, &TestQuery::new("www.plain.", RecordType::A).edns(1232, true));
    assert_eq!(
        (answer.rcode(), answer.header.flags.authentic_data),
        (RCode::NOERROR, false),
        "unsigned, as it should be"
    );
    assert_eq!(asked_for(&good, "www.plain."), 1, "it did look bogus");
    assert_eq!(seen(&daemon, "x1.example."), right(), "there is somebody left who is asked for something better");
    assert_eq!(asked_for(&broken, "x1.example."), 1);
}

/// Only names that begin with x are broken.
fn forges_x(asked: &Asked, reply: Reply) -> Reply {
    if asked.question.qname.to_string().starts_with('x') { forges(asked, reply) } else { reply }
}

#[test]
fn many_who_ask_at_once_share_the_better_reply() {
    let tree = Arc::new(SignedTree::default());
    let (broken, good) = (server(&tree, strips), server(&tree, honest));
    let daemon = start(&tree, &[&broken, &good]);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let daemon = &daemon;
            scope.spawn(move || assert_eq!(seen(daemon, &format!("x{number}.example.")), right(), "{number}"));
        }
    });
    let keys = good.seen().into_iter().filter(|asked| asked.question.qtype == RecordType::DNSKEY).count();
    assert!(keys <= 4, "keys of two zones were asked for {keys} times");
}

//! Another server is asked once what one has said is bogus: of those that are forwarded to, and of a zone's own.

use std::sync::Arc;

use resolver_tests::client::ask;
use resolver_tests::daemon::Daemon;
use resolver_tests::message::TestQuery;
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

//! What earlier answers leave at hand: aliases for other types, where they lead, a DNAME for other names; and what it is not used for.

use std::net::UdpSocket;
use std::sync::{Arc, Barrier};

use nix::sys::signal::Signal;
use resolver_tests::client::{ask, receive, udp};
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::{TestQuery, a};
use resolver_tests::signed::{SignedTree, TTL_S};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

/// A validating daemon before the signed tree, with more options.
fn start(options: &[&str]) -> (Upstream, Daemon) {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let daemon =
        RESOLVER.start(&[&["--dnssec", "--trust-anchor-signaling=no", &anchor, &upstream.option()], options].concat());
    (upstream, daemon)
}

/// The answer to a question, and what the server was asked for it but keys and DS.
fn asked(upstream: &Upstream, daemon: &Daemon, qname: &str, qtype: RecordType) -> (Message, Vec<String>) {
    let before = upstream.seen().len();
    let answer = ask(daemon.address, &TestQuery::new(qname, qtype).edns(1232, true));
    let seen = upstream.seen().into_iter().skip(before).map(|asked| asked.question);
    let chain = [RecordType::DS, RecordType::DNSKEY];
    (answer, seen.filter(|asked| !chain.contains(&asked.qtype)).map(|asked| asked.to_string()).collect())
}

fn owners(answer: &Message) -> Vec<String> {
    let data = answer.answer.iter().filter(|record| record.rtype != RecordType::RRSIG);
    data.map(|record| format!("{} {}", record.owner.to_lowercase(), record.rtype)).collect()
}

#[test]
fn an_alias_serves_every_type_and_what_it_leads_to_every_alias() {
    let (upstream, daemon) = start(&[]);
    for (qname, qtype, expected, sent) in [
        (
            "z-1.example.",
            RecordType::A,
            &["z-1.example. CNAME", "www.example. A"][..],
            &["z-1.example. A", "www.example. A"][..],
        ),
        ("Z-1.example.", RecordType::TXT, &["z-1.example. CNAME"], &["www.example. TXT"]),
        ("z-1.example.", RecordType::CNAME, &["z-1.example. CNAME"], &[]),
        ("z-2.example.", RecordType::A, &["z-2.example. CNAME", "www.example. A"], &["z-2.example. A"]),
        // The set itself came with the first answer, to another question.
        ("www.example.", RecordType::A, &["www.example. A"], &[]),
        // Denied with its proof, which came with the second one.
        ("www.example.", RecordType::MX, &[], &[]),
        ("z-2.example.", RecordType::TXT, &["z-2.example. CNAME"], &[]),
    ] {
        let (answer, seen) = asked(&upstream, &daemon, qname, qtype);
        assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, true), "{qname} {qtype}");
        assert_eq!(owners(&answer), expected, "{qname} {qtype}");
        assert_eq!(seen, sent, "{qname} {qtype}");
        assert!(
            answer
                .answer
                .iter()
                .all(|record| (TTL_S - 10..=TTL_S).contains(&record.ttl_s) || !expected.contains(&"www.example. A"))
        );
    }
    let unchecked =
        TestQuery { checking_disabled: true, ..TestQuery::new("z-2.example.", RecordType::MX).edns(1232, true) };
    let answer = ask(daemon.address, &unchecked);
    assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, true), "secure, CD or not");
    assert!(daemon.counter("at_hand") >= 5);
    assert_eq!(daemon.counter("at_hand_refused"), 0);
}

#[test]
fn a_secure_dname_serves_all_names_below_it_and_an_insecure_one_does_not() {
    let (upstream, daemon) = start(&[]);
    let (first, seen) = asked(&upstream, &daemon, "x1.z-tree.example.", RecordType::A);
    assert_eq!(seen, ["x1.z-tree.example. A", "x1.example. A"]);
    let (second, seen) = asked(&upstream, &daemon, "x2.z-tree.example.", RecordType::A);
    assert_eq!(seen, ["x2.example. A"]);
    assert_eq!(owners(&second), ["z-tree.example. DNAME", "x2.z-tree.example. CNAME", "x2.example. A"]);
    assert!(first.header.flags.authentic_data && second.header.flags.authentic_data);
    asked(&upstream, &daemon, "www.t.plain.", RecordType::A);
    let (other, seen) = asked(&upstream, &daemon, "x.t.plain.", RecordType::A);
    assert_eq!((other.rcode(), other.header.flags.authentic_data), (RCode::NOERROR, false));
    assert_eq!(seen.first().map(String::as_str), Some("x.t.plain. A"));
}

#[test]
fn a_dname_is_nothing_to_names_that_have_servers_of_their_own() {
    let private =
        Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), TTL_S, [192, 168, 1, 2])]));
    let (upstream, daemon) = start(&[&private.option_for("x9.z-tree.example"), "--trust-anchor=x9.z-tree.example"]);
    asked(&upstream, &daemon, "x1.z-tree.example.", RecordType::A);
    let (answer, seen) = asked(&upstream, &daemon, "nas.x9.z-tree.example.", RecordType::A);
    assert_eq!((owners(&answer), seen), (vec!["nas.x9.z-tree.example. A".to_owned()], Vec::new()));
    assert_eq!(private.seen().len(), 1);
}

#[test]
fn an_alias_with_ttl_0_serves_once() {
    let (upstream, daemon) = start(&[]);
    for qtype in [RecordType::A, RecordType::TXT, RecordType::A] {
        let (answer, seen) = asked(&upstream, &daemon, "z-0.example.", qtype);
        assert!(answer.header.flags.authentic_data && answer.answer.iter().all(|record| record.ttl_s == 0), "{qtype}");
        assert_eq!(seen.first(), Some(&format!("z-0.example. {qtype}")));
    }
}

#[test]
fn what_is_put_together_wrong_is_asked_for() {
    let (upstream, daemon) = start(&[]);
    let (alias, _) = asked(&upstream, &daemon, "z-forged.example.", RecordType::CNAME);
    assert!(alias.header.flags.authentic_data);
    let (answer, seen) = asked(&upstream, &daemon, "z-forged.example.", RecordType::A);
    assert_eq!((answer.rcode(), answer.answer.len()), (RCode::SERVFAIL, 0));
    assert_eq!(seen, ["forged.example. A", "z-forged.example. A", "forged.example. A"]);
    assert_eq!((daemon.counter("at_hand"), daemon.counter("at_hand_refused")), (1, 1));
}

#[test]
fn after_a_change_of_the_configuration_nothing_is_at_hand() {
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", "");
    let (upstream, daemon) = start(&[&format!("--conf-file={file}")]);
    asked(&upstream, &daemon, "z-1.example.", RecordType::A);
    directory.file("r.conf", "max-cache-ttl=100\n");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads", 1);
    let (_, seen) = asked(&upstream, &daemon, "z-1.example.", RecordType::TXT);
    assert_eq!(seen, ["z-1.example. TXT", "www.example. TXT"]);
    assert_eq!(daemon.counter("at_hand"), 0);
}

#[test]
fn a_wildcard_answers_for_another_name_with_its_proof_and_is_asked_for_once() {
    let (upstream, daemon) = start(&[]);
    for (qname, sent) in [
        ("one.y.example.", &["one.y.example. A"][..]),
        ("TWO.y.example.", &[]),
        ("two.y.example.", &[]),
        ("deep.down.y.example.", &[]),
        // Known to be the wildcard's is what is below it; this is not.
        ("why.example.", &["why.example. A"]),
    ] {
        let (answer, seen) = asked(&upstream, &daemon, qname, RecordType::A);
        assert_eq!(seen, sent, "{qname}");
        if qname == "why.example." {
            assert_eq!((answer.rcode(), answer.answer.len()), (RCode::NXDOMAIN, 0));
            continue;
        }
        assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, true), "{qname}");
        assert!(answer.answer.iter().all(|record| record.owner == qname.parse().unwrap()), "{answer:?}");
        assert_eq!(answer.answer[0].rdata[..], [192, 0, 2, 7]);
        assert!(answer.authority.iter().any(|record| record.rtype == RecordType::NSEC), "{qname}: with its proof");
    }
    assert_eq!(daemon.counter("wildcards_from_cache"), 2, "the third time it was in the cache of answers");
    assert_eq!(daemon.counter("at_hand_refused"), 0);
}

#[test]
fn what_begins_at_hand_and_goes_on_with_servers_is_refused_where_they_have_too_much_to_do() {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let gate = Arc::new(Barrier::new(3));
    let server_gate = Arc::clone(&gate);
    let upstream = Upstream::replying(move |asked| {
        if asked.question.qname.to_string().starts_with("xw") {
            server_gate.wait();
        }
        tree.reply(asked)
    });
    let patient = "--fast-dns-retry=10000,30000";
    let daemon = RESOLVER.start(&["--dnssec", &anchor, &upstream.option(), "--dns-forward-max=2", patient]);
    let tree_name = |label: &str| TestQuery::new(&format!("{label}.z-tree.example."), RecordType::A);
    assert_eq!(ask(daemon.address, &tree_name("x1")).answer.len(), 3);
    let waiting: Vec<UdpSocket> = (0..2).map(|_| udp(daemon.address)).collect();
    for (client, label) in waiting.iter().zip(["xw1", "xw2"]) {
        client.send(&tree_name(label).wire()).unwrap();
    }
    let before = daemon.counter("at_hand");
    daemon.wait_for_counter("at_hand", before.max(2));
    let known = |label: &str| upstream.seen().iter().any(|asked| asked.question.qname.to_string().starts_with(label));
    while !(known("xw1.example") && known("xw2.example")) {
        std::thread::yield_now();
    }
    for checking_disabled in [false, true] {
        let query = TestQuery { checking_disabled, ..tree_name("x3") };
        let answer = ask(daemon.address, &query);
        assert_eq!((answer.rcode(), answer.answer.len()), (RCode::REFUSED, 0));
    }
    assert!(daemon.counter("refused_forward_max") >= 2 && !known("x3"));
    // The name itself is known, so nobody needs to be asked where the DNAME leads to.
    let alias = TestQuery::new("x1.z-tree.example.", RecordType::CNAME).edns(1232, true);
    assert_eq!(ask(daemon.address, &alias).rcode(), RCode::NOERROR);
    gate.wait();
    for client in &waiting {
        assert_eq!(Message::read(&receive(client)).unwrap().answer.len(), 3);
    }
    assert_eq!(ask(daemon.address, &tree_name("x3")).answer.len(), 3, "the refusal was not remembered");
}

#[test]
fn clients_that_judge_for_themselves_see_the_whole_way_of_aliases_even_where_its_end_is_bogus() {
    let (_upstream, daemon) = start(&[]);
    for qname in ["z-forged.example.", "forged.z-tree.example."] {
        let query = TestQuery::new(qname, RecordType::A).edns(1232, true);
        assert_eq!(ask(daemon.address, &query).rcode(), RCode::SERVFAIL, "{qname}");
        for _ in 0..2 {
            let answer = ask(daemon.address, &TestQuery { checking_disabled: true, ..query.clone() });
            assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, false), "{qname}");
            let last = answer.answer.iter().rfind(|record| record.rtype == RecordType::A).map(|record| &*record.rdata);
            assert_eq!(last, Some(&[6, 6, 6, 6][..]), "{qname}: {:?}", owners(&answer));
            let made = owners(&answer).iter().filter(|owner| owner.ends_with("CNAME")).count();
            assert_eq!(made, 1, "{qname}: {:?}", owners(&answer));
        }
    }
}

#[test]
fn filters_hold_for_what_is_put_together() {
    let (upstream, daemon) = start(&["--stop-dns-rebind", "--rebind-domain-ok=/www.example/"]);
    let (allowed, _) = asked(&upstream, &daemon, "www.example.", RecordType::A);
    assert_eq!(owners(&allowed), ["www.example. A"], "an address that counts as private, but is let through");
    asked(&upstream, &daemon, "z-1.example.", RecordType::TXT);
    let (composed, seen) = asked(&upstream, &daemon, "z-1.example.", RecordType::A);
    assert_eq!((owners(&composed), seen), (Vec::new(), Vec::new()), "nobody was asked, and nothing is let through");
    assert!(daemon.counter("at_hand") > 0 && !composed.header.flags.authentic_data);
    let (again, _) = asked(&upstream, &daemon, "www.example.", RecordType::A);
    assert_eq!(owners(&again), ["www.example. A"]);
}

#[test]
fn a_secure_alias_at_hand_makes_nothing_secure_that_it_leads_to() {
    let private = Upstream::replying(|asked| match asked.question.qtype {
        RecordType::A => Reply::answer(vec![a(&asked.question.qname.to_string(), TTL_S, [192, 168, 1, 2])]),
        _ => Reply::answer(Vec::new()),
    });
    let (upstream, daemon) = start(&[&private.option_for("lan")]);
    for qtype in [RecordType::A, RecordType::AAAA, RecordType::A] {
        let (answer, _) = asked(&upstream, &daemon, "alias.example.", qtype);
        assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, false), "{qtype}");
        assert_eq!(owners(&answer)[0], "alias.example. CNAME");
        assert_eq!(owners(&answer).len(), 1 + usize::from(qtype == RecordType::A), "{qtype}");
    }
    assert!(daemon.counter("at_hand") > 0);
    assert!(private.seen().iter().all(|asked| asked.question.qname == "nas.lan.".parse().unwrap()));
}

/// Whatever one client asks for, the next one gets the same as before.
#[test]
fn odd_questions_leave_nothing_behind_that_is_wrong_for_others() {
    let odd = [1, 2, 5, 6, 24, 25, 30, 39, 43, 46, 47, 48, 50, 51, 59, 64, 65, 255, 257, 65_280].map(RecordType);
    let names = ["www.example.", "z-1.example.", "n1.z-tree.example.", "one.y.example.", "example.", "plain."];
    let (upstream, daemon) = start(&[]);
    let (fresh_upstream, fresh) = start(&["--cache-size=0"]);
    for (qname, qtype) in names.iter().flat_map(|name| odd.map(|qtype| (*name, qtype))) {
        let query = TestQuery::new(qname, qtype);
        for query in [
            TestQuery { checking_disabled: true, ..query.clone() },
            TestQuery { recursion_desired: false, ..query.clone() },
            query.clone().edns(1232, true),
        ] {
            ask(daemon.address, &query);
        }
        // Another class.
        let mut wire = query.wire();
        *wire.last_mut().unwrap() = 4;
        let client = udp(daemon.address);
        client.send(&wire).unwrap();
        receive(&client);
    }
    for (qname, qtype) in names.iter().flat_map(|name| [RecordType::A, RecordType::TXT].map(|qtype| (*name, qtype))) {
        let (answer, _) = asked(&upstream, &daemon, qname, qtype);
        let (expected, _) = asked(&fresh_upstream, &fresh, qname, qtype);
        let seen = |answer: &Message| (answer.rcode(), answer.header.flags.authentic_data, owners(answer));
        assert_eq!(seen(&answer), seen(&expected), "{qname} {qtype}");
    }
}

//! What earlier answers leave at hand: aliases for other types, where they lead, a DNAME for other names; and what it is not used for.

use nix::sys::signal::Signal;
use resolver_tests::client::ask;
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

//! Split DNS under `dnssec`: domains with servers of their own.

use nix::sys::signal::Signal;
use resolver_tests::client::ask;
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::{TestQuery, a, cname, soa};
use resolver_tests::signed::SignedTree;
use resolver_tests::upstream::{Asked, Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

/// What the servers of `lan` say: nothing is signed.
fn of_lan(asked: &Asked) -> Reply {
    let owner = asked.question.qname.to_string();
    match (owner.as_str(), asked.question.qtype) {
        ("nas.lan.", RecordType::A) => Reply::answer(vec![a(&owner, 60, [192, 168, 1, 2])]),
        // It follows the alias by itself, and is believed no further than its own domain.
        ("out.lan.", RecordType::A) => {
            Reply::answer(vec![cname(&owner, 60, "www.example."), a("www.example.", 60, [6, 6, 6, 6])])
        }
        _ => Reply { authority: vec![soa("lan.", 60, 60)], ..Reply::error(RCode::NXDOMAIN) },
    }
}

struct Split {
    public: Upstream,
    private: Upstream,
    daemon: Daemon,
}

/// A validating daemon with a public tree and servers of `lan`, which it knows of as the option says.
fn start(option: impl Fn(&Upstream) -> Vec<String>) -> Split {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let public = Upstream::replying(move |asked| tree.reply(asked));
    let private = Upstream::replying(of_lan);
    let mut options = vec!["--dnssec".to_owned(), anchor, public.option()];
    options.extend(option(&private));
    let daemon = RESOLVER.start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    Split { public, private, daemon }
}

fn asked(split: &Split, qname: &str, qtype: RecordType) -> Message {
    ask(split.daemon.address, &TestQuery::new(qname, qtype).edns(1232, true))
}

#[test]
fn a_private_domain_is_answered_without_ad_and_without_an_error() {
    let split = start(|private| vec![private.option_for("lan")]);
    // What this proves about names beside it says nothing of the private domain.
    assert_eq!(asked(&split, "lbn.", RecordType::A).rcode(), RCode::NXDOMAIN);
    for (qname, rcode, answers) in [("nas.lan.", RCode::NOERROR, 1), ("none.lan.", RCode::NXDOMAIN, 0)] {
        let answer = asked(&split, qname, RecordType::A);
        assert_eq!((answer.rcode(), answer.answer.len()), (rcode, answers), "{qname}");
        assert!(!answer.header.flags.authentic_data);
        assert!(answer.edns.unwrap().options.is_empty());
    }
    assert_eq!(split.daemon.counter("outcomes_insecure"), 2);
    // The proof came from the parent's servers; the domain's own were asked about nothing else.
    let of_public: Vec<String> = split.public.seen().iter().map(|asked| asked.question.to_string()).collect();
    assert!(of_public.contains(&"lan. DS".to_owned()), "{of_public:?}");
    assert!(!of_public.iter().any(|question| question.contains("nas.lan.")), "{of_public:?}");
    assert_eq!(split.private.seen().len(), 2);
    // Public names are validated as ever.
    assert!(asked(&split, "www.example.", RecordType::A).header.flags.authentic_data);
    assert_eq!(asked(&split, "naked.example.", RecordType::A).rcode(), RCode::SERVFAIL);
}

#[test]
fn a_reload_makes_a_domain_private_and_public_again() {
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", "");
    let split = start(|_| vec![format!("--conf-file={file}")]);
    let of_lan = split.private.option_for("lan").trim_start_matches("--").to_owned();
    for (reloads, lines) in ["", &of_lan, ""].into_iter().enumerate() {
        if reloads > 0 {
            directory.file("r.conf", lines);
            split.daemon.signal(Signal::SIGHUP);
            split.daemon.wait_for_counter("reloads", reloads as u64);
        }
        let answer = asked(&split, "nas.lan.", RecordType::A);
        // The tree denies `lan.`, but gives no proof for names below it: bogus, unless the domain is private.
        let expected = if lines.is_empty() { (RCode::SERVFAIL, false) } else { (RCode::NOERROR, false) };
        assert_eq!((answer.rcode(), answer.header.flags.authentic_data), expected, "{lines}");
    }
}

#[test]
fn what_is_said_of_a_name_below_a_domain_that_is_never_forwarded_counts_and_the_rest_is_nodata() {
    let split = start(|private| {
        let options = ["--local=/example/", "--address=/nas.example/10.0.0.9", "--host-record=h.example,10.0.0.8"];
        options.map(str::to_owned).into_iter().chain([private.option_for("up.example")]).collect()
    });
    for (qname, qtype, rcode, answers) in [
        ("nas.example.", RecordType::A, RCode::NOERROR, 1),
        // The public tree, which signs example., has no say in either.
        ("nas.example.", RecordType::AAAA, RCode::NOERROR, 0),
        ("h.example.", RecordType::A, RCode::NOERROR, 1),
        ("h.example.", RecordType::TXT, RCode::NOERROR, 0),
        ("www.example.", RecordType::A, RCode::NXDOMAIN, 0),
    ] {
        let answer = asked(&split, qname, qtype);
        assert_eq!((answer.rcode(), answer.answer.len()), (rcode, answers), "{qname} {qtype}");
        assert!(!answer.header.flags.authentic_data);
    }
    assert!(split.public.seen().is_empty() && split.private.seen().is_empty());
    asked(&split, "x.up.example.", RecordType::A);
    assert_eq!(split.private.seen()[0].question.to_string(), "x.up.example. A");
}

#[test]
fn the_same_data_from_the_usual_servers_are_bogus() {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let both = Upstream::replying(move |asked| match asked.question.qname.to_string().as_str() {
        "nas.lan." => of_lan(asked),
        _ => tree.reply(asked),
    });
    let daemon = RESOLVER.start(&["--dnssec", &anchor, &both.option()]);
    let answer = ask(daemon.address, &TestQuery::new("nas.lan.", RecordType::A));
    assert_eq!(answer.rcode(), RCode::SERVFAIL);
    assert_eq!(daemon.counter("outcomes_bogus"), 1);
}

#[test]
fn servers_of_a_domain_that_is_signed_in_public_must_sign() {
    let split = start(|private| vec![private.option_for("www.example")]);
    // The private servers deny every name of it, without a proof.
    let answer = asked(&split, "www.example.", RecordType::A);
    assert_eq!(answer.rcode(), RCode::NXDOMAIN, "no zone starts at www.example: it may be private");
    let signed = start(|private| vec![private.option_for("example")]);
    assert_eq!(asked(&signed, "www.example.", RecordType::A).rcode(), RCode::SERVFAIL, "one starts at example");
}

#[test]
fn aliases_across_the_border_are_asked_of_those_who_know() {
    let split = start(|private| vec![private.option_for("lan")]);
    let answer = asked(&split, "alias.example.", RecordType::A);
    assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, false));
    let addresses: Vec<&[u8]> = answer.answer.iter().filter(|r| r.rtype == RecordType::A).map(|r| &*r.rdata).collect();
    assert_eq!(addresses, [[192, 168, 1, 2]]);
    let answer = asked(&split, "out.lan.", RecordType::A);
    let addresses: Vec<&[u8]> = answer.answer.iter().filter(|r| r.rtype == RecordType::A).map(|r| &*r.rdata).collect();
    assert_eq!(addresses, [[192, 0, 2, 1]], "what is signed comes from where it is signed");
}

#[test]
fn an_alias_into_a_domain_that_is_never_forwarded_leads_nowhere() {
    let split = start(|_| vec!["--local=/lan/".to_owned()]);
    let answer = asked(&split, "alias.example.", RecordType::A);
    assert_eq!(
        (answer.rcode(), answer.answer.iter().filter(|r| r.rtype == RecordType::A).count()),
        (RCode::NXDOMAIN, 0)
    );
    assert!(!split.public.seen().iter().any(|asked| asked.question.to_string() == "nas.lan. A"));
    assert!(split.private.seen().is_empty());
}

#[test]
fn a_server_without_edns_is_believed_only_where_nothing_need_be_signed() {
    let old = |reply: fn(&Asked) -> Reply| {
        Upstream::replying(move |asked| match asked.message.edns {
            Some(_) => Reply { edns: false, ..Reply::error(RCode::FORMERR) },
            None => Reply { edns: false, ..reply(asked) },
        })
    };
    let private = old(of_lan);
    let split = start(|_| vec![private.option_for("lan")]);
    assert_eq!(asked(&split, "nas.lan.", RecordType::A).answer.len(), 1);
    let stripped = old(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [192, 0, 2, 1])]));
    // It cannot show signatures, and the public tree says that there must be some.
    let daemon = RESOLVER.start(&["--dnssec", &SignedTree::default().anchor_option(), &stripped.option()]);
    let answer = ask(daemon.address, &TestQuery::new("www.example.", RecordType::A).edns(1232, true));
    assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::SERVFAIL, false));
}

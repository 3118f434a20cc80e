//! `resolver chain` and `resolver query` from the outside: exit codes, what they print, and whom they ask.

use std::process::{Command, Output, Stdio};

use resolver_tests::daemon::TestDirectory;
use resolver_tests::message::a;
use resolver_tests::signed::SignedTree;
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{RCode, RecordType};

use super::RESOLVER;

/// The signed tree as a server, its address with `@`, and the option with its anchor.
fn tree() -> (Upstream, String, String) {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let server = format!("@{}#{}", upstream.address.ip(), upstream.address.port());
    (upstream, server, anchor)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A socket that nobody listens on.
fn no_daemon(directory: &TestDirectory) -> String {
    format!("--control-socket={}", directory.path().join("none.sock").display())
}

#[test]
fn the_exit_code_tells_the_verdict_and_the_text_tells_why() {
    let (upstream, server, anchor) = tree();
    let directory = TestDirectory::new();
    let socket = no_daemon(&directory);
    for (qname, code, expected) in [
        (
            "www.example",
            0,
            &["example.  secure", "matches DNSKEY", "in use, vouched for", "A by example.", "verdict: secure"][..],
        ),
        ("nx.example", 0, &["NXDOMAIN", "covers nx.example.", "covers wildcard *.example.", "verdict: secure"]),
        ("www.plain", 0, &["plain.  insecure", "matches plain.: no DS, a delegation", "verdict: insecure"]),
        ("forged.example", 2, &["does not verify", "verdict: bogus", "extended error 6 (DNSSEC Bogus)"]),
        ("expired.example", 2, &["over for 24 h  expired", "extended error 7 (Signature Expired)"]),
        ("naked.example", 2, &["no RRSIG for naked.example. A", "extended error 10 (RRSIGs Missing)"]),
        ("elsewhere", 3, &["answered REFUSED", "verdict: indeterminate", "extended error 22"]),
    ] {
        let output = RESOLVER.output(&["chain", qname, "A", &server, &anchor, &socket]);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(code), "{qname}: {text}{}", String::from_utf8_lossy(&output.stderr));
        for expected in expected {
            assert!(text.contains(expected), "{qname}: {expected} is not in\n{text}");
        }
    }
    let seen = upstream.seen();
    assert!(seen.iter().all(|asked| asked.message.header.flags.checking_disabled), "CD");
    assert!(seen.iter().all(|asked| asked.message.edns.as_ref().is_some_and(|edns| edns.dnssec_ok)), "DO");
}

#[test]
fn a_reader_that_goes_away_changes_no_exit_code() {
    let (_upstream, server, anchor) = tree();
    let directory = TestDirectory::new();
    let socket = no_daemon(&directory);
    for (arguments, code) in [
        (&["chain", "www.example", &server, &anchor, &socket][..], 0),
        (&["chain", "forged.example", "--json", &server, &anchor, &socket], 2),
        (&["query", "www.example", &server, &socket], 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = Command::new(RESOLVER.0).args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_truncated_reply_is_fetched_by_tcp() {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| Reply { truncated: !asked.tcp, ..tree.reply(asked) });
    let server = format!("@{}#{}", upstream.address.ip(), upstream.address.port());
    let directory = TestDirectory::new();
    let output = RESOLVER.output(&["chain", "www.example", &server, &anchor, &no_daemon(&directory)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(upstream.seen().iter().any(|asked| asked.tcp && asked.question.qtype == RecordType::DNSKEY));
}

#[test]
fn the_running_daemons_servers_and_anchors_are_used() {
    let (upstream, _, anchor) = tree();
    let daemon = RESOLVER.start(&["--dnssec", &anchor, &upstream.option()]);
    let socket = format!("--control-socket={}", daemon.control.display());
    let output = RESOLVER.output(&["chain", "www.example", "A", "--json", &socket]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{json}");
    assert_eq!(json["servers"][0], upstream.address.to_string());
    assert_eq!(json["anchors_from"], "the running daemon's");
    assert_eq!(json["verdict"]["status"], "secure");
    assert_eq!(json["zones"][1]["zone"], "example.");
    assert_eq!(json["zones"][1]["ds"]["records"][0]["matches"], true);
    assert_eq!(json["zones"][1]["dnskey"][0]["state"], "in use");
    assert_eq!(daemon.counter("cache_misses"), 0, "the daemon itself is asked nothing");
}

#[test]
fn the_running_daemons_policy_and_negative_anchors_are_used() {
    let (upstream, _, anchor) = tree();
    for (option, qname, code, expected) in [
        ("--trust-anchor=forged.example", "forged.example", 0, "verdict: insecure"),
        ("--dnssec-no-timecheck", "expired.example", 0, "verdict: secure"),
        ("--dnssec-check-unsigned=no", "naked.example", 3, "verdict: unchecked"),
        ("--dnssec-limits=0,2", "www.example", 3, "signature checks"),
    ] {
        let daemon = RESOLVER.start(&["--dnssec", &anchor, &upstream.option(), option]);
        let socket = format!("--control-socket={}", daemon.control.display());
        let output = RESOLVER.output(&["chain", qname, &socket]);
        assert!(text(&output).contains(expected), "{option}: {}", text(&output));
        assert_eq!(output.status.code(), Some(code), "{option}");
    }
}

#[test]
fn wrong_arguments_and_nobody_to_ask_are_told() {
    let directory = TestDirectory::new();
    let socket = no_daemon(&directory);
    for (arguments, code, expected) in [
        (&["chain", "www.example"][..], 3, "name a server to ask"),
        (&["chain", "www.example", "NONSENSE", "@127.0.0.1"], 1, "unknown record type"),
        (&["chain", "www..example", "@127.0.0.1"], 1, "name \"www..example\""),
        (&["chain", "www.example", "@nonsense"], 1, "\"nonsense\" is no IP address"),
        (&["chain", "www.example", "@127.0.0.1", "--trust-anchor=.,1,2"], 1, "fields"),
        (&["chain", "a", "A", "@127.0.0.1", "b"], 1, "unexpected"),
        (&["chain", "a", "A", "b"], 1, "one name"),
        (&["query", "a", "@nonsense"], 1, "is no IP address"),
    ] {
        let output = RESOLVER.output(&[arguments, &[&*socket]].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
}

#[test]
fn a_query_tells_status_and_who_answered() {
    let (upstream, _, anchor) = tree();
    let daemon = RESOLVER.start(&["--dnssec", &anchor, &upstream.option()]);
    let socket = format!("--control-socket={}", daemon.control.display());
    for (arguments, expected) in [
        (&["www.example"][..], &[";; www.example. A: NOERROR, secure", "from upstream", "A\t192.0.2.1"][..]),
        (&["www.example"], &["from the daemon's cache"]),
        (&["www.example", "--dnssec"], &["secure", "RRSIG\tA 15 2 300 "]),
        (&["www.plain"], &["NOERROR, insecure"]),
        (&["www.example", "TXT"], &["NOERROR, secure", ";; authority", "SOA\tns.invalid."]),
        (
            &["forged.example"],
            &["SERVFAIL, bogus", "extended error 6 (DNSSEC Bogus): no valid RRSIG for forged.example. A"],
        ),
        (&["x.elsewhere"], &["SERVFAIL, failed", "extended error 22 (No Reachable Authority)"]),
    ] {
        let output = RESOLVER.output(&[&["query", &*socket], arguments].concat());
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        for expected in expected {
            assert!(text.contains(expected), "{arguments:?}: {expected} is not in\n{text}");
        }
        assert_eq!(text.contains("\tRRSIG\t"), arguments.contains(&"--dnssec"), "{text}");
    }
}

#[test]
fn a_query_to_another_server_claims_nothing() {
    let upstream = Upstream::replying(|asked| match asked.question.qtype {
        RecordType::A => Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])]),
        _ => Reply::error(RCode::REFUSED),
    });
    let server = format!("@{}#{}", upstream.address.ip(), upstream.address.port());
    let directory = TestDirectory::new();
    let socket = no_daemon(&directory);
    let output = RESOLVER.output(&["query", "x.", &server, &socket, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["status"], &json["rcode"]), (&"unknown".into(), &"NOERROR".into()));
    let refused = RESOLVER.output(&["query", "x.", "TXT", &server, &socket]);
    assert!(text(&refused).contains("REFUSED, failed"), "{}", text(&refused));
    let asked = upstream.seen().remove(0);
    assert!(asked.message.header.flags.authentic_data && !asked.message.edns.unwrap().dnssec_ok);
}

//! What the operator may change about validation, seen from outside: options at the start, negative anchors at run time.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use resolver_tests::client::ask;
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::TestQuery;
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::{RESOLVER, signed};

fn ask_for(daemon: &Daemon, qname: &str) -> Message {
    ask(daemon.address, &TestQuery::new(qname, RecordType::A).edns(1232, true))
}

/// RCODE and AD.
fn seen(daemon: &Daemon, qname: &str) -> (RCode, bool) {
    let answer = ask_for(daemon, qname);
    (answer.rcode(), answer.header.flags.authentic_data)
}

fn negative(daemon: &Daemon, words: &[&str]) -> (bool, String) {
    let socket = format!("--control-socket={}", daemon.control.display());
    let output = RESOLVER.output(&[&["anchors", "negative"], words, &[&socket]].concat());
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_negative_anchor_added_at_run_time_changes_what_is_cached_below_it_and_ends() {
    let (_upstream, daemon) = signed(&["--trust-anchor=lan"]);
    assert_eq!(seen(&daemon, "www.example."), (RCode::NOERROR, true));
    assert_eq!(seen(&daemon, "forged.example."), (RCode::SERVFAIL, false));
    let (done, list) = negative(&daemon, &["add", "Example", "--for", "1h"]);
    assert!(done && list.contains("Example.") && list.contains("lan.      configured"), "{list}");
    assert_eq!(seen(&daemon, "www.example."), (RCode::NOERROR, false));
    assert_eq!(seen(&daemon, "forged.example."), (RCode::NOERROR, false));
    let (done, list) = negative(&daemon, &["remove", "example."]);
    assert!(done && !list.to_lowercase().contains("example"), "{list}");
    assert_eq!(seen(&daemon, "www.example."), (RCode::NOERROR, true));
    assert_eq!(seen(&daemon, "forged.example."), (RCode::SERVFAIL, false));
    // One that ends by itself.
    assert!(negative(&daemon, &["add", "example", "--for", "1s"]).0);
    let ended = (0..400).any(|_| {
        std::thread::park_timeout(Duration::from_millis(10));
        seen(&daemon, "forged.example.") == (RCode::SERVFAIL, false)
    });
    assert!(ended && seen(&daemon, "www.example.") == (RCode::NOERROR, true));
}

#[test]
fn negative_anchors_that_cannot_be_are_refused_with_the_reason() {
    let (_upstream, daemon) = signed(&["--trust-anchor=lan"]);
    for (words, reason) in [
        (&["remove", "example"][..], "there is no negative anchor at example."),
        (&["remove", "lan"], "in the configuration"),
        (&["add", "a..b"], "domain \"a..b\""),
        (&["add", "example", "--for", "8d"], "legal: 1..=604800"),
        (&["add", "example", "--for", "soon"], "legal: a number with s, m, h or d"),
    ] {
        let (done, text) = negative(&daemon, words);
        assert!(!done && text.contains(reason), "{words:?}: {text}");
    }
    let upstream = Upstream::replying(|_| Reply::default());
    let daemon = RESOLVER.start(&[&upstream.option()]);
    assert!(negative(&daemon, &["list"]).1.contains("dnssec is off"));
}

#[test]
fn unsigned_answers_pass_unchecked_where_nobody_asks_for_proof() {
    let (_upstream, daemon) = signed(&["--dnssec-check-unsigned=no"]);
    assert_eq!(seen(&daemon, "naked.example."), (RCode::NOERROR, false));
    assert_eq!(seen(&daemon, "forged.example."), (RCode::SERVFAIL, false));
    assert_eq!(seen(&daemon, "www.example."), (RCode::NOERROR, true));
    assert_eq!((daemon.counter("outcomes_unchecked"), daemon.counter("outcomes_insecure")), (1, 0));
}

#[test]
fn debugging_gives_bogus_data_and_never_with_ad() {
    let (_upstream, daemon) = signed(&["--dnssec-debug"]);
    for qname in ["forged.example.", "expired.example.", "naked.example."] {
        for _ in 0..2 {
            let answer = ask_for(&daemon, qname);
            assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, false), "{qname}");
            assert!(!answer.answer.is_empty());
        }
    }
    assert_eq!(seen(&daemon, "www.example."), (RCode::NOERROR, true));
    assert_eq!(daemon.counter("outcomes_bogus"), 3);
}

#[test]
fn times_are_not_checked_if_so_told() {
    let (_upstream, daemon) = signed(&["--dnssec-no-timecheck"]);
    assert_eq!(seen(&daemon, "expired.example."), (RCode::NOERROR, true));
    assert_eq!(seen(&daemon, "forged.example."), (RCode::SERVFAIL, false));
}

#[test]
fn times_are_checked_once_the_clock_has_passed_the_timestamp_file() {
    let directory = TestDirectory::new();
    let path = directory.path().join("stamp");
    let option = format!("--dnssec-timestamp={}", path.display());
    let modified = || fs::metadata(&path).unwrap().modified().unwrap();
    // Missing: made, of 2015, passed at once and brought up to date.
    let started = SystemTime::now() - Duration::from_secs(2);
    let (upstream, daemon) = signed(&[&option]);
    assert_eq!(seen(&daemon, "expired.example."), (RCode::SERVFAIL, false));
    assert!(!daemon.status().awaits_clock);
    drop((upstream, daemon));
    assert!(modified() >= started, "brought up to date");
    // A clock that is behind: nothing expires until it is set. Here the file is ahead instead.
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::now() + Duration::from_secs(3600))
        .unwrap();
    let (_upstream, daemon) = signed(&[&option]);
    assert_eq!(seen(&daemon, "expired.example."), (RCode::NOERROR, true));
    assert!(daemon.status().awaits_clock);
    let shown = RESOLVER.output(&["status", &format!("--control-socket={}", daemon.control.display())]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("signature times are not checked until the clock is set"), "{shown}");
    let output = RESOLVER.output(&[
        "run",
        "--server=127.0.0.1",
        "--dnssec",
        "--xdp=off",
        "--port=1",
        "--dnssec-timestamp=/no/such/stamp",
        &format!("--control-socket={}", directory.path().join("c").display()),
        "--listen-address=127.0.0.1",
    ]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("/no/such/stamp"), "{text}");
}

#[test]
fn work_limits_are_options() {
    let (_upstream, daemon) = signed(&["--dnssec-limits=0,2"]);
    let answer = ask_for(&daemon, "www.example.");
    assert_eq!(answer.rcode(), RCode::SERVFAIL);
    assert_eq!(daemon.counter("outcomes_failed"), 1);
    // Two checks, which was all.
    let status = daemon.status();
    let checks = status.work.iter().find(|work| work.name == "signature_weight").expect("told");
    assert_eq!((checks.total, checks.most, checks.limit), (2, 2, Some(2)));
}

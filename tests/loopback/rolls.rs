//! Key rolls (RFC 5011) seen from outside, with hold-downs of seconds, and what our anchors are asked about (RFC 8509) and
//! tell (RFC 8145).

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use resolver_tests::client::{PATIENCE, ask};
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::TestQuery;
use resolver_tests::rolling::{RollingRoot, RootKey};
use resolver_tests::upstream::Upstream;
use resolver_user::wire::{RCode, RecordType};

use super::RESOLVER;

/// Hold-down of the tests, in seconds.
const HOLD_DOWN_S: u64 = 3;
const VALIDATED: (RCode, bool) = (RCode::NOERROR, true);
const FAILED: (RCode, bool) = (RCode::SERVFAIL, false);

fn upstream(root: &RollingRoot) -> Upstream {
    let root = root.clone();
    Upstream::replying(move |asked| root.reply(asked))
}

fn seen(daemon: &Daemon, qname: &str) -> (RCode, bool) {
    let answer = ask(daemon.address, &TestQuery::new(qname, RecordType::A).edns(1232, true));
    (answer.rcode(), answer.header.flags.authentic_data)
}

/// The state of a key, as the daemon tells it.
fn state(daemon: &Daemon, key: RootKey) -> Option<String> {
    daemon.anchors().into_iter().find(|anchor| anchor.key_tag == key.tag()).and_then(|anchor| anchor.state)
}

fn wait_for_state(daemon: &Daemon, key: RootKey, expected: Option<&str>) {
    let deadline = Instant::now() + PATIENCE;
    while state(daemon, key).as_deref() != expected {
        assert!(Instant::now() < deadline, "{expected:?} is not reached: {:?}", daemon.anchors());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_daemon_that_follows_the_roll_of_the_root_validates_before_during_and_after() {
    let (old, new) = (RootKey::signing(1), RootKey::signing(2));
    let root = RollingRoot::new(&[old]);
    let upstream = upstream(&root);
    let directory = TestDirectory::new();
    let path = directory.path().join("anchors.state");
    let options = ["--dnssec", &old.anchor_option(), &upstream.option()];
    let state_option = format!("--trust-anchor-state={}", path.display());
    let following = [&options[..], &[&state_option]].concat();
    let daemon = RESOLVER.start_following(HOLD_DOWN_S, &following);
    let other = RESOLVER.start(&options);

    wait_for_state(&daemon, old, Some("valid"));
    assert_eq!((seen(&daemon, "before."), seen(&other, "before.")), (VALIDATED, VALIDATED));

    root.publish(&[old, RootKey::stand_by(2)]);
    wait_for_state(&daemon, new, Some("add-pending"));
    let pending = daemon.anchors().into_iter().find(|anchor| anchor.key_tag == new.tag()).unwrap();
    assert!(!pending.trusted && pending.until.is_some() && pending.from == "followed", "{pending:?}");
    assert_eq!(seen(&daemon, "published."), VALIDATED);
    wait_for_state(&daemon, new, Some("valid"));

    root.publish(&[RootKey::revoked(1), new]);
    wait_for_state(&daemon, old, Some("revoked"));
    assert_eq!(seen(&daemon, "revoked."), VALIDATED);
    root.publish(&[new]);
    assert_eq!(seen(&daemon, "after."), VALIDATED);
    assert_eq!(seen(&other, "after."), FAILED, "who does not follow validates nothing any more");
    wait_for_state(&daemon, old, Some("removed"));

    // What was learnt outlives the daemon, though the configuration names the old key.
    drop(daemon);
    let daemon = RESOLVER.start_following(HOLD_DOWN_S, &following);
    assert_eq!(seen(&daemon, "restarted."), VALIDATED);
    assert_eq!(state(&daemon, old).as_deref(), Some("removed"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("key removed since") && text.contains("key valid since") && text.ends_with("\nend\n"),
        "{text}"
    );
    // The old key, back again, is not believed.
    root.publish(&[old]);
    assert_eq!(seen(&daemon, "replayed."), VALIDATED, "its zone key is still known for a second");
    wait_for_state(&daemon, new, Some("valid"));
    let refused = (0..400).any(|number| {
        std::thread::park_timeout(Duration::from_millis(10));
        seen(&daemon, &format!("replayed{number}.")) == FAILED
    });
    assert!(refused, "{:?}", daemon.anchors());
}

#[test]
fn a_key_that_no_anchor_has_signed_for_is_never_waited_for() {
    let old = RootKey::signing(1);
    let root = RollingRoot::new(&[RootKey::stand_by(1), RootKey::signing(9)]);
    let upstream = upstream(&root);
    let directory = TestDirectory::new();
    let state_option = format!("--trust-anchor-state={}", directory.path().join("state").display());
    let options = ["--dnssec", &old.anchor_option(), &upstream.option(), &state_option];
    let daemon = RESOLVER.start_following(1, &options);
    let refusals = || daemon.log().iter().filter(|line| line.contains("do not verify")).count();
    let deadline = Instant::now() + PATIENCE;
    while refusals() < 3 {
        assert!(Instant::now() < deadline, "{:?}", daemon.log());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let anchors = daemon.anchors();
    assert!(anchors.len() == 1 && anchors[0].state.is_none() && anchors[0].trusted, "{anchors:?}");
    assert_eq!(seen(&daemon, "www."), FAILED);
    // The same, once it is signed for.
    root.publish(&[old, RootKey::signing(9)]);
    wait_for_state(&daemon, RootKey::signing(9), Some("valid"));
}

#[test]
fn with_every_anchor_revoked_nothing_is_secure_and_the_log_says_so() {
    let old = RootKey::signing(1);
    let root = RollingRoot::new(&[old]);
    let upstream = upstream(&root);
    let directory = TestDirectory::new();
    let state_option = format!("--trust-anchor-state={}", directory.path().join("state").display());
    let daemon = RESOLVER.start_following(60, &["--dnssec", &old.anchor_option(), &upstream.option(), &state_option]);
    wait_for_state(&daemon, old, Some("valid"));
    assert_eq!(seen(&daemon, "www."), VALIDATED);
    root.publish(&[RootKey::revoked(1)]);
    wait_for_state(&daemon, old, Some("revoked"));
    assert_eq!(seen(&daemon, "www."), (RCode::NOERROR, false), "the answer of before is not used any more");
    assert!(daemon.log().iter().any(|line| line.contains("every trust anchor of the zone is revoked")));
}

#[test]
fn a_state_file_that_cannot_be_understood_stops_the_start_and_is_left_alone() {
    let directory = TestDirectory::new();
    let old = RootKey::signing(1);
    for (text, what) in [("rubbish\n", ":1: not a file of version 1"), ("version 1\n", "the file is cut short")] {
        let path = directory.file("state", text);
        let state_option = format!("--trust-anchor-state={path}");
        let control = format!("--control-socket={}", directory.path().join("control").display());
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().port();
        let port = format!("--port={port}");
        let words = ["--no-resolv", "--server=127.0.0.1", "--xdp=off", "--listen-address=127.0.0.1", &port, "--dnssec"];
        let anchor = old.anchor_option();
        let options = [&words[..], &[&anchor, &control, &state_option]].concat();
        let tested = RESOLVER.output(&[&["test-config"], &options[..]].concat());
        let told = String::from_utf8(tested.stderr).unwrap();
        assert!(!tested.status.success() && told.contains(what), "{told}");
        let output = RESOLVER.output(&[&["run"], &options[..]].concat());
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && log.contains(what) && log.contains("move it away"), "{log}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn sentinel_names_tell_whether_a_key_is_an_anchor_of_the_root() {
    let key = RootKey::signing(1);
    let upstream = upstream(&RollingRoot::new(&[key]));
    let options = ["--dnssec", &key.anchor_option(), &upstream.option()];
    let daemon = RESOLVER.start(&options);
    let (tag, other) = (key.tag(), key.tag().wrapping_add(1));
    for (name, expected) in [
        (format!("root-key-sentinel-is-ta-{tag:05}.example."), VALIDATED),
        (format!("root-key-sentinel-not-ta-{tag:05}.example."), FAILED),
        (format!("Root-Key-Sentinel-is-ta-{other:05}."), FAILED),
        (format!("root-key-sentinel-not-ta-{other:05}."), VALIDATED),
        (format!("www.root-key-sentinel-not-ta-{tag:05}."), VALIDATED),
    ] {
        // Found, and from the cache.
        assert_eq!((seen(&daemon, &name), seen(&daemon, &name)), (expected, expected), "{name}");
    }
    assert!(daemon.counter("sentinel_refusals") >= 4);
    let not_ta = format!("root-key-sentinel-not-ta-{tag:05}.");
    let unchecked = TestQuery { checking_disabled: true, ..TestQuery::new(&not_ta, RecordType::A) };
    assert_eq!(ask(daemon.address, &unchecked).rcode(), RCode::NOERROR, "who sets CD judges for itself");
    let off = RESOLVER.start(&[&options[..], &["--root-key-sentinel=no"]].concat());
    assert_eq!(seen(&off, &not_ta), VALIDATED);
}

#[test]
fn an_anchored_zone_is_told_our_tags_once_and_only_if_that_is_wanted() {
    let key = RootKey::signing(1);
    for (more, told) in [(&[][..], 1), (&["--trust-anchor-signaling=no"], 0)] {
        let upstream = upstream(&RollingRoot::new(&[key]));
        let daemon = RESOLVER.start(&[&["--dnssec", &key.anchor_option(), &upstream.option()], more].concat());
        assert_eq!(seen(&daemon, "www."), VALIDATED);
        std::thread::park_timeout(Duration::from_millis(1100));
        assert_eq!(seen(&daemon, "mail."), VALIDATED);
        let seen = upstream.seen();
        let asked = |text: &str| seen.iter().filter(|asked| asked.question.to_string() == text).count();
        assert_eq!(asked(&format!("_ta-{:04x}. NULL", key.tag())), told);
        assert!(asked(". DNSKEY") >= 2, "its keys were asked for again: {}", seen.len());
    }
}

#[test]
fn a_key_that_is_taken_out_of_the_configuration_stays_trusted_while_it_is_remembered_and_that_is_told() {
    let (old, new) = (RootKey::signing(1), RootKey::signing(2));
    let root = RollingRoot::new(&[old, RootKey::stand_by(2)]);
    let upstream = upstream(&root);
    let directory = TestDirectory::new();
    let option = |text: &str| text.trim_start_matches("--").to_owned();
    let both = format!("{}\n{}\n", option(&old.anchor_option()), option(&new.anchor_option()));
    let file = directory.file("r.conf", &both);
    let state_option = format!("--trust-anchor-state={}", directory.path().join("anchors.state").display());
    let options = ["--conf-file", &file, "--dnssec", &state_option, &upstream.option()];
    let daemon = RESOLVER.start_following(3600, &options);
    wait_for_state(&daemon, old, Some("valid"));
    wait_for_state(&daemon, new, Some("valid"));
    directory.file("r.conf", &format!("{}\n", option(&new.anchor_option())));
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.wait_for_counter("reloads", 1);
    daemon.wait_for_log("taken out of the configuration, but still trusted");
    assert_eq!(seen(&daemon, "a."), VALIDATED, "the old key still signs");
    drop(daemon);
    let daemon = RESOLVER.start_following(3600, &options);
    daemon.wait_for_log("trusted though not configured");
    assert_eq!(seen(&daemon, "b."), VALIDATED);
}

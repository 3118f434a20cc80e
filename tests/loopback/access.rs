//! Who may ask, and where is listened, seen from outside.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use nix::sys::signal::Signal;
use resolver_tests::client::{PATIENCE, ask, ask_tcp, receive};
use resolver_tests::compare::extended_error;
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

/// Extended error "prohibited" (RFC 8914 §4.19).
const PROHIBITED: u16 = 18;

fn start(options: &[&str]) -> (Upstream, Daemon) {
    let upstream =
        Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])]));
    let daemon = RESOLVER.start(&[&[upstream.option().as_str()], options].concat());
    (upstream, daemon)
}

fn query() -> TestQuery {
    TestQuery::new("www.example.", RecordType::A).edns(1232, false)
}

/// Asks from another address of loopback.
fn ask_from(client: [u8; 4], daemon: &Daemon, query: &TestQuery) -> Message {
    let socket = UdpSocket::bind((Ipv4Addr::from(client), 0)).expect("an address of loopback");
    socket.connect(daemon.address).expect("a route");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket.send(&query.wire()).expect("sent");
    Message::read(&receive(&socket)).expect("a message")
}

fn is_prohibited(reply: &Message) -> bool {
    assert_eq!(reply.rcode() == RCode::REFUSED, extended_error(reply) == Some(PROHIBITED), "{reply:?}");
    reply.rcode() == RCode::REFUSED && reply.answer.is_empty()
}

#[test]
fn denied_clients_are_refused_with_the_reason_and_others_answered() {
    let (upstream, daemon) = start(&["--deny-client=127.0.0.0/9,127.128.0.1", "--allow-client=127.0.0.9"]);
    for (client, expected) in [
        ([127, 0, 0, 1], true),
        ([127, 127, 255, 254], true),
        ([127, 0, 0, 9], false),
        ([127, 128, 0, 0], false),
        ([127, 128, 0, 1], true),
        ([127, 128, 0, 2], false),
    ] {
        assert_eq!(is_prohibited(&ask_from(client, &daemon, &query())), expected, "{client:?}");
    }
    assert_eq!((daemon.counter("refused_client"), upstream.seen().len()), (3, 1));
    // What is cached is for allowed clients alone, too; and without EDNS there is no place for the reason.
    let plain = ask(daemon.address, &TestQuery::new("www.example.", RecordType::A));
    assert_eq!((plain.rcode(), extended_error(&plain)), (RCode::REFUSED, None));
}

#[test]
fn denied_clients_are_refused_over_tcp_too() {
    let (_upstream, daemon) = start(&["--deny-client=127.0.0.1"]);
    assert!(is_prohibited(&ask_tcp(daemon.address, &query())));
    assert_eq!(daemon.counter("refused_client"), 1);
}

#[test]
fn a_denied_client_does_not_learn_what_else_is_wrong() {
    let (_upstream, daemon) = start(&["--deny-client=127.0.0.1"]);
    let everything = ask(daemon.address, &TestQuery { qtype: RecordType(255), ..query() });
    assert!(is_prohibited(&everything));
    assert_eq!((daemon.counter("refused_client"), daemon.counter("refused_meta_type")), (1, 0));
}

#[test]
fn an_allowed_network_shuts_out_all_others_but_loopback() {
    let (_upstream, daemon) = start(&["--allow-client=192.0.2.0/24"]);
    assert!(!is_prohibited(&ask(daemon.address, &query())));
    let (_upstream, daemon) = start(&["--allow-client=192.0.2.0/24", "--deny-client=127.0.0.0/8"]);
    assert!(is_prohibited(&ask(daemon.address, &query())));
}

#[test]
fn an_address_that_is_not_there_is_waited_for_or_demanded() {
    let directory = TestDirectory::new();
    let control = format!("--control-socket={}", directory.path().join("c.sock").display());
    // TEST-NET-1 is nobody's address (RFC 5737).
    let (_upstream, daemon) = start(&["--listen-address=192.0.2.1"]);
    assert!(!is_prohibited(&ask(daemon.address, &query())));
    assert_eq!(daemon.status().listening, [daemon.address.to_string()]);
    for (option, reason) in [
        ("--listen-address=192.0.2.1", "cannot listen on 192.0.2.1:1 by TCP"),
        ("--interface=no-such-if", "interface no-such-if does not exist"),
        ("--interface=nosuch*", "interface nosuch* does not exist"),
    ] {
        let words =
            ["run", "--no-resolv", "--server=127.0.0.1", "--xdp=off", "--port=1", &control, "--bind-interfaces"];
        let output = RESOLVER.output(&[&words[..], &[option]].concat());
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.code() == Some(2) && text.contains(reason), "{option}: {:?} {text}", output.status);
    }
}

#[test]
fn addresses_of_loopback_that_no_interface_lists_are_listened_on() {
    let (_upstream, daemon) = start(&["--listen-address=127.0.0.53"]);
    let other = SocketAddr::from(([127, 0, 0, 53], daemon.address.port()));
    assert!(!is_prohibited(&ask(other, &query())));
    assert_eq!(daemon.status().listening, [daemon.address.to_string(), other.to_string()]);
}

#[test]
fn a_reload_changes_who_may_ask_and_where_is_listened() {
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", "");
    let (_upstream, daemon) = start(&["--conf-file", &file]);
    let other = SocketAddr::from(([127, 0, 0, 53], daemon.address.port()));
    assert!(!is_prohibited(&ask(daemon.address, &query())));
    for (reloads, lines) in [(1, "deny-client=127.0.0.1\nlisten-address=127.0.0.53\n"), (2, "")] {
        directory.file("r.conf", lines);
        daemon.signal(Signal::SIGHUP);
        daemon.wait_for_counter("reloads", reloads);
        assert_eq!(is_prohibited(&ask(daemon.address, &query())), reloads == 1);
        let expected = if reloads == 1 { vec![daemon.address, other] } else { vec![daemon.address] };
        assert_eq!(daemon.status().listening, expected.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    assert_eq!(daemon.counter("cache_hits"), 1, "the cache stays");
}

//! Rate limits and shares, as clients of the daemon alone meet them.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use nix::sys::signal::Signal;
use resolver_tests::client::{PATIENCE, ask, ask_tcp, receive};
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

/// How long nothing has to come where nothing may.
const SILENCE: Duration = Duration::from_millis(20);
/// Forty answers at once, and then one a second: no test takes so long that the rest matters.
const FORTY: [&str; 3] = ["--rate-limit=1", "--rate-limit-wide=1000", "--rate-limit-burst=40"];

fn start(options: &[&str]) -> (Upstream, Daemon) {
    let upstream =
        Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])]));
    let daemon = RESOLVER.start(&[&[upstream.option().as_str()], &FORTY[..], options].concat());
    (upstream, daemon)
}

fn query() -> TestQuery {
    TestQuery::new("www.example.", RecordType::A).edns(1232, false)
}

/// A client at an address of loopback.
struct Client(UdpSocket);

impl Client {
    fn new(address: [u8; 4], daemon: &Daemon) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::from(address), 0)).expect("an address of loopback");
        socket.connect(daemon.address).expect("a route");
        Self(socket)
    }

    fn ask(&self, packet: &[u8], wait: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(wait)).expect("a time-out");
        self.0.send(packet).expect("sent");
        let mut reply = vec![0; 2048];
        let len = self.0.recv(&mut reply).ok()?;
        reply.truncate(len);
        Some(reply)
    }

    /// Spends the forty, on all kinds of answers alike.
    fn spend(&self) {
        let not_cached = TestQuery { recursion_desired: false, ..TestQuery::new("absent.example.", RecordType::A) };
        let any = TestQuery { qtype: RecordType(255), ..query() };
        for turn in 0..8u8 {
            let miss = TestQuery::new(&format!("m{turn}.example."), RecordType::A).wire();
            let mut malformed = query().wire();
            malformed.push(0);
            for packet in [query().wire(), miss, malformed, not_cached.wire(), any.wire()] {
                assert!(self.ask(&packet, PATIENCE).is_some(), "within the burst");
            }
        }
    }
}

#[test]
fn every_kind_of_answer_costs_the_same_budget_and_what_is_over_it_is_dropped() {
    let (_upstream, daemon) = start(&["--rate-limit-slip=0"]);
    let client = Client::new([127, 0, 0, 1], &daemon);
    client.spend();
    let answered = (0..50).filter(|_| client.ask(&query().wire(), SILENCE).is_some()).count();
    assert!(answered <= 10, "one a second: {answered}");
    assert_eq!(daemon.counter("dropped_rate") as usize, 50 - answered);
    // Another client has a budget of its own, and whoever knows the way, TCP.
    assert!(Client::new([127, 0, 0, 2], &daemon).ask(&query().wire(), PATIENCE).is_some());
    assert!((0..50).all(|_| ask_tcp(daemon.address, &query()).rcode() == RCode::NOERROR));
    daemon.wait_for_log("over rate-limit prefix=127.0.0.1/32");
}

#[test]
fn one_in_one_is_told_to_use_tcp_and_malformed_ones_are_not_told_anything() {
    let (_upstream, daemon) = start(&["--rate-limit-slip=1"]);
    let client = Client::new([127, 0, 0, 1], &daemon);
    client.spend();
    // What the second brings goes first.
    let slipped = (0..20)
        .map(|_| Message::read(&client.ask(&query().wire(), PATIENCE).expect("a reply")).expect("a message"))
        .find(|reply| reply.header.flags.truncated)
        .expect("an empty answer");
    assert_eq!((slipped.rcode(), slipped.answer.len(), slipped.authority.len()), (RCode::NOERROR, 0, 0));
    assert!(daemon.counter("slipped_rate") > 0);
    let dropped = daemon.counter("dropped_rate");
    let mut malformed = query().wire();
    malformed.push(0);
    let silent = (0..10).filter(|_| client.ask(&malformed, SILENCE).is_none()).count();
    assert!(silent >= 8 && daemon.counter("dropped_rate") - dropped >= 8, "{silent}");
}

#[test]
fn log_only_answers_and_counts_and_exempt_clients_are_not_even_counted() {
    let (_upstream, daemon) = start(&["--rate-limit-log-only", "--rate-limit-exempt=127.0.0.2,127.1.0.0/16"]);
    for (client, is_exempt) in [([127, 0, 0, 2], true), ([127, 1, 2, 3], true), ([127, 0, 0, 1], false)] {
        let client = Client::new(client, &daemon);
        assert!((0..100).all(|_| client.ask(&query().wire(), PATIENCE).is_some()));
        assert_eq!(daemon.counter("logged_rate") > 30, !is_exempt, "{:?}", daemon.status().counters);
    }
    assert_eq!(daemon.counter("dropped_rate") + daemon.counter("slipped_rate"), 0);
}

#[test]
fn all_clients_of_a_wider_network_have_a_limit_together() {
    let (_upstream, daemon) = start(&["--rate-limit-wide=2", "--rate-limit-slip=0"]);
    let answered =
        (0..200u8).filter(|last| Client::new([127, 0, 1, *last], &daemon).ask(&query().wire(), SILENCE * 5).is_some());
    // Two a second for forty seconds at once, and what the test's own seconds bring.
    let answered = answered.count();
    assert!((80..150).contains(&answered), "{answered}");
    assert!(daemon.counter("dropped_rate_wide") >= 50);
    assert!(Client::new([127, 0, 2, 1], &daemon).ask(&query().wire(), PATIENCE).is_some());
}

#[test]
fn a_reload_changes_limits_without_forgetting_who_has_spent_his() {
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", "rate-limit-slip=0\n");
    let (_upstream, daemon) = start(&["--conf-file", &file]);
    let client = Client::new([127, 0, 0, 1], &daemon);
    client.spend();
    let answered = |wait| (0..10).filter(|_| client.ask(&query().wire(), wait).is_some()).count();
    assert!(answered(SILENCE) < 5);
    for (reloads, lines, wait, expected) in [
        (1, "rate-limit-slip=0\nrate-limit-exempt=127.0.0.1\n", PATIENCE, 10..=10),
        (2, "rate-limit-slip=0\n", SILENCE, 0..=4),
        (3, "rate-limit-log-only\n", PATIENCE, 10..=10),
    ] {
        directory.file("r.conf", lines);
        daemon.signal(Signal::SIGHUP);
        daemon.wait_for_counter("reloads", reloads);
        let answered = answered(wait);
        assert!(expected.contains(&answered), "{lines}: {answered}");
    }
}

#[test]
fn a_client_whose_names_nobody_answers_leaves_others_their_places() {
    // Names below slow.example are never answered.
    let upstream = Upstream::scripted(|asked| {
        let name = asked.question.qname.to_string();
        if name.ends_with("slow.example.") {
            return Vec::new();
        }
        vec![Reply::answer(vec![a(&name, 60, [1, 2, 3, 4])]).wire(asked)]
    });
    let daemon = RESOLVER.start(&[upstream.option().as_str()]);
    let greedy = Client::new([127, 0, 0, 1], &daemon);
    let mut sent = 0;
    while daemon.counter("refused_share") < 100 {
        for _ in 0..50 {
            sent += 1;
            let miss = TestQuery::new(&format!("n{sent}.slow.example."), RecordType::A);
            greedy.0.send(&miss.wire()).expect("sent");
        }
        assert!(sent < 5000, "no share: {:?}", daemon.status().counters);
    }
    let searches = daemon.status().searches;
    assert!(searches <= 256, "{searches} places of one client");
    let other = Client::new([127, 0, 0, 2], &daemon);
    let reply = other.ask(&query().wire(), PATIENCE).expect("an answer");
    assert_eq!(Message::read(&reply).expect("a message").rcode(), RCode::NOERROR);
    greedy.0.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    assert_eq!(Message::read(&receive(&greedy.0)).expect("a message").rcode(), RCode::REFUSED);
    assert_eq!(ask(daemon.address, &TestQuery { recursion_desired: false, ..query() }).rcode(), RCode::NOERROR);
}

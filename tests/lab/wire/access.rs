//! Who may ask is the same for both halves: XDP answers nobody whom the daemon would not answer.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use resolver_tests::compare::extended_error;
use resolver_tests::lab::{self, Asker, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns::{self, Added};
use resolver_user::wire::{Message, RCode};
use xtask::lab::facts::Facts;

/// Longest wait for a reply that ought to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing has to come where nothing may.
const SILENCE: Duration = Duration::from_millis(100);
/// A client that is in no network of the resolver's (RFC 5737).
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// Has the answer published, by asking from the daemon's own machine.
fn publish(facts: &Facts, daemon: &LabDaemon, query: &TestQuery) {
    let local = LabClient::local(facts);
    daemon.wait_until("publication", |daemon| {
        local.ask(query, false);
        !daemon.published().is_empty()
    });
}

/// Asks until XDP answers.
fn ask_until_xdp_answers(daemon: &LabDaemon, client: &Asker, query: &TestQuery) {
    daemon.wait_until("an answer of XDP", |daemon| {
        let before = daemon.counter("answered_");
        client.ask(query, SILENCE);
        daemon.counter("answered_") > before
    });
}

#[test]
fn a_denied_client_is_refused_and_never_answered_by_xdp() {
    let facts = lab::facts();
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    let lines = format!("deny-client={},fd53::/96\nallow-client={}", client_at.ipv4, client_at.ipv6);
    // With an allow-client the others are refused, and so is the daemon's own machine by its outer addresses.
    let daemon = LabDaemon::start(&facts, &format!("{lines},{},{}", resolver_at.ipv4, resolver_at.ipv6));
    let query = lab::query(lab::address(&facts), false);
    publish(&facts, &daemon, &query);
    let denied = Asker::new(&facts.client.path, client_at.ipv4, resolver_at.ipv4);
    let (answered, passed) = (daemon.counter("answered_"), daemon.counter("pass_client"));
    for _ in 0..100 {
        let reply = Message::read(&denied.ask(&query, PATIENCE).expect("a refusal")).expect("a message");
        assert_eq!((reply.rcode(), extended_error(&reply), reply.answer.len()), (RCode::REFUSED, Some(18), 0));
    }
    assert_eq!(daemon.counter("answered_"), answered);
    assert_eq!(daemon.counter("pass_client") - passed, 100);
    assert_eq!(daemon.user_counter("refused_client"), 100);
    let allowed = Asker::new(&facts.client.path, client_at.ipv6, resolver_at.ipv6);
    ask_until_xdp_answers(&daemon, &allowed, &query);
}

#[test]
fn local_service_follows_the_networks_that_the_machine_is_attached_to() {
    let facts = lab::facts();
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    let daemon = LabDaemon::listening(&facts, "local-service");
    let query = lab::query(lab::address(&facts), false);
    let neighbour = Asker::new(&facts.client.path, client_at.ipv4, resolver_at.ipv4);
    publish(&facts, &daemon, &query);
    ask_until_xdp_answers(&daemon, &neighbour, &query);
    let _far_address = Added::address(&facts.client.path, &format!("{STRANGER}/32"), &client_at.name);
    let _way_back = Added::route(&facts.resolver.path, &format!("{STRANGER} via {}", client_at.ipv4));
    let stranger = Asker::new(&facts.client.path, STRANGER, resolver_at.ipv4);
    for _ in 0..3 {
        assert_ignored(&daemon, &stranger, &query);
        let _attached = Added::address(&facts.resolver.path, "192.0.2.1/24", &resolver_at.name);
        ask_until_xdp_answers(&daemon, &stranger, &query);
        drop(_attached);
        daemon.wait_until("the network to be gone", |daemon| {
            !daemon.status().listening.contains(&"192.0.2.1:53".to_owned())
        });
    }
    assert_ignored(&daemon, &stranger, &query);
    ask_until_xdp_answers(&daemon, &neighbour, &query);
    assert_eq!(daemon.log().matches("told once").count(), 1);
}

/// Asks, and checks that neither half answers and that both have counted it.
fn assert_ignored(daemon: &LabDaemon, stranger: &Asker, query: &TestQuery) {
    let (answered, passed) = (daemon.counter("answered_"), daemon.counter("pass_client"));
    let dropped = daemon.user_counter("dropped_client");
    for _ in 0..5 {
        assert_eq!(stranger.ask(query, SILENCE), None);
    }
    assert_eq!((daemon.counter("answered_"), daemon.counter("pass_client")), (answered, passed + 5));
    assert_eq!(daemon.user_counter("dropped_client"), dropped + 5);
}

/// The rules of the packaged example in the resolver's namespace, which none of the lab's clients may pass.
struct Firewall<'f>(&'f Facts);

impl<'f> Firewall<'f> {
    fn new(facts: &'f Facts) -> Self {
        let example = xtask::paths::workspace().join("resolver-user/packaging/nftables.example");
        assert!(nft(facts, &["-f".as_ref(), example.as_os_str()]), "nft takes the example");
        Self(facts)
    }
}

impl Drop for Firewall<'_> {
    fn drop(&mut self) {
        let is_gone = nft(self.0, &["delete", "table", "inet", "resolver"].map(OsStr::new));
        assert!(is_gone || std::thread::panicking(), "the rules stay");
    }
}

fn nft(facts: &Facts, words: &[&OsStr]) -> bool {
    netns::command(&facts.resolver.path, "nft").args(words).status().is_ok_and(|status| status.success())
}

#[test]
fn a_firewall_does_not_see_what_xdp_answers_and_stops_what_it_passes() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let query = lab::query(lab::address(&facts), false);
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    let ends: [(IpAddr, IpAddr); 2] =
        [(client_at.ipv4.into(), resolver_at.ipv4.into()), (client_at.ipv6.into(), resolver_at.ipv6.into())];
    for (client, server) in ends {
        let client = Asker::new(&facts.client.path, client, server);
        ask_until_xdp_answers(&daemon, &client, &query);
        let _firewall = Firewall::new(&facts);
        let answered = daemon.counter("answered_");
        assert!((0..20).all(|_| client.ask(&query, PATIENCE).is_some()), "XDP comes before netfilter");
        assert_eq!(daemon.counter("answered_"), answered + 20);
        // Without recursion desired XDP passes, and the daemon would answer from its cache.
        let passed = TestQuery { recursion_desired: false, ..query.clone() };
        assert_eq!(client.ask(&passed, SILENCE), None, "what XDP passes meets the firewall");
    }
}

#[test]
fn local_service_for_the_host_listens_on_loopback_alone() {
    let facts = lab::facts();
    let daemon = LabDaemon::listening(&facts, "local-service=host");
    let loopback = |address: &String| address.starts_with("127.") || address.starts_with("[::1]");
    let listening = daemon.status().listening;
    assert!(!listening.is_empty() && listening.iter().all(loopback), "{listening:?}");
    let client = Asker::new(&facts.resolver.path, Ipv4Addr::LOCALHOST, IpAddr::from([127, 0, 0, 1]));
    assert!(client.ask(&lab::query(lab::address(&facts), false), PATIENCE).is_some());
}

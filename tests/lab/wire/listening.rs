//! Addresses and interfaces come and go; sockets and XDP's endpoints follow, and no query is lost on the way.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use resolver_tests::lab::{self, Asker, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns::{self, Added};
use xtask::lab::facts::Facts;

/// Longest wait for a reply that ought to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing has to come where nothing may.
const SILENCE: Duration = Duration::from_millis(50);
/// Times that addresses come and go under load.
const ROUNDS: usize = 20;
/// A client that may not ask (RFC 5737).
const STRANGER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
/// Addresses that come and go, as added and as bound.
const COMING: [(&str, &str); 2] = [("10.53.0.101/24", "10.53.0.101:53"), ("fd53::101/64", "[fd53::101]:53")];

fn is_listening(daemon: &LabDaemon, address: &str) -> bool {
    daemon.status().listening.iter().any(|listening| listening == address)
}

/// The IP address of an `address/length`.
fn ip(added: &str) -> IpAddr {
    added.split('/').next().and_then(|address| address.parse().ok()).expect("an address")
}

/// The client's own address of the same family.
fn client_ip(facts: &Facts, server: IpAddr) -> IpAddr {
    let at = &facts.client.interfaces[0];
    if server.is_ipv4() { at.ipv4.into() } else { at.ipv6.into() }
}

#[test]
fn xdp_answers_for_an_address_that_comes_and_for_none_that_went() {
    let facts = lab::facts();
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    let daemon = LabDaemon::listening(&facts, &format!("interface={}*", facts.prefix));
    let query = lab::query(lab::address(&facts), false);
    daemon.ask_until_xdp_answers(&LabClient::remote(&facts), &query, false);
    for (added, bound) in COMING {
        // So that packets are sent there even while the resolver does not have the address.
        let ip = ip(added);
        let _station = Added::neighbour(&facts.client.path, &ip.to_string(), &resolver_at.mac, &client_at.name);
        let client = Asker::new(&facts.client.path, client_ip(&facts, ip), ip);
        for _ in 0..2 {
            let address = Added::address(&facts.resolver.path, added, &resolver_at.name);
            daemon.wait_until(bound, |daemon| is_listening(daemon, bound));
            daemon.wait_until("an answer of XDP at the new address", |daemon| {
                let before = daemon.counter("answered_");
                assert!(client.ask(&query, PATIENCE).is_some(), "whoever listens answers");
                daemon.counter("answered_") > before
            });
            drop(address);
            daemon.wait_until("the end of it", |daemon| !is_listening(daemon, bound));
            let (answered, foreign) = (daemon.counter("answered_"), daemon.counter("pass_not_ours"));
            for _ in 0..5 {
                assert_eq!(client.ask(&query, SILENCE), None, "nobody answers for {ip}");
            }
            assert_eq!(daemon.counter("answered_"), answered);
            assert!(daemon.counter("pass_not_ours") >= foreign + 5);
        }
    }
}

#[test]
fn addresses_come_and_go_under_load_without_a_lost_query_and_strangers_get_none_of_them() {
    let facts = lab::facts();
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    // Each address that comes or goes changes the sockets, XDP's endpoints, and the list of who may ask.
    let daemon = LabDaemon::listening(&facts, "local-service");
    let query = lab::query(lab::address(&facts), false);
    daemon.ask_until_xdp_answers(&LabClient::remote(&facts), &query, false);
    let _far_address = Added::address(&facts.client.path, &format!("{STRANGER}/32"), &client_at.name);
    let _way_back = Added::route(&facts.resolver.path, &format!("{STRANGER} via {}", client_at.ipv4));
    let clients: [(IpAddr, IpAddr); 2] =
        [(client_at.ipv4.into(), resolver_at.ipv4.into()), (client_at.ipv6.into(), resolver_at.ipv6.into())];
    let done = AtomicBool::new(false);
    let answered_before = daemon.counter("answered_");
    thread::scope(|scope| {
        let load = |local: IpAddr, server: IpAddr| {
            let (facts, done, query) = (&facts, &done, &query);
            move || ask_on(&Asker::new(&facts.client.path, local, server), query, done)
        };
        let neighbours: Vec<_> = clients.map(|(local, server)| scope.spawn(load(local, server))).into();
        let stranger = scope.spawn(|| listen_in_vain(&facts, resolver_at.ipv4, &query, &done));
        let _end = AtEnd(&done);
        for round in 0..ROUNDS {
            let (added, bound) = COMING[round % COMING.len()];
            let second = Added::address(&facts.resolver.path, "192.0.2.1/24", &resolver_at.name);
            let address = Added::address(&facts.resolver.path, added, &resolver_at.name);
            daemon.wait_until(bound, |daemon| is_listening(daemon, bound));
            let ip = ip(added);
            let client = Asker::new(&facts.client.path, client_ip(&facts, ip), ip);
            assert!(client.ask(&query, PATIENCE).is_some(), "round {round}: {ip} is listened on, and silent");
            drop((address, second));
            daemon.wait_until("the end of it", |daemon| !is_listening(daemon, bound));
        }
        done.store(true, Ordering::Relaxed);
        for neighbour in neighbours {
            let (asked, lost) = neighbour.join().expect("the load ends");
            println!("{asked} queries asked, {lost} lost");
            assert!(asked > 1000 && lost == 0, "{lost} of {asked} queries lost");
        }
        let (sent, answered) = stranger.join().expect("the stranger ends");
        println!("{sent} queries of a stranger, {answered} answered");
        assert!(sent > 50 && answered == 0, "{answered} of {sent} queries of a stranger were answered");
    });
    let by_xdp = daemon.counter("answered_") - answered_before;
    println!("{by_xdp} answered by XDP");
    assert!(by_xdp > 1000);
}

/// Ends the load also when an assertion failed, which would else wait for it for ever.
struct AtEnd<'d>(&'d AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks one query after the other; how many, and how many got no answer.
fn ask_on(client: &Asker, query: &TestQuery, done: &AtomicBool) -> (u64, u64) {
    let (mut asked, mut lost) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        asked += 1;
        lost += u64::from(client.ask(query, Duration::from_secs(1)).is_none());
    }
    (asked, lost)
}

/// Asks on behalf of who may not; how often, and how often there was an answer.
fn listen_in_vain(facts: &Facts, server: Ipv4Addr, query: &TestQuery, done: &AtomicBool) -> (u64, u64) {
    let stranger = Asker::new(&facts.client.path, STRANGER, server);
    let (mut sent, mut answered) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        sent += 1;
        answered += u64::from(stranger.ask(query, Duration::from_millis(10)).is_some());
    }
    (sent, answered)
}

#[test]
fn an_interface_that_comes_later_is_listened_on_and_one_that_is_excepted_is_not() {
    let facts = lab::facts();
    let [wanted, excepted] = ["w0", "x0"].map(|end| format!("{}-{end}", facts.prefix));
    let lines = format!("interface={wanted}\nexcept-interface={excepted}*\ninterface={excepted}");
    let daemon = LabDaemon::listening(&facts, &lines);
    assert!(daemon.log().contains(&format!("interface {wanted} does not exist or has no address yet")));
    assert!(
        is_listening(&daemon, "127.0.0.1:53") && is_listening(&daemon, "[::1]:53"),
        "loopback comes with interfaces"
    );
    let path = &facts.resolver.path;
    let pair = Added::pair(path, &wanted, &excepted);
    // Addresses go with their interface.
    resolver_tests::netns::ip(path, &format!("address add 10.99.0.1/24 dev {wanted}"));
    resolver_tests::netns::ip(path, &format!("address add 10.99.1.1/24 dev {excepted}"));
    daemon.wait_until("the new interface", |daemon| is_listening(daemon, "10.99.0.1:53"));
    let query = lab::query(lab::address(&facts), false);
    let ask = |server: [u8; 4]| Asker::new(path, server, server).ask(&query, Duration::from_secs(1));
    assert!(ask([10, 99, 0, 1]).is_some() && ask([10, 99, 1, 1]).is_none());
    drop(pair);
    daemon.wait_until("its end", |daemon| !is_listening(daemon, "10.99.0.1:53"));
}

#[test]
fn with_bind_interfaces_nothing_is_followed_and_xdp_stays_silent_for_an_address_while_it_is_gone() {
    let facts = lab::facts();
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    let (added, bound) = COMING[0];
    let address_at_start = Added::address(&facts.resolver.path, added, &resolver_at.name);
    let daemon = LabDaemon::listening(&facts, &format!("bind-interfaces\ninterface={}", resolver_at.name));
    let ip = ip(added);
    let _station = Added::neighbour(&facts.client.path, &ip.to_string(), &resolver_at.mac, &client_at.name);
    let client = Asker::new(&facts.client.path, client_at.ipv4, ip);
    let query = lab::query(lab::address(&facts), false);
    let by_xdp = |daemon: &LabDaemon| {
        let before = daemon.counter("answered_");
        client.ask(&query, SILENCE);
        daemon.counter("answered_") > before
    };
    daemon.wait_until("an answer of XDP", by_xdp);
    let _later = Added::address(&facts.resolver.path, "10.53.0.102/24", &resolver_at.name);
    drop(address_at_start);
    daemon.wait_until("XDP to be silent", |daemon| !by_xdp(daemon));
    assert!(is_listening(&daemon, bound), "the socket stays for when the address comes back");
    let _back = Added::address(&facts.resolver.path, added, &resolver_at.name);
    daemon.wait_until("an answer of XDP after its return", by_xdp);
    assert!(!is_listening(&daemon, "10.53.0.102:53"), "what came later is not listened on");
}

#[test]
fn an_interface_that_is_missing_is_an_error_with_bind_interfaces() {
    let facts = lab::facts();
    let output = netns::command(&facts.resolver.path, lab::binary())
        .args(["run", "--no-resolv", "--server=127.0.0.1", "--xdp=off", "--bind-interfaces", "--interface=lis-none0"])
        .arg(format!("--control-socket={}", xtask::paths::target().join("lab-tests/none.sock").display()))
        .stdin(Stdio::null())
        .output()
        .expect("nsenter");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("interface lis-none0 does not exist"), "{text}");
}

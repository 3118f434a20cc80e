//! Floods, bounded: what others get meanwhile, and what they cost the daemon. Rates are measured by `cargo xtask bench fastpath`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use resolver_tests::lab::{self, Asker, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns::{self, Added};
use resolver_user::wire::{Message, RCode, RecordType};
use xtask::lab::facts::Facts;

/// Longest wait for an answer. A query that a full socket has lost is sent again.
const PATIENCE: Duration = Duration::from_secs(1);
/// Packets of a flood.
const PACKETS: u32 = 5_000;
/// Queries of the honest client during each flood, at least.
const QUERIES: u64 = 100;
/// What a flood may add to the daemon's memory, in bytes: its places, its cache and its buffers are all bounded.
const MEMORY_MAX: u64 = 96 << 20;
/// Where made-up sources come from (RFC 2544).
const SOURCES: &str = "198.18.0.0/15";

/// Sends the packets of a flood from the client's namespace, and says when it is done.
fn flood(facts: &Facts, done: &AtomicBool, mut packet: impl FnMut(u32) -> (Option<Ipv4Addr>, Vec<u8>) + Send) {
    let server = SocketAddr::new(facts.resolver.interfaces[0].ipv4.into(), 53);
    netns::inside(&facts.client.path, || {
        let plain = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
        for turn in 0..PACKETS {
            let (source, bytes) = packet(turn);
            let made_up = source.map(|source| UdpSocket::bind((source, 0)).expect("any address of the range"));
            // A full queue loses it, as a network would.
            let _lost = made_up.as_ref().unwrap_or(&plain).send_to(&bytes, server);
        }
    });
    done.store(true, Ordering::Relaxed);
}

/// The daemon's resident memory, in bytes.
fn resident(daemon: &LabDaemon) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", daemon.status().pid)).expect("our own process");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4096
}

/// Asks until it is answered, as clients do.
fn answer(client: &Asker, query: &TestQuery) -> Message {
    let reply = (0..10).find_map(|_| client.ask(query, PATIENCE)).expect("an answer within ten tries");
    Message::read(&reply).expect("a message")
}

#[test]
fn floods_leave_others_their_answers_and_the_daemon_its_bounds() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "rate-limit=200\ncache-size=2000");
    let hit = lab::address(&facts);
    let hit = lab::query(hit, false);
    let local = LabClient::local(&facts);
    daemon.wait_until("publication", |daemon| {
        local.ask(&hit, false);
        !daemon.published().is_empty()
    });
    let _any_source = Added::route(&facts.client.path, &format!("local {SOURCES} dev lo"));
    let _way_back = Added::route(&facts.resolver.path, &format!("{SOURCES} via {}", facts.client.interfaces[0].ipv4));
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    let honest = Asker::new(&facts.client.path, client_at.ipv6, resolver_at.ipv6);
    let before = resident(&daemon);
    let random_name = |turn: u32| TestQuery::new(&format!("r{turn}.alg13.test."), RecordType::A).wire();
    let source = |turn: u32| {
        Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(198, 18, 0, 0)) | turn.wrapping_mul(2_654_435_761) >> 15)
    };
    type Packets<'p> = Box<dyn FnMut(u32) -> (Option<Ipv4Addr>, Vec<u8>) + Send + 'p>;
    let floods: [(&str, Packets<'_>); 3] = [
        ("random names", Box::new(|turn| (None, random_name(turn)))),
        ("made-up sources", Box::new(|turn| (Some(source(turn)), random_name(turn)))),
        ("malformed", Box::new(|turn| (None, random_name(turn)[..20 + turn as usize % 12].to_vec()))),
    ];
    for (name, packets) in floods {
        let (done, answered) = (AtomicBool::new(false), daemon.counter("answered_"));
        let asked = std::thread::scope(|scope| {
            let flood = scope.spawn(|| flood(&facts, &done, packets));
            let mut asked = 0;
            while asked < QUERIES || !done.load(Ordering::Relaxed) {
                assert_eq!(answer(&honest, &hit).rcode(), RCode::NOERROR, "{name}");
                // Some that have to be found out, too.
                if asked % 20 == 0 {
                    let miss = TestQuery::new(&format!("honest{asked}.{}.alg13.test.", name.len()), RecordType::A);
                    assert_eq!(answer(&honest, &miss).rcode(), RCode::NXDOMAIN, "{name}");
                }
                asked += 1;
                // Within its own limit.
                std::thread::park_timeout(Duration::from_millis(8));
            }
            flood.join().expect("the flood ends");
            asked
        });
        let (answered, memory) = (daemon.counter("answered_") - answered, resident(&daemon).saturating_sub(before));
        println!(
            "{name}: {PACKETS} packets beside {asked} queries; {answered} answers of XDP; {} kB more memory",
            memory >> 10
        );
        assert!(answered >= asked, "{name}: XDP gave {answered} answers to {asked} queries");
        assert!(memory < MEMORY_MAX, "{name}: {memory} bytes more");
    }
    assert!(daemon.counter("dropped_rate") + daemon.user_counter("dropped_rate") > 0, "{:?}", daemon.status().counters);
}

//! The private tree is resolved from its root, by hints alone: over each IP version, with dead servers, with lost packets; and
//! gives the same answers and verdicts as forwarding to Unbound does. And of two servers of a zone the honest one is enough.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use resolver_tests::compare::extended_error;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use resolver_user::wire::{Message, RCode, Record, RecordType};
use xtask::lab::facts::{Facts, Question};
use xtask::lab::losses::{Loss, Losses, second_hosts};
use xtask::lab::{TREE, ZOO};

/// How long any answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Clients that ask at the same time.
const CLIENTS: usize = 16;

#[test]
fn every_question_of_the_tree_is_answered_from_the_root_over_each_ip_version() {
    let facts = lab::facts();
    for (lines, other) in [("recursive", None), ("recursive=ipv4", Some("fd53:")), ("recursive=ipv6", Some("10.53."))] {
        let daemon = LabDaemon::iterating(&facts, lines);
        let slowest = all_are_answered(&facts, &questions(&facts, TREE));
        println!("{lines}: slowest answer {} ms; {}", slowest.as_millis(), told(&daemon));
        if let Some(other) = other {
            let seen = sent_to(&daemon, other);
            assert_eq!(seen, 0, "{lines}: queries over the other IP version");
        }
    }
}

#[test]
fn every_question_of_the_tree_is_answered_while_one_of_two_servers_is_dead() {
    let facts = lab::facts();
    let dead = second_hosts();
    assert_eq!(dead.len(), 4, "each server of the tree has a second address: {dead:?}");
    let _losses = Losses::begin(&facts, &Loss::To(dead)).unwrap_or_else(|failure| panic!("{failure}"));
    for lines in ["recursive=ipv4", "recursive=ipv6"] {
        let daemon = LabDaemon::iterating(&facts, lines);
        let slowest = all_are_answered(&facts, &questions(&facts, TREE));
        println!("{lines}, one dead: slowest answer {} ms; {}", slowest.as_millis(), told(&daemon));
        assert!(daemon.user_counter("upstream_timeouts") > 0, "nobody was dead");
    }
}

#[test]
fn every_question_of_the_tree_is_answered_while_one_in_five_packets_is_lost() {
    let facts = lab::facts();
    let _losses = Losses::begin(&facts, &Loss::OneIn(5)).unwrap_or_else(|failure| panic!("{failure}"));
    let daemon = LabDaemon::iterating(&facts, "recursive");
    let slowest = all_are_answered(&facts, &questions(&facts, TREE));
    println!("one in five lost: slowest answer {} ms; {}", slowest.as_millis(), told(&daemon));
    assert!(daemon.user_counter("upstream_timeouts") > 20, "nothing was lost");
}

#[test]
fn iterating_gives_the_same_answers_and_verdicts_as_forwarding() {
    let facts = lab::facts();
    let questions = [questions(&facts, TREE), questions(&facts, ZOO)].concat();
    let said = |daemon: LabDaemon| {
        let client = LabClient::remote(&facts);
        let said: Vec<Said> = questions.iter().map(|question| Said::of(&client, question)).collect();
        drop(daemon);
        said
    };
    let forwarded = said(LabDaemon::start(&facts, ""));
    let iterated = said(LabDaemon::iterating(&facts, "recursive"));
    let mut differences = Vec::new();
    for ((question, forwarded), iterated) in questions.iter().zip(&forwarded).zip(&iterated) {
        if iterated != forwarded {
            let Question { qname, qtype, .. } = question;
            differences.push(format!("{qname} {qtype}\n  forwarded {forwarded:?}\n  iterated  {iterated:?}"));
        }
    }
    println!("{} questions asked both ways", questions.len());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn of_two_servers_of_a_signed_zone_the_one_with_the_right_data_is_enough() {
    let facts = lab::facts();
    let zone = facts.zones.iter().find(|zone| zone.name == "alg13.test.").expect("a signed zone");
    let server = facts.servers.iter().find(|server| server.name == zone.server).expect("its server");
    let honest = SocketAddr::from((server.ipv4[0], 53));
    let spoiler = Spoiler::of(&facts, honest);
    let lines = [spoiler.address, honest].map(|at| format!("stub=/alg13.test/{}#{}", at.ip(), at.port()));
    let daemon = LabDaemon::iterating(&facts, &format!("recursive=ipv4\n{}", lines.join("\n")));
    let addresses = zone.questions.iter().filter(|question| question.qtype == "A").cloned();
    let slowest = all_are_answered(&facts, &addresses.collect::<Vec<_>>());
    let spoiled = spoiler.spoiled.load(Ordering::Relaxed);
    let counters = ["bogus_replaced", "bogus_mended", "outcomes_bogus"].map(|name| daemon.user_counter(name));
    println!("slowest answer {} ms; spoiled {spoiled}; replaced, mended, bogus {counters:?}", slowest.as_millis());
    assert!(spoiled > 0 && counters[0] > 0 && counters[1] > 0, "it was never asked");
    assert_eq!(counters[2], 0, "bogus");
    // Its data reached no cache: whoever judges for itself sees what is right.
    let client = LabClient::remote(&facts);
    for question in zone.questions.iter().filter(|question| question.qtype == "A" && question.status == "secure") {
        let query = TestQuery { checking_disabled: true, ..lab::query(question, true) };
        let reply = Message::read(&client.ask(&query, false)).expect("an answer");
        assert!(reply.answer.iter().all(|record| *record.rdata != SPOILED), "{question:?}");
    }
}

/// The address that a spoiler tells.
const SPOILED: [u8; 4] = [6, 6, 6, 6];

/// A server that has the data of another one, but for addresses, which are not those that were signed.
struct Spoiler {
    address: SocketAddr,
    /// Replies that it has changed.
    spoiled: Arc<AtomicUsize>,
}

impl Spoiler {
    /// One on the loopback interface of the resolver's namespace. It goes on for as long as the test process.
    fn of(facts: &Facts, honest: SocketAddr) -> Self {
        let (socket, ahead) = netns::inside(&facts.resolver.path, || {
            let ahead = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
            ahead.connect(honest).expect("a route to the server");
            (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket on loopback"), ahead)
        });
        let address = socket.local_addr().expect("it is bound");
        let spoiled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&spoiled);
        ahead.set_read_timeout(Some(ANSWER_WITHIN)).expect("a read time-out");
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                ahead.send(&buffer[..length]).expect("the query goes on");
                let Ok(length) = ahead.recv(&mut buffer) else { continue };
                count.fetch_add(usize::from(spoil(&mut buffer[..length])), Ordering::Relaxed);
                socket.send_to(&buffer[..length], client).expect("the reply goes back");
            }
        });
        Self { address, spoiled }
    }
}

/// Changes the addresses of an answer, wherever they stand in it. Returns whether there were any.
fn spoil(packet: &mut [u8]) -> bool {
    let Ok(message) = Message::read(packet) else { return false };
    let addresses = message.answer.iter().filter(|record| record.rtype == RecordType::A);
    let mut any = false;
    for record in addresses {
        // With the length of the RDATA in front.
        let wanted = [&[0, 4][..], &record.rdata].concat();
        while let Some(at) = packet.windows(wanted.len()).position(|window| window == wanted) {
            packet[at + 2..at + wanted.len()].copy_from_slice(&SPOILED);
            any = true;
        }
    }
    any
}

/// What a client is told.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    rcode: RCode,
    authentic: bool,
    extended_error: Option<u16>,
    answer: BTreeSet<String>,
    authority: BTreeSet<String>,
}

impl Said {
    fn of(client: &LabClient, question: &Question) -> Self {
        let query = lab::query(question, true).edns(4096, true);
        let reply = Message::read(&client.ask(&query, false)).expect("an answer");
        // Orders and TTLs depend on who was asked before.
        let line = |record: &Record| format!("{} {} {:02x?}", record.owner.to_lowercase(), record.rtype, record.rdata);
        Self {
            rcode: reply.rcode(),
            authentic: reply.header.flags.authentic_data,
            extended_error: extended_error(&reply),
            answer: reply.answer.iter().map(line).collect(),
            authority: reply.authority.iter().map(line).collect(),
        }
    }
}

fn questions(facts: &Facts, group: &str) -> Vec<Question> {
    facts.zones.iter().filter(|zone| zone.group == group).flat_map(|zone| zone.questions.clone()).collect()
}

/// Asks all questions, several at a time, and returns how long the slowest answer took. Each must be what the lab says.
fn all_are_answered(facts: &Facts, questions: &[Question]) -> Duration {
    let next = AtomicUsize::new(0);
    let ask = || {
        let client = LabClient::remote(facts);
        let (mut slowest, mut wrong) = (Duration::ZERO, Vec::new());
        while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let reply =
                Message::read(&client.ask(&lab::query(question, true).edns(4096, true), false)).expect("an answer");
            let took = started.elapsed();
            slowest = slowest.max(took);
            // What does not fit a packet is told by TCP, and a truncated answer vouches for nothing.
            let secure = question.status == "secure" && !reply.header.flags.truncated;
            if reply.rcode().to_string() != question.rcode || reply.header.flags.authentic_data != secure {
                wrong.push(format!(
                    "{} {}: {}, {:?}",
                    question.qname,
                    question.qtype,
                    reply.rcode(),
                    extended_error(&reply)
                ));
            }
            if took > ANSWER_WITHIN {
                wrong.push(format!("{} {} took {took:?}", question.qname, question.qtype));
            }
        }
        (slowest, wrong)
    };
    let results: Vec<(Duration, Vec<String>)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let wrong: Vec<String> = results.iter().flat_map(|(_, wrong)| wrong.clone()).collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), questions.len(), wrong.join("\n"));
    results.into_iter().map(|(slowest, _)| slowest).max().unwrap_or_default()
}

/// What it took.
fn told(daemon: &LabDaemon) -> String {
    let counters = ["cache_misses", "upstream_udp", "upstream_tcp", "upstream_timeouts", "upstream_lame"];
    counters.map(|name| format!("{name} {}", daemon.user_counter(name))).join(", ")
}

/// Queries sent to servers whose addresses begin so.
fn sent_to(daemon: &LabDaemon, beginning: &str) -> u64 {
    let servers = daemon.status().recursion.expect("it resolves from the root").servers;
    servers.iter().filter(|server| server.address.starts_with(beginning)).map(|server| server.sent).sum()
}

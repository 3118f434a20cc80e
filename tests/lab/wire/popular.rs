//! Popular answers stay with XDP, addresses take turns in it, and what was cached comes back after a restart.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_user::wire::Message;
use xtask::lab::facts::{Facts, Question};

fn question<'f>(facts: &'f Facts, qname: &str) -> &'f Question {
    let mut questions = facts.zones.iter().flat_map(|zone| &zone.questions);
    questions.find(|q| q.qname == qname && q.qtype == "A").unwrap_or_else(|| panic!("{qname} in the lab"))
}

/// What XDP passed for want of an answer.
fn missed(daemon: &LabDaemon) -> u64 {
    daemon.counter("pass_miss") + daemon.counter("pass_expired")
}

#[test]
fn a_name_that_is_asked_for_all_the_time_never_leaves_xdp_and_an_idle_one_expires() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "max-cache-ttl=6");
    let client = LabClient::remote(&facts);
    let (hot, idle) = (question(&facts, "www.alg13.test."), question(&facts, "www.alg8.test."));
    let queries = [lab::query(hot, false), lab::query(hot, true)];
    daemon.ask_until_xdp_answers(&client, &lab::query(idle, false), false);
    for query in &queries {
        daemon.ask_until_xdp_answers(&client, query, false);
    }
    let (missed_before, misses_before) = (missed(&daemon), daemon.user_counter("cache_misses"));
    let answered_before = daemon.counter("answered_");
    let (end, mut asked) = (Instant::now() + Duration::from_secs(9), 0);
    while Instant::now() < end {
        for query in &queries {
            let answer = Message::read(&client.ask(query, false)).expect("a message");
            assert!(answer.header.flags.authentic_data, "{answer:?}");
            assert!(answer.answer.iter().all(|record| (1..=6).contains(&record.ttl_s)), "{answer:?}");
            asked += 1;
        }
        thread::park_timeout(Duration::from_millis(100));
    }
    assert_eq!(missed(&daemon), missed_before, "XDP had an answer each time");
    assert_eq!(daemon.counter("answered_"), answered_before + asked);
    assert_eq!(daemon.user_counter("cache_misses"), misses_before);
    let prefetches = daemon.user_counter("prefetches");
    assert!((1..=3).contains(&prefetches), "{prefetches} in nine seconds, one name");
    assert!(daemon.published().iter().all(|entry| entry.name != idle.qname), "nobody asked for the idle one");
    client.ask(&lab::query(idle, false), false);
    assert_eq!(missed(&daemon), missed_before + 1);
}

#[test]
fn addresses_of_xdp_take_turns_and_every_answer_stays_whole() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "round-robin=1");
    let client = LabClient::remote(&facts);
    let mut questions = facts.zones.iter().flat_map(|zone| &zone.questions);
    let many = questions.find(|q| q.qname.starts_with("multi8.") && q.qtype == "A" && q.status == "secure");
    // Without signatures: a frame that a local process has sent over a veth has little room to grow.
    let query = lab::query(many.expect("a name with eight addresses"), false);
    daemon.ask_until_xdp_answers(&client, &query, false);
    let (answered, end) = (daemon.counter("answered_"), Instant::now() + Duration::from_secs(4));
    let (mut asked, mut firsts) = (0, HashSet::new());
    while Instant::now() < end {
        let answer = Message::read(&client.ask(&query, asked % 2 == 1)).expect("a message");
        let addresses: Vec<_> = answer.answer.iter().filter(|record| record.rdata.len() == 4).collect();
        let all: HashSet<_> = addresses.iter().map(|record| record.rdata.clone()).collect();
        assert!(all.len() == 8 && answer.header.flags.authentic_data, "{answer:?}");
        firsts.insert(addresses[0].rdata.clone());
        asked += 1;
        thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(
        daemon.counter("answered_"),
        answered + asked,
        "all by XDP, whose checksums the client's kernel checked"
    );
    assert!((3..=5).contains(&firsts.len()), "{} turns in four seconds", firsts.len());
}

#[test]
fn the_cache_file_brings_answers_back_to_xdp_without_asking_their_servers() {
    let facts = lab::facts();
    let file = xtask::paths::target().join("lab-tests/cache");
    // From an earlier run.
    let _none = std::fs::remove_file(&file);
    let lines = format!("cache-file={}", file.display());
    let query = lab::query(question(&facts, "www.alg13.test."), true);
    let client = LabClient::remote(&facts);
    let ttl_s = |packet: &[u8]| Message::read(packet).expect("a message").answer[0].ttl_s;
    let mut daemon = LabDaemon::start(&facts, &lines);
    let before = ttl_s(&client.ask(&query, false));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success(), "{}", daemon.log());
    drop(daemon);
    let daemon = LabDaemon::start(&facts, &lines);
    let after = client.ask(&query, false);
    assert!(Message::read(&after).expect("a message").header.flags.authentic_data && ttl_s(&after) < before);
    assert_eq!((daemon.user_counter("cache_file_answers"), daemon.user_counter("outcomes_secure")), (1, 1));
    daemon.ask_until_xdp_answers(&client, &query, false);
}

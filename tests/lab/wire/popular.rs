//! Popular answers stay with XDP, addresses take turns in it, and what was cached comes back after a restart.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_user::wire::Message;
use xtask::lab::facts::{Facts, Question};

/// Longest time that anything here may take, on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(120);

fn question<'f>(facts: &'f Facts, qname: &str) -> &'f Question {
    facts.questions().find(|q| q.qname == qname && q.qtype == "A").unwrap_or_else(|| panic!("{qname} in the lab"))
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
    let began_at = Instant::now();
    daemon.ask_until_xdp_answers(&client, &lab::query(idle, false), false);
    for query in &queries {
        daemon.ask_until_xdp_answers(&client, query, false);
    }
    let (missed_before, misses_before) = (missed(&daemon), daemon.user_counter("cache_misses"));
    let answered_before = daemon.counter("answered_");
    let (mut asked, mut held_up, mut asked_at) = (0, 0, Instant::now());
    while daemon.user_counter("prefetches") < 2 {
        assert!(began_at.elapsed() < LONG, "{}", daemon.log());
        for query in &queries {
            let answer = Message::read(&client.ask(query, false)).expect("a message");
            assert!(answer.header.flags.authentic_data, "{answer:?}");
            assert!(answer.answer.iter().all(|record| record.ttl_s <= 6), "{answer:?}");
            asked += 1;
        }
        // A machine that is busy with other things may let an answer come to its end.
        held_up += u64::from(asked_at.elapsed() > Duration::from_secs(1));
        asked_at = Instant::now();
        thread::park_timeout(Duration::from_millis(100));
    }
    let missed_meanwhile = missed(&daemon) - missed_before;
    assert!(
        missed_meanwhile <= 2 * held_up,
        "XDP had an answer each time but {missed_meanwhile}; held up {held_up} times"
    );
    assert_eq!(daemon.counter("answered_") - answered_before, asked - missed_meanwhile);
    assert!(daemon.user_counter("cache_misses") - misses_before <= held_up);
    assert!(began_at.elapsed() > Duration::from_secs(7), "in {:?}: not long before its end", began_at.elapsed());
    assert!(daemon.published().iter().all(|entry| entry.name != idle.qname), "nobody asked for the idle one");
    let missed_before = missed(&daemon);
    client.ask(&lab::query(idle, false), false);
    assert_eq!(missed(&daemon), missed_before + 1);
}

#[test]
fn addresses_of_xdp_take_turns_and_every_answer_stays_whole() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "round-robin=1");
    let client = LabClient::remote(&facts);
    let many = facts.questions().find(|q| q.qname.starts_with("multi8.") && q.qtype == "A" && q.status == "secure");
    // Without signatures: a frame that a local process has sent over a veth has little room to grow.
    let query = lab::query(many.expect("a name with eight addresses"), false);
    daemon.ask_until_xdp_answers(&client, &query, false);
    let (answered, began_at) = (daemon.counter("answered_"), Instant::now());
    let (mut asked, mut firsts) = (0, HashSet::new());
    while firsts.len() < 4 {
        assert!(began_at.elapsed() < LONG, "{}", daemon.log());
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
    // Three turns, of a second each, of which the first may have begun before us.
    assert!(began_at.elapsed() > Duration::from_secs(2), "in {:?}", began_at.elapsed());
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

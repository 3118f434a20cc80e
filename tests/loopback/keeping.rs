//! What is done to have answers at hand: popular ones found anew ahead of their end, failures remembered, addresses in turn, and
//! the cache kept over a restart.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use resolver_tests::client::ask;
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::{TestQuery, a};
use resolver_tests::signed::SignedTree;
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::clock::{Clock, SystemClock};
use resolver_user::saved::{SavedAnswer, save};
use resolver_user::wire::{Message, Question, RCode, RecordType, Response, RrSet};

use super::RESOLVER;

/// Longest time that anything here may take, on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(120);
/// Names of a flood of each sort.
const FLOOD: usize = 1100;

/// A server that answers every name with one address for so long, but fails while it is told to.
fn upstream(ttl_s: u32) -> (Upstream, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&fails);
    let upstream = Upstream::replying(move |asked| match told.load(Ordering::Relaxed) {
        true => Reply::error(RCode::SERVFAIL),
        false => Reply::answer(vec![a(&asked.question.qname.to_string(), ttl_s, [192, 0, 2, 1])]),
    });
    (upstream, fails)
}

fn asked_for(upstream: &Upstream, qname: &str, qtype: RecordType) -> usize {
    let question = Question::new(qname.parse().unwrap(), qtype);
    upstream.seen().iter().filter(|asked| asked.question == question).count()
}

/// What came of asking for a name again and again.
struct Asking {
    /// Every answer, as RCODE and TTL.
    seen: Vec<(RCode, u32)>,
    /// How often two questions were further apart than they should be, since the machine was busy.
    held_up: u64,
    took: Duration,
}

impl Asking {
    /// Asks about ten times a second, until `is_enough`.
    fn until(server: SocketAddr, qname: &str, mut is_enough: impl FnMut(&[(RCode, u32)]) -> bool) -> Self {
        let (began_at, mut asked_at) = (Instant::now(), Instant::now());
        let (mut seen, mut held_up) = (Vec::new(), 0);
        while !is_enough(&seen) {
            assert!(began_at.elapsed() < LONG, "{qname}: {seen:?}");
            let answer = ask(server, &TestQuery::new(qname, RecordType::A));
            seen.push((answer.rcode(), answer.answer.first().map_or(0, |record| record.ttl_s)));
            held_up += u64::from(asked_at.elapsed() > Duration::from_secs(1));
            asked_at = Instant::now();
            thread::park_timeout(Duration::from_millis(100));
        }
        Self { seen, held_up, took: began_at.elapsed() }
    }

    /// How often a server can at most have been asked meanwhile for a name of which it is known that it fails.
    fn failures_max(&self) -> usize {
        (self.took.as_secs() / 4) as usize + 1
    }
}

#[test]
fn a_name_that_is_asked_for_all_the_time_is_missed_once_and_an_idle_one_expires() {
    let (upstream, _) = upstream(5);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    ask(daemon.address, &TestQuery::new("idle.example.", RecordType::A));
    let hot = || asked_for(&upstream, "hot.example.", RecordType::A) as u64;
    let Asking { seen, held_up, took } = Asking::until(daemon.address, "hot.example.", |_| hot() == 3);
    assert!(seen.iter().all(|(rcode, _)| *rcode == RCode::NOERROR), "{seen:?}");
    assert!(took > Duration::from_secs(5), "in {took:?}: not long before its end");
    let misses = daemon.counter("cache_misses");
    assert!((2..=2 + held_up).contains(&misses), "{misses}: one for each name; held up {held_up} times");
    assert!(held_up > 0 || seen.iter().all(|(_, ttl_s)| *ttl_s >= 1), "never the last moment: {seen:?}");
    assert_eq!(daemon.counter("prefetches") + misses, hot() + 1, "each is a miss, or ahead of its time");
    assert_eq!(asked_for(&upstream, "idle.example.", RecordType::A), 1, "nobody asked for it again");
}

#[test]
fn without_prefetch_a_name_is_missed_each_time_that_it_expires() {
    let (upstream, _) = upstream(5);
    let daemon = RESOLVER.start(&[&upstream.option(), "--prefetch=0"]);
    Asking::until(daemon.address, "hot.example.", |_| asked_for(&upstream, "hot.example.", RecordType::A) == 2);
    assert_eq!((daemon.counter("cache_misses"), daemon.counter("prefetches")), (2, 0));
}

#[test]
fn an_answer_that_cannot_be_found_anew_is_given_to_its_end_and_servers_are_left_in_peace() {
    let (upstream, fails) = upstream(6);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    ask(daemon.address, &TestQuery::new("hot.example.", RecordType::A));
    fails.store(true, Ordering::Relaxed);
    let is_failure = |(rcode, _): &(RCode, u32)| *rcode == RCode::SERVFAIL;
    let enough = |seen: &[_]| seen.iter().filter(|answer| is_failure(answer)).count() == 20;
    let asking = Asking::until(daemon.address, "hot.example.", enough);
    let (seen, good) = (&asking.seen, asking.seen.len() - 20);
    assert!(seen[good..].iter().all(is_failure), "{seen:?}");
    assert!(asking.held_up > 0 || seen[..good].last().is_some_and(|(_, ttl_s)| *ttl_s <= 1), "to its end: {seen:?}");
    assert!(asking.held_up > 0 || daemon.counter("prefetches_failed") >= 1);
    // When it was good, and then for each failure once: not at each of seventy queries.
    assert!(asked_for(&upstream, "hot.example.", RecordType::A) <= 2 + asking.failures_max(), "{:?}", asking.took);
}

#[test]
fn stale_data_are_not_looked_for_at_each_query_while_servers_fail_at_once() {
    let (upstream, fails) = upstream(1);
    let daemon = RESOLVER.start(&[&upstream.option(), "--use-stale-cache"]);
    ask(daemon.address, &TestQuery::new("old.example.", RecordType::A));
    fails.store(true, Ordering::Relaxed);
    let asking = Asking::until(daemon.address, "old.example.", |_| daemon.counter("failures_remembered") > 10);
    assert!(asking.seen.iter().all(|(rcode, _)| *rcode == RCode::NOERROR), "{:?}", asking.seen);
    let asked = asked_for(&upstream, "old.example.", RecordType::A);
    assert!((2..=1 + asking.failures_max()).contains(&asked), "once anew, and then not for five seconds: {asked}");
}

#[test]
fn a_failure_is_remembered_longer_each_time_while_other_names_can_be_found() {
    let upstream = Upstream::replying(|asked| match asked.question.qname.to_string().starts_with("broken") {
        true => Reply::error(RCode::SERVFAIL),
        false => Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [192, 0, 2, 1])]),
    });
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let broken = TestQuery::new("broken.example.", RecordType::A);
    // For each question that came to the server: when the client began to ask, and when it had its answer.
    let mut asked_at: Vec<(Instant, Instant)> = Vec::new();
    while asked_at.len() < 3 {
        let began_at = Instant::now();
        assert!(asked_at.first().is_none_or(|(first, _)| first.elapsed() < LONG), "{asked_at:?}");
        assert_eq!(ask(daemon.address, &broken).rcode(), RCode::SERVFAIL);
        let asked = asked_for(&upstream, "broken.example.", RecordType::A);
        if asked > asked_at.len() {
            asked_at.push((began_at, Instant::now()));
            ask(daemon.address, &TestQuery::new(&format!("n{asked}.example."), RecordType::A));
        }
        thread::park_timeout(Duration::from_millis(50));
    }
    let waited = asked_at.windows(2).map(|pair| pair[1].1 - pair[0].0).collect::<Vec<_>>();
    // Five seconds and ten, less the last one, in which what is kept could show no TTL.
    assert!(waited[0] >= Duration::from_secs(4) && waited[1] >= Duration::from_secs(9), "{waited:?}");
}

#[test]
fn addresses_take_turns_if_that_is_wanted_and_their_signatures_stay() {
    let upstream = Upstream::replying(|asked| {
        let name = asked.question.qname.to_string();
        Reply::answer((1..=3).map(|number| a(&name, 60, [192, 0, 2, number])).collect())
    });
    let firsts = |daemon: &Daemon| -> Vec<u8> {
        let answers =
            (0..6).map(|_| ask(daemon.address, &TestQuery::new("www.example.", RecordType::A).edns(1232, true)));
        let last = |answer: &Message| {
            assert_eq!(answer.answer.len(), 3);
            let mut all: Vec<u8> = answer.answer.iter().map(|record| record.rdata[3]).collect();
            let first = all[0];
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3]);
            first
        };
        answers.map(|answer| last(&answer)).collect()
    };
    let kept = RESOLVER.start(&[&upstream.option()]);
    assert_eq!(firsts(&kept), [1; 6]);
    let turned = RESOLVER.start(&[&upstream.option(), "--round-robin"]);
    let mut seen = firsts(&turned);
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
    seen.sort_unstable();
    assert_eq!(seen, [1, 1, 2, 2, 3, 3]);
    let last_holds = RESOLVER.start(&[&upstream.option(), "--round-robin=9", "--no-round-robin"]);
    assert_eq!(firsts(&last_holds), [1; 6]);
}

/// A validating daemon with a cache file before the signed tree.
struct Restarts {
    upstream: Upstream,
    anchor: String,
    directory: TestDirectory,
}

impl Restarts {
    fn new() -> Self {
        let tree = SignedTree::default();
        let anchor = tree.anchor_option();
        let upstream = Upstream::replying(move |asked| tree.reply(asked));
        Self { upstream, anchor, directory: TestDirectory::new() }
    }

    fn start(&self, options: &[&str]) -> Daemon {
        let file = format!("--cache-file={}", self.file().display());
        RESOLVER.start(&[&["--dnssec", &self.anchor, &self.upstream.option(), &file], options].concat())
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("cache")
    }

    fn asked(&self) -> usize {
        asked_for(&self.upstream, "www.example.", RecordType::A)
    }
}

fn www(daemon: &Daemon) -> Message {
    ask(daemon.address, &TestQuery::new("www.example.", RecordType::A).edns(1232, true))
}

/// Asks, and stops the daemon in good order.
fn fill(restarts: &Restarts) -> Message {
    let mut daemon = restarts.start(&[]);
    let answer = www(&daemon);
    assert!(ask(daemon.address, &TestQuery::new("none.example.", RecordType::A)).rcode() == RCode::NXDOMAIN);
    assert!(daemon.stop(Signal::SIGTERM).0.success());
    answer
}

#[test]
fn the_cache_outlives_a_restart_and_is_validated_again() {
    let restarts = Restarts::new();
    let before = fill(&restarts);
    let daemon = restarts.start(&[]);
    daemon.wait_for_log("cache file read");
    let after = www(&daemon);
    assert!(after.header.flags.authentic_data && after.answer.len() == before.answer.len());
    let ttl_s = |answer: &Message| answer.answer[0].ttl_s;
    assert!(ttl_s(&after) < ttl_s(&before) && ttl_s(&after) > ttl_s(&before) - 20);
    assert_eq!((restarts.asked(), daemon.counter("cache_file_answers")), (1, 1), "no server was asked for it");
    assert_eq!(daemon.counter("outcomes_secure"), 1, "it was judged in this life");
    let denied = ask(daemon.address, &TestQuery::new("none.example.", RecordType::A).edns(1232, true));
    assert_eq!((denied.rcode(), denied.header.flags.authentic_data), (RCode::NXDOMAIN, true));
    // It goes on through a restart in which nobody asks for it.
    let mut idle = daemon;
    assert!(idle.stop(Signal::SIGTERM).0.success());
    assert!(restarts.start(&[]).stop(Signal::SIGINT).0.success());
    let third = restarts.start(&[]);
    assert!(www(&third).header.flags.authentic_data && restarts.asked() == 1);
}

/// An answer to a question for TXT at an alias, without which servers would have to be asked for it: its alias has come with another one.
fn composed(daemon: &Daemon) -> Message {
    let answer = ask(daemon.address, &TestQuery::new("z-1.example.", RecordType::TXT).edns(1232, true));
    assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, true));
    let alias = answer.answer.first().expect("the alias");
    assert_eq!((alias.owner.to_string().as_str(), alias.rtype), ("z-1.example.", RecordType::CNAME));
    answer
}

#[test]
fn what_was_put_together_outlives_a_restart_no_longer_than_its_parts() {
    let restarts = Restarts::new();
    let asked = |qtype| asked_for(&restarts.upstream, "z-1.example.", qtype);
    let mut daemon = restarts.start(&[]);
    ask(daemon.address, &TestQuery::new("z-1.example.", RecordType::A));
    let before = composed(&daemon);
    assert_eq!((asked(RecordType::A), asked(RecordType::TXT)), (1, 0), "its alias was at hand");
    assert!(daemon.stop(Signal::SIGTERM).0.success());
    let daemon = restarts.start(&[]);
    daemon.wait_for_log("cache file read");
    let after = composed(&daemon);
    let ttl_s = |answer: &Message| answer.answer[0].ttl_s;
    assert!(ttl_s(&after) <= ttl_s(&before), "{} {}", ttl_s(&after), ttl_s(&before));
    assert_eq!(daemon.counter("cache_file_answers"), 1);
    // And its parts are at hand again.
    let mx = ask(daemon.address, &TestQuery::new("z-1.example.", RecordType::MX).edns(1232, true));
    assert!(mx.header.flags.authentic_data && mx.answer[0].ttl_s <= ttl_s(&after));
    let again = [RecordType::TXT, RecordType::MX, RecordType::A].map(asked);
    assert_eq!(again, [0, 0, 1], "no server was asked for the alias in this life");
}

#[test]
fn what_was_put_together_is_asked_for_as_a_whole_ahead_of_its_end() {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let daemon = RESOLVER.start(&["--dnssec", &anchor, &upstream.option(), "--max-cache-ttl=9"]);
    ask(daemon.address, &TestQuery::new("z-1.example.", RecordType::A));
    let began_at = Instant::now();
    let mut seen = Vec::new();
    while asked_for(&upstream, "z-1.example.", RecordType::TXT) == 0 || seen.last().is_some_and(|ttl_s| *ttl_s < 8) {
        assert!(began_at.elapsed() < LONG, "{seen:?}");
        seen.push(composed(&daemon).answer[0].ttl_s);
        thread::park_timeout(Duration::from_millis(100));
    }
    let (ends, rest) = (seen.windows(2).filter(|pair| pair[0] < pair[1]).count(), seen.last());
    assert_eq!(ends, 1, "it was found anew once, with its whole time: {seen:?}");
    assert!(seen.iter().all(|ttl_s| (1..=9).contains(ttl_s)) && rest.is_some_and(|ttl_s| *ttl_s >= 8), "{seen:?}");
    // Unless the machine held us up, that was ahead of its end.
    let misses = daemon.counter("cache_misses");
    assert!(daemon.counter("prefetches") == 1 && misses == 2 || misses == 3, "{misses}");
}

#[test]
fn what_answers_rest_on_must_be_the_same_and_the_clock_known() {
    let restarts = Restarts::new();
    fill(&restarts);
    for options in [&["--filter-AAAA"][..], &["--trust-anchor=lan"], &["--address=/www.example/192.0.2.9"]] {
        let mut daemon = restarts.start(options);
        daemon.wait_for_log("the cache file is not used");
        // Not in good order, which would write another file.
        daemon.signal(Signal::SIGKILL);
        daemon.stop(Signal::SIGKILL);
    }
    let daemon = restarts.start(&["--dnssec-no-timecheck"]);
    daemon.wait_for_log("the cache file is not used: the clock is not known to be right");
    assert!(www(&daemon).header.flags.authentic_data && restarts.asked() == 2);
}

#[test]
fn nothing_that_stands_in_the_file_becomes_secure_or_bogus_by_standing_there() {
    let restarts = Restarts::new();
    let before = fill(&restarts);
    let bytes = std::fs::read(restarts.file()).unwrap();
    // Whoever could write our file could make its sum fit.
    let basis = <[u8; 32]>::try_from(&bytes[12..44]).unwrap();
    let forged = |rdata: [u8; 4]| {
        let owner: resolver_user::wire::Name = "www.example.".parse().unwrap();
        let question = Question::new(owner.clone(), RecordType::A);
        let rdatas = vec![Box::from(rdata)];
        let set = RrSet { owner, rtype: RecordType::A, ttl_s: 3000, rdatas, signatures: Vec::new() };
        Response { question, rcode: RCode::NOERROR, answer: vec![set], authority: Vec::new() }
    };
    let now = SystemClock.now();
    let answer = SavedAnswer::new(&forged([192, 0, 2, 66]), now.boot_ns, now.boot_ns + 3_000_000_000_000, now);
    save(&restarts.file(), &basis, &[answer.unwrap()], now).unwrap();
    let daemon = restarts.start(&[]);
    daemon.wait_for_log("cache file read");
    let after = www(&daemon);
    assert_eq!((after.rcode(), after.header.flags.authentic_data), (RCode::NOERROR, true));
    assert_eq!(after.answer[0].rdata, before.answer[0].rdata, "a server was asked instead");
    assert_eq!((restarts.asked(), daemon.counter("cache_file_answers")), (2, 0));
}

#[test]
fn a_file_that_cannot_be_used_is_told_of_and_does_no_harm() {
    let restarts = Restarts::new();
    fill(&restarts);
    let whole = std::fs::read(restarts.file()).unwrap();
    std::fs::write(restarts.file(), &whole[..whole.len() / 2]).unwrap();
    let mut daemon = restarts.start(&[]);
    daemon.wait_for_log("it is damaged");
    assert!(www(&daemon).header.flags.authentic_data);
    // Its place cannot be written: that is told too, and the end is as ever.
    std::fs::remove_file(restarts.file()).unwrap();
    std::fs::create_dir(restarts.file()).unwrap();
    assert!(daemon.stop(Signal::SIGTERM).0.success());
    daemon.wait_for_log("the cache file cannot be written");
    let log = restarts.start(&[]);
    log.wait_for_log("it is no regular file");
    assert!(Path::new(&restarts.file()).is_dir());
}

/// Names that nobody asks for twice, of each sort that leaves something behind: addresses, aliases, denials.
#[test]
fn a_flood_of_names_leaves_no_more_behind_than_the_cache_size_allows() {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let options = [&upstream.option(), &anchor, "--dnssec", "--trust-anchor-signaling=no", "--cache-size=100"];
    let daemon = RESOLVER.start(&options);
    for number in 0..FLOOD {
        for (kind, qtype) in [("x", RecordType::A), ("x", RecordType::TXT), ("z-", RecordType::A)] {
            ask(daemon.address, &TestQuery::new(&format!("{kind}{number}.example."), qtype));
        }
    }
    let status = daemon.status();
    // Caches have parts of at least 32 places, all of one size.
    let bound = |entries_max: u64| entries_max..=entries_max + entries_max / 32 + 1;
    assert!(status.cache_entries <= *bound(100).end(), "{}", status.cache_entries);
    let expected = [("sets", 50), ("zones", 500), ("denials", 1000)];
    for (kept, (name, entries_max)) in status.kept_beside.iter().zip(expected) {
        assert_eq!(kept.name, name);
        assert!(bound(entries_max).contains(&kept.entries_max), "{kept:?}");
        assert!((1..=kept.entries_max).contains(&kept.entries), "{kept:?}");
    }
    assert_eq!(status.kept_beside.len(), expected.len());
    assert!(daemon.counter("cache_misses") > 3 * 1000, "more than any of them has room for");
}

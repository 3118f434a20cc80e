//! Names of the operator's own, filters, and for how long answers are kept, seen from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use resolver_tests::client::{ask, ask_tcp};
use resolver_tests::compare::extended_error;
use resolver_tests::daemon::Daemon;
use resolver_tests::message::{TestQuery, a, cname, soa};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::{RESOLVER, signed};

/// Extended errors (RFC 8914 §4).
const STALE: u16 = 3;
const FORGED: u16 = 4;
const BLOCKED: u16 = 15;
const FILTERED: u16 = 17;
const STALE_NXDOMAIN: u16 = 19;

/// A daemon that does not validate, before a server that knows `www.`, `alias.` and says no to others, with a SOA or none.
fn unsigned(options: &[&str]) -> (Upstream, Daemon) {
    let upstream = Upstream::replying(|asked| match asked.question.to_string().as_str() {
        "www. A" => Reply::answer(vec![a("www.", 300, [9, 9, 9, 9])]),
        "alias. A" => Reply::answer(vec![cname("alias.", 60, "www."), a("www.", 300, [9, 9, 9, 9])]),
        "home. A" => Reply::answer(vec![a("home.", 300, [192, 168, 0, 1])]),
        "bare. A" => Reply::error(RCode::NXDOMAIN),
        _ => Reply { authority: vec![soa(".", 900, 30)], ..Reply::error(RCode::NXDOMAIN) },
    });
    let server = upstream.option();
    let daemon = RESOLVER.start(&[&[&*server], options].concat());
    (upstream, daemon)
}

fn query(qname: &str) -> TestQuery {
    TestQuery::new(qname, RecordType::A).edns(1232, true)
}

/// What a client is told: RCODE, number of answers without signatures, AD, extended error.
fn told(answer: &Message) -> (RCode, usize, bool, Option<u16>) {
    let answers = answer.answer.iter().filter(|record| record.rtype != RecordType::RRSIG).count();
    (answer.rcode(), answers, answer.header.flags.authentic_data, extended_error(answer))
}

/// The TTL of the first record of a second answer, which comes from the cache. At most one second has passed.
fn cached_ttl(daemon: &Daemon, qname: &str) -> u32 {
    ask(daemon.address, &query(qname));
    let answer = ask(daemon.address, &query(qname));
    answer.answer.iter().chain(&answer.authority).next().map_or(0, |record| record.ttl_s)
}

/// Asks until the answer is as wanted.
fn await_answer(daemon: &Daemon, query: &TestQuery, wanted: impl Fn(&Message) -> bool) -> Message {
    for _ in 0..2000 {
        let answer = ask(daemon.address, query);
        if wanted(&answer) {
            return answer;
        }
        park_timeout(Duration::from_millis(5));
    }
    panic!("no such answer to {query:?}");
}

/// Waits until a TTL is over that began before now.
fn await_end_of(ttl_s: u64) {
    let over = Instant::now() + Duration::from_secs(ttl_s);
    while let Some(left) = over.checked_duration_since(Instant::now()) {
        park_timeout(left);
    }
}

#[test]
fn the_operators_names_come_before_every_server_and_have_no_proof() {
    let records: Vec<String> = (0..40).map(|number| format!("--host-record=many.example,10.0.0.{number}")).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let options =
        [&["--host-record=www.example,10.1.2.3,fd00::1,77", "--local-ttl=9", "--address=/ads.example/#"], &*records];
    let (upstream, daemon) = signed(&options.concat());
    for recursion_desired in [true, false] {
        let answer = ask(daemon.address, &TestQuery { recursion_desired, ..query("WWW.example.") });
        assert_eq!(told(&answer), (RCode::NOERROR, 1, false, None));
        assert!(answer.header.flags.authoritative && answer.header.flags.recursion_available);
        let [record] = &answer.answer[..] else { panic!("one record") };
        assert_eq!((&*record.rdata, record.ttl_s), (&[10, 1, 2, 3][..], 77));
        assert_eq!(record.owner.to_string(), "WWW.example.", "the letter case of the question");
    }
    let null = ask(daemon.address, &query("x.y.ads.example."));
    assert_eq!((&*null.answer[0].rdata, null.answer[0].ttl_s), (&[0, 0, 0, 0][..], 9));
    let many = TestQuery::new("many.example.", RecordType::A);
    let truncated = ask(daemon.address, &many);
    assert!(truncated.header.flags.truncated && truncated.answer.is_empty());
    assert_eq!(ask_tcp(daemon.address, &many).answer.len(), 40);
    assert!(upstream.seen().is_empty());
    // What the operator has said nothing about is asked for, and proven.
    assert_eq!(told(&ask(daemon.address, &query("x1.example."))), (RCode::NOERROR, 1, true, None));
    let status = daemon.status();
    // Two names, and 42 of their addresses.
    assert_eq!((status.local_names, status.local_domains), (44, 1));
    assert_eq!(daemon.counter("local_answers"), 5);
}

#[test]
fn private_addresses_from_outside_are_withheld_and_cd_is_no_way_around() {
    // www.example. is 192.0.2.1, of a range that only documentation uses; forged.example. says 6.6.6.6.
    let (_upstream, daemon) = signed(&["--stop-dns-rebind", "--bogus-nxdomain=6.6.6.0/24"]);
    for _ in 0..2 {
        for checking_disabled in [false, true] {
            let ask_for = |qname: &str| told(&ask(daemon.address, &TestQuery { checking_disabled, ..query(qname) }));
            assert_eq!(ask_for("www.example."), (RCode::NOERROR, 0, false, Some(BLOCKED)));
            // Bogus data without CD are a failure; with CD they are filtered like all others.
            let (rcode, answers, authentic, _) = ask_for("forged.example.");
            let expected = if checking_disabled { RCode::NXDOMAIN } else { RCode::SERVFAIL };
            assert_eq!((rcode, answers, authentic), (expected, 0, false));
        }
    }
    assert_eq!((daemon.counter("outcomes_secure"), daemon.counter("outcomes_filtered")), (1, 1));
    let (_upstream, daemon) = signed(&["--stop-dns-rebind", "--rebind-domain-ok=example"]);
    assert_eq!(told(&ask(daemon.address, &query("www.example."))), (RCode::NOERROR, 1, true, None));
}

#[test]
fn bogus_addresses_become_nxdomain_and_ignored_ones_a_failure() {
    let (_upstream, daemon) = unsigned(&["--bogus-nxdomain=9.9.9.9", "--ignore-address=192.168.0.0/16"]);
    assert_eq!(told(&ask(daemon.address, &query("alias."))), (RCode::NXDOMAIN, 0, false, Some(BLOCKED)));
    assert_eq!(told(&ask(daemon.address, &query("home."))), (RCode::SERVFAIL, 0, false, Some(22)));
    assert_eq!(daemon.counter("replies_ignored"), 1);
}

#[test]
fn filtered_types_leave_aliases_and_no_proof() {
    let (_upstream, daemon) = unsigned(&["--filter-A"]);
    for _ in 0..2 {
        let answer = ask(daemon.address, &query("alias."));
        assert_eq!(told(&answer), (RCode::NOERROR, 1, false, Some(FILTERED)));
        assert_eq!(answer.answer[0].rtype, RecordType::CNAME);
    }
    let (_upstream, daemon) = signed(&["--filter-rr=A"]);
    assert_eq!(told(&ask(daemon.address, &query("www.example."))), (RCode::NOERROR, 0, false, Some(FILTERED)));
    assert_eq!(told(&ask(daemon.address, &query("nowhere.example."))).0, RCode::NXDOMAIN);
}

#[test]
fn ttls_keep_within_the_operators_limits() {
    for (options, qname, expected) in [
        (&[][..], "www.", 300),
        (&["--min-cache-ttl=600"], "www.", 600),
        (&["--max-cache-ttl=100"], "www.", 100),
        (&["--max-cache-ttl=100", "--min-cache-ttl=200"], "www.", 200),
        (&["--max-ttl=40"], "www.", 40),
        (&["--min-cache-ttl=600"], "nowhere.", 600),
    ] {
        let (_upstream, daemon) = unsigned(options);
        let ttl_s = cached_ttl(&daemon, qname);
        assert!((expected - 1..=expected).contains(&ttl_s), "{options:?}: {ttl_s}, not {expected}");
    }
}

#[test]
fn a_longer_ttl_never_outlives_the_proof() {
    let (_upstream, daemon) = signed(&["--min-cache-ttl=3600"]);
    // Keys and DS of the signed zone are there for 300 s, the proof that plain. is unsigned for 60.
    for (qname, longest_s) in [("www.example.", 300), ("www.plain.", 60), ("nowhere.example.", 60)] {
        let ttl_s = cached_ttl(&daemon, qname);
        assert!((1..=longest_s).contains(&ttl_s), "{qname}: {ttl_s}");
    }
}

#[test]
fn negative_answers_are_kept_as_told() {
    let asked = |options: &[&str], qname: &str| {
        let (upstream, daemon) = unsigned(options);
        for _ in 0..3 {
            assert_eq!(ask(daemon.address, &query(qname)).rcode(), RCode::NXDOMAIN);
        }
        upstream.seen().len()
    };
    assert_eq!(asked(&[], "nowhere."), 1);
    assert_eq!(asked(&["--no-negcache"], "nowhere."), 3);
    assert_eq!(asked(&[], "bare."), 3, "without a SOA nothing says how long (RFC 2308 §5)");
    assert_eq!(asked(&["--neg-ttl=60"], "bare."), 1);
    // Nor does an earlier denial answer for others.
    let (upstream, daemon) = signed(&["--no-negcache"]);
    ask(daemon.address, &query("n1.example."));
    ask(daemon.address, &query("n2.example."));
    assert!(upstream.seen().iter().any(|asked| asked.question.qname.to_string() == "n2.example."));
}

#[test]
fn stale_answers_are_given_at_once_without_proof_and_refreshed() {
    let (upstream, daemon) = signed(&["--use-stale-cache", "--max-cache-ttl=1"]);
    let asked_for =
        |qname: &str| upstream.seen().iter().filter(|asked| asked.question.qname.to_string() == qname).count();
    assert_eq!(told(&ask(daemon.address, &query("www.example."))), (RCode::NOERROR, 1, true, None));
    assert_eq!(told(&ask(daemon.address, &query("nowhere.example."))).0, RCode::NXDOMAIN);
    await_end_of(1);
    let stale = ask(daemon.address, &query("www.example."));
    assert_eq!(told(&stale), (RCode::NOERROR, 1, false, Some(STALE)));
    assert_eq!(stale.answer[0].ttl_s, 30);
    // The refresh brings the proof back.
    await_answer(&daemon, &query("www.example."), |answer| answer.header.flags.authentic_data);
    assert!(asked_for("www.example.") >= 2);
    let stale = ask(daemon.address, &query("nowhere.example."));
    assert_eq!((stale.rcode(), extended_error(&stale)), (RCode::NXDOMAIN, Some(STALE_NXDOMAIN)));
    await_answer(&daemon, &query("nowhere.example."), |answer| extended_error(answer).is_none());
    // A client that does not want recursion waits for nobody, and sets off a refresh all the same.
    await_end_of(1);
    let without_rd = TestQuery { recursion_desired: false, ..query("nowhere.example.") };
    assert_eq!(extended_error(&ask(daemon.address, &without_rd)), Some(STALE_NXDOMAIN));
    // An answer that is kept for a second has no TTL left to show without RD, and so is refused; but stale it is no more.
    await_answer(&daemon, &without_rd, |answer| extended_error(answer) != Some(STALE_NXDOMAIN));
}

#[test]
fn stale_answers_survive_the_loss_of_the_server_but_not_their_limit_nor_a_denial() {
    let (lost, gone, count) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_lost, is_gone, counted) = (Arc::clone(&lost), Arc::clone(&gone), Arc::clone(&count));
    let upstream = Upstream::replying(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        match (is_lost.load(Ordering::Relaxed), is_gone.load(Ordering::Relaxed)) {
            (true, _) => Reply::error(RCode::SERVFAIL),
            (_, true) => Reply::error(RCode::NXDOMAIN),
            _ => Reply::answer(vec![a("www.", 1, [9, 9, 9, 9])]),
        }
    });
    let daemon = RESOLVER.start(&[&upstream.option(), "--use-stale-cache=3600"]);
    ask(daemon.address, &query("www."));
    lost.store(true, Ordering::Relaxed);
    let stale = |answer: &Message| extended_error(answer) == Some(STALE);
    await_answer(&daemon, &query("www."), stale);
    // The failed refreshes change nothing.
    let before = count.load(Ordering::Relaxed);
    while count.load(Ordering::Relaxed) < before + 3 {
        assert!(stale(&ask(daemon.address, &query("www."))));
        park_timeout(Duration::from_millis(5));
    }
    // A denial that may not be kept ends the old data too.
    gone.store(true, Ordering::Relaxed);
    lost.store(false, Ordering::Relaxed);
    await_answer(&daemon, &query("www."), |answer| {
        answer.rcode() == RCode::NXDOMAIN && extended_error(answer).is_none()
    });
    let upstream = Upstream::replying(|_| Reply::answer(vec![a("www.", 1, [9, 9, 9, 9])]));
    let daemon = RESOLVER.start(&[&upstream.option()]);
    ask(daemon.address, &query("www."));
    await_answer(&daemon, &query("www."), |_| upstream.seen().len() > 1);
    assert_eq!(daemon.counter("cache_stale_hits"), 0, "only where it is wanted");
}

#[test]
fn a_servers_denial_of_a_name_with_other_types_here_is_one_of_the_type_alone() {
    let (_upstream, daemon) = signed(&["--host-record=nowhere.example,10.0.0.1"]);
    for _ in 0..2 {
        let answer = ask(daemon.address, &TestQuery { qtype: RecordType::TXT, ..query("nowhere.example.") });
        assert_eq!(told(&answer), (RCode::NOERROR, 0, false, Some(FORGED)));
    }
    assert_eq!(told(&ask(daemon.address, &query("gone.example."))), (RCode::NXDOMAIN, 0, true, None));
}

#[test]
fn resolver_query_calls_nothing_proven_that_is_not() {
    let (_upstream, daemon) = signed(&["--host-record=own.example,10.0.0.1", "--filter-rr=A"]);
    let socket = format!("--control-socket={}", daemon.control.display());
    for (qname, expected) in [
        ("own.example", [";; own.example. A: NOERROR, local", "from the operator's own names"]),
        ("www.example", [";; www.example. A: NOERROR, filtered", "extended error 17"]),
    ] {
        let output = RESOLVER.output(&["query", qname, &socket]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(expected.iter().all(|part| text.contains(part)), "{qname}: {text}");
    }
}

#[test]
fn private_reverse_names_are_asked_for_nowhere_else() {
    let (upstream, daemon) = signed(&["--bogus-priv"]);
    let answer = ask(daemon.address, &TestQuery::new("1.0.168.192.in-addr.arpa.", RecordType::PTR).edns(1232, true));
    assert_eq!(told(&answer), (RCode::NXDOMAIN, 0, false, None));
    assert!(upstream.seen().is_empty());
}

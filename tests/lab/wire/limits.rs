//! Rate limits hold in both halves, with one budget.

use std::time::{Duration, Instant};

use resolver_tests::lab::{self, Asker, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_user::wire::{Message, RecordType};
use xtask::lab::facts::Facts;

/// Longest wait for a reply that ought to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing has to come where nothing may.
const SILENCE: Duration = Duration::from_millis(20);
/// Forty answers at once, and then one a second.
const FORTY: &str = "rate-limit=1\nrate-limit-wide=1000\nrate-limit-burst=40\n";

/// A daemon with these lines that has published the answer to the query, and the client before it, both by both families.
fn start(facts: &Facts, lines: &str, query: &TestQuery) -> (LabDaemon, [Asker; 2]) {
    let daemon = LabDaemon::start(facts, &format!("{FORTY}{lines}"));
    // From the daemon's own machine, whose budget nobody needs.
    let local = LabClient::local(facts);
    daemon.wait_until("publication", |daemon| {
        local.ask(query, false);
        !daemon.published().is_empty()
    });
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    let v4 = Asker::new(&facts.client.path, client_at.ipv4, resolver_at.ipv4);
    let v6 = Asker::new(&facts.client.path, client_at.ipv6, resolver_at.ipv6);
    (daemon, [v4, v6])
}

#[test]
fn answers_of_xdp_and_of_the_daemon_are_charged_to_one_budget() {
    let facts = lab::facts();
    // Two prefixes may share a place among those that are told, by their hashes under the daemon's key: one in 128 daemons.
    assert!((0..3).any(|_| both_are_charged_and_told(&facts)));
}

/// Has two clients ask for more than they get. Whether both are told of.
fn both_are_charged_and_told(facts: &Facts) -> bool {
    let query = lab::query(lab::address(facts), false);
    let (daemon, clients) = start(facts, "rate-limit-slip=0", &query);
    for (client, family) in clients.iter().zip(["four", "six"]) {
        let (started, answered_by_xdp) = (Instant::now(), daemon.counter("answered_"));
        let mut answered = 0;
        // In turns: what is published, what the daemon has to find out, and what it refuses.
        for turn in 0..40 {
            let asked = match turn % 4 {
                0 => TestQuery { recursion_desired: false, ..query.clone() },
                1 => TestQuery::new(&format!("x{turn}.{family}.alg13.test."), RecordType::A),
                _ => query.clone(),
            };
            answered += u64::from(client.ask(&asked, PATIENCE).is_some());
        }
        assert_eq!((answered, daemon.counter("answered_") - answered_by_xdp), (40, 20), "a burst of forty");
        let (dropped, dropped_by_daemon) = (daemon.counter("dropped_rate"), daemon.user_counter("dropped_rate"));
        let passed = daemon.counter("pass_miss");
        for turn in 0..30 {
            let miss = TestQuery::new(&format!("y{turn}.{family}.alg13.test."), RecordType::A);
            let no_recursion = TestQuery { recursion_desired: false, ..query.clone() };
            for asked in [&query, &miss, &no_recursion] {
                answered += u64::from(client.ask(asked, SILENCE).is_some());
            }
        }
        let earned = started.elapsed().as_secs() + 1;
        assert!(answered <= 40 + earned, "{answered} answers in {earned} s");
        // What XDP knows to be a query it drops itself, the daemon the rest.
        assert!(
            daemon.counter("dropped_rate") - dropped >= 60u64.saturating_sub(earned),
            "{:?}",
            daemon.fast_path().counters
        );
        assert!(daemon.user_counter("dropped_rate") - dropped_by_daemon >= 30u64.saturating_sub(earned));
        assert!(daemon.counter("pass_miss") - passed <= earned, "the daemon is spared what is over the limit");
    }
    let told = daemon.command(&["fastpath", "limits"]);
    let of_clients = [format!("{}/32", facts.client.interfaces[0].ipv4), "/64".to_owned()];
    let count = of_clients.iter().filter(|prefix| told.contains(*prefix)).count();
    assert!(count > 0, "{told}");
    let lines = |daemon: &LabDaemon| daemon.log().matches("over rate-limit prefix=").count();
    daemon.wait_until("a line in the log", |daemon| lines(daemon) == count);
    count == of_clients.len()
}

#[test]
fn slips_of_xdp_are_those_of_the_daemon() {
    let facts = lab::facts();
    let query = lab::query(lab::address(&facts), false);
    let (daemon, clients) = start(&facts, "rate-limit-slip=1", &query);
    for client in &clients {
        let forms = [
            query.clone(),
            TestQuery { edns: None, ..query.clone() },
            TestQuery { checking_disabled: true, ..query.clone().edns(512, true) },
            TestQuery::new("wWw.absent-NAME.alg13.test.", RecordType::TXT).edns(4096, true),
            TestQuery::new(".", RecordType::NS),
        ];
        for form in forms {
            let slipped = |asked: &TestQuery| {
                let replies = (0..80).map(|_| client.ask(asked, PATIENCE).expect("a reply or an empty one"));
                let is_slip = |reply: &Vec<u8>| Message::read(reply).expect("a message").header.flags.truncated;
                replies.into_iter().find(is_slip).expect("an empty answer within eighty")
            };
            let (by_xdp, by_daemon) = (daemon.counter("slipped_rate"), daemon.user_counter("slipped_rate"));
            let mut xdp = slipped(&form);
            // XDP passes what does not want recursion; RD is all that the daemon's answer has not.
            let mut user = slipped(&TestQuery { recursion_desired: false, ..form.clone() });
            assert!(daemon.counter("slipped_rate") > by_xdp && daemon.user_counter("slipped_rate") > by_daemon);
            assert_eq!((xdp[2], user[2]), (0x83, 0x82), "{form:?}");
            xdp[..3].fill(0);
            user[..3].fill(0);
            assert_eq!(xdp, user, "{form:?}");
        }
    }
}

#[test]
fn log_only_answers_everything_and_both_halves_count() {
    let facts = lab::facts();
    let query = lab::query(lab::address(&facts), false);
    let (daemon, [client, _]) = start(&facts, "rate-limit-log-only", &query);
    for _ in 0..60 {
        assert!(client.ask(&query, PATIENCE).is_some());
        assert!(client.ask(&TestQuery { recursion_desired: false, ..query.clone() }, PATIENCE).is_some());
    }
    let (by_xdp, by_daemon) = (daemon.fast_path().logged_rate[0], daemon.user_counter("logged_rate"));
    assert!(by_xdp + by_daemon >= 70 && by_xdp >= 30 && by_daemon >= 30, "{by_xdp} and {by_daemon}");
    assert_eq!(daemon.counter("dropped_") + daemon.counter("slipped_"), 0);
    let counted: u64 = daemon.fast_path().counters.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, daemon.fast_path().frames, "every frame is counted once");
}

#[test]
fn exempt_clients_are_not_limited_by_either_half() {
    let facts = lab::facts();
    let query = lab::query(lab::address(&facts), false);
    let at = facts.client.interfaces[0].ipv4;
    let (daemon, [exempt, limited]) = start(&facts, &format!("rate-limit-slip=0\nrate-limit-exempt={at}"), &query);
    for _ in 0..60 {
        assert!(exempt.ask(&query, PATIENCE).is_some());
        assert!(exempt.ask(&TestQuery { recursion_desired: false, ..query.clone() }, PATIENCE).is_some());
    }
    assert_eq!(daemon.counter("dropped_") + daemon.user_counter("dropped_rate"), 0);
    let answered = (0..60).filter(|_| limited.ask(&query, SILENCE).is_some()).count();
    assert!((40..50).contains(&answered), "{answered}");
}

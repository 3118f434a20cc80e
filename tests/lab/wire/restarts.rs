//! No maintenance window: XDP answers on without a daemon, and the next daemon goes on where the last one ended.

use std::io;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use resolver_ebpf::abi::{CLOCK_HOLDS_S, map_name};
use resolver_tests::lab::{self, Asker, LabClient, LabDaemon, PATIENCE, answered_by_xdp};
use resolver_tests::message::TestQuery;
use resolver_tests::netns::{self, Added};
use resolver_tests::restarts;
use resolver_user::wire::Message;
use xtask::lab::facts::Facts;

use super::life::is_attached;

/// Number of the COOKIE option.
const COOKIE: u16 = 10;
/// How long nothing has to come where nothing may.
const SILENCE: Duration = Duration::from_millis(20);

/// A daemon that has published a Secure address, and the query for it.
fn started(facts: &Facts, lines: &str) -> (LabDaemon, TestQuery) {
    let daemon = LabDaemon::start(facts, lines);
    let query = lab::query(lab::address(facts), true);
    daemon.ask_until_xdp_answers(&LabClient::remote(facts), &query, false);
    (daemon, query)
}

/// Whether a Secure answer comes, and XDP gives it.
fn xdp_answers(facts: &Facts, client: &Asker, query: &TestQuery) -> bool {
    let before = answered_by_xdp(facts);
    let reply = client.ask(query, PATIENCE);
    let secure = reply.is_some_and(|reply| Message::read(&reply).expect("a message").header.flags.authentic_data);
    secure && answered_by_xdp(facts) > before
}

/// The TTL of the first record of a reply.
fn ttl_s(reply: &[u8]) -> u32 {
    resolver_tests::compare::Normal::of(reply).ttls_s[0]
}

#[test]
fn xdp_answers_on_after_a_kill_and_its_ttls_end_in_time_though_nobody_tells_it_the_time() {
    const TTL_S: u64 = CLOCK_HOLDS_S + 3;
    let facts = lab::facts();
    let (mut daemon, query) = started(&facts, &format!("max-cache-ttl={TTL_S}"));
    let client = lab::asker(&facts);
    let published_at = Instant::now();
    daemon.kill();
    // Longer than the last word of the daemon about the time holds.
    let mut last = (u32::MAX, Duration::ZERO);
    while let Some(reply) = client.ask(&query, PATIENCE) {
        let passed = published_at.elapsed();
        let ttl_s = ttl_s(&reply);
        // Time by jiffies may be ahead of the clock by some milliseconds, so one second may come twice when the clock takes over.
        assert!(ttl_s <= last.0.saturating_add(1), "TTLs fall: {ttl_s} after {last:?}");
        assert!(u64::from(ttl_s) + passed.as_secs() <= TTL_S, "{ttl_s} s after {passed:?}");
        last = (ttl_s, passed);
    }
    assert_eq!(last.0, 1, "it is given until its last whole second");
    assert!(last.1 > Duration::from_secs(CLOCK_HOLDS_S), "{last:?}");
    assert!(is_attached(&facts), "{}", daemon.log());
    daemon.start_again();
    daemon.wait_until_ready();
    assert!(daemon.published().is_empty(), "what is over is not taken over");
    daemon.ask_until_xdp_answers(&LabClient::remote(&facts), &query, false);
}

#[test]
fn kills_under_load_change_no_answer_and_lose_none() {
    let facts = lab::facts();
    for window in restarts::run(&facts, "", 5, |window| println!("{}", window.json())) {
        assert!(window.wrong.is_empty(), "{window:?}");
        assert!(window.answered > 0 && window.known > 0 && window.misses > 0, "{window:?}");
        assert!(window.adopted[0] > window.adopted[1], "{window:?}");
    }
}

#[test]
fn adopted_answers_are_listed_flushed_and_replaced_like_others() {
    let facts = lab::facts();
    let (mut daemon, query) = started(&facts, "");
    let before = daemon.published();
    daemon.kill();
    daemon.start_again();
    daemon.wait_until_ready();
    let after = daemon.published();
    assert_eq!((after.len(), &after[0].name), (1, &before[0].name));
    assert!(after[0].ttl_s <= before[0].ttl_s && after[0].status == "secure", "{after:?}");
    assert!(xdp_answers(&facts, &lab::asker(&facts), &query));
    daemon.command(&["fastpath", "flush"]);
    assert!(daemon.published().is_empty());
    daemon.ask_until_xdp_answers(&LabClient::remote(&facts), &query, false);
}

/// No counter of these is lower after a restart.
fn only_rise(before: &[(String, u64)], after: &[(String, u64)]) {
    assert!(before.iter().any(|(_, count)| *count > 0), "{before:?}");
    for ((name, before), (_, after)) in before.iter().zip(after) {
        assert!(before <= after, "{name} fell from {before} to {after}");
    }
}

#[test]
fn a_restart_gives_no_client_another_budget_and_lowers_no_counter() {
    let facts = lab::facts();
    // Fifty answers at once, and then one a second.
    let lines = "rate-limit=1\nrate-limit-wide=1000\nrate-limit-burst=50\nrate-limit-slip=0";
    let mut daemon = LabDaemon::start(&facts, lines);
    let (query, local) = (lab::query(lab::address(&facts), true), LabClient::local(&facts));
    // From the daemon's own machine, whose budget nobody needs.
    daemon.wait_until("publication", |daemon| {
        local.ask(&query, false);
        !daemon.published().is_empty()
    });
    let (client, began_at, mut answered) = (lab::asker(&facts), Instant::now(), 0);
    assert!(client.ask(&query.clone().option(COOKIE, &[7; 8]), PATIENCE).is_some());
    let mut ask = || answered += u64::from(client.ask(&query, SILENCE).is_some());
    (0..60).for_each(|_| ask());
    // The second time answers rest on something else.
    for lines in [lines, &format!("{lines}\ntrust-anchor=test")] {
        let before = daemon.fast_path();
        daemon.kill();
        (0..20).for_each(|_| ask());
        daemon.start_with(&facts, lines);
        (0..60).for_each(|_| ask());
        let after = daemon.fast_path();
        only_rise(&before.counters, &after.counters);
        only_rise(&before.cookies, &after.cookies);
    }
    let earned = began_at.elapsed().as_secs() + 1;
    assert!((30..50 + earned).contains(&answered), "{answered} answers in {earned} s");
    // Networks of another length are other clients.
    daemon.kill();
    daemon.start_with(&facts, &format!("{lines}\nrate-limit-prefix=30"));
    assert!((0..40).all(|_| client.ask(&query, PATIENCE).is_some()), "{}", daemon.log());
}

#[test]
fn what_rests_on_another_configuration_is_withdrawn_before_the_next_daemon_answers() {
    let facts = lab::facts();
    let question = lab::address(&facts);
    let (mut daemon, query) = started(&facts, "");
    let client = lab::asker(&facts);
    let own = format!("address=/{}/192.0.2.99", question.qname);
    for lines in ["trust-anchor=test", &own, "xdp-cache-size=5000"] {
        daemon.kill();
        assert!(xdp_answers(&facts, &client, &query), "before {lines}");
        daemon.start_with(&facts, lines);
        let publisher = daemon.fast_path().publisher;
        assert_eq!(publisher.adopted, 0, "{lines}");
        let reply = Message::read(&client.ask(&query, PATIENCE).expect("an answer")).expect("a message");
        let is_ours = lines == "trust-anchor=test" || lines == own;
        assert_eq!(reply.header.flags.authentic_data, !is_ours, "{lines}");
        // Back to where we were; what the one before has published is gone as well.
        daemon.kill();
        daemon.start_with(&facts, "");
        assert_eq!(daemon.fast_path().publisher.adopted, 0, "after {lines}");
        daemon.ask_until_xdp_answers(&LabClient::remote(&facts), &query, false);
    }
}

#[test]
fn a_negative_anchor_that_was_added_for_a_time_dies_with_its_daemon_and_so_do_its_answers() {
    let facts = lab::facts();
    let (mut daemon, query) = started(&facts, "");
    let client = lab::asker(&facts);
    daemon.command(&["anchors", "negative", "add", "example.", "--for", "1h"]);
    daemon.ask_until_xdp_answers(&LabClient::remote(&facts), &query, false);
    daemon.kill();
    assert!(xdp_answers(&facts, &client, &query));
    daemon.start_again();
    daemon.wait_until_ready();
    let publisher = daemon.fast_path().publisher;
    assert_eq!((publisher.adopted, publisher.adopted_dropped), (0, 1));
}

#[test]
fn a_daemon_of_another_layout_takes_the_program_s_place_with_maps_of_its_own() {
    let facts = lab::facts();
    let (mut daemon, query) = started(&facts, "");
    daemon.kill();
    // As if the one before had been of an older version: its settings say so, and its own program believes them no more.
    let pin = lab::pin_dir(&facts).join("maps").join(map_name::SETTINGS);
    let settings = resolver_tests::kernel::MappedMap::of_pin(&pin, 8);
    settings.words()[0].store(settings.words()[0].load() - 1);
    assert_eq!(lab::asker(&facts).ask(&query, PATIENCE), None, "nobody answers");
    daemon.start_again();
    daemon.wait_until_ready();
    assert!(is_attached(&facts) && daemon.published().is_empty(), "{}", daemon.log());
    assert!(daemon.log().contains("their layout is"), "{}", daemon.log());
    daemon.ask_until_xdp_answers(&LabClient::remote(&facts), &query, false);
}

#[test]
fn half_made_pins_are_replaced_and_the_program_never_goes_off() {
    let facts = lab::facts();
    let (mut daemon, query) = started(&facts, "");
    for lost in ["maps/SETTINGS", "maps/BUCKETS", "programs", "maps"] {
        daemon.kill();
        let path = lab::pin_dir(&facts).join(lost);
        let removed = if path.is_dir() { remove_folder(&path) } else { std::fs::remove_file(&path) };
        removed.expect("a pin");
        assert!(is_attached(&facts), "without {lost}");
        assert!(lab::asker(&facts).ask(&query, PATIENCE).is_some(), "without {lost}");
        daemon.start_again();
        daemon.wait_until_ready();
        assert!(path.exists() && is_attached(&facts), "{lost}: {}", daemon.log());
        daemon.ask_until_xdp_answers(&LabClient::remote(&facts), &query, false);
    }
}

/// BPF file systems know nothing but one entry at a time.
fn remove_folder(path: &std::path::Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        std::fs::remove_file(entry?.path())?;
    }
    std::fs::remove_dir(path)
}

/// Runs a second daemon with this configuration to its end.
fn second(facts: &Facts, config: &str) -> Output {
    let path = xtask::paths::target().join("lab-tests/second.conf");
    std::fs::write(&path, config).expect("a file");
    let mut command = netns::command(&facts.resolver.path, lab::binary());
    command.args(["run", "--conf-file"]).arg(path).stdin(Stdio::null()).output().expect("nsenter")
}

#[test]
fn a_second_daemon_does_not_get_the_pins_of_one_that_lives_and_is_told_whose_they_are() {
    let facts = lab::facts();
    let (daemon, query) = started(&facts, "");
    let config = std::fs::read_to_string(&daemon.config).expect("a file");
    let elsewhere =
        config.replace("control.sock", "second.sock").replace("listen-address=", "port=5353\nlisten-address=");
    let refused = second(&facts, &elsewhere);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains(&format!("another daemon that is running (process {})", daemon.status().pid)), "{said}");
    assert!(xdp_answers(&facts, &lab::asker(&facts), &query));
    assert_eq!(daemon.published().len(), 1);
}

#[test]
fn a_daemon_that_is_told_so_leaves_xdp_answering_and_one_that_is_not_takes_it_off() {
    let facts = lab::facts();
    for (lines, signal, stays) in
        [("", Signal::SIGQUIT, true), ("xdp-keep", Signal::SIGTERM, true), ("", Signal::SIGTERM, false)]
    {
        let (mut daemon, query) = started(&facts, lines);
        daemon.signal(signal);
        assert!(daemon.wait().success(), "{}", daemon.log());
        assert_eq!(is_attached(&facts), stays, "{lines} {signal}");
        assert_eq!(lab::asker(&facts).ask(&query, PATIENCE).is_some(), stays, "{lines} {signal}");
        daemon.start_with(&facts, lines);
        assert_eq!(daemon.published().len(), usize::from(stays));
        daemon.signal(Signal::SIGTERM);
        daemon.wait();
        drop(daemon);
        // What stays by the configuration is taken off by one that says otherwise.
        drop(LabDaemon::start(&facts, ""));
        assert!(!is_attached(&facts) && !lab::pin_dir(&facts).exists());
    }
}

#[test]
fn with_xdp_off_what_a_killed_daemon_left_is_taken_off() {
    let facts = lab::facts();
    let (mut daemon, _) = started(&facts, "");
    daemon.kill();
    let config = std::fs::read_to_string(&daemon.config).expect("a file").replace("xdp=native\n", "xdp=off\n");
    std::fs::write(&daemon.config, config).expect("a file");
    daemon.start_again();
    daemon.wait_until_ready();
    assert!(!is_attached(&facts) && !lab::pin_dir(&facts).exists());
}

#[test]
fn another_user_takes_over_what_root_has_left_and_root_what_another_has() {
    let facts = lab::facts();
    let (mut daemon, query) = started(&facts, "");
    for lines in ["user=nobody", "user=nobody", ""] {
        daemon.kill();
        daemon.start_with(&facts, lines);
        assert_eq!(daemon.fast_path().publisher.adopted, 1, "{lines}: {}", daemon.log());
        assert!(xdp_answers(&facts, &lab::asker(&facts), &query), "{lines}");
    }
}

#[test]
fn links_of_interfaces_that_are_gone_renamed_or_not_wanted_any_more_are_put_right() {
    let facts = lab::facts();
    let path = &facts.resolver.path;
    let on = |interface: &str| {
        let output = netns::command(path, "ip").args(["-d", "link", "show", interface]).output();
        String::from_utf8_lossy(&output.expect("ip").stdout).contains("prog/xdp")
    };
    let links = || {
        let entries = std::fs::read_dir(lab::pin_dir(&facts).join("links")).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect::<Vec<_>>()
    };
    let pair = Added::pair(path, "keep.one", "keeptwo");
    let mut daemon = LabDaemon::start(&facts, "xdp-interface=keep.one");
    assert!(on("keep.one") && links().len() == 2, "{:?}", links());
    daemon.kill();
    // Its name is another one's now.
    netns::ip(path, "link set keep.one down");
    netns::ip(path, "link set keep.one name keepold");
    netns::ip(path, "link set keeptwo down");
    netns::ip(path, "link set keeptwo name keep.one");
    daemon.start_again();
    daemon.wait_until_ready();
    assert!(on("keep.one") && !on("keepold") && links().len() == 2, "{:?} {}", links(), daemon.log());
    daemon.kill();
    netns::ip(path, "link set keepold name keeptwo");
    drop(pair);
    let _pair = Added::pair(path, "keep.one", "keeptwo");
    daemon.start_again();
    daemon.wait_until_ready();
    assert!(on("keep.one") && links().len() == 2, "{:?} {}", links(), daemon.log());
    daemon.kill();
    daemon.start_with(&facts, "");
    assert!(!on("keep.one") && links().len() == 1 && is_attached(&facts), "{:?}", links());
}

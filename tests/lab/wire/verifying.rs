//! Whether XDP may be trusted: dry-run, and verifying what is published against what the daemon knows.

use std::process::Command;

use resolver_ebpf::abi::{BODY_AT, FLAG_SECURE};
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::pinned::PinnedAnswers;
use resolver_user::control::report::{Serving, VerifyReport};

/// `resolver fastpath verify --json`: what it says, and whether it is content.
fn verify(daemon: &LabDaemon) -> (VerifyReport, bool) {
    let output = Command::new(lab::binary())
        .args(["fastpath", "verify", "--json", "--control-socket"])
        .arg(&daemon.socket)
        .output()
        .expect("the resolver binary");
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let code = output.status.code().expect("an exit code");
    assert!(code <= 1, "exit code {code}");
    (report, code == 0)
}

#[test]
fn dry_run_answers_nothing_counts_it_and_finds_both_halves_agreeing() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "xdp-mode=dry-run");
    let client = LabClient::remote(&facts);
    assert_eq!(daemon.fast_path().serving, Serving::DryRun);
    for question in lab::addresses(&facts) {
        for dnssec_ok in [false, true] {
            for _ in 0..2 {
                client.ask(&lab::query(question, dnssec_ok), false);
                client.ask(&lab::query(question, dnssec_ok), true);
            }
        }
    }
    daemon.wait_until("comparisons", |daemon| {
        client.ask(&lab::query(lab::addresses(&facts)[0], false), false);
        daemon.fast_path().compared.equal > 20
    });
    let status = daemon.fast_path();
    assert_eq!(
        (status.compared.differing, daemon.counter("answered_")),
        (0, 0),
        "{:?}\n{}",
        status.compared,
        daemon.log()
    );
    assert!(daemon.counter("pass_dry_run") > 20);
    assert!(daemon.command(&["status"]).contains("dry-run"));
}

#[test]
fn xdp_is_switched_on_and_off_while_running() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "xdp-mode=off");
    let client = LabClient::remote(&facts);
    let query = lab::query(lab::addresses(&facts)[0], false);
    for _ in 0..5 {
        client.ask(&query, false);
    }
    assert_eq!((daemon.counter("answered_"), daemon.counter("pass_off") >= 5), (0, true));
    assert_eq!(daemon.command(&["fastpath", "on"]), "XDP is on\n");
    daemon.ask_until_xdp_answers(&client, &query, false);
    daemon.command(&["fastpath", "dry-run"]);
    let answered = daemon.counter("answered_");
    client.ask(&query, false);
    assert_eq!((daemon.counter("answered_"), daemon.counter("pass_dry_run") > 0), (answered, true));
    let shown = daemon.command(&["metrics"]);
    assert!(shown.contains("resolver_xdp_mode{mode=\"dry-run\"} 1"), "{shown}");
    daemon.command(&["fastpath", "off"]);
    client.ask(&query, false);
    assert_eq!((daemon.counter("answered_"), daemon.fast_path().serving), (answered, Serving::Off));
}

#[test]
fn dry_run_tells_of_an_answer_that_xdp_would_have_sent_otherwise() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "xdp-mode=dry-run");
    let client = LabClient::remote(&facts);
    let question = lab::addresses(&facts)[0];
    let query = lab::query(question, false);
    daemon.wait_until("a comparison", |daemon| {
        client.ask(&query, false);
        daemon.fast_path().compared.equal > 0
    });
    let pinned = PinnedAnswers::open(&lab::pin_dir(&facts));
    let published = pinned.find(&question.qname, 1, false).expect("it is published");
    // The last byte of the address.
    let (word, before) = (pinned.word(published, BODY_AT / 8 + 1), pinned.word(published, BODY_AT / 8 + 1).load());
    word.store(before ^ 1 << 56);
    daemon.wait_until("a difference", |daemon| {
        client.ask(&query, false);
        daemon.fast_path().compared.differing > 0
    });
    word.store(before);
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("XDP would have sent another answer")).expect("it is logged");
    assert!(line.contains("by_xdp=") && line.contains("by_daemon="), "{line}");
}

#[test]
fn verify_finds_every_published_answer_equal_and_names_each_that_was_changed() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let questions = lab::addresses(&facts);
    for question in &questions {
        for dnssec_ok in [false, true] {
            client.ask(&lab::query(question, dnssec_ok).edns(4096, dnssec_ok), true);
        }
    }
    let pinned = PinnedAnswers::open(&lab::pin_dir(&facts));
    daemon.wait_until("publication", |_| {
        questions[..2].iter().all(|question| pinned.find(&question.qname, 1, true).is_some())
    });
    let (report, is_content) = verify(&daemon);
    assert!(is_content && report.wrong == 0 && report.faults.is_empty(), "{report:?}");
    assert_eq!((report.entries, report.equal), (daemon.published().len() as u64, report.entries));
    assert!(report.equal >= questions.len() as u64, "{report:?}");

    let (first, second) = (questions[0], questions[1]);
    let published = pinned.find(&first.qname, 1, true).expect("it is published");
    let other = pinned.find(&second.qname, 1, true).expect("it is published");
    let flags_at = std::mem::offset_of!(resolver_ebpf::abi::AnswerHead, flags);
    let name_at = std::mem::offset_of!(resolver_ebpf::abi::AnswerHead, name_at);
    let name_word = (pinned.word(published, name_at / 8).load() >> (8 * (name_at % 8))) as u16 / 8;
    // A record, the status of validation, the time, the name: each alone, by one bit.
    for (at, bit, name) in [
        (BODY_AT / 8 + 1, 60, first.qname.clone()),
        (flags_at / 8, 8 * (flags_at % 8), first.qname.clone()),
        (0, 33, first.qname.clone()),
        (usize::from(name_word), 8, first.qname.replacen('w', "v", 1)),
    ] {
        let word = pinned.word(published, at);
        let before = word.load();
        word.store(before ^ 1 << bit);
        let (report, is_content) = verify(&daemon);
        word.store(before);
        assert!(!is_content && report.wrong == 1, "word {at}, bit {bit}: {report:?}");
        assert_eq!(report.faults[0].name, name, "word {at}, bit {bit}: {report:?}");
    }
    assert_eq!(FLAG_SECURE, 1, "the bit above is that of the status");
    // An entry that leads to another answer; the answer that it led to can then not be found.
    let entry = pinned.entry(published);
    let before = entry.load();
    entry.store(pinned.entry(other).load());
    let (report, is_content) = verify(&daemon);
    entry.store(before);
    assert!(!is_content && report.wrong == 2, "{report:?}");
    let (report, is_content) = verify(&daemon);
    assert!(is_content && report.equal == report.entries, "all is as before: {report:?}");
    assert!(daemon.user_counter("verify_faults") >= 6);
}

#[test]
fn verify_tells_what_the_daemon_has_no_more_from_what_is_wrong() {
    let facts = lab::facts();
    // One answer is all that the daemon keeps.
    let daemon = LabDaemon::start(&facts, "cache-size=1");
    let client = LabClient::remote(&facts);
    for question in lab::addresses(&facts).iter().take(4) {
        daemon.ask_until_xdp_answers(&client, &lab::query(question, false), false);
    }
    let (report, is_content) = verify(&daemon);
    assert!(is_content && report.not_cached >= 2, "{report:?}");
    let pinned = PinnedAnswers::open(&lab::pin_dir(&facts));
    // The first was evicted long ago; still it is known to be changed.
    let published = pinned.find(&lab::addresses(&facts)[0].qname, 1, false).expect("it is published");
    let word = pinned.word(published, BODY_AT / 8 + 1);
    let before = word.load();
    word.store(before ^ 1 << 56);
    let (report, is_content) = verify(&daemon);
    word.store(before);
    assert!(!is_content && report.wrong == 1, "{report:?}");
}

#[test]
fn verify_is_content_with_what_the_next_daemon_has_taken_over() {
    let facts = lab::facts();
    let mut daemon = LabDaemon::start(&facts, "");
    let (client, query) = (LabClient::remote(&facts), lab::query(lab::address(&facts), true));
    daemon.ask_until_xdp_answers(&client, &query, false);
    daemon.kill();
    daemon.start_again();
    daemon.wait_until_ready();
    assert_eq!(daemon.fast_path().publisher.adopted, 1);
    let (report, is_content) = verify(&daemon);
    assert!(is_content && (report.wrong, report.not_cached) == (0, 1), "{report:?}");
}

//! Real clients accept what XDP sends.

use std::time::{Duration, Instant};

use resolver_tests::compare::Normal;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::netns;
use xtask::lab::TREE;
use xtask::lab::facts::{Facts, Question, ZoneFacts};

#[test]
fn dig_accepts_answers_of_xdp() {
    let words = |facts: &Facts, q: &Question| {
        ["+dnssec", "+tries=1", "+ignore", &server(facts), &q.qname, &q.qtype].map(str::to_owned).to_vec()
    };
    check("dig", words, |text| text.contains("status: NOERROR") && text.contains(" ad;") && text.contains("RRSIG"));
}

#[test]
fn kdig_accepts_answers_of_xdp() {
    let words = |facts: &Facts, q: &Question| {
        ["+dnssec", "+retry=0", &server(facts), &q.qname, &q.qtype].map(str::to_owned).to_vec()
    };
    check("kdig", words, |text| text.contains("status: NOERROR") && text.contains(" ad;") && text.contains("RRSIG"));
}

#[test]
fn drill_accepts_answers_of_xdp() {
    let words = |facts: &Facts, q: &Question| ["-D", &server(facts), &q.qname, &q.qtype].map(str::to_owned).to_vec();
    check("drill", words, |text| text.contains("rcode: NOERROR") && text.contains(" ad ") && text.contains("RRSIG"));
}

#[test]
fn delv_validates_answers_of_xdp() {
    let words = |facts: &Facts, q: &Question| {
        ["-a", &facts.anchor_delv_file, "+root=.", &server(facts), &q.qname, &q.qtype].map(str::to_owned).to_vec()
    };
    check("delv", words, |text| text.contains("; fully validated"));
}

/// For a question of each zone: asks until XDP answers, then runs a client, whose query XDP must answer too.
fn check(program: &str, words: impl Fn(&Facts, &Question) -> Vec<String>, accepts: impl Fn(&str) -> bool) {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let questions: Vec<&Question> =
        facts.zones.iter().filter(|zone| zone.group == TREE).filter_map(small_secure_question).collect();
    assert!(questions.len() >= 5, "{questions:?}");
    for question in questions {
        daemon.ask_until_xdp_answers(&client, &lab::query(question, true), false);
        let words = words(&facts, question);
        let before = daemon.counter("answered_");
        let text = run(&facts, program, &words);
        assert!(accepts(&text) && !text.contains("WARNING"), "{program} {words:?}:\n{text}");
        assert!(daemon.counter("answered_") > before, "{program} {words:?} was not answered by XDP");
    }
}

/// An address of a zone whose signatures are short: a veth leaves packets of local sockets little room to grow.
fn small_secure_question(zone: &ZoneFacts) -> Option<&Question> {
    let fits = |q: &&Question| q.status == "secure" && q.answers == 1 && q.qtype == "A" && q.qname.len() < 40;
    zone.questions.iter().find(fits).filter(|_| matches!(zone.algorithm, Some(13..=15)))
}

fn run(facts: &Facts, program: &str, words: &[String]) -> String {
    let output = netns::command(&facts.client.path, program).args(words).output();
    let output = output.expect("nsenter");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {text}");
    text
}

fn server(facts: &Facts) -> String {
    format!("@{}", facts.resolver.interfaces[0].ipv4)
}

#[test]
fn the_ttl_falls_with_the_clock_and_at_its_end_the_daemon_is_asked_again() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let short =
        facts.questions().find(|q| q.qname.starts_with("short") && q.answers > 0).expect("a name with a short TTL");
    let query = lab::query(short, false);
    let (mut rounds, mut falls, mut by_xdp) = (0, 0, 0);
    // A round starts with an answer of the daemon. Its TTL and all later ones must fall with the clock.
    let mut start: Option<(Instant, u32)> = None;
    let mut last_s = 0;
    while rounds < 3 {
        let (sent_at, before) = (Instant::now(), daemon.counter("answered_"));
        let ttl_s = Normal::of(&client.ask(&query, false)).ttls_s[0];
        let is_xdp = daemon.counter("answered_") > before;
        by_xdp += u32::from(is_xdp);
        let Some((began_at, began_s)) = start.filter(|_| is_xdp || ttl_s <= last_s) else {
            assert!(!is_xdp && last_s <= 1, "TTL {ttl_s} after {last_s}, by XDP: {is_xdp}");
            (rounds, start, last_s) = (rounds + 1, Some((sent_at, ttl_s)), ttl_s);
            continue;
        };
        // When the kernel half turns from jiffies to the clock, a second may come twice.
        assert!(!is_xdp || ttl_s <= last_s + 1, "XDP answered with {ttl_s} after {last_s}");
        let fallen_s = u64::from(began_s.saturating_sub(ttl_s));
        // Whoever waits for a miss sees the whole TTL, later answers the whole seconds left; XDP's time runs ahead by up
        // to two jiffies, at most 20 ms, and behind where a busy machine's timer tick is late, until the daemon looks.
        let (ahead, behind) = (Duration::from_millis(20), Duration::from_millis(if is_xdp { 500 } else { 0 }));
        let (least, most) =
            ((sent_at - began_at).saturating_sub(behind).as_secs(), (began_at.elapsed() + ahead).as_secs() + 1);
        assert!((least..=most).contains(&fallen_s), "fell by {fallen_s} s in {least} to {most} s");
        assert!(ttl_s > 0 || !is_xdp, "XDP answered with a TTL of 0");
        falls += u32::from(ttl_s < last_s);
        last_s = ttl_s;
    }
    assert!(falls >= 4 && by_xdp > 10, "{falls} falls, {by_xdp} answers of XDP");
}

//! Zones that are made to cost a validator much: what each query of them costs, and that the daemon serves others meanwhile.

use std::net::UdpSocket;

use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use resolver_user::control::report::StatusReport;
use resolver_user::wire::{Message, RCode, RecordType};
use xtask::lab::ATTACKS;
use xtask::lab::facts::{Facts, Question};

/// Every question of the attack zones.
fn questions(facts: &Facts) -> impl Iterator<Item = &Question> {
    facts.zones.iter().filter(|zone| zone.group == ATTACKS).flat_map(|zone| &zone.questions)
}

/// The same question for a name that nobody has asked for.
fn below(question: &Question, number: usize) -> Question {
    Question { qname: format!("r{number}.{}", question.qname), ..question.clone() }
}

fn extended_error(message: &Message) -> Option<u16> {
    let mut options = message.edns.iter().flat_map(|edns| &edns.options).filter(|option| option.code == 15);
    options.find_map(|option| option.data.first_chunk().map(|code| u16::from_be_bytes(*code)))
}

/// Whether an extended error is the one expected. Whether data are found bogus (6) before work runs out (5) depends on the
/// order in which the servers send keys of one tag.
fn fits(expected: Option<u16>, said: Option<u16>) -> bool {
    let either = |error| matches!(error, Some(5 | 6));
    said == expected || (either(said) && either(expected))
}

/// The most that one query has cost in work of this kind.
fn most(status: &StatusReport, kind: &str) -> u64 {
    status.work.iter().find(|work| work.name == kind).unwrap_or_else(|| panic!("{kind} is told")).most
}

fn count(status: &StatusReport, counter: &str) -> u64 {
    status.counters.iter().find(|(name, _)| name == counter).unwrap_or_else(|| panic!("{counter} is counted")).1
}

#[test]
fn each_attack_gets_its_status_and_costs_no_more_than_the_limits() {
    let facts = lab::facts();
    let mut wrong = Vec::new();
    for question in questions(&facts) {
        let daemon = LabDaemon::start(&facts, "");
        let client = LabClient::remote(&facts);
        for question in [question.clone()].into_iter().chain((0..4).map(|number| below(question, number))) {
            let answer = Message::read(&client.ask(&lab::query(&question, true), false)).expect("an answer");
            let (rcode, error) = (answer.rcode().to_string(), extended_error(&answer));
            let authentic = answer.header.flags.authentic_data;
            let fits = rcode == question.rcode && fits(question.extended_error, error);
            if !fits || authentic != (question.status == "secure") {
                wrong.push(format!("{question:?}: {rcode} {error:?}, AD {authentic}"));
            }
        }
        let status = daemon.status();
        let [checks, weight, failed, rounds] =
            ["signature_checks", "signature_weight", "failed_checks", "nsec3_rounds"].map(|kind| most(&status, kind));
        println!("{:<60} checks {checks:>2} weight {weight:>2} failed {failed:>2} rounds {rounds:>3}", question.qname);
        if weight > 32 || checks > weight || rounds > 600 {
            wrong.push(format!("{question:?}: {checks} checks of weight {weight}, {failed} failed, {rounds} rounds"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Without this the test above could hold because the zones are harmless.
#[test]
fn without_limits_the_attacks_cost_much_more() {
    let facts = lab::facts();
    let lines = "dnssec-limits=100,1000\ndnssec-limit=signatures-per-set:100\ndnssec-limit=keys-per-tag:100\n\
                 dnssec-limit=nsec3-rounds:100000";
    let daemon = LabDaemon::start(&facts, lines);
    let client = LabClient::remote(&facts);
    for name in ["sigjam-p384", "keysigtrap-rsa4096", "nsec3-labels-50"] {
        let of_zone = |question: &&Question| question.qname.ends_with(&format!("{name}.zoo.test."));
        let question = questions(&facts).filter(of_zone).last().expect("the zone is there");
        client.ask(&lab::query(question, true), false);
    }
    let status = daemon.status();
    // All signatures of the set; a hash of 51 rounds for each of thirty labels.
    assert!(most(&status, "failed_checks") >= 80, "{:?}", status.work);
    assert!(most(&status, "nsec3_rounds") >= 30 * 51, "{:?}", status.work);
}

#[test]
fn others_get_their_answers_while_costly_names_are_asked_for_in_numbers() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let at = &facts.resolver.interfaces[0];
    let attacker = netns::inside(&facts.client.path, || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.connect((at.ipv4, 53)).expect("a route");
        socket
    });
    let costly: Vec<&Question> =
        questions(&facts).filter(|question| question.extended_error.is_some_and(|code| code < 9)).collect();
    let mut number = 100;
    let mut flood = |names: usize| {
        for question in costly.iter().cycle().take(names) {
            number += 1;
            attacker.send(&lab::query(&below(question, number), true).wire()).expect("the query is sent");
        }
    };
    let client = LabClient::remote(&facts);
    for host in 0..20 {
        flood(40);
        let query = TestQuery::new(&format!("h{host:04}.hosts.test."), RecordType::A).edns(1232, true);
        // Another client than the attacker, who has a share of the daemon's places and no more.
        let answer = Message::read(&client.ask(&query, true)).expect("an answer");
        assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, true), "h{host:04}");
    }
    let status = daemon.status();
    assert!(count(&status, "costly_validations") > 0 && count(&status, "costly_refused") > 0, "{:?}", status.counters);
    assert!(most(&status, "signature_weight") <= 32);
    // Once the crowd is gone each zone has its verdict again.
    daemon.wait_until("the end of the searches", |daemon| daemon.status().searches == 0);
    for question in costly {
        let answer = Message::read(&client.ask(&lab::query(question, true), false)).expect("an answer");
        let error = extended_error(&answer);
        assert!(fits(question.extended_error, error), "{question:?}: {error:?}");
    }
}

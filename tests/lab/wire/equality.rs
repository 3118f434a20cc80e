//! The fast path's promise: XDP sends what the daemon would have sent, bar ID, letter case and aged TTLs.

use std::collections::HashSet;

use resolver_tests::compare::{Normal, extended_error};
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_user::wire::{Message, Name, RCode};
use xtask::lab::TREE;
use xtask::lab::facts::{Facts, Question};

/// TTLs shorter than this may end while a test runs, in seconds.
const LASTING_TTL_S: u32 = 60;
/// The largest answer over UDP, in bytes.
const UDP_ANSWER_LEN_MAX: usize = 1232;

#[test]
fn xdp_sends_what_the_daemon_sends() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let (remote, local) = (LabClient::remote(&facts), LabClient::local(&facts));
    let (mut compared, mut expected_by_xdp) = (0, 0);
    let mut unpublished = HashSet::new();
    for question in questions(&facts) {
        for dnssec_ok in [false, true] {
            let widest =
                TestQuery { checking_disabled: false, ..lab::query(&question, dnssec_ok).edns(4096, dnssec_ok) };
            let first = local.ask(&widest, false);
            if Normal::of(&first).ttls_s.iter().any(|&ttl_s| ttl_s < LASTING_TTL_S) {
                continue;
            }
            let published = await_publication(&daemon, &question, dnssec_ok, &first);
            if !published {
                unpublished.insert(question.qname.clone());
            }
            for query in variants(&question, dnssec_ok) {
                for ipv6 in [false, true] {
                    let by_daemon = Normal::of(&local.ask(&query, ipv6));
                    let by_xdp = Normal::of(&remote.ask(&with_mixed_case(&query), ipv6));
                    assert_same(&query, ipv6, &by_xdp, &by_daemon);
                    compared += 1;
                    let truncated = by_daemon.message[2] & 2 != 0;
                    expected_by_xdp += u64::from(published && !truncated);
                }
            }
        }
    }
    let (answered, no_room) = (daemon.counter("answered_"), daemon.counter("pass_no_room"));
    println!("{compared} pairs compared, {answered} by XDP, {no_room} without room; unpublished: {unpublished:?}");
    // A veth leaves a packet of a local socket little room to grow, so large answers pass there.
    assert_eq!(answered + no_room, expected_by_xdp, "XDP answers all that is published and fits");
    assert!(answered * 2 > compared, "most comparisons are with XDP");
}

/// Every question of the lab once, and the types at each zone's apex.
fn questions(facts: &Facts) -> Vec<Question> {
    let mut questions: Vec<Question> = facts.zones.iter().flat_map(|zone| zone.questions.clone()).collect();
    for zone in facts.zones.iter().filter(|zone| zone.status != "bogus") {
        for qtype in ["SOA", "NS", "DNSKEY", "DS", "TYPE65399"] {
            questions.push(Question { qname: zone.name.clone(), qtype: qtype.into(), ..zone.questions[0].clone() });
        }
    }
    let mut seen = HashSet::new();
    questions.retain(|question| seen.insert((question.qname.to_ascii_lowercase(), question.qtype.clone())));
    questions
}

/// Waits until the answer is published, if it may be; checks that it is not, if it may not. Returns whether it is.
fn await_publication(daemon: &LabDaemon, question: &Question, dnssec_ok: bool, answer: &[u8]) -> bool {
    let message = Message::read(answer).expect("an answer");
    let may = matches!(message.rcode(), RCode::NOERROR | RCode::NXDOMAIN)
        && extended_error(&message).is_none()
        && !message.header.flags.truncated
        && answer.len() <= UDP_ANSWER_LEN_MAX;
    let form = if dnssec_ok { "dnssec" } else { "plain" };
    let name = question.qname.to_ascii_lowercase();
    let is_published = |daemon: &LabDaemon| {
        let mut entries = daemon.published().into_iter();
        entries.any(|entry| entry.name == name && entry.rtype == question.qtype && entry.form == form)
    };
    if may {
        daemon.wait_until(&format!("publication of {question:?}"), is_published);
    } else {
        assert!(!is_published(daemon), "{question:?} must not be published");
    }
    may
}

/// All ways to ask one question, DO given: AD, CD, EDNS size.
fn variants(question: &Question, dnssec_ok: bool) -> Vec<TestQuery> {
    let mut sizes = vec![Some((512, dnssec_ok)), Some((1232, dnssec_ok)), Some((4096, dnssec_ok))];
    if !dnssec_ok {
        sizes.push(None);
    }
    let bits = [(false, false), (false, true), (true, false), (true, true)];
    let ways = sizes.iter().flat_map(|&edns| bits.map(|bits| (edns, bits)));
    let query = |(edns, (authentic_data, checking_disabled))| TestQuery {
        edns,
        authentic_data,
        checking_disabled,
        ..lab::query(question, dnssec_ok)
    };
    ways.map(query).collect()
}

/// The same query with every other letter in upper case.
fn with_mixed_case(query: &TestQuery) -> TestQuery {
    let mut wire = query.qname.wire().to_vec();
    wire.iter_mut().step_by(2).filter(|byte| byte.is_ascii_lowercase()).for_each(|byte| byte.make_ascii_uppercase());
    TestQuery { qname: Name::from_wire(&wire).expect("letters change nothing"), ..query.clone() }
}

fn assert_same(query: &TestQuery, ipv6: bool, by_xdp: &Normal, by_daemon: &Normal) {
    let version = if ipv6 { 6 } else { 4 };
    assert_eq!(by_xdp.message, by_daemon.message, "{query:?} over IPv{version}");
    // A second may end between the two; and where a timer tick comes late, XDP sees it end a little later.
    for (xdp, daemon) in by_xdp.ttls_s.iter().zip(&by_daemon.ttls_s) {
        assert!(xdp.abs_diff(*daemon) <= 1, "{query:?}: TTL {xdp} from XDP, {daemon} from the daemon before");
    }
}

#[test]
fn every_question_of_the_lab_has_its_status_from_both_halves() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let remote = LabClient::remote(&facts);
    // The zoo's verdicts are held against other validators' by the test of agreement.
    let tree = facts.zones.iter().filter(|zone| zone.group == TREE);
    let questions: Vec<&Question> = tree.flat_map(|zone| &zone.questions).collect();
    let mut wrong = Vec::new();
    for question in &questions {
        for dnssec_ok in [false, true] {
            let query = lab::query(question, dnssec_ok).edns(4096, dnssec_ok);
            // Once from the daemon, and then, once it is published, from XDP over both IP versions.
            for ipv6 in [false, true, false] {
                let reply = Message::read(&remote.ask(&query, ipv6)).expect("a reply");
                wrong.extend(wrong_status(question, &reply));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let bogus = questions.iter().filter(|question| question.status == "bogus");
    let bogus: HashSet<_> = bogus.map(|question| (question.qname.to_ascii_lowercase(), &question.qtype)).collect();
    let published = daemon.published();
    assert!(published.len() > questions.len() / 2 && !bogus.is_empty());
    for entry in published {
        assert!(!bogus.contains(&(entry.name.clone(), &entry.rtype)), "{entry:?} is bogus and yet published");
    }
}

/// What is wrong with a reply, if anything is.
fn wrong_status(question: &Question, reply: &Message) -> Option<String> {
    let (secure, truncated) = (reply.header.flags.authentic_data, reply.header.flags.truncated);
    let error = extended_error(reply);
    let right = reply.rcode().to_string() == question.rcode
        && (truncated || secure == (question.status == "secure"))
        && (question.status != "bogus" || error.is_some())
        && question.extended_error.is_none_or(|expected| error == Some(expected));
    (!right).then(|| format!("{question:?}: {} ad={secure} tc={truncated} ede={error:?}", reply.rcode()))
}

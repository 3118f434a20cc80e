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

/// Zones whose private addresses the filters of [`FILTERED`] let through; all addresses of the lab are private.
const REBIND_ALLOWED: [&str; 3] = ["alg13.test.", "nsec3.test.", "insecure.nsec.test."];
/// Filters, caps, and names of the operator's own.
const FILTERED: &str = "\
stop-dns-rebind
rebind-domain-ok=/alg13.test/nsec3.test/insecure.nsec.test/
filter-AAAA
bogus-nxdomain=203.0.113.0/24
min-cache-ttl=3600
max-ttl=40
host-record=www.alg14.test,own.alg13.test,10.0.0.1
address=/nsec3.example/#
";
/// `max-ttl` there.
const SHOWN_TTL_S_MAX: u32 = 40;

/// What came of a comparison of both halves.
#[derive(Default)]
struct Compared {
    /// Pairs of answers.
    pairs: u64,
    /// Pairs of which XDP should have given one.
    expected_by_xdp: u64,
    /// Names with an answer that may not be published.
    unpublished: HashSet<String>,
    /// The longest TTL seen.
    ttl_s_max: u32,
}

#[test]
fn xdp_sends_what_the_daemon_sends() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let compared = compare(&facts, &daemon, &questions(&facts), LASTING_TTL_S);
    check_share(&daemon, &compared);
}

#[test]
fn xdp_sends_what_the_daemon_sends_under_filters_and_capped_ttls() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, FILTERED);
    let mut questions = questions(&facts);
    questions.retain(|question| {
        let zones = [&REBIND_ALLOWED[..], &["alg14.test.", "alg15.test.", "insecure.nsec3.test.", "test."]].concat();
        zones.iter().any(|zone| question.qname.strip_suffix(zone).is_some_and(|rest| rest.matches('.').count() <= 1))
    });
    let own = Question { qname: "own.alg13.test.".into(), qtype: "A".into(), ..questions[0].clone() };
    questions.push(own);
    let compared = compare(&facts, &daemon, &questions, SHOWN_TTL_S_MAX);
    check_share(&daemon, &compared);
    assert_eq!(compared.ttl_s_max, SHOWN_TTL_S_MAX, "longer TTLs are shown as the cap, by both");
    for name in ["own.alg13.test.", "www.alg14.test.", "www.alg15.test."] {
        assert!(compared.unpublished.contains(name), "{name} has no proof and is not published");
    }
    // A filtered type is withheld with its extended error, a blocked address too; neither with AD.
    let client = LabClient::remote(&facts);
    for (qname, qtype, code) in [("www.alg13.test.", "AAAA", 17), ("www.alg15.test.", "A", 15)] {
        let question = Question { qname: qname.into(), qtype: qtype.into(), ..questions[0].clone() };
        let reply = Message::read(&client.ask(&lab::query(&question, true).edns(4096, true), false)).expect("a reply");
        assert_eq!((extended_error(&reply), reply.header.flags.authentic_data), (Some(code), false), "{qname} {qtype}");
    }
}

/// Asks every question in every way, of the daemon and of XDP. What shows a TTL of less than `lasting_ttl_s` is left out.
fn compare(facts: &Facts, daemon: &LabDaemon, questions: &[Question], lasting_ttl_s: u32) -> Compared {
    let (remote, local) = (LabClient::remote(facts), LabClient::local(facts));
    let mut compared = Compared::default();
    for question in questions {
        for dnssec_ok in [false, true] {
            let widest =
                TestQuery { checking_disabled: false, ..lab::query(question, dnssec_ok).edns(4096, dnssec_ok) };
            let first = local.ask(&widest, false);
            let is_own = Message::read(&first).expect("an answer").header.flags.authoritative;
            if !is_own && Normal::of(&first).ttls_s.iter().any(|&ttl_s| ttl_s < lasting_ttl_s) {
                continue;
            }
            let published = await_publication(daemon, question, dnssec_ok, &first);
            if !published {
                compared.unpublished.insert(question.qname.clone());
            }
            for query in variants(question, dnssec_ok) {
                for ipv6 in [false, true] {
                    let by_daemon = Normal::of(&local.ask(&query, ipv6));
                    let by_xdp = Normal::of(&remote.ask(&with_mixed_case(&query), ipv6));
                    assert_same(&query, ipv6, &by_xdp, &by_daemon);
                    compared.pairs += 1;
                    let shown = by_xdp.ttls_s.iter().chain(&by_daemon.ttls_s).copied().max().unwrap_or(0);
                    compared.ttl_s_max = compared.ttl_s_max.max(shown);
                    let truncated = by_daemon.message[2] & 2 != 0;
                    compared.expected_by_xdp += u64::from(published && !truncated);
                }
            }
        }
    }
    compared
}

/// XDP has answered all that is published and fits, and that is most of it.
fn check_share(daemon: &LabDaemon, compared: &Compared) {
    let Compared { pairs, expected_by_xdp, unpublished, .. } = compared;
    let (answered, no_room) = (daemon.counter("answered_"), daemon.counter("pass_no_room"));
    println!("{pairs} pairs compared, {answered} by XDP, {no_room} without room; unpublished: {unpublished:?}");
    // A veth leaves a packet of a local socket little room to grow, so large answers pass there.
    assert_eq!(answered + no_room, *expected_by_xdp, "XDP answers all that is published and fits");
    assert!(answered * 2 > *pairs, "most comparisons are with XDP");
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
    // AA: the operator's own, without a proof.
    let may = matches!(message.rcode(), RCode::NOERROR | RCode::NXDOMAIN)
        && !message.header.flags.authoritative
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

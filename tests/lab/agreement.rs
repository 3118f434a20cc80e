//! Our daemon, Unbound, BIND and Knot Resolver are asked every question of the zoo.
//!
//! Each verdict of ours must be the RFCs' one, as the zoo's table has it. Where another validator says something else,
//! `agreement-explained.txt` must say which RFC section makes us right; an explanation without a disagreement is an error.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use resolver_user::wire::{Message, RCode};
use xtask::lab::ZOO;
use xtask::lab::facts::{Facts, Question, ZoneFacts};
use xtask::lab::peers::Peers;

/// Longest wait for an answer of a peer, which may ask a server that lies several times.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a validator makes of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Opinion {
    /// `secure`, `insecure`, `bogus`, or `failed` where it could not even fetch the data; with the RCODE where that is
    /// not the one expected.
    verdict: String,
    /// Extended errors, in the order of the answer.
    extended_errors: Vec<u16>,
}

/// A line of `agreement-explained.txt`.
struct Explanation {
    zone: String,
    question: String,
    who: String,
    verdict: String,
    /// Whether it depends on the order in which signatures or questions happen to come.
    by_chance: bool,
}

#[test]
fn every_verdict_is_the_rfcs_and_every_disagreement_is_explained() {
    let facts = lab::facts();
    let started = Instant::now();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let peers = Peers::start(&facts).unwrap_or_else(|failure| panic!("{failure}"));
    let peers: Vec<Peer> = peers.addresses.iter().map(|(name, address)| Peer::new(&facts, name, *address)).collect();
    let explanations = explanations();
    let mut used = BTreeSet::<usize>::new();
    let (mut wrong, mut table, mut rows) = (Vec::new(), String::new(), 0);
    let titles: String = peers.iter().map(|peer| format!(" {:<20}", peer.name)).collect();
    let _ = writeln!(table, "{:<58} {:<20} {:<20}{titles}", "question", "by the RFCs", "ours");
    for zone in facts.zones.iter().filter(|zone| zone.group == ZOO) {
        for question in &zone.questions {
            rows += 1;
            let ours = our_opinion(&daemon, &client, question, &mut wrong);
            let expected = Opinion {
                verdict: question.status.clone(),
                extended_errors: question.extended_error.into_iter().collect(),
            };
            let rule = zone.rule.as_deref().unwrap_or_default();
            let fits = ours.verdict == expected.verdict
                && (expected.extended_errors.is_empty() || ours.extended_errors.contains(&expected.extended_errors[0]));
            if !fits {
                wrong.push(format!("{}: {} by {rule}, but ours is {}", title(question), expected.text(), ours.text()));
            }
            let mut line = format!("{:<58} {:<20} {:<20}", title(question), expected.text(), ours.text());
            for peer in &peers {
                let theirs = peer.opinion(question);
                let differs = theirs.verdict != ours.verdict;
                let _ = write!(line, " {:<20}", format!("{}{}", theirs.text(), if differs { " *" } else { "" }));
                if differs {
                    let fits = |explanation: &Explanation| explanation.fits(zone, question, peer.name, &theirs.verdict);
                    let fitting: Vec<usize> =
                        (0..explanations.len()).filter(|index| fits(&explanations[*index])).collect();
                    used.extend(&fitting);
                    if fitting.is_empty() {
                        let (name, says) = (peer.name, theirs.text());
                        wrong.push(format!("{}: ours is {}, {name} says {says}", title(question), ours.text()));
                    }
                }
            }
            let _ = writeln!(table, "{}", line.trim_end());
        }
    }
    for (index, explanation) in explanations.iter().enumerate().filter(|(index, _)| !used.contains(index)) {
        let Explanation { zone, question, who, verdict, by_chance } = explanation;
        if *by_chance {
            continue;
        }
        wrong.push(format!("explanation {}: {zone} {question}: {who} does not say {verdict}", index + 1));
    }
    println!("{table}\n{rows} questions in {:.1} s", started.elapsed().as_secs_f32());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_verdict_does_not_depend_on_what_was_asked_before() {
    let facts = lab::facts();
    let zones = facts.zones.iter().filter(|zone| zone.group == ZOO);
    let mut questions: Vec<&Question> = zones.flat_map(|zone| &zone.questions).collect();
    let mut wrong = Vec::new();
    let mut opinions = |questions: &[&Question]| -> Vec<Opinion> {
        let daemon = LabDaemon::start(&facts, "");
        let client = LabClient::remote(&facts);
        questions.iter().map(|question| our_opinion(&daemon, &client, question, &mut wrong)).collect()
    };
    let forwards = opinions(&questions);
    questions.reverse();
    let backwards = opinions(&questions);
    for ((question, backwards), forwards) in questions.iter().zip(backwards).zip(forwards.into_iter().rev()) {
        if forwards != backwards {
            wrong.push(format!("{}: {}, or {}", title(question), forwards.text(), backwards.text()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What our daemon says, which must be the same from its cache and from the kernel half.
fn our_opinion(daemon: &LabDaemon, client: &LabClient, question: &Question, wrong: &mut Vec<String>) -> Opinion {
    let ask = |checking_disabled| {
        let query = TestQuery { checking_disabled, ..lab::query(question, true).edns(4096, true) };
        Message::read(&client.ask(&query, false)).expect("an answer")
    };
    let first = Opinion::of(question, &ask(false), || ask(true));
    for _ in 0..2 {
        let again = Opinion::of(question, &ask(false), || ask(true));
        if again != first {
            wrong.push(format!("{}: first {}, then {}", title(question), first.text(), again.text()));
        }
    }
    let unchecked = ask(true);
    if unchecked.header.flags.authentic_data && first.verdict != "secure" {
        wrong.push(format!("{}: AD with CD, though ours is {}", title(question), first.text()));
    }
    // A daemon that died would fail the next question in a less telling way.
    daemon.status();
    first
}

/// Another validator.
struct Peer {
    name: &'static str,
    socket: UdpSocket,
}

impl Peer {
    fn new(facts: &Facts, name: &'static str, address: Ipv4Addr) -> Self {
        let socket = netns::inside(&facts.auth.path, || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
            socket.connect(SocketAddr::from((address, 53))).expect("a route");
            socket.set_read_timeout(Some(PATIENCE)).expect("a read time-out");
            socket
        });
        Self { name: name.strip_prefix("peer-").unwrap_or(name), socket }
    }

    fn opinion(&self, question: &Question) -> Opinion {
        Opinion::of(question, &self.ask(question, false), || self.ask(question, true))
    }

    fn ask(&self, question: &Question, checking_disabled: bool) -> Message {
        let query = TestQuery { checking_disabled, ..lab::query(question, true).edns(4096, true) };
        let sent = query.id(u16::from(checking_disabled) + 1).wire();
        self.socket.send(&sent).expect("the query is sent");
        let mut reply = vec![0; 65_535];
        let question_len = sent.len() - 11;
        loop {
            let len =
                self.socket.recv(&mut reply).unwrap_or_else(|error| panic!("{}: {question:?}: {error}", self.name));
            // A late answer to another question is none to this one.
            let same = |range: std::ops::Range<usize>| reply.get(range.clone()) == sent.get(range);
            if same(0..2) && len > question_len && same(12..question_len) {
                return Message::read(&reply[..len]).expect("an answer");
            }
        }
    }
}

impl Opinion {
    /// Reads a reply; `unchecked` asks again with CD, which tells a bogus answer from one that cannot be had.
    fn of(question: &Question, reply: &Message, unchecked: impl FnOnce() -> Message) -> Self {
        assert!(!reply.header.flags.truncated, "{question:?} is truncated");
        let rcode = reply.rcode();
        let status = match (rcode, reply.header.flags.authentic_data) {
            (RCode::SERVFAIL, _) if unchecked().rcode() == RCode::SERVFAIL => "failed",
            (RCode::SERVFAIL, _) => "bogus",
            (_, true) => "secure",
            (_, false) => "insecure",
        };
        let expected = if question.status == "bogus" { "SERVFAIL" } else { &question.rcode };
        let is_told = rcode == RCode::SERVFAIL || question.status == "bogus" || rcode.to_string() == expected;
        let verdict = if is_told { status.to_owned() } else { format!("{status}-{rcode}") };
        let options = reply.edns.iter().flat_map(|edns| &edns.options).filter(|option| option.code == 15);
        let codes = options.filter_map(|option| option.data.first_chunk().map(|code| u16::from_be_bytes(*code)));
        Self { verdict, extended_errors: codes.collect() }
    }

    fn text(&self) -> String {
        let errors: Vec<String> = self.extended_errors.iter().map(ToString::to_string).collect();
        if errors.is_empty() { self.verdict.clone() } else { format!("{} {}", self.verdict, errors.join(",")) }
    }
}

impl Explanation {
    fn fits(&self, zone: &ZoneFacts, question: &Question, who: &str, verdict: &str) -> bool {
        let owner = question.qname.strip_suffix(&zone.name).map(|owner| owner.trim_end_matches('.'));
        let owner = owner.filter(|owner| !owner.is_empty()).unwrap_or("@");
        format!("{}.zoo.test.", self.zone) == zone.name
            && (self.question == "*" || self.question == format!("{owner} {}", question.qtype))
            && self.who == who
            && self.verdict == verdict
    }
}

/// The explanations, one for each validator that a line names.
fn explanations() -> Vec<Explanation> {
    let mut explanations = Vec::new();
    for line in include_str!("agreement-explained.txt").lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [zone, question, who, verdict, because] = columns[..] else { panic!("not five columns: {line}") };
        assert!(because.contains("RFC ") && because.contains('§'), "no RFC section: {line}");
        explanations.extend(who.split(", ").map(|who| Explanation {
            zone: zone.to_owned(),
            question: question.to_owned(),
            who: who.trim_end_matches('?').to_owned(),
            verdict: verdict.to_owned(),
            by_chance: who.ends_with('?'),
        }));
    }
    explanations
}

/// A question short enough for the table.
fn title(question: &Question) -> String {
    let name = question.qname.strip_suffix(".zoo.test.").unwrap_or(&question.qname);
    let name = if name.len() > 48 { format!("…{}", &name[name.len() - 44..]) } else { name.to_owned() };
    format!("{name} {}", question.qtype)
}

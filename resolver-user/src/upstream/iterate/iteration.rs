//! The way from a question to its answer, as a state machine: it says whom to ask, and is told what came of it.
//!
//! In: a question, what is known ([`Infra`]), then replies as they come. Out: a [`Step`]. No sockets and no clock: the time
//! comes in as an argument, and so does chance, as a seed. Every loop is bounded: by the labels of the name, by the tries of a
//! [`Frame`], by the look-ups of one question, and all of it by the [`Allowance`](super::super::Allowance) of whoever asks.
//! Ruled by RFC 1034 §5.3.3, RFC 2181 §5.4.1, RFC 6672 §3.4, RFC 8109 and 9609, RFC 9156.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::UpstreamError;
use super::super::doubts::{Among, Fetched, Source};
use super::super::scrub::scrub;
use super::super::server::Server;
use super::delegation::{Delegation, Origin, addresses_of};
use super::frame::{ADDRESS_TYPES, Frame, Next, Purpose};
use super::infra::Infra;
use super::said::{self, Said};
use crate::metrics::Metrics;
use crate::wire::{Message, Name, Question, RCode, Record, RecordType, Response, RrSet, Rrsig, group, group_authority};

/// Questions for addresses of servers on behalf of one question.
const LOOKUPS_MAX: usize = 16;
/// How deep such questions may lead to further ones.
const DEPTH_MAX: usize = 6;
/// Turns of the machine without asking or waiting. Choice: more than opening and closing every look-up takes.
const TURNS_MAX: usize = 4 * LOOKUPS_MAX + 8;
/// Zones that one question is referred to, for all its look-ups together.
const REFERRALS_MAX: usize = 64;
/// How long the addresses of a server's name are kept, at most and at least, in seconds.
const ADDRESS_TTL_S: (u32, u32) = (30, 86_400);
/// How long it is remembered that there are none, in seconds.
const NO_ADDRESS_TTL_S: u32 = 60;
/// How long it is that they could not be found, in seconds (RFC 9520 §3.2: at least 1).
const NOT_FOUND_TTL_S: u32 = 10;
/// How long a name counts as being no zone, in seconds.
const NO_CUT_TTL_S: u32 = 300;
/// How long what a referral said of a DS is kept, at most, in seconds.
const DS_TTL_S_MAX: u32 = 300;

/// What an iteration is told once.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// What is known.
    pub(super) infra: Arc<Infra>,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
    /// Whether servers are told no more of the name than they need.
    pub(super) minimising: bool,
    /// Whether they are asked in mixed letter case.
    pub(super) case_mixed: bool,
    /// Addresses that we listen on, which are nobody else's.
    pub(super) own: Arc<Vec<SocketAddr>>,
}

/// The way from a question to its answer.
#[derive(Debug)]
pub(super) struct Iteration {
    setting: Setting,
    /// The question at the bottom, and what it waits for above it.
    frames: Vec<Frame>,
    next_number: usize,
    lookups: usize,
    referrals: usize,
    random: u64,
    outcome: Option<Result<Fetched, UpstreamError>>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Step {
    /// Ask a server, and say what came of it by [`Iteration::heard`]. Others may be asked meanwhile.
    Ask {
        /// The number of this try.
        number: usize,
        /// The server.
        server: Arc<Server>,
        /// What to ask it.
        question: Question,
        /// Earlier tries at it got no reply.
        last_resort: bool,
        /// In mixed letter case; else as it stands here.
        case_mixed: bool,
    },
    /// Wait for a reply until then, in milliseconds; then go on.
    Wait(u64),
    /// The end.
    Done(Result<Fetched, UpstreamError>),
}

impl Iteration {
    /// Begins at the deepest zone that is known above the question. `seed`: any number, by which servers are chosen.
    pub(super) fn new(setting: Setting, question: Question, among: Among, seed: u64, now_ms: u64) -> Self {
        let zone = start(&setting.infra, &question, now_ms);
        let mut iteration = Self {
            setting,
            frames: Vec::new(),
            next_number: 0,
            lookups: 0,
            referrals: 0,
            // An xorshift generator stands still at 0.
            random: seed | 1,
            outcome: None,
        };
        let mut frame = Frame::new(question, Purpose::Asker, zone);
        // Servers that are doubted are those of their zone all the same.
        (frame.among, frame.may_climb) = (among, among == Among::All);
        iteration.open(frame, now_ms);
        iteration
    }

    /// Goes on until somebody must be asked or waited for, or the end is reached.
    pub(super) fn advance(&mut self, now_ms: u64) -> Step {
        for _ in 0..TURNS_MAX {
            if let Some(outcome) = self.outcome.take() {
                return Step::Done(outcome);
            }
            let random = self.roll();
            let may_look_up = self.lookups < LOOKUPS_MAX && self.frames.len() < DEPTH_MAX;
            let Some(frame) = self.frames.last_mut() else { break };
            let late = frame.late_tries();
            let next = frame.next(&self.setting.infra, may_look_up, random, now_ms);
            let silent = frame.late_tries().saturating_sub(late);
            self.setting.metrics.upstream_timeouts.add(u64::try_from(silent).unwrap_or(0));
            match next {
                Next::Wait(until_ms) => return Step::Wait(until_ms),
                Next::Ask { server, .. } if self.setting.own.contains(&server.address) => {
                    frame.note_asked(usize::MAX, Arc::clone(&server), false, now_ms);
                    frame.answered(usize::MAX);
                    frame.turn_from(&server, true);
                }
                Next::Ask { server, last_resort, in_lower_case } => {
                    let number = self.next_number;
                    self.next_number = number.saturating_add(1);
                    frame.note_asked(number, Arc::clone(&server), in_lower_case, now_ms);
                    let case_mixed = self.setting.case_mixed && server.keeps_case(now_ms) && !in_lower_case;
                    let breaks_case = in_lower_case || !server.keeps_case(now_ms);
                    let question = if breaks_case { in_lower_letters(&frame.asked) } else { frame.asked.clone() };
                    return Step::Ask { number, server, question, last_resort, case_mixed };
                }
                Next::LookUp(name, rtype) => self.look_up(Question::new(name, rtype), now_ms),
                Next::Nothing => self.fail(now_ms),
            }
        }
        Step::Done(Err(UpstreamError::NoServer))
    }

    /// Takes in what came of a try.
    pub(super) fn heard(&mut self, number: usize, outcome: Result<Message, UpstreamError>, now_ms: u64) {
        // A try of a question that is not asked any more has told how fast its server is, and nothing else.
        let Some(depth) = self.frames.iter().position(|frame| frame.awaits(number)) else { return };
        let is_reply = |message: &Message| said::is_reply(message.rcode());
        if outcome.as_ref().is_ok_and(is_reply) {
            // What was looked up because it did not come is not needed any more.
            self.frames.truncate(depth.saturating_add(1));
        }
        let is_top = depth.saturating_add(1) == self.frames.len();
        let Some(frame) = self.frames.get_mut(depth) else { return };
        let in_lower_case = frame.was_in_lower_case(number);
        let Some(server) = frame.answered(number) else { return };
        match outcome {
            Ok(message) if is_top => self.judge(&server, message, in_lower_case, now_ms),
            Ok(_) => frame.turn_from(&server, true),
            Err(error) => {
                if let UpstreamError::Network { source, .. } = &error {
                    self.setting.infra.note_network_error(server.address, source, now_ms);
                    server.note_silence(now_ms);
                }
                server.failed.add_one();
                frame.last_error = Some(error);
                frame.turn_from(&server, false);
            }
        }
    }

    fn judge(&mut self, server: &Arc<Server>, mut message: Message, in_lower_case: bool, now_ms: u64) {
        let Some(frame) = self.frames.last_mut() else { return };
        let zone = Arc::clone(&frame.zone);
        said::cut_down(&mut message, &zone.zone);
        let (asks_all, asked) = (frame.asks_all(), frame.asked.qname.clone());
        let said = said::read(&message, &frame.asked, &zone.zone);
        if matches!(said, Said::Answer | Said::Absent { .. })
            && zone.origin == Origin::Parent
            && let Some(own) = Delegation::own_servers(&message, &zone.zone)
        {
            self.setting.infra.learn_own_servers(&zone.zone, own);
        }
        let is_of_no_use = matches!(said, Said::Refused(_) | Said::Lame);
        if is_of_no_use && asks_all && self.setting.is_cased(server, &frame.asked, now_ms) {
            frame.note_refused_in_case(server);
        }
        if in_lower_case && !is_of_no_use {
            server.note_case_changed(now_ms);
            self.setting.infra.forget_lame(&zone.zone, server.address);
        }
        match said {
            Said::Answer | Said::Absent { .. } if asks_all => self.close(server, message, now_ms),
            // Below a name that is not there nothing is (RFC 8020); but servers that deny empty names are common, so this is
            // believed of signed zones, whose proof must fit, and of the root and those below it.
            Said::Absent { nxdomain: true, proven } if proven || zone.zone.label_count() <= 1 => {
                self.close(server, message, now_ms)
            }
            Said::Absent { nxdomain: true, .. } => frame.tell_all(),
            // All names below lead elsewhere.
            Said::Answer if message.answer.iter().any(|record| record.rtype == RecordType::DNAME) => frame.tell_all(),
            Said::Answer | Said::Absent { .. } => self.go_on_below(asked, now_ms),
            Said::Doubtful if !asks_all => self.go_on_below(asked, now_ms),
            Said::Referral(child) => self.descend(server, &message, &child, now_ms),
            Said::Doubtful => {
                let response = response(message, &frame.question, &zone.zone);
                frame.doubtful = Some(Fetched { response, source: Some(source(server, &zone)) });
                frame.turn_from(server, true);
            }
            // RFC 9156 §2.3: whatever a server does not understand of a shortened name, it may of the whole one.
            Said::Refused(_) | Said::Lame if !asks_all => frame.tell_all(),
            Said::Refused(rcode) => {
                server.failed.add_one();
                frame.last_error = Some(UpstreamError::Refused { server: server.address, rcode });
                frame.turn_from(server, true);
            }
            Said::Lame => self.note_lame(server, now_ms),
        }
    }

    /// Passes over a server that knows nothing of the zone.
    fn note_lame(&mut self, server: &Server, now_ms: u64) {
        let Some(frame) = self.frames.last_mut() else { return };
        self.setting.metrics.upstream_lame.add_one();
        server.failed.add_one();
        if frame.zone.origin == Origin::Parent {
            self.setting.infra.note_lame(&frame.zone.zone, server.address, now_ms);
        }
        frame.last_error = Some(UpstreamError::Lame { server: server.address, zone: frame.zone.zone.clone() });
        frame.turn_from(server, true);
    }

    /// Asks for a longer name: this one is in the zone that was asked, and no zone of its own.
    fn go_on_below(&mut self, name: Name, now_ms: u64) {
        let Some(frame) = self.frames.last_mut() else { return };
        let known = name.label_count();
        self.setting.infra.note_no_cut(name, after_s(now_ms, NO_CUT_TTL_S));
        frame.aim(known, self.setting.minimising, &self.setting.infra, now_ms);
    }

    /// Goes on at the servers of a zone further down.
    fn descend(&mut self, server: &Server, message: &Message, child: &Name, now_ms: u64) {
        let Setting { infra, metrics, minimising, .. } = &self.setting;
        let Some(frame) = self.frames.last_mut() else { return };
        let delegation = Delegation::of_referral(message, child, now_ms, &frame.zone);
        // The DS of a zone is its parent's. Servers that do not know this refer to the zone, and have none.
        let is_at_parent = frame.question.qtype == RecordType::DS && *child == frame.question.qname;
        let may_descend = !is_at_parent && self.referrals < REFERRALS_MAX;
        let Some(delegation) = delegation.filter(|_| may_descend) else {
            return frame.turn_from(server, true);
        };
        self.referrals = self.referrals.saturating_add(1);
        metrics.upstream_referrals.add_one();
        let delegation = Arc::new(delegation);
        infra.learn(&delegation);
        if let Some((response, ttl_s)) = referred_ds(message, child) {
            infra.learn_referred_ds(response, source(server, &frame.zone), after_s(now_ms, ttl_s));
        }
        frame.may_climb = false;
        frame.enter(delegation);
        frame.aim(0, *minimising, infra, now_ms);
    }

    /// Begins to look for addresses of a server.
    fn look_up(&mut self, question: Question, now_ms: u64) {
        let infra = Arc::clone(&self.setting.infra);
        if self.frames.iter().any(|frame| frame.question == question) {
            return;
        }
        self.lookups = self.lookups.saturating_add(1);
        let mut zone = start(&infra, &question, now_ms);
        // A zone that waits for addresses cannot say where its servers are; the one above it may.
        while self.frames.iter().any(|frame| frame.zone.zone == zone.zone)
            && let Some(above) = infra.closest_above(&zone.zone, now_ms)
        {
            zone = above;
        }
        self.open(Frame::new(question, Purpose::Addresses, zone), now_ms);
    }

    /// Begins with a question; with the root's servers first, if only the hints are known.
    fn open(&mut self, mut frame: Frame, now_ms: u64) {
        let infra = &self.setting.infra;
        frame.aim(0, self.setting.minimising, infra, now_ms);
        let needs_priming = frame.zone.origin == Origin::Hints && infra.begins_priming(now_ms);
        self.frames.push(frame);
        if needs_priming {
            let question = Question::new(Name::root(), RecordType::NS);
            self.frames.push(Frame::new(question, Purpose::Priming, Arc::clone(infra.hints())));
        }
    }

    /// Ends the question on top with a reply to it.
    fn close(&mut self, server: &Server, message: Message, now_ms: u64) {
        let Some(frame) = self.frames.pop() else { return };
        let infra = &self.setting.infra;
        match frame.purpose {
            Purpose::Asker => {
                let response = response(message, &frame.question, &frame.zone.zone);
                self.outcome = Some(Ok(Fetched { response, source: Some(source(server, &frame.zone)) }));
            }
            Purpose::Addresses => {
                let name = &frame.question.qname;
                let own = message
                    .answer
                    .iter()
                    .filter(|record| record.owner == *name && record.rtype == frame.question.qtype);
                let (least_s, most_s) = ADDRESS_TTL_S;
                let ttl_s = own.map(|record| record.ttl_s.clamp(least_s, most_s)).min().unwrap_or(NO_ADDRESS_TTL_S);
                // Where a zone's servers are is no longer true than the zone is there, whatever it says itself (ghost domains).
                let until_ms = after_s(now_ms, ttl_s).min(frame.zone.expires_at_ms.max(after_s(now_ms, least_s)));
                let addresses: Arc<[SocketAddr]> = addresses_of(name, &message.answer).into();
                // Without the name there are no others either.
                let of_all = message.rcode() == RCode::NXDOMAIN && addresses.is_empty();
                let types = ADDRESS_TYPES.into_iter().filter(|rtype| of_all || *rtype == frame.question.qtype);
                types.for_each(|rtype| infra.learn_addresses(name, rtype, Arc::clone(&addresses), until_ms));
            }
            Purpose::Priming => {
                let primed = Delegation::of_priming(&message, infra.hints(), now_ms);
                self.take_root(primed.map(Arc::new), now_ms);
            }
        }
        if let Some(below) = self.frames.last_mut() {
            below.hurry();
        }
    }

    /// Goes on with the root's servers as they say themselves, where that is known now.
    fn take_root(&mut self, primed: Option<Arc<Delegation>>, now_ms: u64) {
        let Setting { infra, minimising, .. } = &self.setting;
        let (Some(primed), Some(below)) = (primed, self.frames.last_mut()) else { return };
        infra.learn(&primed);
        below.enter(primed);
        below.aim(0, *minimising, infra, now_ms);
    }

    /// Ends the question on top without a reply: begins once more further up, makes do with a doubtful reply, or gives up.
    fn fail(&mut self, now_ms: u64) {
        let Setting { infra, minimising, .. } = &self.setting;
        let Some(frame) = self.frames.last_mut() else { return };
        // Some servers do not answer for names between zones.
        if !frame.asks_all() {
            return frame.tell_all();
        }
        // Some know a name by its small letters only.
        if frame.tries_lower_case() {
            return;
        }
        if frame.zone.origin == Origin::Parent && frame.may_climb && frame.doubtful.is_none() {
            infra.forget(&frame.zone);
            if let Some(above) = infra.closest_above(&frame.zone.zone, now_ms) {
                frame.may_climb = false;
                frame.enter(above);
                return frame.aim(0, *minimising, infra, now_ms);
            }
        }
        let Some(frame) = self.frames.pop() else { return };
        match frame.purpose {
            Purpose::Asker => {
                let error = || frame.last_error.unwrap_or(UpstreamError::NoServer);
                self.outcome = Some(frame.doubtful.ok_or_else(error));
            }
            Purpose::Addresses => {
                let Question { qname, qtype } = &frame.question;
                let doubtful = frame.doubtful.iter().flat_map(|reply| &reply.response.answer);
                let own = doubtful.filter(|set| set.owner == *qname && set.rtype == *qtype);
                let records: Vec<Record> = own.flat_map(RrSet::records).collect();
                let addresses = addresses_of(qname, &records).into();
                infra.learn_addresses(qname, *qtype, addresses, after_s(now_ms, NOT_FOUND_TTL_S));
            }
            Purpose::Priming => {}
        }
        if let Some(below) = self.frames.last_mut() {
            below.hurry();
        }
    }

    /// The next of a series of numbers (Marsaglia's xorshift). For choosing servers, not for secrets.
    fn roll(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// The zone to begin with: a DS is asked of the zone above its name (RFC 4035 §3.1.4.1).
fn start(infra: &Infra, question: &Question, now_ms: u64) -> Arc<Delegation> {
    match (question.qtype, infra.closest_above(&question.qname, now_ms)) {
        (RecordType::DS, Some(above)) => above,
        _ => infra.closest(&question.qname, now_ms),
    }
}

impl Setting {
    /// Whether a server is asked this in letters that are not all small.
    fn is_cased(&self, server: &Server, asked: &Question, now_ms: u64) -> bool {
        let keeps_case = server.keeps_case(now_ms);
        keeps_case && (self.case_mixed || asked.qname.wire().iter().any(u8::is_ascii_uppercase))
    }
}

/// The same question in small letters.
fn in_lower_letters(question: &Question) -> Question {
    Question::new(question.qname.to_lowercase(), question.qtype)
}

/// Who said something as a server of a zone.
fn source(server: &Server, zone: &Delegation) -> Source {
    Source { server: server.address, zone: Some(zone.zone.clone()) }
}

/// A reply as whoever asked may see it: an alias is where it ends, unless what it leads to is in the zone and signed. What a
/// server adds else is asked for anew: within the zone, too, there may be a cut that the server has no word in.
fn response(message: Message, question: &Question, zone: &Name) -> Response {
    let signatures = message.answer.iter().filter(|record| record.rtype == RecordType::RRSIG);
    let signed: Vec<Name> = signatures.map(|record| record.owner.clone()).collect();
    scrub(message, question, |name| name.is_at_or_below(zone) && signed.contains(name))
}

/// What a referral says of the DS of the zone, as a reply to the question for it, and for how many seconds. Only what is
/// signed can be of use; of what is not, the parent is asked.
fn referred_ds(message: &Message, child: &Name) -> Option<(Response, u32)> {
    let of_child = |record: &&Record| {
        let covers_ds = || Rrsig::read(record).is_some_and(|signature| signature.type_covered == RecordType::DS);
        record.owner == *child && (record.rtype == RecordType::DS || record.rtype == RecordType::RRSIG && covers_ds())
    };
    let answer: Vec<_> = message.authority.iter().filter(of_child).cloned().collect();
    let mut answer = group(&answer);
    answer.retain(|set| !set.rdatas.is_empty() && !set.signatures.is_empty());
    let mut authority = if answer.is_empty() { group_authority(&message.authority) } else { Vec::new() };
    authority.retain(|set| {
        matches!(set.rtype, RecordType::NSEC | RecordType::NSEC3)
            && !set.rdatas.is_empty()
            && !set.signatures.is_empty()
    });
    let ttl_s = answer.iter().chain(&authority).map(|set| set.ttl_s).min()?.min(DS_TTL_S_MAX);
    let question = Question::new(child.clone(), RecordType::DS);
    Some((Response { question, rcode: RCode::NOERROR, answer, authority }, ttl_s))
}

fn after_s(now_ms: u64, seconds: u32) -> u64 {
    now_ms.saturating_add(u64::from(seconds).saturating_mul(1000))
}

//! One question on its way down from a known zone to the servers that answer it.
//!
//! In: what is known ([`Infra`]), and the time. Out: whom to ask next and what ([`Next`]). Its replies are read in
//! [`super::iteration`], which holds a stack of these: the client's question, and above it questions for addresses of servers.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::UpstreamError;
use super::super::doubts::{Among, Fetched};
use super::super::server::Server;
use super::choose::{Candidate, choose};
use super::delegation::{Delegation, NameServer, Origin};
use super::infra::Infra;
use super::minimise;
use crate::wire::{Name, Question, RecordType};

/// Tries for one question in one zone. Choice: with two packets in five lost, one question in 10 000 fails.
const TRIES_MAX: usize = 14;
/// Tries for a shortened name before the whole one is told. Choice: with two packets in five lost, one in 40 is told early.
const TRIES_MAX_SHORTENED: usize = 4;
/// The same as [`TRIES_MAX`] where there is something else to do: for an address of a server that is one of several.
const TRIES_MAX_ELSE: usize = 6;
/// The same where there is a reply already, if only a bogus one.
const TRIES_MAX_BETTER: usize = 3;
/// The same for the root's servers, which the hints know well enough.
const PRIMING_TRIES_MAX: usize = 3;
/// Tries at one server of these.
const TRIES_PER_SERVER: usize = 10;
/// Tries at each known server before addresses are looked up of servers that have none, and of those that have one.
const TRIES_BEFORE_LOOKING: (usize, usize) = (1, 4);
/// Servers' names whose addresses are looked up for one question in one zone (NXNSAttack, CVE-2020-8616 and its like).
const LOOKUPS_PER_ZONE: usize = 4;
/// Tries at one server after which it is asked without EDNS, if it has never shown that it knows it.
const TRIES_WITH_EDNS: usize = 3;
/// How long replies are waited for once there is nobody left to ask, in milliseconds.
const LAST_WAIT_MS: u64 = 1500;

/// One question on its way down.
#[derive(Debug)]
pub(super) struct Frame {
    /// What is to be found.
    pub(super) question: Question,
    /// What for.
    pub(super) purpose: Purpose,
    /// The zone that is asked now.
    pub(super) zone: Arc<Delegation>,
    /// What it is asked: the question, or something that tells less of it.
    pub(super) asked: Question,
    /// The best reply so far, if only a doubtful one.
    pub(super) doubtful: Option<Fetched>,
    /// The last thing that went wrong.
    pub(super) last_error: Option<UpstreamError>,
    /// Whether the zone's servers are to be asked for anew further up, if they are of no use: not if they were just now, or
    /// once before.
    pub(super) may_climb: bool,
    /// Which of the zone's servers are asked.
    pub(super) among: Among,
    /// Whether the whole name is told, because a server did not understand less.
    tells_all: bool,
    /// Names asked for so far on the way to the question's.
    steps: usize,
    /// Each server that was asked, how often, and whether it may be asked again.
    asked_so_far: Vec<(SocketAddr, usize, Again)>,
    tries: usize,
    /// Tries that are not answered yet.
    pending: Vec<Pending>,
    /// When another try is made unless a reply comes before, in milliseconds.
    next_try_at_ms: u64,
    /// Whether the last wait, for replies that are late already, has begun.
    lingers: bool,
    /// Names of servers that were looked up for the zone.
    looked_up: Vec<(Name, RecordType)>,
    /// Whether a server was asked once more in small letters.
    in_lower_case: InLowerCase,
}

/// Whether a server that made nothing of the name was asked once more in small letters. One for each question, once nobody else has an
/// answer: few break the case of names, and many know nothing of them.
#[derive(Debug)]
enum InLowerCase {
    /// None made nothing of the name.
    NoReason,
    /// This one did, asked in other letters.
    Possible(Arc<Server>),
    /// This one is to be asked next.
    Next(Arc<Server>),
    /// One was, by this try.
    Asked(usize),
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whoever began the iteration.
    Asker,
    /// Addresses of a server.
    Addresses,
    /// The root's servers.
    Priming,
}

/// Whether a server may be asked the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

#[derive(Debug)]
struct Pending {
    number: usize,
    server: Arc<Server>,
    /// It was waited for long enough already.
    is_late: bool,
}

/// What a frame wants.
#[derive(Debug)]
pub(super) enum Next {
    /// This server asked.
    Ask {
        /// Which.
        server: Arc<Server>,
        /// Earlier tries at it got no reply.
        last_resort: bool,
        /// In small letters.
        in_lower_case: bool,
    },
    /// Addresses of a server's name.
    LookUp(Name, RecordType),
    /// To wait until then.
    Wait(u64),
    /// Nothing: it has failed.
    Nothing,
}

impl Frame {
    pub(super) fn new(question: Question, purpose: Purpose, zone: Arc<Delegation>) -> Self {
        Self {
            asked: question.clone(),
            question,
            purpose,
            zone,
            doubtful: None,
            last_error: None,
            may_climb: true,
            among: Among::All,
            tells_all: purpose == Purpose::Priming,
            steps: 0,
            asked_so_far: Vec::new(),
            tries: 0,
            pending: Vec::new(),
            next_try_at_ms: 0,
            lingers: false,
            looked_up: Vec::new(),
            in_lower_case: InLowerCase::NoReason,
        }
    }

    /// Whether the question itself is asked now.
    pub(super) fn asks_all(&self) -> bool {
        self.asked == self.question
    }

    /// Goes on in another zone.
    pub(super) fn enter(&mut self, zone: Arc<Delegation>) {
        self.zone = zone;
        self.looked_up.clear();
        self.begin();
    }

    /// Chooses what to ask of the zone: the name that is one step longer than what is `known` to be within it, or all of it
    /// if `minimising` is off or of no use.
    pub(super) fn aim(&mut self, known: usize, minimising: bool, infra: &Infra, now_ms: u64) {
        let qname = &self.question.qname;
        let mut known = known.max(self.zone.zone.label_count());
        // Bound: each turn makes `known` longer.
        let aim = loop {
            let next = minimise::next(qname, known, self.steps);
            if next == *qname || !infra.is_no_cut(&next, now_ms) {
                break next;
            }
            known = next.label_count();
        };
        self.asked = if self.tells_all || !minimising || aim == *qname {
            self.question.clone()
        } else {
            self.steps = self.steps.saturating_add(1);
            // RFC 9156 §2.1: a type that every server knows, and that tells nothing.
            Question::new(aim, RecordType::A)
        };
        self.begin();
    }

    /// Asks for all of the name from now on.
    pub(super) fn tell_all(&mut self) {
        self.tells_all = true;
        self.asked = self.question.clone();
        self.begin();
    }

    /// Forgets whom it has asked, as it asks something else now.
    fn begin(&mut self) {
        self.asked_so_far.clear();
        self.pending.clear();
        self.tries = 0;
        self.next_try_at_ms = 0;
        self.lingers = false;
    }

    /// What to do next. `may_look_up`: addresses of further servers may be asked for.
    pub(super) fn next(&mut self, infra: &Infra, may_look_up: bool, random: u64, now_ms: u64) -> Next {
        if let InLowerCase::Next(server) = &self.in_lower_case {
            return Next::Ask { server: Arc::clone(server), last_resort: false, in_lower_case: true };
        }
        if now_ms < self.next_try_at_ms && !self.pending.is_empty() {
            return Next::Wait(self.next_try_at_ms);
        }
        for pending in self.pending.iter_mut().filter(|pending| !pending.is_late) {
            pending.is_late = true;
            pending.server.note_silence(now_ms);
        }
        // A server that does not answer to a shortened name may answer to the whole one.
        if !self.asks_all() && self.tries >= TRIES_MAX_SHORTENED {
            self.tell_all();
        }
        let candidates = self.candidates(infra, now_ms);
        let tried = candidates.iter().map(|candidate| candidate.tries).min().unwrap_or(usize::MAX);
        if may_look_up && let Some((name, rtype)) = self.unknown(tried, infra, now_ms) {
            self.looked_up.push((name.clone(), rtype));
            return Next::LookUp(name, rtype);
        }
        if self.tries < self.tries_max()
            && let Some(chosen) = choose(&candidates, random, now_ms)
        {
            let last_resort = chosen.tries >= TRIES_WITH_EDNS;
            return Next::Ask { server: Arc::clone(&chosen.server), last_resort, in_lower_case: false };
        }
        if self.pending.is_empty() || self.lingers {
            return Next::Nothing;
        }
        self.lingers = true;
        self.next_try_at_ms = now_ms.saturating_add(LAST_WAIT_MS);
        Next::Wait(self.next_try_at_ms)
    }

    /// Notes that a server is asked, under this number.
    pub(super) fn note_asked(&mut self, number: usize, server: Arc<Server>, in_lower_case: bool, now_ms: u64) {
        if in_lower_case {
            self.in_lower_case = InLowerCase::Asked(number);
        }
        let address = server.address;
        let before = self.asked_so_far.iter_mut().find(|(known, ..)| *known == address);
        let tries = match before {
            Some((_, tries, _)) => {
                *tries = tries.saturating_add(1);
                *tries
            }
            None => {
                self.asked_so_far.push((address, 1, Again::Yes));
                1
            }
        };
        let wait_ms = u64::try_from(server.reply_within().as_millis()).unwrap_or(u64::MAX);
        let doublings = u32::try_from(tries.saturating_sub(1).min(3)).unwrap_or(3);
        self.next_try_at_ms = now_ms.saturating_add(wait_ms << doublings);
        self.tries = self.tries.saturating_add(1);
        self.pending.push(Pending { number, server, is_late: false });
    }

    /// Whether this try is one for what is asked now.
    pub(super) fn awaits(&self, number: usize) -> bool {
        self.pending.iter().any(|pending| pending.number == number)
    }

    /// Notes that a server made nothing of the name in letters that were not all small.
    pub(super) fn note_refused_in_case(&mut self, server: &Arc<Server>) {
        if matches!(self.in_lower_case, InLowerCase::NoReason) {
            self.in_lower_case = InLowerCase::Possible(Arc::clone(server));
        }
    }

    /// Has such a server be asked once more in small letters; false if there is none, or one was already.
    pub(super) fn tries_lower_case(&mut self) -> bool {
        let InLowerCase::Possible(server) = &self.in_lower_case else { return false };
        self.in_lower_case = InLowerCase::Next(Arc::clone(server));
        true
    }

    /// Whether this try was in small letters.
    pub(super) fn was_in_lower_case(&self, number: usize) -> bool {
        matches!(self.in_lower_case, InLowerCase::Asked(asked) if asked == number)
    }

    /// The server of a pending try, which is none any more. None: the try was for something else.
    pub(super) fn answered(&mut self, number: usize) -> Option<Arc<Server>> {
        let at = self.pending.iter().position(|pending| pending.number == number)?;
        Some(self.pending.swap_remove(at).server)
    }

    /// Whether a try was waited for in vain already.
    pub(super) fn late_tries(&self) -> usize {
        self.pending.iter().filter(|pending| pending.is_late).count()
    }

    /// Turns to others at once: what this server says is of no use, now (`Again`) or at all.
    pub(super) fn turn_from(&mut self, server: &Server, for_good: bool) {
        if for_good && let Some((_, _, again)) = self.asked_so_far.iter_mut().find(|(at, ..)| *at == server.address) {
            *again = Again::No;
        }
        // Another one may still be in time.
        if self.pending.iter().all(|pending| pending.is_late) {
            self.next_try_at_ms = 0;
        }
    }

    /// Waits no longer: something has changed.
    pub(super) fn hurry(&mut self) {
        self.next_try_at_ms = 0;
    }

    fn tries_max(&self) -> usize {
        match self.purpose {
            Purpose::Asker if self.among == Among::Undoubted => TRIES_MAX_BETTER,
            Purpose::Asker => TRIES_MAX,
            Purpose::Addresses => TRIES_MAX_ELSE,
            Purpose::Priming => PRIMING_TRIES_MAX,
        }
    }

    /// Servers whose addresses are known and that may be asked. If there are none left, and parent and child disagree: at the
    /// addresses that the delegations of their own zones have, and those that the zone itself names.
    fn candidates(&self, infra: &Infra, now_ms: u64) -> Vec<Candidate> {
        let named = || self.zone.servers.iter().filter(|server| has_name(server));
        let mut addresses: Vec<SocketAddr> =
            self.zone.servers.iter().flat_map(|server| &server.addresses).copied().collect();
        for (server, rtype) in named().flat_map(|server| ADDRESS_TYPES.map(|rtype| (server, rtype))) {
            addresses.extend(infra.addresses(&server.name, rtype, now_ms).iter().flat_map(|known| known.iter()));
        }
        let candidates = self.usable(addresses, infra, now_ms);
        if !candidates.is_empty() || self.zone.origin != Origin::Parent {
            return candidates;
        }
        let own = infra.own_servers(&self.zone.zone).unwrap_or_default();
        let elsewhere = named().chain(&*own).flat_map(|server| infra.glue(&server.name, now_ms));
        let known = |server: &NameServer| {
            let known = ADDRESS_TYPES.map(|rtype| infra.addresses(&server.name, rtype, now_ms));
            known.into_iter().flatten().flat_map(|known| known.to_vec()).collect::<Vec<_>>()
        };
        let own = own.iter().flat_map(|server| [server.addresses.clone(), known(server)].concat());
        self.usable(elsewhere.chain(own).collect(), infra, now_ms)
    }

    /// Servers at these addresses that may be asked.
    fn usable(&self, mut addresses: Vec<SocketAddr>, infra: &Infra, now_ms: u64) -> Vec<Candidate> {
        addresses.sort_unstable();
        addresses.dedup();
        let may_ask = |address: &SocketAddr| {
            let before = self.asked_so_far.iter().find(|(known, ..)| known == address);
            let again = before.is_none_or(|(_, tries, again)| *again == Again::Yes && *tries < TRIES_PER_SERVER);
            again && infra.may_ask(&self.zone.zone, *address, now_ms)
        };
        let tries =
            |address| self.asked_so_far.iter().find(|(known, ..)| *known == address).map_or(0, |(_, tries, _)| *tries);
        let fitting = addresses.into_iter().filter(may_ask).map(|address| Candidate {
            server: infra.server(address),
            tries: tries(address),
            is_doubted: infra.doubts.about(&self.zone.zone, address, now_ms),
        });
        fitting.filter(|one| self.among == Among::All || !one.is_doubted).collect()
    }

    /// A server's name of which addresses are not known yet: one without any, or, after more tries at those that are `tried`
    /// least, one without any of an IP version.
    fn unknown(&self, tried: usize, infra: &Infra, now_ms: u64) -> Option<(Name, RecordType)> {
        if self.looked_up.len() >= LOOKUPS_PER_ZONE || self.zone.origin == Origin::Stub {
            return None;
        }
        let (before_bare, before_other) = TRIES_BEFORE_LOOKING;
        let is_new = |server: &NameServer, rtype| {
            let known = infra.addresses(&server.name, rtype, now_ms).is_some();
            !known && !self.looked_up.contains(&(server.name.clone(), rtype))
        };
        let has_glue = |server: &NameServer, rtype| {
            server.addresses.iter().any(|address| address.is_ipv4() == (rtype == RecordType::A))
        };
        // If there is nobody left to ask, those that the zone itself names.
        let own = (tried == usize::MAX).then(|| infra.own_servers(&self.zone.zone)).flatten().unwrap_or_default();
        let find = |fits: &dyn Fn(&NameServer, RecordType) -> bool| {
            let types = ADDRESS_TYPES.into_iter().filter(|&rtype| infra.wants(rtype, now_ms));
            let pairs =
                types.flat_map(|rtype| self.zone.servers.iter().chain(&*own).map(move |server| (server, rtype)));
            let mut fitting =
                pairs.filter(|(server, rtype)| has_name(server) && is_new(server, *rtype) && fits(server, *rtype));
            fitting.next().map(|(server, rtype)| (server.name.clone(), rtype))
        };
        let bare = || find(&|server, _| server.addresses.is_empty());
        let other = || find(&|server, rtype| !has_glue(server, rtype));
        let bare = if tried >= before_bare { bare() } else { None };
        // What only helps to find servers is not worth to look far; nor, while there is anybody else, is a better reply than there is.
        let enough = if self.among == Among::All { before_other } else { usize::MAX };
        let may_go_on = tried >= enough && self.purpose == Purpose::Asker;
        bare.or_else(|| if may_go_on { other() } else { None })
    }
}

/// Types of addresses.
pub(super) const ADDRESS_TYPES: [RecordType; 2] = [RecordType::A, RecordType::AAAA];

fn has_name(server: &NameServer) -> bool {
    !server.name.is_root()
}

//! The world of a scenario: its scripted servers behind the transport seam, and its clock.
//!
//! In: queries of the resolver under test. Out: replies as the script has them for the current step; a query that nobody
//! answers waits until a step answers it, or until the resolver gives it up.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use resolver_user::clock::{Clock, NS_PER_S, Now};
use resolver_user::upstream::{Exchanging, LetterCase, Outgoing as Sent, Protocol, Reply, Transport, TransportError};
use resolver_user::wire::{Message, QueryWriter};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::message::Seen;
use super::script::{Entry, Script};
use super::servers::{Outgoing, Said};

/// Boot time at the start, in seconds: some uptime, so that nothing lies before it.
const BOOT_S: u64 = 1_000_000;

/// Latest boot time, in nanoseconds: some 140 years.
const BOOT_NS_MAX: u64 = 1 << 62;

/// The clock. It moves with the runtime's paused time and by TIME_PASSES.
#[derive(Debug)]
pub struct ScriptedClock {
    /// Wall time at the start, in seconds since 1970.
    start_unix_s: u64,
    boot_ns: AtomicU64,
}

impl ScriptedClock {
    /// A clock that shows this wall time, in seconds since 1970.
    pub fn new(unix_s: u64) -> Self {
        Self { start_unix_s: unix_s, boot_ns: AtomicU64::new(BOOT_S * NS_PER_S) }
    }

    /// Moves forward, though not beyond what every sum of times can hold.
    pub fn advance_ns(&self, ns: u64) {
        let boot_ns = self.boot_ns.load(Ordering::Relaxed).saturating_add(ns);
        self.boot_ns.store(boot_ns.min(BOOT_NS_MAX), Ordering::Relaxed);
    }
}

impl Clock for ScriptedClock {
    fn now(&self) -> Now {
        let boot_ns = self.boot_ns.load(Ordering::Relaxed);
        Now { unix_s: self.start_unix_s + boot_ns / NS_PER_S - BOOT_S, boot_ns }
    }
}

/// The servers.
pub struct World {
    script: Arc<Script>,
    /// Deckard's rules of who answers.
    is_deckards: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    step: u32,
    next_number: u64,
    waiting: Vec<Waiting>,
    /// Queries that got a reply that no resolver takes.
    lost: Vec<Waiting>,
    /// Lines of the entries that have answered.
    used: HashSet<usize>,
    /// When a query was last given up.
    given_up_at: Option<Instant>,
    /// What was asked, for the report of a failure.
    told: Vec<String>,
}

/// A query that will never be answered.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    number: u64,
    /// How many queries there had been when it was lost.
    asked: u64,
}

/// A query that nobody has answered yet.
struct Waiting {
    number: u64,
    outgoing: Outgoing,
    reply: oneshot::Sender<io::Result<Vec<u8>>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("step", &self.state().step).finish_non_exhaustive()
    }
}

impl World {
    /// The servers of a script, before its first step.
    pub fn new(script: Arc<Script>, is_deckards: bool) -> Self {
        Self { script, is_deckards, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes to a step.
    pub fn enter_step(&self, step: u32) {
        self.state().step = step;
    }

    /// Answers the oldest waiting query that a range of the script has an answer for; false if there is none.
    pub fn answer_from_ranges(&self) -> bool {
        let mut state = self.state();
        let step = state.step;
        let said = |waiting: &Waiting| {
            self.script.answer(step, &waiting.outgoing, self.is_deckards, |line| state.used.contains(&line))
        };
        let found = state.waiting.iter().enumerate().find_map(|(place, waiting)| match said(waiting)? {
            Said::Entry(entry) => Some((place, reply_of(entry, &waiting.outgoing), entry.line)),
            Said::Alike(entry, line) => Some((place, reply_of(&entry, &waiting.outgoing), line)),
            Said::Silence => None,
        });
        let Some((place, bytes, line)) = found else { return false };
        state.used.insert(line);
        let Waiting { outgoing, reply, number } = state.waiting.remove(place);
        state.told.push(format!("step {step} {} {:?} by line {line}", outgoing.address, outgoing.seen.question));
        match bytes {
            // Whoever gave up the query does not want the reply.
            Some(bytes) => _ = reply.send(Ok(bytes)),
            // Of no use to whoever asked: as if it had been lost.
            None => state.lost.push(Waiting { outgoing, reply, number }),
        }
        true
    }

    /// The oldest waiting query.
    pub fn oldest(&self) -> Option<Outgoing> {
        self.state().waiting.first().map(|waiting| waiting.outgoing.clone())
    }

    /// The youngest waiting query that an entry is for.
    pub fn find(&self, entry: &Entry, at: Option<IpAddr>) -> Option<Outgoing> {
        self.state().waiting.iter().rfind(|waiting| waiting.is_for(entry, at)).map(|waiting| waiting.outgoing.clone())
    }

    /// Answers the youngest waiting query that the entry is for; false if there is none.
    pub fn answer(&self, entry: &Entry, at: Option<IpAddr>) -> bool {
        let mut state = self.state();
        let place = state.waiting.iter().rposition(|waiting| waiting.is_for(entry, at));
        place.is_some_and(|place| state.answer(place, entry))
    }

    /// Answers the youngest waiting query with the entry, whatever its MATCH says; false if there is none.
    pub fn answer_youngest(&self, entry: &Entry) -> bool {
        let mut state = self.state();
        state.waiting.len().checked_sub(1).is_some_and(|place| state.answer(place, entry))
    }

    /// Has the youngest waiting query fail, as by a connection that is cut; false if there is none.
    pub fn fail_youngest(&self) -> bool {
        let mut state = self.state();
        let Some(Waiting { outgoing, reply, .. }) = state.waiting.pop() else { return false };
        state.told.push(format!("{} {:?} fails", outgoing.address, outgoing.seen.question));
        reply.send(Err(io::ErrorKind::ConnectionReset.into())).is_ok()
    }

    /// Leaves the youngest waiting query without an answer for good, and says how many had been asked by then.
    pub fn lose_youngest(&self) -> Option<Lost> {
        let mut state = self.state();
        let waiting = state.waiting.pop()?;
        let lost = Lost { number: waiting.number, asked: state.next_number };
        state.given_up_at = Some(Instant::now());
        state.told.push(format!("{} {:?} is lost", waiting.outgoing.address, waiting.outgoing.seen.question));
        state.lost.push(waiting);
        Some(lost)
    }

    /// Whether the resolver still waits for a lost query, and has sent no other one since.
    pub fn goes_on_waiting(&self, lost: Lost) -> bool {
        let state = self.state();
        state.next_number == lost.asked && state.lost.iter().any(|waiting| waiting.number == lost.number)
    }

    /// The line of the first entry that had to answer and has not.
    pub fn unused_mandatory(&self) -> Option<usize> {
        let state = self.state();
        let mut entries = self.script.ranges.iter().flat_map(|range| &range.entries);
        entries.find(|entry| entry.is_mandatory && !state.used.contains(&entry.line)).map(|entry| entry.line)
    }

    /// When a query was last given up, in the runtime's time.
    pub fn given_up_at(&self) -> Option<Instant> {
        self.state().given_up_at
    }

    /// Everything that was asked so far, a line each.
    pub fn told(&self) -> Vec<String> {
        self.state().told.clone()
    }

    /// Adds a line to what [`told`](Self::told) has.
    pub fn tell(&self, line: String) {
        self.state().told.push(line);
    }

    fn arrive(&self, outgoing: Outgoing) -> (u64, oneshot::Receiver<io::Result<Vec<u8>>>) {
        let mut state = self.state();
        let (reply, receiver) = oneshot::channel();
        state.next_number += 1;
        let number = state.next_number;
        state.waiting.push(Waiting { number, outgoing, reply });
        (number, receiver)
    }

    fn give_up(&self, number: u64) {
        let mut state = self.state();
        if let Some(place) = state.waiting.iter().position(|waiting| waiting.number == number) {
            let Waiting { outgoing, .. } = state.waiting.remove(place);
            let step = state.step;
            state.given_up_at = Some(Instant::now());
            state.told.push(format!("step {step} {} {:?} given up", outgoing.address, outgoing.seen.question));
        }
        state.lost.retain(|waiting| waiting.number != number);
    }
}

impl State {
    /// Answers the waiting query in a place.
    fn answer(&mut self, place: usize, entry: &Entry) -> bool {
        let Waiting { outgoing, reply, .. } = self.waiting.remove(place);
        self.told.push(format!("{} {:?} by line {}", outgoing.address, outgoing.seen.question, entry.line));
        self.used.insert(entry.line);
        reply_of(entry, &outgoing).is_some_and(|bytes| reply.send(Ok(bytes)).is_ok())
    }
}

impl Waiting {
    fn is_for(&self, entry: &Entry, at: Option<IpAddr>) -> bool {
        at.is_none_or(|at| at == self.outgoing.address) && entry.matches_query(&self.outgoing)
    }
}

/// The reply that an entry makes; none if it makes none, or one to another question, which no resolver takes.
fn reply_of(entry: &Entry, outgoing: &Outgoing) -> Option<Vec<u8>> {
    if entry.adjusts_to("do_not_answer") {
        return None;
    }
    let reply = entry.reply_to(&outgoing.query, &outgoing.seen);
    let question = Seen::read(&reply).and_then(|seen| seen.question);
    let matches = match (&question, &outgoing.seen.question) {
        (Some(own), Some(asked)) => own.is(asked),
        // What cannot be read is for the resolver to judge.
        (None, _) => Seen::read(&reply).is_none(),
        (Some(_), None) => false,
    };
    matches.then_some(reply)
}

/// Takes a query out of the waiting ones when nobody waits for its reply any more.
struct UntilGivenUp<'a>(&'a World, u64);

impl Drop for UntilGivenUp<'_> {
    fn drop(&mut self) {
        self.0.give_up(self.1);
    }
}

impl Transport for World {
    fn exchange<'a>(&'a self, sent: Sent<'a>) -> Exchanging<'a> {
        Box::pin(async move {
            let query = QueryWriter { question: sent.spelled.unwrap_or(sent.query.question), ..sent.query }.write(1);
            let seen = Seen::read(&query).ok_or_else(|| io::Error::other("a query that cannot be read"))?;
            let outgoing = Outgoing { address: sent.server.ip(), tcp: sent.protocol == Protocol::Tcp, query, seen };
            let (number, receiver) = self.arrive(outgoing);
            let _until = UntilGivenUp(self, number);
            let Ok(bytes) = receiver.await else { std::future::pending().await };
            let message = Message::read(&bytes?).map_err(TransportError::from)?;
            Ok(Reply { message, letter_case: LetterCase::Kept })
        })
    }
}

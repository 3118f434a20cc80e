//! The world of a scenario: its scripted servers behind the transport seam, and its clock.
//!
//! In: queries of the resolver under test. Out: replies as the script has them for the current step; a query that nobody
//! answers waits until a step answers it, or until the resolver gives it up.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use resolver_user::clock::{Clock, NS_PER_S, Now};
use resolver_user::upstream::{Exchanging, LetterCase, Outgoing as Sent, Protocol, Reply, Transport, TransportError};
use resolver_user::wire::{Message, QueryWriter};
use tokio::sync::oneshot;

use super::message::Seen;
use super::script::{Entry, Script};
use super::servers::Outgoing;

/// Boot time at the start, in seconds: some uptime, so that nothing lies before it.
const BOOT_S: u64 = 1_000_000;

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

    /// Moves forward.
    pub fn advance_ns(&self, ns: u64) {
        self.boot_ns.fetch_add(ns, Ordering::Relaxed);
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    step: u32,
    next_number: u64,
    waiting: Vec<Waiting>,
    /// Queries that got a reply that no resolver takes.
    lost: Vec<Waiting>,
    /// What was asked, for the report of a failure.
    told: Vec<String>,
}

/// A query that nobody has answered yet.
struct Waiting {
    number: u64,
    outgoing: Outgoing,
    reply: oneshot::Sender<Vec<u8>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("step", &self.state().step).finish_non_exhaustive()
    }
}

impl World {
    /// The servers of a script, before its first step.
    pub fn new(script: Arc<Script>) -> Self {
        Self { script, state: Mutex::default() }
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
        let entry_for = |waiting: &Waiting| {
            self.script.answer(step, &waiting.outgoing).filter(|entry| !entry.adjusts_to("do_not_answer"))
        };
        let found = state.waiting.iter().enumerate().find_map(|(place, waiting)| Some((place, entry_for(waiting)?)));
        let Some((place, entry)) = found else { return false };
        let Waiting { outgoing, reply, number } = state.waiting.remove(place);
        state
            .told
            .push(format!("step {step} {} {:?} by line {}", outgoing.address, outgoing.seen.question, entry.line));
        match reply_of(entry, &outgoing) {
            // Whoever gave up the query does not want the reply.
            Some(bytes) => _ = reply.send(bytes),
            // Of no use to whoever asked: as if it had been lost.
            None => state.lost.push(Waiting { outgoing, reply, number }),
        }
        true
    }

    /// The oldest waiting query.
    pub fn oldest(&self) -> Option<Outgoing> {
        self.state().waiting.first().map(|waiting| waiting.outgoing.clone())
    }

    /// The oldest waiting query that an entry is for.
    pub fn find(&self, entry: &Entry, at: Option<IpAddr>) -> Option<Outgoing> {
        self.state().waiting.iter().find(|waiting| waiting.is_for(entry, at)).map(|waiting| waiting.outgoing.clone())
    }

    /// Answers the oldest waiting query that the entry is for, whatever MATCH says if it says nothing; false if there is none.
    pub fn answer(&self, entry: &Entry, at: Option<IpAddr>) -> bool {
        let mut state = self.state();
        let Some(place) = state.waiting.iter().position(|waiting| waiting.is_for(entry, at)) else { return false };
        let Waiting { outgoing, reply, .. } = state.waiting.remove(place);
        state.told.push(format!("{} {:?} by line {}", outgoing.address, outgoing.seen.question, entry.line));
        reply_of(entry, &outgoing).is_some_and(|bytes| reply.send(bytes).is_ok())
    }

    /// Number of queries that wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Everything that was asked so far, a line each.
    pub fn told(&self) -> Vec<String> {
        self.state().told.clone()
    }

    /// Adds a line to what [`told`](Self::told) has.
    pub fn tell(&self, line: String) {
        self.state().told.push(line);
    }

    fn arrive(&self, outgoing: Outgoing) -> (u64, oneshot::Receiver<Vec<u8>>) {
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
            state.told.push(format!("step {step} {} {:?} given up", outgoing.address, outgoing.seen.question));
        }
        state.lost.retain(|waiting| waiting.number != number);
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
            let seen = Seen::read(&query).ok_or_else(|| std::io::Error::other("a query that cannot be read"))?;
            let outgoing = Outgoing { address: sent.server.ip(), tcp: sent.protocol == Protocol::Tcp, query, seen };
            let (number, receiver) = self.arrive(outgoing);
            let _until = UntilGivenUp(self, number);
            let Ok(bytes) = receiver.await else { std::future::pending().await };
            let message = Message::read(&bytes).map_err(TransportError::from)?;
            Ok(Reply { message, letter_case: LetterCase::Kept })
        })
    }
}

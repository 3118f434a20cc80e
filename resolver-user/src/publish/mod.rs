//! Publishes validated answers to the kernel half, and keeps its program, maps and clock.
//!
//! In: rendered answers that the validator let through. Out: slots and entries in the maps, from which XDP answers.
//! A thread of its own owns everything here: publishing must never wait for an answer, nor an answer for publishing.
//! Refuses: answers with an extended error, without a whole second left, or that no slot can hold; those are served by
//! the daemon. Never touches a slot that XDP may be reading (see [`resolver_ebpf::abi`]).
//!
//! * `program`: loading, attaching, taking off; `attach`: to which interfaces;
//!   `pins`: what outlives us, and whose it is; `links`: names of pinned links;
//!   `predecessor`: whether we go on with what a daemon before us has left, which `table` then takes over
//! * `writer`: the thread; `table`: index and records; `pool`: slots; `schedule`: when to look at what is published; `grace`:
//!   waiting for running programs
//! * `compare`, `verify`: whether what XDP sends is what the daemon would send
//! * `seen`: what the kernel half tells of single answers
//! * `clock`: tells the kernel half the time; `counters`: what it has counted; `endpoints`, `clients`: tell it who is
//!   answered, and where; `cookies`: gives it the secrets of cookies
//! * `memory`, `pod`: the maps' memory
//!
//! [`table`] and [`memory`] are public for the tests and benchmarks that fill maps of their own; in the daemon nothing but
//! the thread reaches them.

mod attach;
mod clients;
mod clock;
mod compare;
mod cookies;
mod counters;
mod endpoints;
mod grace;
mod links;
mod log;
pub mod memory;
mod pins;
mod pod;
mod pool;
mod predecessor;
mod program;
mod schedule;
mod seen;
mod slot;
mod status;
pub mod table;
mod verify;
mod writer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

pub use compare::Comparison;
use compare::Waiting;
use resolver_ebpf::abi::CookieSecrets;

pub use attach::{ProgramNames, program_names};
pub use counters::KernelCounters;
pub use pins::PinDir;
pub use predecessor::Basis;
pub use program::{AttachMode, Demand, FastPathConfig, FastPathError};
pub use seen::{Seen, Witness};
pub use status::{
    ComparedStatus, FastPathEntry, FastPathStatus, InterfaceStatus, MapStatus, PublisherStatus, SeenStatus,
};
pub use verify::{HeldSlot, HeldSlots, Likeness, SlotFault};
use writer::Command;
pub use writer::FastPath;

use crate::access::AccessList;
use crate::answer::{Form, RenderedAnswer, Rotation};
use crate::serving::Serving;
use crate::wire::{Name, RecordType};

/// Longest wait for the thread to say something. A dump of a million answers takes about one second.
const PATIENCE: Duration = Duration::from_secs(10);

/// One form of an answer, offered for publishing.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Name of the question, in any letter case.
    pub name: Name,
    /// Type of the question.
    pub qtype: RecordType,
    /// For DO=0 or DO=1.
    pub form: Form,
    /// The answer.
    pub rendered: RenderedAnswer,
    /// When its TTL ends, in nanoseconds of CLOCK_BOOTTIME.
    pub expires_at_boot_ns: u64,
    /// Generation of what it rests on.
    pub generation: u64,
    /// From when on it is to be found anew if it is asked for ([`Publisher::nearly_over`]), in nanoseconds of CLOCK_BOOTTIME;
    /// `u64::MAX`: never.
    pub refresh_from_boot_ns: u64,
    /// The addresses in it that change places from time to time, if they do.
    pub rotation: Option<Rotation>,
    /// Set by whoever offers; cleared when the answer leaves the maps or was not taken, so that it is offered again.
    pub published: Arc<AtomicBool>,
}

/// Which answers of XDP are told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// One of so many for the query log; 0: none.
    pub log_one_in: u32,
    /// One of so many for counting; 0: none.
    pub count_one_in: u32,
    /// All, with their queries.
    pub capture: bool,
}

/// A published answer that is asked for and whose time is nearly over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearlyOver {
    /// Name of the question, in lower case.
    pub name: Name,
    /// Type of the question.
    pub qtype: RecordType,
    /// For DO=0 or DO=1.
    pub form: Form,
}

/// Takes answers to be published. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    commands: SyncSender<Command>,
    kernel_counters: Arc<KernelCounters>,
    /// Comparisons of dry-run mode.
    waiting: Arc<Waiting>,
    crowded: Arc<AtomicBool>,
}

impl Publisher {
    /// Offers an answer without waiting; false if the queue is full. An answer that is not taken is simply offered again
    /// when it is next asked for.
    pub fn offer(&self, publication: Publication) -> bool {
        self.commands.try_send(Command::Publish(publication, Instant::now())).is_ok()
    }

    /// Whether slots are scarce, so that an answer should have been asked for twice before it is offered.
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Up to `max` published answers whose time to be found anew has come and that XDP has given since; none if the thread does
    /// not answer. Waits for it.
    pub fn nearly_over(&self, max: usize) -> Option<Vec<NearlyOver>> {
        self.ask(|reply| Command::NearlyOver(max, reply))
    }

    /// Has addresses of answers change places once in so many seconds, 0: never, and waits until that is known; false if the
    /// thread does not say so.
    pub fn rotate(&self, period_s: u32) -> bool {
        self.order(|reply| Command::Rotate(period_s, reply))
    }

    /// What the kernel half has counted, read without waiting for the thread.
    pub fn kernel_counters(&self) -> &KernelCounters {
        &self.kernel_counters
    }

    /// What the fast path is doing; none if its thread does not answer. Waits for it.
    pub fn status(&self) -> Option<FastPathStatus> {
        self.ask(Command::Status)
    }

    /// Every published answer, by name; none if the thread does not answer. Waits for it.
    pub fn dump(&self) -> Option<Vec<FastPathEntry>> {
        self.ask(Command::Dump)
    }

    /// Withdraws every published answer and returns how many there were; none if the thread does not answer. Waits for it,
    /// and for room in its queue: what must be withdrawn must not be forgotten because there is much to publish.
    pub fn flush(&self) -> Option<usize> {
        self.withdraw(Command::Flush)
    }

    /// The same because answers rest on something else from now on: publications of another generation are refused, and a
    /// daemon after us takes over what we publish only if its answers rest on the same.
    pub fn rebase(&self, basis: Basis, generation: u64) -> Option<usize> {
        self.withdraw(|reply| Command::Rebase(basis, generation, reply))
    }

    fn withdraw(&self, command: impl FnOnce(SyncSender<usize>) -> Command) -> Option<usize> {
        let (reply, replied) = sync_channel(1);
        self.commands.send(command(reply)).ok()?;
        replied.recv_timeout(PATIENCE).ok()
    }

    /// Makes these the UDP endpoints that XDP answers for, and waits until they are; false if the thread does not say so.
    /// Their sockets are bound before this, and those of endpoints that go are closed after it.
    pub fn set_endpoints(&self, endpoints: &[SocketAddr]) -> bool {
        self.order(|reply| Command::Endpoints(endpoints.to_vec(), reply))
    }

    /// Puts the program on the interfaces of these names, and waits until it is there. False if that should be tried again soon.
    pub fn set_interfaces(&self, wanted: &[String]) -> bool {
        self.order(|reply| Command::Interfaces(wanted.to_vec(), reply))
    }

    /// Makes this the list of who is answered, and waits until it is; false if the thread does not say so. After that nobody
    /// is answered whom the list does not allow.
    pub fn set_access(&self, list: &AccessList) -> bool {
        self.order(|reply| Command::Access(list.clone(), reply))
    }

    /// Makes these the secrets of cookies, or switches cookies off, and waits until that is so; false if the thread does not say so.
    pub fn set_cookies(&self, secrets: Option<CookieSecrets>) -> bool {
        self.order(|reply| Command::Cookies(secrets, reply))
    }

    /// Gives an order that must not be forgotten because there is much to publish.
    fn order(&self, command: impl FnOnce(SyncSender<bool>) -> Command) -> bool {
        let (reply, replied) = sync_channel(1);
        self.commands.send(command(reply)).is_ok() && replied.recv_timeout(PATIENCE).unwrap_or(false)
    }

    /// Has XDP answer, or not, and waits until it does so; false if the thread does not say so.
    pub fn serve(&self, serving: Serving) -> bool {
        self.order(|reply| Command::Serve(serving, reply))
    }

    /// Has the kernel half tell of these answers, and waits until it does; false if the thread does not say so.
    pub fn watch(&self, watched: Watched) -> bool {
        self.order(|reply| Command::Watch(watched, reply))
    }

    /// Takes an answer of the daemon's to be compared with what XDP would have sent, if that is wanted and there is a place.
    pub fn compare(&self, comparison: impl FnOnce() -> Comparison) {
        if self.waiting.enter() && self.commands.try_send(Command::Compare(comparison())).is_err() {
            self.waiting.leave();
        }
    }

    /// Some of the published answers, from the bucket `first` on; none if the thread does not answer. Waits for it.
    pub fn held(&self, first: usize) -> Option<HeldSlots> {
        self.ask(|reply| Command::Held(first, reply))
    }

    /// Has XDP show clients no longer TTL than this, in seconds, and waits until it does; false if the thread does not say so.
    pub fn show_at_most(&self, ttl_s: u32) -> bool {
        self.order(|reply| Command::ShowAtMost(ttl_s, reply))
    }

    /// Has XDP ask the limiter from now on, or no more, and waits until it does; false if the thread does not say so.
    pub fn set_limited(&self, is_limited: bool) -> bool {
        self.order(|reply| Command::Limited(is_limited, reply))
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> Option<T> {
        let (reply, replied) = sync_channel(1);
        self.commands.try_send(command(reply)).ok()?;
        replied.recv_timeout(PATIENCE).ok()
    }
}

//! The thread that owns the fast path: it publishes, retires, tells the time, and answers questions about itself.
//!
//! In: commands, each answered when it is done. Out: maps from which XDP answers. `handle` starts and ends the thread, `start`
//! makes its state, `report` tells of it.
//! Refuses: to wait for anything but the kernel; see [`super`].

mod handle;
mod report;
pub mod start;

use std::mem::offset_of;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use resolver_ebpf::abi::{
    self, ABI_VERSION, BASIS_UNKNOWN, CookieSecrets, MODE_OFF, Place, Settings, WATCH_CAPTURE, WATCH_COUNT, WATCH_LOG,
};
use resolver_ebpf::slot::answer_key_hash;

use super::attach::Attachments;
use super::clients::Clients;
use super::clock::KernelClock;
use super::compare::{Comparing, Comparison, MapsView, Waiting};
use super::cookies::CookieSlots;
use super::counters::KernelCounters;
use super::endpoints::{Endpoints, store_u32};
use super::memory::MappedArray;
use super::predecessor::{Basis, store_basis};
use super::program::Loaded;
use super::slot::{self, NotPublishable};
use super::status::{FastPathEntry, FastPathStatus, PublisherStatus};
use super::table::{AnswerTable, Refusal};
use super::verify::HeldSlots;
use super::{NearlyOver, Publication, Watched, grace};
use crate::access::AccessList;
use crate::answer::Form;
use crate::clock::{Clock, NS_PER_S};
use crate::serving::Serving;

pub use handle::FastPath;

/// Time between two looks at the clock, at what has expired, and at the kernel half's log.
const TICK: Duration = Duration::from_millis(250);
/// Answers whose addresses change places in one tick at most: with the grace period that the old slots need, some milliseconds.
const TURNS_MAX: usize = 2048;

/// What the thread can be asked to do.
#[derive(Debug)]
pub enum Command {
    /// Publish an answer, offered at this time.
    Publish(Publication, Instant),
    /// These slots have seen their grace period.
    Returned(Vec<Place>),
    /// So many slots have seen none, and stay unused.
    Lost(usize),
    /// Describe yourself.
    Status(SyncSender<FastPathStatus>),
    /// List what is published.
    Dump(SyncSender<Vec<FastPathEntry>>),
    /// List so many answers that are asked for and nearly over.
    NearlyOver(usize, SyncSender<Vec<NearlyOver>>),
    /// Let addresses of answers change places once in so many seconds; 0: never.
    Rotate(u32, SyncSender<bool>),
    /// Show clients no longer TTL than this, in seconds.
    ShowAtMost(u32, SyncSender<bool>),
    /// Answer or do not; true once that is so.
    Serve(Serving, SyncSender<bool>),
    /// Tell of these answers; true once that is so.
    Watch(Watched, SyncSender<bool>),
    /// Compare an answer of the daemon's with what XDP would have sent.
    Compare(Comparison),
    /// Copy some of the published answers, from this bucket on.
    Held(usize, SyncSender<HeldSlots>),
    /// Withdraw everything.
    Flush(SyncSender<usize>),
    /// Answer for these endpoints; true once that is so.
    Endpoints(Vec<SocketAddr>, SyncSender<bool>),
    /// Be on the interfaces that these names mean; true once that is so.
    Interfaces(Vec<String>, SyncSender<bool>),
    /// Answer whom this list allows; true once that is so.
    Access(AccessList, SyncSender<bool>),
    /// Withdraw everything: answers rest on something else from now on, of this fingerprint and generation.
    Rebase(Basis, u64, SyncSender<usize>),
    /// Let the program stay when the next command ends the thread.
    Leave,
    /// Ask the limiter, or do not; true once that is so.
    Limited(bool, SyncSender<bool>),
    /// Judge cookies by these secrets, or ignore them; true once that is so.
    Cookies(Option<CookieSecrets>, SyncSender<bool>),
    /// Take the program off and end.
    Stop,
}

/// Time from the offer of an answer, made when the client has been answered, to its publication.
#[derive(Clone, Copy, Debug, Default)]
struct Delay {
    sum: Duration,
    max: Duration,
    count: u32,
}

impl Delay {
    fn add(&mut self, delay: Duration) {
        self.sum = self.sum.saturating_add(delay);
        self.max = self.max.max(delay);
        self.count = self.count.saturating_add(1);
    }

    fn mean_us(self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or_default().as_micros() as u64
    }
}

/// The state of the thread.
struct Writer {
    loaded: Loaded,
    /// Behind `loaded`, which removes the pins: the program leaves with the last descriptor.
    attachments: Attachments,
    table: AnswerTable,
    settings: MappedArray,
    endpoints: Endpoints,
    clients: Clients,
    cookies: CookieSlots,
    hash_key: [u64; abi::HASH_KEY_WORDS],
    counters: Arc<KernelCounters>,
    kernel_clock: KernelClock,
    clock: Arc<dyn Clock>,
    log: Option<aya_log::EbpfLogger<super::log::ToTracing>>,
    retired: Sender<Vec<Place>>,
    /// Slots in the hands of the reclaimer.
    retiring: usize,
    /// Whether slots are scarce; for those who offer.
    crowded: Arc<AtomicBool>,
    /// How often addresses change places, in seconds; 0: never.
    rotation_s: u32,
    counts: PublisherStatus,
    delay: Delay,
    serving: Serving,
    watched: Watched,
    comparing: Comparing,
    waiting: Arc<Waiting>,
    buckets: u32,
    blocks: u32,
    /// Generation of what answers rest on.
    generation: u64,
    /// When to look at the clock next, in nanoseconds of CLOCK_BOOTTIME.
    next_tick_boot_ns: u64,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            match inbox.recv_timeout(TICK) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Command::Leave) => {
                    self.watch(Watched::default());
                    return self.loaded.stay();
                }
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.look_at_the_clock();
            self.hand_over_retired();
        }
        // Nobody will read any more.
        self.watch(Watched::default());
        // XDP must not answer between here and its detachment, when nobody refreshes its clock any more.
        self.store_setting(offset_of!(Settings, abi_version), first_word(MODE_OFF));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Publish(publication, offered_at) => self.publish(&publication, offered_at),
            Command::Returned(places) => {
                self.retiring -= places.len();
                self.table.give_back(&places);
            }
            Command::Lost(count) => self.retiring -= count,
            // The asker may have gone; then nobody misses the reply.
            Command::Status(reply) => _ = reply.send(self.status()),
            Command::Dump(reply) => _ = reply.send(self.dump()),
            Command::Serve(serving, reply) => {
                self.serve(serving);
                _ = reply.send(true);
            }
            Command::Watch(watched, reply) => {
                self.watch(watched);
                _ = reply.send(true);
            }
            Command::Compare(comparison) => self.compare(&comparison),
            Command::Held(first, reply) => _ = reply.send(self.table.held(first, &self.hash_key)),
            Command::Flush(reply) => {
                let count = self.table.published();
                self.table.flush();
                _ = reply.send(count);
            }
            Command::Endpoints(endpoints, reply) => _ = reply.send(self.set_endpoints(&endpoints)),
            Command::Interfaces(wanted, reply) => _ = reply.send(self.set_interfaces(&wanted)),
            Command::Access(list, reply) => _ = reply.send(self.set_access(&list)),
            Command::NearlyOver(max, reply) => _ = reply.send(self.nearly_over(max)),
            Command::Rotate(period_s, reply) => {
                self.rotation_s = period_s;
                _ = reply.send(true);
            }
            Command::Cookies(secrets, reply) => _ = reply.send(self.set_cookies(secrets)),
            Command::ShowAtMost(ttl_s, reply) => {
                let shown_s_max = ttl_s.clamp(1, abi::FAST_TTL_S_MAX);
                store_u32(&self.settings, offset_of!(Settings, ttl_shown_s_max), shown_s_max);
                _ = reply.send(true);
            }
            Command::Rebase(basis, generation, reply) => _ = reply.send(self.rebase(&basis, generation)),
            Command::Limited(is_limited, reply) => {
                store_u32(&self.settings, offset_of!(Settings, limits), is_limited.into());
                _ = reply.send(true);
            }
            // The thread has ended.
            Command::Leave | Command::Stop => {}
        }
    }

    /// Withdraws everything, since from now on answers rest on something else. Wherever a daemon dies in between, what is left
    /// is of nobody's basis, or of the one that is named.
    fn rebase(&mut self, basis: &Basis, generation: u64) -> usize {
        let count = self.table.published();
        store_basis(&self.settings, &BASIS_UNKNOWN);
        self.table.flush();
        store_basis(&self.settings, basis);
        self.generation = generation;
        count
    }

    fn publish(&mut self, publication: &Publication, offered_at: Instant) {
        if publication.generation != self.generation {
            self.counts.refused_outdated += 1;
            publication.published.store(false, Ordering::Relaxed);
            return;
        }
        let now_boot_ns = self.clock.now().boot_ns;
        let result = slot::render(publication, &self.hash_key, now_boot_ns);
        match result.map(|prepared| self.table.publish(&prepared.entry(), now_boot_ns)) {
            Ok(Ok(())) => return self.delay.add(offered_at.elapsed()),
            // Unfit for ever: the offer stays marked as taken, so that it is not made again.
            Err(NotPublishable::Unfit(error)) => {
                tracing::debug!(qname = %publication.name, qtype = %publication.qtype, %error, "not publishable");
                self.counts.refused_unfit += 1;
                return;
            }
            Err(NotPublishable::Expired) => self.counts.refused_expired += 1,
            Ok(Err(Refusal::NoRoom)) => self.counts.refused_no_room += 1,
            Ok(Err(Refusal::BucketFull)) => self.counts.refused_bucket_full += 1,
            Ok(Err(Refusal::TagTaken)) => self.counts.refused_tag_taken += 1,
        }
        publication.published.store(false, Ordering::Relaxed);
    }

    fn serve(&mut self, serving: Serving) {
        store_u32(&self.settings, offset_of!(Settings, mode), serving.kernel_mode());
        self.waiting.want(serving == Serving::DryRun);
        if self.serving != serving {
            tracing::info!(%serving, "XDP");
        }
        self.serving = serving;
    }

    /// What is told of is set before that it is told.
    fn watch(&mut self, watched: Watched) {
        let Watched { log_one_in, count_one_in, capture } = watched;
        let bit = |is_wanted: bool, bit: u32| if is_wanted { bit } else { 0 };
        let bits = bit(log_one_in > 0, WATCH_LOG) | bit(count_one_in > 0, WATCH_COUNT) | bit(capture, WATCH_CAPTURE);
        store_u32(&self.settings, offset_of!(Settings, seen_log_one_in), log_one_in);
        store_u32(&self.settings, offset_of!(Settings, seen_count_one_in), count_one_in);
        store_u32(&self.settings, offset_of!(Settings, watch), bits);
        self.watched = watched;
    }

    /// Compares, unless the maps hold another answer by now than the one that the daemon gave.
    fn compare(&mut self, comparison: &Comparison) {
        self.waiting.leave();
        let now_boot_ns = self.clock.now().boot_ns;
        let Some(endpoint) = self.endpoints.any_for(comparison.client) else { return };
        let Comparison { question, form, .. } = comparison;
        let is_for_do = *form == Form::Dnssec;
        let key_hash = answer_key_hash(question.qname.wire(), question.qtype.0, is_for_do, &self.hash_key);
        if self.table.expires_at_boot_ns(key_hash).is_some_and(|expiry| expiry != comparison.expires_at_boot_ns) {
            return self.comparing.pass_over();
        }
        let maps = MapsView::new(&self.settings, self.table.memory(), &self.clients, now_boot_ns);
        self.comparing.compare(comparison, endpoint, &maps);
    }

    fn set_endpoints(&mut self, endpoints: &[SocketAddr]) -> bool {
        let changed = self.endpoints.change(&self.settings, endpoints, grace::wait);
        changed.inspect_err(|error| tracing::error!(%error, "XDP does not answer for new addresses")).is_ok()
    }

    fn set_interfaces(&mut self, wanted: &[String]) -> bool {
        self.attachments.follow(&mut self.loaded, &self.settings, wanted)
    }

    fn set_access(&mut self, list: &AccessList) -> bool {
        let select = |generation| store_u32(&self.settings, offset_of!(Settings, clients), generation);
        let changed = self.clients.change(list, select, grace::wait);
        changed.inspect_err(|error| tracing::error!(%error, "the access list of XDP")).is_ok()
    }

    fn set_cookies(&mut self, secrets: Option<CookieSecrets>) -> bool {
        let changed = self.cookies.change(&self.settings, secrets, grace::wait);
        changed.inspect_err(|error| tracing::error!(%error, "the secrets of XDP's cookies")).is_ok()
    }

    /// Tells the kernel half what wall time is ahead of boot time.
    fn tell_wall_time(&self) {
        let ahead_ns = self.clock.wall_offset_ns();
        // The low 32 bits: cookies compare times as serial numbers.
        let seconds = ((ahead_ns / NS_PER_S) & u64::from(u32::MAX)) as u32;
        let word = bytemuck::must_cast([seconds, (ahead_ns % NS_PER_S) as u32]);
        self.store_setting(offset_of!(Settings, wall_offset_s), word);
    }

    /// Refreshes the kernel half's clock, retires what has expired, passes on the kernel half's messages.
    fn look_at_the_clock(&mut self) {
        let now_boot_ns = self.clock.now().boot_ns;
        self.table.retire_expired(now_boot_ns);
        if now_boot_ns < self.next_tick_boot_ns {
            return;
        }
        self.next_tick_boot_ns = now_boot_ns + TICK.as_nanos() as u64;
        self.crowded.store(self.table.is_crowded(), Ordering::Relaxed);
        if self.rotation_s > 0 {
            self.table.rotate(now_boot_ns, self.rotation_s, TURNS_MAX);
        }
        match self.loaded.clock_program().and_then(|program| Ok(self.kernel_clock.time(program)?)) {
            Ok(time) => {
                self.store_setting(offset_of!(Settings, boot_offset_ns), time.boot_offset_ns);
                self.store_setting(offset_of!(Settings, offset_until_jiffies), time.until_jiffies);
            }
            Err(error) => tracing::error!(%error, "the kernel half's clock was not refreshed"),
        }
        self.tell_wall_time();
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Gives retired slots to the reclaimer, unless it still has some: batches grow while it waits.
    fn hand_over_retired(&mut self) {
        if self.retiring == 0 {
            let places = self.table.take_limbo();
            if !places.is_empty() {
                self.retiring = places.len();
                if self.retired.send(places).is_err() {
                    tracing::error!("the reclaiming thread is gone; retired slots are lost");
                }
            }
        }
    }

    fn nearly_over(&mut self, max: usize) -> Vec<NearlyOver> {
        let slots = self.table.nearly_over(self.clock.now().boot_ns, max);
        slots.iter().filter_map(slot::question).collect()
    }

    /// Stores one aligned word of the settings.
    fn store_setting(&self, offset: usize, value: u64) {
        self.settings.words()[offset / 8].store(value, Ordering::Release);
    }
}

/// The first word of the settings.
fn first_word(mode: u32) -> u64 {
    bytemuck::must_cast([ABI_VERSION, mode])
}

const _: () = assert!(offset_of!(Settings, wall_offset_ns) == offset_of!(Settings, wall_offset_s) + 4);
const _: () = assert!(offset_of!(Settings, abi_version) == 0 && offset_of!(Settings, mode) == 4);

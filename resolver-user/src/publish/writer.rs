//! The thread that owns the fast path: it publishes, retires, tells the time, and answers questions about itself.
//!
//! Long because: it is one thread with all that it can be asked to do, and each is a few lines.

use std::fmt;
use std::mem::offset_of;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use bytemuck::Zeroable as _;
use resolver_ebpf::abi::{
    self, ABI_VERSION, AnswerBlock, BASIS_UNKNOWN, BUCKET_ENTRIES, Bucket, CLIENT_NETWORKS_MAX, CookieSecrets,
    CookieVerdict, LINE_LEN, LINKS_MAX, Legacy, LimitTable, MODE_OFF, OUTCOMES, Outcome, Place, SEEN_RING_LEN,
    SLOT_START_MAX, Settings, WATCH_CAPTURE, WATCH_COUNT, WATCH_LOG, map_name,
};
use resolver_ebpf::slot::answer_key_hash;

use super::attach::{Attachments, NotAttached};
use super::clients::Clients;
use super::clock::{KernelClock, KernelTime};
use super::compare::{Comparing, Comparison, MapsView, Waiting};
use super::cookies::CookieSlots;
use super::counters::KernelCounters;
use super::endpoints::{self, Endpoints, store_u32};
use super::memory::MappedArray;
use super::pins::PinDir;
use super::predecessor::{Basis, Predecessor, store_basis};
use super::program::{Demand, FastPathConfig, FastPathError, Loaded};
use super::seen::{SeenReader, Witness};
use super::slot::{self, NotPublishable};
use super::status::{FastPathEntry, FastPathStatus, MapStatus, PublisherStatus, SeenStatus};
use super::table::{Adopted, AnswerTable, Refusal};
use super::verify::HeldSlots;
use super::{NearlyOver, Publication, Publisher, Watched, grace};
use crate::access::AccessList;
use crate::answer::Form;
use crate::clock::{Clock, NS_PER_S};
use crate::serving::Serving;

/// Commands that may wait for the thread. Choice: as many answers as a busy daemon gives in a tenth of a second.
const QUEUE_LEN: usize = 4096;
/// Time between two looks at the clock, at what has expired, and at the kernel half's log.
const TICK: Duration = Duration::from_millis(250);
/// Answers of ordinary size take this much of `ANSWERS`, in bytes.
/// Choice: an address takes 128, signed with ECDSA 256, a signed denial 400 to 1000; most clients of an edge gateway ask
/// with DO=0.
const TYPICAL_SLOT_LEN: u64 = 256;
/// Fewest blocks: so that each slot length finds one.
const BLOCKS_MIN: u64 = 16;
/// Memory that the kernel takes for a network, in bytes: its node (kernel/bpf/lpm_trie.c), rounded up.
const NETWORK_LEN: usize = 64;
/// Answers whose addresses change places in one tick at most: with the grace period that the old slots need, some milliseconds.
const TURNS_MAX: usize = 2048;
/// Memory that the kernel takes for a rule about tags, in bytes: its element (kernel/bpf/hashtab.c), rounded up.
const RULE_LEN: usize = 80;
/// With `xdp-log`: one of so many passed queries is logged.
const LOG_ONE_IN: u32 = 16;

/// What the thread can be asked to do.
#[derive(Debug)]
pub enum Command {
    /// Publish an answer, offered at this time.
    Publish(Publication, Instant),
    /// These slots have seen their grace period.
    Returned(Vec<Place>),
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

/// A running fast path. Dropping it takes the program off all interfaces and removes the pins.
#[derive(Debug)]
pub struct FastPath {
    commands: SyncSender<Command>,
    kernel_counters: Arc<KernelCounters>,
    waiting: Arc<Waiting>,
    /// Until somebody reads it.
    seen: Option<Unread>,
    reader: Option<SeenReader>,
    crowded: Arc<AtomicBool>,
    limits: Option<MappedArray>,
    thread: Option<JoinHandle<()>>,
}

/// The ring, before it has a reader.
struct Unread(RingBuf<MapData>);

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").finish_non_exhaustive()
    }
}

impl FastPath {
    /// Loads the object, attaches it, and starts the thread. XDP answers with what a daemon before us has published, if that
    /// rests on the same; else with nothing before something is published.
    ///
    /// # Errors
    /// Any [`FastPathError`]. What a daemon before us has left on interfaces may be there still.
    pub fn start(
        object: &[u8],
        config: &FastPathConfig,
        pins: PinDir,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FastPathError> {
        grace::check().map_err(FastPathError::NoGracePeriod)?;
        let (commands, inbox) = sync_channel(QUEUE_LEN);
        let retired = start_reclaimer(commands.clone())?;
        let mut writer = Writer::new(object, config, pins, clock, retired)?;
        let limits = Some(writer.loaded.map_limits()?);
        let seen = Some(Unread(writer.loaded.take_seen()?));
        let (kernel_counters, waiting) = (Arc::clone(&writer.counters), Arc::clone(&writer.waiting));
        let crowded = Arc::clone(&writer.crowded);
        let thread = Builder::new().name("publish".into()).spawn(move || writer.run(&inbox));
        let thread = Some(thread.map_err(FastPathError::Thread)?);
        Ok(Self { commands, kernel_counters, crowded, limits, waiting, seen, reader: None, thread })
    }

    /// Tells somebody of single answers, as far as [`Publisher::watch`] says. To be called once.
    ///
    /// # Errors
    /// [`FastPathError::Thread`].
    pub fn tell(&mut self, witness: Arc<dyn Witness>) -> Result<(), FastPathError> {
        if let Some(Unread(seen)) = self.seen.take() {
            self.reader = Some(SeenReader::start(seen, witness)?);
        }
        Ok(())
    }

    /// Ends the thread, but leaves program and maps as they are: XDP answers on until the TTLs end, and the next daemon takes
    /// over.
    pub fn leave(self) {
        // A send only fails when the thread is gone already; the program went with it.
        let _ = self.commands.send(Command::Leave);
    }

    /// A handle to publish with.
    pub fn publisher(&self) -> Publisher {
        Publisher {
            commands: self.commands.clone(),
            kernel_counters: Arc::clone(&self.kernel_counters),
            waiting: Arc::clone(&self.waiting),
            crowded: Arc::clone(&self.crowded),
        }
    }
}

impl FastPath {
    /// The table of the rate limits. To be taken once; it may outlive us.
    pub fn take_limits(&mut self) -> Option<MappedArray> {
        self.limits.take()
    }
}

impl Drop for FastPath {
    fn drop(&mut self) {
        // A send only fails when the thread is gone already, with the program taken off on its way out.
        let _ = self.commands.send(Command::Stop);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the publishing thread panicked");
        }
    }
}

/// Starts the thread that waits for grace periods, one batch at a time. It ends when its sender is dropped.
fn start_reclaimer(commands: SyncSender<Command>) -> Result<Sender<Vec<Place>>, FastPathError> {
    let (retired, batches) = channel::<Vec<Place>>();
    let reclaim = move || {
        for batch in batches {
            if let Err(error) = grace::wait() {
                // The slots stay unused: lost memory is better than a torn answer.
                tracing::error!(%error, slots = batch.len(), "no grace period; slots are lost");
            } else if commands.send(Command::Returned(batch)).is_err() {
                break;
            }
        }
    };
    Builder::new().name("reclaim".into()).spawn(reclaim).map_err(FastPathError::Thread)?;
    Ok(retired)
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
    fn new(
        object: &[u8],
        config: &FastPathConfig,
        pins: PinDir,
        clock: Arc<dyn Clock>,
        retired: Sender<Vec<Place>>,
    ) -> Result<Self, FastPathError> {
        let (buckets, blocks) = dimensions(config.cache_size);
        let predecessor = Predecessor::find(&pins, buckets, blocks);
        let mut loaded = Loaded::load(object, config, pins, (buckets, blocks), predecessor.is_some())?;
        let mut table = AnswerTable::new(loaded.map_buckets()?, loaded.map_answers()?, blocks);
        let adopted = predecessor
            .as_ref()
            .map(|before| adopt(before, &config.basis, &mut table, &*clock))
            .transpose()?
            .unwrap_or_default();
        let (map, program) = loaded.take_clock()?;
        let kernel_clock = KernelClock::calibrate(map, program)?;
        let found = kernel_clock.sample(program)?.abi_version;
        if found != ABI_VERSION {
            return Err(FastPathError::Abi { found, expected: ABI_VERSION });
        }
        let time = kernel_clock.time(program)?;
        let settings = loaded.map_settings()?;
        let mut initial = initial_settings(config, &table, &kernel_clock, time);
        initial.hash_key = predecessor.map_or_else(rand::random, |before| before.hash_key());
        initial.legacy.map_ids = [loaded.map_id(map_name::BUCKETS)?, loaded.map_id(map_name::ANSWERS)?];
        store_settings(&settings, &initial);
        let (clients_v4, clients_v6) = loaded.take_clients()?;
        let clients = Clients::new(clients_v4, clients_v6);
        let log = config.log.then(|| super::log::start(loaded.ebpf_mut())).flatten();
        let mut writer = Self {
            attachments: Attachments::new(config, loaded.take_links()?),
            counters: Arc::new(loaded.take_counters()?),
            hash_key: initial.hash_key,
            loaded,
            table,
            settings,
            endpoints: Endpoints::default(),
            clients,
            cookies: CookieSlots::default(),
            kernel_clock,
            clock,
            log,
            retired,
            retiring: 0,
            crowded: Arc::default(),
            rotation_s: config.rotation_s,
            counts: PublisherStatus { adopted: adopted.kept, adopted_dropped: adopted.dropped, ..Default::default() },
            delay: Delay::default(),
            serving: config.serving,
            watched: Watched::default(),
            comparing: Comparing::default(),
            waiting: Arc::default(),
            buckets,
            blocks,
            generation: config.generation,
            next_tick_boot_ns: 0,
        };
        writer.serve(config.serving);
        // Nobody reads yet.
        writer.watch(Watched::default());
        writer.set_endpoints(&config.listen);
        writer.set_access(&config.access);
        writer.set_cookies(config.cookies);
        writer.tell_wall_time();
        writer.set_interfaces(&config.interfaces);
        writer.settled(config.demand)
    }

    /// The thread's state for good, unless it is not on an interface that is demanded.
    fn settled(mut self, demand: Demand) -> Result<Self, FastPathError> {
        let stops = |refusal: &NotAttached| match demand {
            Demand::Nothing => false,
            Demand::Fit => !matches!(refusal, NotAttached::Unfit(_)),
            Demand::All => true,
        };
        match self.attachments.take_refused().into_iter().find(|(_, refusal)| stops(refusal)) {
            Some((interface, source)) => Err(FastPathError::Refused { interface, source }),
            None => self.loaded.settle().map(|()| self),
        }
    }

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

    fn dump(&self) -> Vec<FastPathEntry> {
        let now_boot_ns = self.clock.now().boot_ns;
        let mut answers: Vec<_> = self.table.slots().filter_map(|words| slot::describe(&words, now_boot_ns)).collect();
        answers.sort_by(|a, b| (&a.name, &a.rtype, &a.form).cmp(&(&b.name, &b.rtype, &b.form)));
        answers
    }

    fn status(&self) -> FastPathStatus {
        let (frames, durations) = self.counters.latency().unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel half's durations cannot be read");
            Default::default()
        });
        let evictions = self.table.evictions();
        FastPathStatus {
            frames,
            durations,
            interfaces: self.attachments.status(),
            logged_rate: self.counters.over_limit().unwrap_or_else(|error| {
                tracing::error!(%error, "the kernel half's answers over limits cannot be read");
                Default::default()
            }),
            serving: self.serving,
            seen: self.seen_status(),
            compared: self.comparing.status(&self.waiting),
            maps: self.map_status(),
            published: self.table.published() as u64,
            publisher: PublisherStatus {
                published: self.delay.count.into(),
                retiring: self.retiring as u64,
                delay_mean_us: self.delay.mean_us(),
                delay_max_us: self.delay.max.as_micros() as u64,
                evicted_bucket: evictions.bucket,
                evicted_length: evictions.length,
                evicted_block: evictions.block,
                ..self.counts
            },
            counters: self.counters(),
            cookies: self.cookies(),
        }
    }

    fn seen_status(&self) -> SeenStatus {
        let (told, lost) = self.counters.told().unwrap_or_else(|error| {
            tracing::error!(%error, "what the kernel half has told cannot be read");
            (0, 0)
        });
        let Watched { log_one_in, count_one_in, capture } = self.watched;
        SeenStatus { told, lost, log_one_in, count_one_in, capture }
    }

    fn map_status(&self) -> Vec<MapStatus> {
        let map = |name: &str, used: usize, elements: u32, per_element: usize, element_len: usize| MapStatus {
            name: name.to_owned(),
            entries: used as u64,
            max_entries: u64::from(elements) * per_element as u64,
            memory_bytes: u64::from(elements) * element_len as u64,
        };
        // A trie takes memory for what is in it.
        let networks = |name: &str, is_v4: bool| {
            let used = self.clients.len(is_v4);
            MapStatus {
                memory_bytes: (used * NETWORK_LEN) as u64,
                ..map(name, used, 2 * CLIENT_NETWORKS_MAX as u32, 1, 0)
            }
        };
        let published = self.table.published();
        let used_blocks = self.table.used_bytes() / size_of::<AnswerBlock>();
        vec![
            map(map_name::BUCKETS, published, self.buckets, BUCKET_ENTRIES, size_of::<Bucket>()),
            map(map_name::ANSWERS, used_blocks, self.blocks, 1, size_of::<AnswerBlock>()),
            map(map_name::SETTINGS, 1, 1, 1, size_of::<Settings>()),
            networks(map_name::CLIENTS_V4, true),
            networks(map_name::CLIENTS_V6, false),
            MapStatus {
                memory_bytes: (self.attachments.rules() * RULE_LEN) as u64,
                ..map(map_name::LINKS, self.attachments.rules(), LINKS_MAX as u32, 1, 0)
            },
            map(map_name::LIMITS, 1, 1, 1, size_of::<LimitTable>()),
            map(map_name::SEEN, 0, SEEN_RING_LEN as u32, 1, 1),
        ]
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let sums = self.counters.outcomes().unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel half's counters cannot be read");
            [0; OUTCOMES]
        });
        Outcome::ALL.iter().zip(sums).map(|((_, name), sum)| ((*name).to_owned(), sum)).collect()
    }

    /// Answers with cookies, by verdict.
    fn cookies(&self) -> Vec<(String, u64)> {
        let sums = self.counters.cookies().unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel half's counters of cookies cannot be read");
            Default::default()
        });
        CookieVerdict::ALL.iter().zip(sums).map(|((_, name), sum)| ((*name).to_owned(), sum)).collect()
    }

    /// Stores one aligned word of the settings.
    fn store_setting(&self, offset: usize, value: u64) {
        self.settings.words()[offset / 8].store(value, Ordering::Release);
    }
}

/// Takes the answers of a daemon before us over into an empty table, or withdraws them if they rest on something else; then
/// waits until no program runs that has found what is gone. See [`super::predecessor`] for the order.
fn adopt(
    before: &Predecessor,
    basis: &Basis,
    table: &mut AnswerTable,
    clock: &dyn Clock,
) -> Result<Adopted, FastPathError> {
    let adopted = if before.rests_on(basis) {
        table.adopt(&before.hash_key(), clock.now().boot_ns)
    } else {
        before.disown();
        Adopted { kept: 0, dropped: table.disinherit() }
    };
    grace::wait().map_err(FastPathError::NoGracePeriod)?;
    tracing::info!(kept = adopted.kept, dropped = adopted.dropped, "answers that XDP had from an earlier daemon");
    Ok(adopted)
}

/// Buckets and blocks for so many answers of ordinary size.
///
/// Two entries a bucket on average leave room for four times as many small answers; see the spike on full buckets.
pub(super) fn dimensions(cache_size: u32) -> (u32, u32) {
    let buckets = (cache_size / 2).max(2).next_power_of_two();
    let usable_len = (SLOT_START_MAX * LINE_LEN) as u64;
    let blocks = (u64::from(cache_size) * TYPICAL_SLOT_LEN).div_ceil(usable_len).max(BLOCKS_MIN);
    (buckets, u32::try_from(blocks).unwrap_or(u32::MAX))
}

fn initial_settings(
    config: &FastPathConfig,
    table: &AnswerTable,
    kernel_clock: &KernelClock,
    time: KernelTime,
) -> Settings {
    let mut settings = Settings {
        abi_version: ABI_VERSION,
        mode: config.serving.kernel_mode(),
        bucket_shift: table.bucket_shift(),
        ttl_shown_s_max: config.ttl_shown_s_max.clamp(1, abi::FAST_TTL_S_MAX),
        log_one_in: if config.log { LOG_ONE_IN } else { 0 },
        limits: config.is_limited.into(),
        jiffy_ns: kernel_clock.jiffy_ns,
        boot_offset_ns: time.boot_offset_ns,
        offset_until_jiffies: time.until_jiffies,
        daemon_pid: std::process::id(),
        legacy: Legacy { basis: config.basis, ..Legacy::zeroed() },
        ..Settings::zeroed()
    };
    // They come in one by one, before the program is attached.
    endpoints::clear(&mut settings);
    settings
}

/// Writes all settings, the word that lets XDP answer last.
fn store_settings(memory: &MappedArray, settings: &Settings) {
    let words: &[u64; size_of::<Settings>() / 8] = bytemuck::must_cast_ref(settings);
    for (word, value) in memory.words().iter().zip(words).rev() {
        word.store(*value, Ordering::Release);
    }
}

/// The first word of the settings.
fn first_word(mode: u32) -> u64 {
    bytemuck::must_cast([ABI_VERSION, mode])
}

const _: () = assert!(offset_of!(Settings, wall_offset_ns) == offset_of!(Settings, wall_offset_s) + 4);
const _: () = assert!(offset_of!(Settings, abi_version) == 0 && offset_of!(Settings, mode) == 4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_cache_stays_under_64_mib() {
        let (buckets, blocks) = dimensions(100_000);
        let bytes = buckets as usize * size_of::<Bucket>() + blocks as usize * size_of::<AnswerBlock>();
        assert!(bytes < 64 << 20, "{bytes}");
        assert!(dimensions(1).0 >= 2 && dimensions(u32::MAX / 4).0.is_power_of_two());
    }
}

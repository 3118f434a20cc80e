//! Every map of the object: what it holds, how large it is, and why.
//!
//! Those that the daemon writes are mmapable ARRAYs: it changes them by plain stores without a system call, elements never
//! move or vanish, and the kernel turns a look-up into a bounds check and an addition. The sizes here are the smallest that
//! load; the daemon sets `max_entries` before it loads the object.

use core::ffi::c_void;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf};
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use aya_ebpf::macros::btf_map;
use resolver_ebpf::abi::{
    AnswerBlock, Bucket, CLIENT_NETWORKS_MAX, ClientRule, ClientV4, ClientV6, ClockSample, CookieCounters,
    CookieVerdict, Counters, GENERATION_BITS, LIMIT_WORDS, LINE_LEN, LINKS_MAX, Latency, LimitLog, LimitTable, Link,
    LinkRule, Outcome, Place, SEEN_RING_LEN, SLOT_START_MAX, SeenHead, Settings, Watch,
};
use resolver_ebpf::limit::{Limits, Use, Verdict};
use resolver_ebpf::serve::{self, SharedWord, Store};

/// Flags of the maps that the daemon writes.
const MMAPABLE: usize = BPF_F_MMAPABLE as usize;

/// The index: as many lines as `bucket_shift` reaches, 64 bytes each. An ARRAY of buckets, because a HASH cost 300 ns more
/// per look-up at 131 k names, and because its elements may be reused while they are read.
#[btf_map]
static BUCKETS: Array<Bucket, 2, MMAPABLE> = Array::new();

/// The answers: blocks of 64 KiB. One map for slots of every length, so that no length can run out while others have room.
#[btf_map]
static ANSWERS: Array<AnswerBlock, 1, MMAPABLE> = Array::new();

/// What the daemon tells us: one element.
#[btf_map]
static SETTINGS: Array<Settings, 1, MMAPABLE> = Array::new();

/// Who may be answered: room for two lists, the one in use and the next. A trie takes memory only for what is in it.
#[btf_map]
static CLIENTS_V4: LpmTrie<ClientV4, ClientRule, { 2 * CLIENT_NETWORKS_MAX }> = LpmTrie::new();

/// The same for IPv6.
#[btf_map]
static CLIENTS_V6: LpmTrie<ClientV6, ClientRule, { 2 * CLIENT_NETWORKS_MAX }> = LpmTrie::new();

/// Which tagged frames are answered, and on which interfaces untagged ones are not. Looked into for tagged queries, and for
/// untagged ones only while some interface may hide tags. It takes memory only for what is in it.
#[btf_map]
static LINKS: HashMap<Link, LinkRule, LINKS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();
/// Who gets how many answers, and the budgets: one element of 2 MiB, mmapable, since the daemon draws from the same budgets.
/// One element, because then one look-up leads to all of its cells.
#[btf_map]
static LIMITS: Array<LimitTable, 1, MMAPABLE> = Array::new();

/// Answers over a limit that only logs: one element for each CPU.
#[btf_map]
static LIMIT_LOG: PerCpuArray<LimitLog, 1> = PerCpuArray::new();

/// Frames by outcome: one element for each CPU, so that counting neither locks nor shares lines.
#[btf_map]
static COUNTERS: PerCpuArray<Counters, 1> = PerCpuArray::new();

/// Answers with cookies, by what the query's was worth: one element for each CPU, for the same reason.
#[btf_map]
static COOKIES: PerCpuArray<CookieCounters, 1> = PerCpuArray::new();

/// Frames and how long answers took: one element for each CPU, for the same reason.
#[btf_map]
static LATENCY: PerCpuArray<Latency, 1> = PerCpuArray::new();

/// What `clock` saw: for each CPU, so that two runs do not mix.
#[btf_map]
static CLOCK: PerCpuArray<ClockSample, 1> = PerCpuArray::new();

/// The record that is being made of an answer: for each CPU, since it does not fit the stack.
#[btf_map]
static WATCH: PerCpuArray<Watch, 1> = PerCpuArray::new();

/// Answers that somebody wants to know of. One ring for all CPUs: records of one CPU stay in order, and only the sampled ones
/// come here.
#[btf_map]
static SEEN: RingBuf<SeenHead, SEEN_RING_LEN> = RingBuf::new();

/// Raises the counter of an outcome.
#[inline(always)]
pub fn count(outcome: Outcome) {
    let Some(counters) = COUNTERS.get_ptr_mut(0) else { return };
    // SAFETY: the element is this CPU's own and XDP programs do not interrupt each other on one CPU; user space only reads.
    let counters = unsafe { &mut *counters };
    if let Some(counter) = counters.as_array_mut().get_mut(outcome as usize) {
        *counter = counter.wrapping_add(1);
    }
}

/// This CPU's durations.
#[inline(always)]
pub fn latency<'a>() -> Option<&'a mut Latency> {
    // SAFETY: as in `count`; nobody else borrows the element, since each caller lets go of it before the next one asks.
    LATENCY.get_ptr_mut(0).map(|latency| unsafe { &mut *latency })
}

/// Stores a sample of the clocks.
#[inline(always)]
pub fn set_clock(sample: ClockSample) {
    if let Some(place) = CLOCK.get_ptr_mut(0) {
        // SAFETY: the element is this CPU's own; user space reads it after the run.
        unsafe { *place = sample };
    }
}

/// What the daemon tells us.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// This CPU's record of an answer.
#[inline(always)]
pub fn watch<'a>() -> Option<&'a mut Watch> {
    // SAFETY: as in `count`; each caller lets go of it before the next one asks.
    WATCH.get_ptr_mut(0).map(|watch| unsafe { &mut *watch })
}

/// The ring, as helpers take it.
#[inline(always)]
pub fn seen() -> *mut c_void {
    (&raw const SEEN).cast_mut().cast()
}

/// The maps as the fast path sees them.
pub struct Maps<'s> {
    /// The settings, looked up once.
    pub settings: &'s Settings,
}

impl Store for Maps<'_> {
    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        Some(self.settings)
    }

    #[inline(always)]
    fn bucket(&self, number: u32) -> Option<&serve::Bucket> {
        let bucket = BUCKETS.get_ptr(number)?;
        // SAFETY: an array map's element lives as long as the program runs and is 64 bytes long on a multiple of 64, so it
        // is eight aligned words; everybody accesses them by single 8-byte loads and stores.
        Some(unsafe { &*bucket.cast::<serve::Bucket>() })
    }

    #[inline(always)]
    fn slot(&self, place: Place) -> Option<&serve::Slot> {
        let line = place.line() as usize;
        // VERIFIER: with the line bounded, no slot reaches over the block's end.
        if line > SLOT_START_MAX {
            return None;
        }
        let block = ANSWERS.get_ptr(place.block())?;
        // SAFETY: the element lives as long as the program runs; what is reached from this line on
        // ends inside it (checked above) and is aligned to a line. While an entry leads to a slot its words do not change,
        // except the one that holds `last_used_s`, which is only stored by 8-byte stores; and the daemon reuses a slot only
        // after every program that was running has ended.
        Some(unsafe { &*block.byte_add(line * LINE_LEN).cast::<serve::Slot>() })
    }

    #[inline(always)]
    fn client_v4(&self, client: ClientV4) -> Option<ClientRule> {
        let words = [key_start(GENERATION_BITS + 32, client.generation), u32::from_ne_bytes(client.address).into()];
        // SAFETY: the words hold prefix length, generation and address one behind the other, as the key has them; the key
        // is packed, so any address will do.
        CLIENTS_V4.get(unsafe { &*(&raw const words).cast::<Key<ClientV4>>() }).copied()
    }

    #[inline(always)]
    fn client_v6(&self, client: ClientV6) -> Option<ClientRule> {
        let [high, low]: [u64; 2] = bytemuck::must_cast(client.address);
        let words = [key_start(GENERATION_BITS + 128, client.generation), high, low];
        // SAFETY: as for IPv4.
        CLIENTS_V6.get(unsafe { &*(&raw const words).cast::<Key<ClientV6>>() }).copied()
    }

    #[inline(always)]
    fn link(&self, link: Link) -> Option<LinkRule> {
        // SAFETY: an element may be changed while it is read; its one word is then what it was or what it will be.
        unsafe { LINKS.get(&link) }.copied()
    }

    #[inline(always)]
    fn ask_limits(&self, client: u64, is_v4: bool, purpose: Use, now_boot_ns: u64) -> Verdict {
        let is_answer = u64::from(purpose == Use::Answer);
        Verdict::of_number(ask_limits(client, is_v4.into(), is_answer, now_boot_ns))
    }

    #[inline(always)]
    fn count_cookies(&self, verdict: CookieVerdict) {
        let Some(counters) = COOKIES.get_ptr_mut(0) else { return };
        // SAFETY: as in `count`.
        let counters = unsafe { &mut *counters };
        if let Some(counter) = counters.as_array_mut().get_mut(verdict as usize) {
            *counter = counter.wrapping_add(1);
        }
    }

    #[inline(always)]
    fn jiffies(&self) -> u64 {
        // SAFETY: the helper takes no argument and touches no memory.
        unsafe { aya_ebpf::helpers::generated::bpf_jiffies64() }
    }

    #[inline(always)]
    fn boot_ns(&self) -> u64 {
        // SAFETY: as for jiffies.
        unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns() }
    }
}

/// Asks the limiter with the table in the map; a [`Verdict`] comes back as its number, and one that only logs is counted. Without a table nobody is limited.
///
/// VERIFIER: a global function is verified once, on its own, and its result may be anything. It is called only where there
/// are limits, so the fast path keeps its registers.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn ask_limits(client: u64, is_v4: u64, is_answer: u64, now_boot_ns: u64) -> u64 {
    let Some(table) = LIMITS.get_ptr(0) else { return Verdict::Within as u64 };
    // SAFETY: the element lives as long as the program runs, has so many aligned words, and everybody accesses them by
    // single 8-byte loads and stores.
    let words = unsafe { &*table.cast::<[SharedWord; LIMIT_WORDS]>() };
    let purpose = if is_answer == 0 { Use::Pass } else { Use::Answer };
    // SAFETY: the helper takes no argument and touches no memory.
    let verdict = Limits(words).ask(client, is_v4 != 0, purpose, now_boot_ns, || unsafe { bpf_get_prandom_u32() });
    if let Some((level, log)) = verdict.logged_level().zip(LIMIT_LOG.get_ptr_mut(0)) {
        // SAFETY: as in `count`.
        if let Some(over) = unsafe { &mut *log }.over.get_mut(level) {
            *over = over.wrapping_add(1);
        }
    }
    verdict as u64
}

/// The first word of a key: prefix length, then generation.
///
/// VERIFIER: a key is made of words, since the fields of the packed one would be stored across the stack's alignment.
#[inline(always)]
const fn key_start(prefix_len: u32, generation: u32) -> u64 {
    (generation as u64) << 32 | prefix_len as u64
}

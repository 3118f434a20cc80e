//! The maps of the benchmark. The runner sets `max_entries` before it loads the object.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::macros::btf_map;
use resolver_ebpf::abi::bench::{
    BenchCounters, BenchSettings, FRAME_LEN_MAX, FRAME_START_MAX, FrameBlock, WaitHistogram, wait_bucket,
};
use resolver_ebpf::abi::{LINE_LEN, Place};

/// Flags of the maps that the runner writes.
const MMAPABLE: usize = BPF_F_MMAPABLE as usize;
/// Words of the longest frame.
const FRAME_WORDS_MAX: usize = FRAME_LEN_MAX / 8;

/// Ready-made frames, in blocks of 64 KiB.
#[btf_map]
static QUERIES: Array<FrameBlock, 1, MMAPABLE> = Array::new();

/// Which frame to send in which turn, two turns an element: the kernel lays elements eight bytes apart, whatever their size.
#[btf_map]
static SEQUENCE: Array<[Place; 2], 1, MMAPABLE> = Array::new();

/// One element.
#[btf_map]
static BENCH_SETTINGS: Array<BenchSettings, 1, MMAPABLE> = Array::new();

/// One element for each CPU.
#[btf_map]
static BENCH_COUNTERS: PerCpuArray<BenchCounters, 1> = PerCpuArray::new();

/// When the query with each ID was sent. All CPUs share it: an answer may come back on another one.
#[btf_map]
static SENT_AT: Array<u64, 65536> = Array::new();

/// One element for each CPU.
#[btf_map]
static WAITS: PerCpuArray<WaitHistogram, 1> = PerCpuArray::new();

/// One element for each CPU: when the next frame is due.
#[btf_map]
static DUE: PerCpuArray<u64, 1> = PerCpuArray::new();

/// When this CPU's next frame is due. Taken once in each run.
#[inline(always)]
pub fn due() -> Option<&'static mut u64> {
    // SAFETY: as for the counters.
    DUE.get_ptr_mut(0).map(|due| unsafe { &mut *due })
}

/// Notes when a query is sent.
#[inline(always)]
pub fn note_sent(id: u16, now_ns: u64) {
    if let Some(sent_at) = SENT_AT.get_ptr_mut(u32::from(id)) {
        // SAFETY: an element of eight aligned bytes; a volatile store is one instruction, whoever else stores there.
        unsafe { sent_at.write_volatile(now_ns) };
    }
}

/// Counts the wait of an answered query.
#[inline(always)]
pub fn count_wait(id: u16, now_ns: u64) {
    let (Some(sent_at), Some(waits)) = (SENT_AT.get(u32::from(id)), WAITS.get_ptr_mut(0)) else { return };
    // SAFETY: the element is this CPU's own, lives as long as the program runs, and is borrowed once in each run.
    let waits = unsafe { &mut *waits };
    if let Some(bucket) = waits.buckets.get_mut(wait_bucket(now_ns.wrapping_sub(*sent_at))) {
        *bucket = bucket.wrapping_add(1);
    }
}

/// What the generator is told.
#[inline(always)]
pub fn settings() -> Option<&'static BenchSettings> {
    BENCH_SETTINGS.get(0)
}

/// This CPU's counters. Each program takes them once.
#[inline(always)]
pub fn counters() -> Option<&'static mut BenchCounters> {
    // SAFETY: the element is this CPU's own, lives as long as the program runs, and is taken once in each run.
    BENCH_COUNTERS.get_ptr_mut(0).map(|counters| unsafe { &mut *counters })
}

/// The frame of a turn, and what lies behind it in its block.
#[inline(always)]
pub fn frame(turn: u32) -> Option<&'static [u64; FRAME_WORDS_MAX]> {
    let [even, odd] = *SEQUENCE.get(turn >> 1)?;
    let place = if turn & 1 == 0 { even } else { odd };
    let line = place.line() as usize;
    if line > FRAME_START_MAX {
        return None;
    }
    let block = QUERIES.get_ptr(place.block())?;
    // SAFETY: the element lives as long as the program runs; the longest frame from this line on ends inside it.
    Some(unsafe { &*block.byte_add(line * LINE_LEN).cast::<[u64; FRAME_WORDS_MAX]>() })
}

//! Tells of single answers: for the query log, for counting, and, with the query as it came, for captures.
//!
//! Off unless somebody wants to know. Then both functions here are never called; on, they stand out of the way of the fast path.

use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_boot_ns, bpf_ringbuf_output};
use aya_ebpf::programs::XdpContext;
use resolver_ebpf::abi::{KEPT_WORDS_MAX, Outcome, SeenHead, Settings, WATCH_CAPTURE, WATCH_COUNT, WATCH_LOG, Watch};
use resolver_ebpf::serve::{Frame as _, copy_words};

use crate::maps;
use crate::packet::Packet;

/// Keeps the frame of a query, which is about to become its answer.
#[inline(never)]
pub fn keep_query(ctx: &XdpContext) {
    let Some(watch) = maps::watch() else { return };
    let packet = Packet::new(ctx);
    let Some(room) = watch.frames.first_chunk_mut() else { return };
    watch.head.query_kept = copy_words(&packet, room);
    watch.head.query_len = packet.len() as u32;
    // SAFETY: the helper takes no argument and touches no memory.
    watch.head.asked_at_boot_ns = unsafe { bpf_ktime_get_boot_ns() };
}

/// Tells of an answer, which is in the frame, if it is one of those that are wanted.
#[inline(never)]
pub fn tell(ctx: &XdpContext, settings: &Settings, outcome: Outcome) {
    let Some(watch) = maps::watch() else { return };
    let wanted = wanted(settings);
    let query_kept = core::mem::take(&mut watch.head.query_kept);
    // A query that came before captures began was not kept.
    let captured = if query_kept == 0 { 0 } else { wanted & WATCH_CAPTURE };
    let told_for = wanted & (WATCH_LOG | WATCH_COUNT) | captured;
    if told_for == 0 {
        return;
    }
    let query_kept = if captured == 0 { 0 } else { query_kept };
    let packet = Packet::new(ctx);
    // VERIFIER: bounded by the mask, which changes nothing: it is at most KEPT_LEN_MAX.
    let query_words = (query_kept as usize + 7) >> 3 & 0xff;
    let Some(room) = watch.frames.get_mut(core::hint::black_box(query_words)..).and_then(<[u64]>::first_chunk_mut)
    else {
        return;
    };
    let answer_kept = copy_words(&packet, room);
    watch.head = SeenHead {
        asked_at_boot_ns: if captured == 0 { 0 } else { watch.head.asked_at_boot_ns },
        // SAFETY: the helper takes no argument and touches no memory.
        answered_at_boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        told_for,
        outcome: outcome as u32,
        log_one_in: settings.seen_log_one_in,
        count_one_in: settings.seen_count_one_in,
        // SAFETY: the context is the program's own.
        interface: unsafe { (*ctx.ctx).ingress_ifindex },
        query_len: if captured == 0 { 0 } else { watch.head.query_len },
        query_kept,
        answer_len: packet.len() as u32,
        answer_kept,
        padding: 0,
    };
    emit(watch, query_words + ((answer_kept as usize + 7) >> 3));
}

/// Gives the record to the ring. Its reader is woken only if it has read everything before.
#[inline(always)]
fn emit(watch: &mut Watch, frames_words: usize) {
    if frames_words > 2 * KEPT_WORDS_MAX {
        return;
    }
    let len = size_of::<SeenHead>() + 8 * frames_words;
    let record = (&raw mut watch.head).cast();
    // SAFETY: head and frames stand one behind the other in the map's element, and the length ends inside it.
    let given = unsafe { bpf_ringbuf_output(maps::seen(), record, len as u64, 0) };
    let count = if given == 0 { &mut watch.told } else { &mut watch.lost };
    *count = count.wrapping_add(1);
}

/// What this answer is wanted for.
#[inline(always)]
fn wanted(settings: &Settings) -> u32 {
    let mut wanted = settings.watch;
    if wanted & WATCH_LOG != 0 && !is_chosen(settings.seen_log_one_in) {
        wanted &= !WATCH_LOG;
    }
    if wanted & WATCH_COUNT != 0 && !is_chosen(settings.seen_count_one_in) {
        wanted &= !WATCH_COUNT;
    }
    wanted
}

/// Draws one of so many. Of none, none.
#[inline(always)]
fn is_chosen(one_in: u32) -> bool {
    // SAFETY: the helper takes no argument and touches no memory.
    one_in == 1 || one_in != 0 && unsafe { bpf_get_prandom_u32() } % one_in == 0
}

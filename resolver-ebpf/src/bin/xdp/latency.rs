//! How long answers take: one of [`LATENCY_ONE_IN`] frames is timed, by the count of frames on its CPU.
//!
//! VERIFIER: what is to be remembered while a frame is served lies in the map. In a register it would make two states of
//! every state of the fast path, one timed and one not.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use resolver_ebpf::abi::{LATENCY_ONE_IN, latency_bucket};

use crate::maps;

/// Counts a frame, and notes when it came if it is to be timed.
#[inline(always)]
pub fn start() {
    let Some(latency) = maps::latency() else { return };
    latency.frames = latency.frames.wrapping_add(1);
    if latency.frames % LATENCY_ONE_IN == 0 {
        latency.started_mono_ns = now_ns();
    }
}

/// Counts how long the frame that came last took, if it is timed.
#[inline(always)]
pub fn end() {
    let Some(latency) = maps::latency() else { return };
    if latency.frames % LATENCY_ONE_IN != 0 {
        return;
    }
    let took_ns = now_ns().wrapping_sub(latency.started_mono_ns);
    latency.sum_ns = latency.sum_ns.wrapping_add(took_ns);
    if let Some(bucket) = latency.buckets.get_mut(latency_bucket(took_ns)) {
        *bucket = bucket.wrapping_add(1);
    }
}

fn now_ns() -> u64 {
    // SAFETY: the helper takes no argument and touches no memory.
    unsafe { bpf_ktime_get_ns() }
}

//! What the benchmark's programs share with its runner. No part of the product: [`super::ABI_VERSION`] does not cover it.

use bytemuck::{Pod, Zeroable};

use super::LINE_LEN;

/// Lines in a block of ready-made frames: 64 KiB.
pub const FRAME_BLOCK_LINES: usize = 1024;
/// Longest ready-made frame, in bytes.
pub const FRAME_LEN_MAX: usize = 384;
/// Last line of a block at which a frame may start.
pub const FRAME_START_MAX: usize = FRAME_BLOCK_LINES - FRAME_LEN_MAX / LINE_LEN;

/// Name of each map of the benchmark object.
pub mod bench_map_name {
    /// ARRAY of [`super::FrameBlock`]: ready-made frames; mmapable.
    pub const QUERIES: &str = "QUERIES";
    /// ARRAY of pairs of [`crate::abi::Place`]: for each two turns the frames to send; mmapable. A power of two of turns.
    pub const SEQUENCE: &str = "SEQUENCE";
    /// ARRAY of one [`super::BenchSettings`]; mmapable.
    pub const BENCH_SETTINGS: &str = "BENCH_SETTINGS";
    /// PERCPU_ARRAY of one [`super::BenchCounters`].
    pub const BENCH_COUNTERS: &str = "BENCH_COUNTERS";
    /// PERCPU_ARRAY of one [`super::WaitHistogram`].
    pub const WAITS: &str = "WAITS";
    /// PERCPU_ARRAY of one `u64`: when the next frame is due, in nanoseconds of CLOCK_MONOTONIC.
    pub const DUE: &str = "DUE";
    /// ARRAY of `u64`: when the query with each ID was sent, in nanoseconds of CLOCK_MONOTONIC.
    pub const SENT_AT: &str = "SENT_AT";
}

/// A block of ready-made frames, each from the start of a line on.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct FrameBlock {
    /// The frames' bytes as words, padded to a multiple of 8 bytes.
    pub words: [u64; FRAME_BLOCK_LINES * LINE_LEN / 8],
}

/// What the generator is told.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BenchSettings {
    /// Length of the sequence less one: a power of two less one.
    pub sequence_mask: u32,
    /// Length of every frame in 8-byte words: 2..=48.
    pub frame_words: u32,
    /// 1: every query gets an ID of its own, and the time until its answer is counted into [`WaitHistogram`]. For frames over
    /// IPv4 without a UDP checksum. 0: frames go out as they are.
    pub is_timed: u32,
    /// Time between two frames, in nanoseconds. 0: no time.
    pub interval_ns: u32,
    /// With an interval: when sending ends, in nanoseconds of CLOCK_MONOTONIC.
    pub end_mono_ns: u64,
}

/// Buckets of [`WaitHistogram`]: eight for each doubling.
pub const WAIT_BUCKETS: usize = 256;

/// Answered queries by the time that they waited; of one CPU.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct WaitHistogram {
    /// By [`wait_bucket`].
    pub buckets: [u64; WAIT_BUCKETS],
}

/// The bucket of a wait. From 8 ns on each holds an eighth of a doubling; shorter ones are in the one of 8 ns.
#[inline(always)]
pub const fn wait_bucket(ns: u64) -> usize {
    let ns = if ns < 8 { 8 } else { ns };
    let log2 = (u64::BITS - 1).wrapping_sub(ns.leading_zeros());
    let eighth = (ns >> (log2.wrapping_sub(3) & 63)) & 7;
    let bucket = ((log2 as usize) << 3) | eighth as usize;
    if bucket < WAIT_BUCKETS { bucket } else { WAIT_BUCKETS - 1 }
}

/// Where a bucket ends, in nanoseconds.
pub const fn wait_bucket_end_ns(bucket: usize) -> u64 {
    let (log2, eighth) = (bucket >> 3, (bucket & 7) as u64);
    ((8 + eighth + 1) << log2) >> 3
}

/// What the programs counted; of one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BenchCounters {
    /// Frames that the generator sent.
    pub sent: u64,
    /// Frames that the reflector sent back.
    pub reflected: u64,
    /// Responses with RCODE 0 that the sink saw.
    pub noerror: u64,
    /// Responses with RCODE 3.
    pub nxdomain: u64,
    /// Responses with another RCODE.
    pub other_rcode: u64,
    /// Queries that came back as they were, from the reflector.
    pub queries: u64,
    /// Frames that are no DNS over UDP from port 53.
    pub other: u64,
}

const _: () = assert!(size_of::<FrameBlock>() == FRAME_BLOCK_LINES * LINE_LEN);
const _: () = assert!(size_of::<BenchSettings>() == 24 && size_of::<BenchCounters>() == 56);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_the_bucket_that_ends_behind_it() {
        for ns in (8u64..5000).chain([1 << 20, (1 << 20) + 12_345, (1 << 31) + 7]) {
            let bucket = wait_bucket(ns);
            let begin_ns = if bucket == 24 { 8 } else { wait_bucket_end_ns(bucket - 1) };
            assert!((begin_ns..wait_bucket_end_ns(bucket)).contains(&ns), "{ns} ns in bucket {bucket}");
        }
        assert_eq!((wait_bucket(0), wait_bucket(u64::MAX)), (24, WAIT_BUCKETS - 1));
    }
}

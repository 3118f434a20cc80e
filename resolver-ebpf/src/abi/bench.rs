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
    /// ARRAY of `u32`: for each turn the frame to send, as a [`crate::abi::Place`]; mmapable. Its length is a power of two.
    pub const SEQUENCE: &str = "SEQUENCE";
    /// ARRAY of one [`super::BenchSettings`]; mmapable.
    pub const BENCH_SETTINGS: &str = "BENCH_SETTINGS";
    /// PERCPU_ARRAY of one [`super::BenchCounters`].
    pub const BENCH_COUNTERS: &str = "BENCH_COUNTERS";
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
const _: () = assert!(size_of::<BenchSettings>() == 8 && size_of::<BenchCounters>() == 56);

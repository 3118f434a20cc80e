//! What the kernel half tells of single answers, when somebody wants to know: a record in the ring `SEEN` for each.
//!
//! A record is a [`SeenHead`], then the query's frame if it was kept, then the answer's, each padded with any bytes to a
//! multiple of 8.

use bytemuck::{Pod, Zeroable};

/// In [`super::Settings::watch`]: one of [`super::Settings::seen_log_one_in`] answers is for the query log.
pub const WATCH_LOG: u32 = 1;
/// One of [`super::Settings::seen_count_one_in`] answers is for counting.
pub const WATCH_COUNT: u32 = 2;
/// Every answer is told, with its query.
pub const WATCH_CAPTURE: u32 = 4;

/// Bytes of a frame that are kept: more than any answer, and all but the oddest queries.
pub const KEPT_LEN_MAX: usize = 1536;
/// The same in words.
pub const KEPT_WORDS_MAX: usize = KEPT_LEN_MAX / 8;
/// Size of the ring, in bytes. Choice: 3000 ordinary answers, a tenth of a second at 30 000 a second; more are lost, and counted.
pub const SEEN_RING_LEN: usize = 1 << 20;

/// What stands before the frames of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct SeenHead {
    /// When the query was looked at, in nanoseconds of CLOCK_BOOTTIME; 0 if its frame was not kept.
    pub asked_at_boot_ns: u64,
    /// When the answer was ready, in nanoseconds of CLOCK_BOOTTIME.
    pub answered_at_boot_ns: u64,
    /// What it is told for: bits of [`super::Settings::watch`].
    pub told_for: u32,
    /// The [`super::Outcome`].
    pub outcome: u32,
    /// [`super::Settings::seen_log_one_in`] at that moment.
    pub log_one_in: u32,
    /// [`super::Settings::seen_count_one_in`] at that moment.
    pub count_one_in: u32,
    /// Number of the interface.
    pub interface: u32,
    /// Length of the query's frame, in bytes.
    pub query_len: u32,
    /// Bytes of it that were kept: 0..=[`KEPT_LEN_MAX`].
    pub query_kept: u32,
    /// Length of the answer's frame, in bytes.
    pub answer_len: u32,
    /// Bytes of it that were kept: 0..=[`KEPT_LEN_MAX`].
    pub answer_kept: u32,
    /// Zero.
    pub padding: u32,
}

/// The one element of `WATCH`, for each CPU: what was told, and the record that is being made.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Watch {
    /// Records given to the ring.
    pub told: u64,
    /// Records for which the ring had no room.
    pub lost: u64,
    /// The record's head.
    pub head: SeenHead,
    /// Its frames.
    pub frames: [u64; 2 * KEPT_WORDS_MAX],
}

const _: () = assert!(size_of::<SeenHead>() == 56);
const _: () = assert!(size_of::<Watch>() == 16 + 56 + 2 * KEPT_LEN_MAX);

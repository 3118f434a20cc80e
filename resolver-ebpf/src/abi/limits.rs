//! How many answers a prefix of clients gets: the rules, and the budgets that both halves draw from.
//!
//! A budget is a cell: the time at which it will be whole again (GCRA's "theoretical arrival time"), in nanoseconds of
//! CLOCK_BOOTTIME. A prefix has a cell in each of two rows, drawn by a keyed hash, and is over its limit only if both say
//! so. No cell belongs to anybody, so none can be taken away: time alone lowers what a cell shows. Two prefixes that share
//! one cell share no budget; those few that share both do.

use bytemuck::{Pod, Zeroable};

/// Levels: a narrow prefix of clients (0) and the wide one around it (1), each with a rate of its own.
pub const LIMIT_LEVELS: usize = 2;
/// Rows of cells of each level.
pub const LIMIT_ROWS: usize = 2;
/// Bits of a cell's number in its row.
/// Choice: 512 KiB a row. A million queries a second from made-up sources put 15 a second on a cell, which is below the
/// rates that operators set; what that does to others is measured in `tests/limits.rs`.
pub const LIMIT_CELL_BITS: u32 = 16;
/// Cells of a row.
pub const LIMIT_CELLS: usize = 1 << LIMIT_CELL_BITS;
/// Prefixes of each level that are remembered for having been over their limit.
pub const OFFENDERS: usize = 128;
/// A second of [`Offender::state`] is 2 to this power nanoseconds long, 7 % longer than others, which saves a division.
pub const OFFENDER_TICK_LOG2: u32 = 30;
/// A prefix that was over its limit in the last so many ticks keeps its place among the offenders.
pub const OFFENDER_KEPT_TICKS: u32 = 64;

/// Nobody is limited.
pub const LIMIT_OFF: u32 = 0;
/// What is over a limit is dropped, or answered with TC and nothing else.
pub const LIMIT_ENFORCE: u32 = 1;
/// What is over a limit is counted, and answered.
pub const LIMIT_LOG_ONLY: u32 = 2;

/// The limit of one level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct LimitLevel {
    /// Time that one answer costs, in nanoseconds: a second divided by the rate. Valid: 1..=10^9.
    pub interval_ns: u64,
    /// How far ahead of now a cell may stand for another answer to be given, in nanoseconds: the burst less one answer.
    pub slack_ns: u64,
    /// What counts of an IPv4 client; see [`client_v4`].
    pub mask_v4: u64,
    /// What counts of an IPv6 client; see [`client_v6`].
    pub mask_v6: u64,
}

impl LimitLevel {
    /// So many answers a second (1..=10^9), and as many as `burst_s` seconds bring at once, for prefixes of these lengths: 0..=32
    /// bits of an IPv4 address, 0..=64 of an IPv6 address.
    pub const fn new(per_second: u32, burst_s: u32, len_v4: u32, len_v6: u32) -> Self {
        let per_second = if per_second == 0 { 1 } else { per_second as u64 };
        let interval_ns = NS_PER_S / per_second;
        Self {
            interval_ns,
            slack_ns: (burst_s as u64 * NS_PER_S).saturating_sub(interval_ns),
            mask_v4: high_bits(32 + len_v4),
            mask_v6: high_bits(len_v6),
        }
    }
}

/// A word whose `count` high bits are set; all of them from 64 on.
const fn high_bits(count: u32) -> u64 {
    if count >= u64::BITS { u64::MAX } else { !(u64::MAX >> count) }
}

/// The rules. Each word is changed by one aligned store; a mixture of old and new rules is as good as either.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct LimitRules {
    /// [`LIMIT_OFF`], [`LIMIT_ENFORCE`] or [`LIMIT_LOG_ONLY`].
    pub mode: u32,
    /// One of so many queries over a limit gets an empty answer with TC, so that who really asks can turn to TCP; 0: none.
    pub slip_one_in: u32,
    /// Random, two words for each level; new with each table.
    pub hash_key: [[u64; 2]; LIMIT_LEVELS],
    /// The limits, the narrow prefix's first.
    pub levels: [LimitLevel; LIMIT_LEVELS],
    /// Zero.
    pub padding: [u64; 3],
}

/// A prefix that was over its limit. Written by whoever finds it so, without locks: for people, not for decisions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Offender {
    /// The prefix, as in [`client_v4`] and [`client_v6`], with zeroes behind it; 0: none.
    pub prefix: u64,
    /// When it was last over its limit, in ticks of CLOCK_BOOTTIME (upper 32 bits); how often since it came here (lower).
    pub state: u64,
}

/// The one element of `LIMITS`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct LimitTable {
    /// Written by the daemon.
    pub rules: LimitRules,
    /// By level; written by both halves.
    pub offenders: [[Offender; OFFENDERS]; LIMIT_LEVELS],
    /// By level and row; written by both halves.
    pub cells: [[[u64; LIMIT_CELLS]; LIMIT_ROWS]; LIMIT_LEVELS],
}

/// Words of [`LimitTable`].
pub const LIMIT_WORDS: usize = size_of::<LimitTable>() / 8;

/// The one element of `LIMIT_LOG`, for each CPU: answers that XDP gave over a limit, because of [`LIMIT_LOG_ONLY`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct LimitLog {
    /// By level.
    pub over: [u64; LIMIT_LEVELS],
}

/// An IPv4 client as a word: its address in the low 32 bits, ones above. No IPv6 client is equal to it, since what begins
/// with ones is a group there.
#[inline(always)]
pub const fn client_v4(address: [u8; 4]) -> u64 {
    0xffff_ffff_0000_0000 | u32::from_be_bytes(address) as u64
}

/// An IPv6 client as a word: the upper half of its address, since the lower one is the client's own to choose.
#[inline(always)]
pub const fn client_v6(address: [u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = address;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Nanoseconds in a second.
const NS_PER_S: u64 = 1_000_000_000;

const _: () = assert!(size_of::<LimitLevel>() == 32 && size_of::<Offender>() == 16);
const _: () = assert!(size_of::<LimitRules>() == 128 && align_of::<LimitTable>() == 64);
const _: () = assert!(size_of::<LimitTable>() == 128 + LIMIT_LEVELS * (OFFENDERS * 16 + LIMIT_ROWS * LIMIT_CELLS * 8));

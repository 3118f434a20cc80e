//! The published answers: an index of buckets and one pool of memory that holds the answers' bytes.
//!
//! A key (folded name, type, DO) hashes to one [`Bucket`] of eight entries, a cache line. Where that is full, the key's entry
//! stands in the [`partner`] of the bucket, the other line of a pair. An entry that carries the key's tag leads to a *slot*: a
//! run of 64-byte lines inside an [`AnswerBlock`]. What a slot holds never changes while an entry leads to it, so the kernel
//! half reads without locks:
//!
//! * publish = write a free slot, then its entry by one 8-byte store;
//! * retire = clear the entry, wait until every running program has ended, then free the slot.
//!
//! Slot layout, in bytes from the slot's start:
//!
//! | at | what |
//! |---|---|
//! | 0 | [`AnswerHead`] |
//! | 32 | the answer body: every record after the question, TTLs zero, then the 11 bytes of our OPT |
//! | `name_at` | the name, wire form, folded to lower case, padded with zeroes to a multiple of 8 |
//! | after it | offsets of the TTL fields from the body's start, `u16` each, even offsets and odd ones in any order |

use bytemuck::{Pod, Zeroable};

/// Length of a cache line and the unit that slots are made of, in bytes.
pub const LINE_LEN: usize = 64;
/// Lines in a block: 64 KiB.
pub const BLOCK_LINES: usize = 1024;
/// Longest slot, in lines: 1408 bytes hold the largest answer we send over UDP (1232 bytes) with its head, name and offsets.
pub const SLOT_LINES_MAX: usize = 22;
/// Longest slot, in 8-byte words.
pub const SLOT_WORDS_MAX: usize = SLOT_LINES_MAX * LINE_LEN / 8;
/// Words from a slot's start that the kernel half may read: it bounds where the name starts, how long it is and how many
/// offsets follow each by its own, which comes to more than the longest slot.
pub const SLOT_REACH_WORDS: usize = 25 * LINE_LEN / 8;
/// Last line of a block at which a slot may start, so that the kernel half never reaches over the block's end.
pub const SLOT_START_MAX: usize = BLOCK_LINES - SLOT_REACH_WORDS * 8 / LINE_LEN;
/// Where the body starts in a slot, in bytes. Fixed, because the verifier wants a constant there.
pub const BODY_AT: usize = size_of::<AnswerHead>();
/// Most TTL fields of one answer. Choice: an answer with more RRs is rare and left to the daemon.
pub const TTL_FIELDS_MAX: usize = 32;
/// Entries in a bucket.
pub const BUCKET_ENTRIES: usize = 8;
/// The OPT record at the end of every stored body, in bytes: root name, type, size, extended flags, no options.
pub const OPT_LEN: usize = 11;
/// UDP payload size that our OPT announces and that no UDP answer of ours exceeds, in bytes (DNS flag day 2020).
pub const UDP_PAYLOAD_LEN_MAX: usize = 1232;
/// Longest time an answer stays published, in seconds.
/// Choice: one day bounds the harm of a missed removal and keeps the TTL arithmetic in 64 bits; RFC 2181 §8 allows more.
pub const FAST_TTL_S_MAX: u32 = 86_400;

/// Where a slot is: bit 31 set, then the block's number and the line inside the block. Zero means none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub struct Place {
    /// Block and line, packed.
    pub bits: u32,
}

const PLACE_LINE_BITS: u32 = 10;
const PLACE_USED: u32 = 1 << 31;

impl Place {
    /// No slot.
    pub const NONE: Self = Self { bits: 0 };

    /// The slot that starts at `line` (0..=[`SLOT_START_MAX`]) of `block` (below 2^21).
    pub const fn new(block: u32, line: u32) -> Self {
        Self { bits: PLACE_USED | block << PLACE_LINE_BITS | line }
    }

    /// Number of the block.
    pub const fn block(self) -> u32 {
        (self.bits & !PLACE_USED) >> PLACE_LINE_BITS
    }

    /// First line of the slot inside its block.
    pub const fn line(self) -> u32 {
        self.bits & (BLOCK_LINES as u32 - 1)
    }

    /// Whether this leads to no slot.
    pub const fn is_none(self) -> bool {
        self.bits & PLACE_USED == 0
    }
}

/// One index entry. Read and written as one aligned 8-byte word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C, align(8))]
pub struct BucketEntry {
    /// Slot of the answer, [`Place::NONE`] when the entry is free.
    pub place: Place,
    /// Low 32 bits of the key's hash.
    pub tag: u32,
}

/// The bucket that takes what finds no room in `bucket`. It lies beside it, so that looking there costs no other page, and most
/// often no wait: processors fetch lines in pairs.
#[inline(always)]
pub const fn partner(bucket: u32) -> u32 {
    bucket ^ 1
}

/// Which entry of a bucket is looked at in a turn (below [`BUCKET_ENTRIES`]) for a key with this tag, and so taken if it is free.
/// Each key begins at an entry of its own, so that most are met at once, whatever else is in the bucket.
#[inline(always)]
pub const fn entry_in_turn(tag: u32, turn: usize) -> usize {
    (tag as usize).wrapping_add(turn) % BUCKET_ENTRIES
}

/// One cache line of the index.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Bucket {
    /// Each as near as there was room to the entry where [`entry_in_turn`] begins for its tag; free ones may stand between.
    pub entries: [BucketEntry; BUCKET_ENTRIES],
}

/// The answer is Secure: AD is set for a client that asked with AD or DO. Without it the answer is proven insecure.
pub const FLAG_SECURE: u8 = 1;
/// The form for DO=1, with signatures and denial records.
pub const FLAG_DO: u8 = 2;

/// The head of a slot.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct AnswerHead {
    /// When the answer's TTL ends, in nanoseconds of CLOCK_BOOTTIME. 0 in a free slot.
    pub expires_at_boot_ns: u64,
    /// Sum of the body's 16-bit words as they lie in memory, without the OPT, folded to 16 bits (RFC 1071).
    pub body_sum: u16,
    /// The same with the OPT.
    pub body_opt_sum: u16,
    /// Length of the body without the OPT, in bytes: 0..=1216.
    pub body_len: u16,
    /// Offset of the name from the slot's start, in bytes; a multiple of 8.
    pub name_at: u16,
    /// Type of the question.
    pub qtype: u16,
    /// Length of the name in wire form with its final zero byte: 1..=255.
    pub name_len: u8,
    /// TTL fields at even offsets.
    pub ttl_even_count: u8,
    /// TTL fields at odd offsets; together with the even ones at most [`TTL_FIELDS_MAX`].
    pub ttl_odd_count: u8,
    /// ANCOUNT.
    pub answer_count: u8,
    /// NSCOUNT.
    pub authority_count: u8,
    /// RCODE: 0 or 3.
    pub rcode: u8,
    /// Second of CLOCK_BOOTTIME (low 32 bits) in which XDP last answered with this slot; 0 = never. Written by the kernel half.
    pub last_used_s: u32,
    /// [`FLAG_SECURE`] and [`FLAG_DO`]; other bits zero.
    pub flags: u8,
    /// Length of the slot, in lines: 2..=[`SLOT_LINES_MAX`].
    pub slot_lines: u8,
    /// Zero.
    pub padding: [u8; 2],
}

/// A line of a block, shown as if it were the first line of a slot, so that a map dump names the fields of the head.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct AnswerLine {
    /// Meaningful only in the first line of a slot.
    pub head: AnswerHead,
    /// The body's first 32 bytes, if this is the first line of a slot.
    pub body: [u64; 4],
}

/// An element of `ANSWERS`. At run time the daemon gives each block to slots of one length.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct AnswerBlock {
    /// All lines of the block.
    pub lines: [AnswerLine; BLOCK_LINES],
}

const _: () = assert!(size_of::<Place>() == 4);
const _: () = assert!(size_of::<BucketEntry>() == 8 && align_of::<BucketEntry>() == 8);
const _: () = assert!(size_of::<Bucket>() == LINE_LEN && align_of::<Bucket>() == LINE_LEN);
const _: () = assert!(size_of::<AnswerHead>() == 32 && align_of::<AnswerHead>() == 8);
const _: () = assert!(size_of::<AnswerLine>() == LINE_LEN);
const _: () = assert!(size_of::<AnswerBlock>() == BLOCK_LINES * LINE_LEN);
const _: () = assert!(BLOCK_LINES == 1 << PLACE_LINE_BITS);
const _: () = assert!(BUCKET_ENTRIES.is_power_of_two());

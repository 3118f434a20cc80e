//! The bytes of a slot: written from a rendered answer, and read back for people.
//!
//! In: an [`Answer`], the records already in wire form. Out: the words of its slot, and how many lines they take.
//! Refuses what the fast path could not serve exactly: too long, too many TTLs, names that its end-of-name search would
//! misread. Does not check what the records say; the publisher did.
//! No allocation, no clock, no map: the caller copies the words to where they belong.

use bytemuck::{Zeroable, bytes_of};

use crate::abi::{
    AnswerHead, BODY_AT, FLAG_DO, FLAG_SECURE, HASH_KEY_WORDS, LINE_LEN, OPT_LEN, SLOT_WORDS_MAX, TTL_FIELDS_MAX,
    UDP_PAYLOAD_LEN_MAX,
};
use crate::wire::checksum;
use crate::wire::dns::{DNS_HEADER_LEN, Opt, QUESTION_END_LEN};
use crate::wire::name::{NAME_LEN_MAX, fold_word, hash_name, key_hash, word_of};

/// Shortest body: one record with a name of two bytes and no data would be 12, with the root as its name 11.
/// A message without any record has no TTL and is not cached (RFC 2308 §5).
pub const BODY_LEN_MIN: usize = 11;

/// An answer as the publisher has it: everything of the message that does not depend on who asks.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Name of the question in wire form, any case: 1..=255 bytes, no compression.
    pub name: &'a [u8],
    /// Type of the question.
    pub qtype: u16,
    /// The form for DO=1.
    pub dnssec_ok: bool,
    /// Secure, not just proven insecure.
    pub secure: bool,
    /// RCODE: 0 or 3.
    pub rcode: u8,
    /// ANCOUNT.
    pub answer_count: u8,
    /// NSCOUNT.
    pub authority_count: u8,
    /// All records of the answer and authority sections in wire form, without OPT. Compression pointers count from a message
    /// whose question is `name`. What stands in the TTL fields does not matter.
    pub body: &'a [u8],
    /// Offset of every TTL field from the body's start, in bytes, rising.
    pub ttl_offsets: &'a [u16],
    /// When the TTL that all records share ends, in nanoseconds of CLOCK_BOOTTIME. Not 0.
    pub expires_at_boot_ns: u64,
}

/// Why an answer cannot be published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotError {
    /// The name is not one name in wire form, or holds a zero byte inside a label.
    Name {
        /// Offset of the label that is wrong, in bytes.
        at: usize,
    },
    /// The RCODE is neither 0 nor 3.
    Rcode {
        /// What it is.
        rcode: u8,
    },
    /// The body is shorter than any record.
    BodyShort {
        /// Its length in bytes.
        len: usize,
    },
    /// The message would be longer than [`UDP_PAYLOAD_LEN_MAX`] with our OPT.
    MessageLong {
        /// Its length in bytes.
        len: usize,
    },
    /// More TTL fields than [`TTL_FIELDS_MAX`], or none.
    TtlCount {
        /// How many.
        count: usize,
    },
    /// A TTL field lies outside the body or over the one before.
    TtlOffset {
        /// Its offset in bytes.
        at: u16,
    },
    /// The expiry is 0, which marks a free slot.
    Expiry,
}

impl core::fmt::Display for SlotError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Name { at } => write!(f, "name not publishable at byte {at}"),
            Self::Rcode { rcode } => write!(f, "rcode {rcode} is not published"),
            Self::BodyShort { len } => write!(f, "body of {len} bytes holds no record"),
            Self::MessageLong { len } => write!(f, "message of {len} bytes exceeds {UDP_PAYLOAD_LEN_MAX}"),
            Self::TtlCount { count } => write!(f, "{count} ttl fields, 1 to {TTL_FIELDS_MAX} are possible"),
            Self::TtlOffset { at } => write!(f, "ttl field at byte {at} of the body"),
            Self::Expiry => write!(f, "expiry of 0"),
        }
    }
}

impl core::error::Error for SlotError {}

/// Hash of the key of an answer: its bucket is this shifted by `bucket_shift`, its tag [`crate::wire::name::tag`] of this.
pub fn answer_key_hash(name: &[u8], qtype: u16, dnssec_ok: bool, key: &[u64; HASH_KEY_WORDS]) -> u64 {
    key_hash(hash_name(name, key), qtype, dnssec_ok)
}

/// Lines that the slot of an answer takes, without writing it.
///
/// # Errors
/// When the answer cannot be published.
pub fn lines_needed(answer: &Answer<'_>) -> Result<usize, SlotError> {
    check(answer)?;
    Ok(layout(answer).lines)
}

/// Writes the slot of `answer` and returns how many lines of it are used; the words behind them are zero.
///
/// # Errors
/// When the answer cannot be published; `slot` is then unchanged.
pub fn render(answer: &Answer<'_>, slot: &mut [u64; SLOT_WORDS_MAX]) -> Result<usize, SlotError> {
    check(answer)?;
    let layout = layout(answer);
    *slot = [0; SLOT_WORDS_MAX];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(slot.as_mut_slice());

    put(bytes, BODY_AT, answer.body);
    for at in answer.ttl_offsets {
        put(bytes, BODY_AT + usize::from(*at), &[0; 4]);
    }
    let opt_at = BODY_AT + answer.body.len();
    put(bytes, opt_at, bytes_of(&Opt::of_answer(answer.dnssec_ok, UDP_PAYLOAD_LEN_MAX as u16)));
    for (i, part) in answer.name.chunks(8).enumerate() {
        put(bytes, layout.name_at + 8 * i, &fold_word(word_of(part)).to_le_bytes());
    }
    for (i, at) in answer.ttl_offsets.iter().enumerate() {
        put(bytes, layout.ttl_offsets_at + 2 * i, &at.to_le_bytes());
    }
    let head = head(answer, &layout, bytes);
    put(bytes, 0, bytes_of(&head));
    Ok(layout.lines)
}

/// A slot, read back.
#[derive(Clone, Copy, Debug)]
pub struct SlotView<'a> {
    /// The head.
    pub head: AnswerHead,
    /// The records, TTLs zero, without our OPT.
    pub body: &'a [u8],
    /// The name in wire form, lower case.
    pub name: &'a [u8],
    /// Offsets of the TTL fields from the body's start, as little-endian pairs of bytes.
    pub ttl_offsets: &'a [u8],
}

impl<'a> SlotView<'a> {
    /// The answer that the slot was written from, but for what stood in its TTL fields. `offsets` holds theirs. `None` if there
    /// are more of them than an answer may have.
    pub fn answer(&self, offsets: &'a mut [u16; TTL_FIELDS_MAX]) -> Option<Answer<'a>> {
        let pairs = self.ttl_offsets.as_chunks::<2>().0;
        let offsets = offsets.get_mut(..pairs.len())?;
        for (offset, pair) in offsets.iter_mut().zip(pairs) {
            *offset = u16::from_le_bytes(*pair);
        }
        Some(Answer {
            name: self.name,
            qtype: self.head.qtype,
            dnssec_ok: self.head.flags & FLAG_DO != 0,
            secure: self.head.flags & FLAG_SECURE != 0,
            rcode: self.head.rcode,
            answer_count: self.head.answer_count,
            authority_count: self.head.authority_count,
            body: self.body,
            ttl_offsets: offsets,
            expires_at_boot_ns: self.head.expires_at_boot_ns,
        })
    }
}

/// Reads a slot back. `None` when it is free or makes no sense.
pub fn read(slot: &[u64; SLOT_WORDS_MAX]) -> Option<SlotView<'_>> {
    let bytes: &[u8] = bytemuck::cast_slice(slot.as_slice());
    let head: AnswerHead = *bytemuck::from_bytes(bytes.get(..BODY_AT)?);
    if head.expires_at_boot_ns == 0 {
        return None;
    }
    let (body_len, name_len) = (usize::from(head.body_len), usize::from(head.name_len));
    let name_at = usize::from(head.name_at);
    let ttl_offsets_at = name_at + name_len.next_multiple_of(8);
    let ttl_count = usize::from(head.ttl_even_count) + usize::from(head.ttl_odd_count);
    let end = ttl_offsets_at + 2 * ttl_count;
    let is_sound = name_at.is_multiple_of(8)
        && (BODY_AT + body_len + OPT_LEN) <= name_at
        && (1..=NAME_LEN_MAX).contains(&name_len)
        && end.div_ceil(LINE_LEN) == usize::from(head.slot_lines);
    if !is_sound {
        return None;
    }
    Some(SlotView {
        head,
        body: bytes.get(BODY_AT..BODY_AT + body_len)?,
        name: bytes.get(name_at..name_at + name_len)?,
        ttl_offsets: bytes.get(ttl_offsets_at..end)?,
    })
}

/// Where the parts of a slot lie, in bytes, and its length.
struct Layout {
    name_at: usize,
    ttl_offsets_at: usize,
    lines: usize,
}

/// Lays out a checked answer.
fn layout(answer: &Answer<'_>) -> Layout {
    let name_at = (BODY_AT + answer.body.len() + OPT_LEN).next_multiple_of(8);
    let ttl_offsets_at = name_at + answer.name.len().next_multiple_of(8);
    let lines = (ttl_offsets_at + 2 * answer.ttl_offsets.len()).div_ceil(LINE_LEN);
    Layout { name_at, ttl_offsets_at, lines }
}

/// The head of a slot whose body and OPT are written already.
fn head(answer: &Answer<'_>, layout: &Layout, bytes: &[u8]) -> AnswerHead {
    let body_end = BODY_AT + answer.body.len();
    let sum_to = |end: usize| checksum::of_bytes(bytes.get(BODY_AT..end).unwrap_or_default());
    let odd = answer.ttl_offsets.iter().filter(|at| *at % 2 == 1).count();
    let flags = if answer.secure { FLAG_SECURE } else { 0 } | if answer.dnssec_ok { FLAG_DO } else { 0 };
    AnswerHead {
        expires_at_boot_ns: answer.expires_at_boot_ns,
        body_sum: sum_to(body_end),
        body_opt_sum: sum_to(body_end + OPT_LEN),
        body_len: answer.body.len() as u16,
        name_at: layout.name_at as u16,
        qtype: answer.qtype,
        name_len: answer.name.len() as u8,
        ttl_even_count: (answer.ttl_offsets.len() - odd) as u8,
        ttl_odd_count: odd as u8,
        answer_count: answer.answer_count,
        authority_count: answer.authority_count,
        rcode: answer.rcode,
        flags,
        slot_lines: layout.lines as u8,
        ..AnswerHead::zeroed()
    }
}

/// Refuses what the fast path could not serve.
fn check(answer: &Answer<'_>) -> Result<(), SlotError> {
    check_name(answer.name)?;
    if !matches!(answer.rcode, 0 | 3) {
        return Err(SlotError::Rcode { rcode: answer.rcode });
    }
    if answer.body.len() < BODY_LEN_MIN {
        return Err(SlotError::BodyShort { len: answer.body.len() });
    }
    let len = DNS_HEADER_LEN + answer.name.len() + QUESTION_END_LEN + answer.body.len() + OPT_LEN;
    if len > UDP_PAYLOAD_LEN_MAX {
        return Err(SlotError::MessageLong { len });
    }
    if !(1..=TTL_FIELDS_MAX).contains(&answer.ttl_offsets.len()) {
        return Err(SlotError::TtlCount { count: answer.ttl_offsets.len() });
    }
    let mut free_from = 0;
    for at in answer.ttl_offsets {
        if usize::from(*at) < free_from || usize::from(*at) + 4 > answer.body.len() {
            return Err(SlotError::TtlOffset { at: *at });
        }
        free_from = usize::from(*at) + 4;
    }
    if answer.expires_at_boot_ns == 0 {
        return Err(SlotError::Expiry);
    }
    Ok(())
}

/// Walks the labels of a name.
fn check_name(name: &[u8]) -> Result<(), SlotError> {
    let mut at = 0;
    loop {
        let wrong = Err(SlotError::Name { at });
        if at >= NAME_LEN_MAX {
            return wrong;
        }
        match name.get(at) {
            Some(0) if name.len() == at + 1 => return Ok(()),
            Some(len @ 1..=63) => match name.get(at + 1..=at + usize::from(*len)) {
                Some(label) if !label.contains(&0) => at += 1 + usize::from(*len),
                _ => return wrong,
            },
            _ => return wrong,
        }
    }
}

/// Copies `part` to offset `at`. The layout was checked, so it fits; were it not to, nothing is copied.
fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + part.len()) {
        place.copy_from_slice(part);
    }
}

// The longest slot: body and name share the message's 1232 bytes, each padded to a word.
const _: () = assert!(
    BODY_AT + UDP_PAYLOAD_LEN_MAX - DNS_HEADER_LEN - QUESTION_END_LEN + 7 + 7 + 2 * TTL_FIELDS_MAX
        <= SLOT_WORDS_MAX * 8
);

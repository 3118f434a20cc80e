//! Holds the answers in the maps against what the daemon knows of them.
//!
//! In: the table's buckets, some at a time, and for each slot what the daemon's cache would publish now. Out: what is wrong
//! with a slot, if anything is. The publishing thread says what became of the bytes that it wrote; whoever asks compares
//! them with the cache.
//! Refuses to repair: an answer that is wrong here was changed by somebody else, or by a fault that should be looked for.

use bytemuck::Zeroable as _;
use resolver_ebpf::abi::{
    AnswerHead, BODY_AT, BUCKET_ENTRIES, HASH_KEY_WORDS, LINE_LEN, SLOT_WORDS_MAX, TTL_FIELDS_MAX,
};
use resolver_ebpf::slot::{self as layout, answer_key_hash};
use thiserror::Error;

use super::Publication;
use super::slot::{self, describe};
use super::status::FastPathEntry;
use super::table::{AnswerTable, SlotWords};
use crate::clock::NS_PER_S;

/// Buckets that are looked at while nothing is published. Choice: with all their entries used, about 3 ms.
const BUCKETS_AT_ONCE: usize = 512;

/// What is wrong with a published answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SlotFault {
    /// An entry of the index leads to a slot that was never published, or not from there.
    #[error("the index leads to a slot that was not published there")]
    Stray,
    /// The slot cannot be read.
    #[error("the slot makes no sense")]
    Unreadable,
    /// The slot is not what was written.
    #[error("the slot was changed after it was published")]
    Changed,
    /// The key's hash leads elsewhere.
    #[error("the index entry is not that of the slot's key")]
    Misplaced,
    /// The daemon's cache says something else.
    #[error("the daemon's answer has another {0}")]
    Differs(&'static str),
}

/// A slot, as the index leads to it.
#[derive(Clone, Debug)]
pub struct HeldSlot {
    /// Its words, as many as it says that it has.
    words: Box<[u64]>,
    /// What is wrong with it, as far as the publishing thread can tell.
    pub fault: Option<SlotFault>,
}

/// Some of the published answers.
#[derive(Clone, Debug, Default)]
pub struct HeldSlots {
    /// They.
    pub slots: Vec<HeldSlot>,
    /// Published answers to which no entry of the index leads any more; told with the first of them.
    pub unreachable: u64,
    /// Where the next ones begin; none after the last.
    pub next: Option<usize>,
}

/// How a slot compares with what the daemon's cache would publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// Every byte that a client gets is the same.
    Equal,
    /// It holds an answer whose time ends at another moment: the daemon has found a newer one since.
    Other,
    /// It should be the same answer, but it is not.
    Differs(SlotFault),
}

impl HeldSlot {
    /// The slot as an operator wants to see it; none if it makes no sense.
    pub fn describe(&self, now_boot_ns: u64) -> Option<FastPathEntry> {
        describe(&self.whole(), now_boot_ns)
    }

    /// Name in wire form, type, and whether it is the form for DO=1.
    pub fn key(&self) -> Option<(Vec<u8>, u16, bool)> {
        let words = self.whole();
        let view = layout::read(&words)?;
        Some((view.name.to_vec(), view.head.qtype, slot::is_for_do(&view.head)))
    }

    /// Compares the slot with what would be published now.
    pub fn compare(&self, publication: &Publication) -> Likeness {
        let words = self.whole();
        let Some(view) = layout::read(&words) else { return Likeness::Differs(SlotFault::Unreadable) };
        if view.head.expires_at_boot_ns.abs_diff(publication.expires_at_boot_ns) >= NS_PER_S {
            return Likeness::Other;
        }
        // What the key hashes to does not matter here, nor whether there is a whole second left.
        let Ok(wanted) = slot::render(publication, &[0; HASH_KEY_WORDS], 0) else {
            return Likeness::Differs(SlotFault::Differs("size"));
        };
        let mut wanted = *wanted.entry().slot;
        let mut part = differing_after_expiry(&words, &wanted);
        // Where records take turns, any of them may stand first.
        if let Some(rotation) = publication.rotation {
            for _ in 1..TTL_FIELDS_MAX {
                if part.is_none() {
                    break;
                }
                let body = bytemuck::cast_slice_mut::<u64, u8>(&mut wanted).get_mut(BODY_AT..).unwrap_or_default();
                rotation.turn(body, 1);
                part = part.and(differing_after_expiry(&words, &wanted));
            }
        }
        part.map_or(Likeness::Equal, |at| Likeness::Differs(SlotFault::Differs(part_name(at, &words))))
    }

    fn whole(&self) -> SlotWords {
        let mut words = [0; SLOT_WORDS_MAX];
        words.iter_mut().zip(&self.words).for_each(|(to, from)| *to = *from);
        words
    }
}

impl AnswerTable {
    /// The answers of some buckets from `first` on, each held against what was written.
    pub fn held(&self, first: usize, hash_key: &[u64; HASH_KEY_WORDS]) -> HeldSlots {
        let last = (first + BUCKETS_AT_ONCE).min(self.bucket_count());
        let slots = (first * BUCKET_ENTRIES..last * BUCKET_ENTRIES).filter_map(|at| self.held_at(at, hash_key));
        let unreachable = if first == 0 { self.unreachable() as u64 } else { 0 };
        HeldSlots { slots: slots.collect(), unreachable, next: (last < self.bucket_count()).then_some(last) }
    }

    /// The answer that an entry of the index leads to.
    fn held_at(&self, entry_at: usize, hash_key: &[u64; HASH_KEY_WORDS]) -> Option<HeldSlot> {
        let entry = self.entry(entry_at);
        if entry.place.is_none() {
            return None;
        }
        let Some((words, written)) = self.written(entry.place, entry_at) else {
            return Some(HeldSlot { words: Box::default(), fault: Some(SlotFault::Stray) });
        };
        let fault = match layout::read(&words) {
            None => Some(SlotFault::Unreadable),
            Some(_) if digest(&words) != written => Some(SlotFault::Changed),
            Some(view) => {
                let hash = answer_key_hash(view.name, view.head.qtype, slot::is_for_do(&view.head), hash_key);
                let is_in_place = hash as u32 == entry.tag && self.entries_of(hash).any(|at| at == entry_at);
                (!is_in_place).then_some(SlotFault::Misplaced)
            }
        };
        let used = layout::read(&words).map_or(0, |view| usize::from(view.head.slot_lines) * LINE_LEN / 8);
        Some(HeldSlot { words: words[..used].into(), fault })
    }
}

/// A number that changes with any word of a slot that a client's answer depends on. No defence against forgers: who can write
/// the maps can do anything.
pub fn digest(words: &SlotWords) -> u64 {
    let used = layout::read(words).map_or(SLOT_WORDS_MAX, |view| usize::from(view.head.slot_lines) * LINE_LEN / 8);
    let mix = |sum: u64, (at, &word): (usize, &u64)| {
        (sum ^ comparable(at, word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    };
    words.iter().take(used).enumerate().fold(0, mix)
}

/// A word of a slot without what XDP writes there: when it was last used.
fn comparable(at: usize, word: u64) -> u64 {
    if at != USE_WORD {
        return word;
    }
    let mut head_words = [0u64; size_of::<AnswerHead>() / 8];
    head_words[at] = word;
    let head = AnswerHead { last_used_s: 0, ..bytemuck::cast(head_words) };
    bytemuck::cast::<AnswerHead, [u64; size_of::<AnswerHead>() / 8]>(head)[at]
}

/// The first word that differs, but for the moment of expiry, which is known to be the same within a second.
fn differing_after_expiry(a: &SlotWords, b: &SlotWords) -> Option<usize> {
    (1..SLOT_WORDS_MAX).find(|&at| comparable(at, a[at]) != comparable(at, b[at]))
}

/// What a word of a slot holds, in the words of the protocol.
fn part_name(at: usize, words: &SlotWords) -> &'static str {
    let head: AnswerHead = layout::read(words).map_or_else(AnswerHead::zeroed, |view| view.head);
    match at {
        1 => "length or checksum",
        2 => "type, RCODE or number of records",
        USE_WORD => "status of validation",
        at if at * 8 < usize::from(head.name_at) => "record",
        _ => "name or place of a TTL",
    }
}

/// The word of the head that XDP writes to.
const USE_WORD: usize = std::mem::offset_of!(AnswerHead, last_used_s) / 8;

const _: () = assert!(std::mem::offset_of!(AnswerHead, expires_at_boot_ns) == 0 && size_of::<AnswerHead>() == 32);

#[cfg(test)]
mod tests {
    use resolver_ebpf::slot::{Answer, render};

    use super::*;

    fn slot() -> (SlotWords, usize) {
        let answer = Answer {
            name: b"\x03www\x04test\0",
            qtype: 1,
            dnssec_ok: true,
            secure: true,
            rcode: 0,
            answer_count: 1,
            authority_count: 0,
            body: &[7; 40],
            ttl_offsets: &[6],
            expires_at_boot_ns: 60 * NS_PER_S,
        };
        let mut words = [0; SLOT_WORDS_MAX];
        let lines = render(&answer, &mut words).unwrap();
        (words, lines * LINE_LEN / 8)
    }

    #[test]
    fn a_digest_changes_with_every_bit_but_those_that_xdp_writes() {
        let (words, used) = slot();
        let before = digest(&words);
        for at in 0..used {
            for bit in 0..64 {
                let mut changed = words;
                changed[at] ^= 1 << bit;
                let is_use = at == USE_WORD && bit < 32;
                assert_eq!(digest(&changed) == before, is_use, "word {at}, bit {bit}");
            }
        }
    }
}

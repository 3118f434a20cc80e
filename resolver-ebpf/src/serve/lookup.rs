//! Finds the published answer to a query.
//!
//! In: a [`Query`] and the maps. Out: [`Found`], whose name, type and DO are exactly the query's.
//! A stale or colliding index entry leads to a slot that does not compare equal: a miss.

use core::mem::offset_of;

use super::admit::Query;
use super::family::Family;
use super::{Bucket, Frame, SharedWord, Slot, Store};
use crate::abi::{
    AnswerHead, BUCKET_ENTRIES, BucketEntry, FLAG_DO, FLAG_SECURE, LINE_LEN, OPT_LEN, Outcome, Place, Settings,
    TTL_FIELDS_MAX, entry_in_turn, partner,
};
use crate::wire::bytes::low_u32;
use crate::wire::name::{NAME_WORDS_MAX, fold_word, tag};

/// Finds the answer to `query`.
#[inline(always)]
pub(super) fn look_up<'s, I: Family, F: Frame, S: Store>(
    frame: &F,
    store: &'s S,
    settings: &Settings,
    query: &Query,
) -> Result<Found<'s>, Outcome> {
    let place = find_place(store, settings, query.key_hash).ok_or(Outcome::PassMiss)?;
    let found = Found { slot: store.slot(place).ok_or(Outcome::PassMiss)? };
    found.fetch_second_line();
    let kind = found.kind();
    let is_alike = usize::from(kind.name_len) == query.name_len
        && kind.qtype == query.qtype
        && found.is_for_do() == query.dnssec_ok;
    if !is_alike || !has_name::<I, F>(frame, &found, query.last_word) {
        return Err(Outcome::PassMiss);
    }
    Ok(found)
}

/// A published answer.
///
/// VERIFIER: every method loads from the slot anew. A loaded number has no history, so the verifier takes up the rest of
/// the program once, and not once for each turn after which the loop before may have ended.
pub(super) struct Found<'s> {
    slot: &'s Slot,
}

impl<'s> Found<'s> {
    /// Loads from the slot's second line, where a short answer has its name, while the first one is still awaited, which says
    /// where the name is.
    #[inline(always)]
    fn fetch_second_line(&self) {
        if let Some(word) = self.slot.get(LINE_LEN / 8) {
            word.load();
        }
    }

    /// The head with the fields of one of its words; the others are zero.
    #[inline(always)]
    fn head<const WORD: usize>(&self) -> AnswerHead {
        let mut words = [0u64; size_of::<AnswerHead>() / 8];
        if let (Some(word), Some(stored)) = (words.get_mut(WORD), self.slot.get(WORD)) {
            *word = stored.load();
        }
        bytemuck::must_cast(words)
    }

    /// When the TTL ends, in nanoseconds of CLOCK_BOOTTIME.
    #[inline(always)]
    pub fn expires_at_boot_ns(&self) -> u64 {
        self.head::<EXPIRY>().expires_at_boot_ns
    }

    /// Length of the name in wire form: 1..=255.
    #[inline(always)]
    pub fn name_len(&self) -> usize {
        usize::from(self.head::<KIND>().name_len)
    }

    /// The head's counts, [`AnswerHead::rcode`] and what else stands beside them.
    #[inline(always)]
    pub fn kind(&self) -> AnswerHead {
        self.head::<KIND>()
    }

    /// Length of the body, in bytes.
    #[inline(always)]
    pub fn body_len(&self, with_opt: bool) -> usize {
        let opt_len = if with_opt { OPT_LEN } else { 0 };
        usize::from(self.head::<LENGTHS>().body_len).wrapping_add(opt_len)
    }

    /// Sum of the body with TTLs of zero, as from an even offset.
    #[inline(always)]
    pub fn body_sum(&self, with_opt: bool) -> u64 {
        let head = self.head::<LENGTHS>();
        u64::from(if with_opt { head.body_opt_sum } else { head.body_sum })
    }

    /// Whether the answer is Secure.
    #[inline(always)]
    pub fn is_secure(&self) -> bool {
        self.head::<USE>().flags & FLAG_SECURE != 0
    }

    /// Whether this is the form for DO=1.
    #[inline(always)]
    fn is_for_do(&self) -> bool {
        self.head::<USE>().flags & FLAG_DO != 0
    }

    /// The slot.
    #[inline(always)]
    pub fn slot(&self) -> &'s Slot {
        self.slot
    }

    /// The slot from its name on.
    #[inline(always)]
    fn named<F: Frame>(&self, frame: &F) -> Option<&'s [SharedWord; NAMED_WORDS]> {
        part(frame, self.slot, usize::from(self.head::<LENGTHS>().name_at >> 3))
    }

    /// The offsets of the TTL fields, four in a word.
    #[inline(always)]
    pub fn ttl_offsets<F: Frame>(&self, frame: &F) -> Option<&'s [SharedWord; TTL_WORDS]> {
        part(frame, self.named(frame)?, self.name_len().wrapping_add(7) >> 3)
    }

    /// Notes the second of use, which the daemon evicts by. Written only when it changes, so that the line of a hot slot
    /// stays shared between CPUs.
    #[inline(always)]
    pub fn mark_used(&self, now_s: u32) {
        let mut head = self.head::<USE>();
        if head.last_used_s == now_s {
            return;
        }
        head.last_used_s = now_s;
        let words: [u64; size_of::<AnswerHead>() / 8] = bytemuck::must_cast(head);
        // The other half of the word is immutable while the slot is published, so writing it again changes nothing.
        if let (Some(word), Some(stored)) = (words.get(USE), self.slot.get(USE)) {
            stored.store(*word);
        }
    }
}

/// The place that the index holds for a key: in its own bucket, which most are in, or in the partner.
#[inline(always)]
fn find_place<S: Store>(store: &S, settings: &Settings, key_hash: u64) -> Option<Place> {
    let home = low_u32(key_hash >> (settings.bucket_shift & 63));
    let wanted = tag(key_hash);
    for bucket in [home, partner(home)] {
        let place = in_bucket(store.bucket(bucket)?, wanted);
        if place.is_some() {
            return place;
        }
    }
    None
}

/// The place that a bucket holds for a tag.
#[inline(always)]
fn in_bucket(bucket: &Bucket, wanted: u32) -> Option<Place> {
    for turn in 0..BUCKET_ENTRIES {
        let entry: BucketEntry = bytemuck::must_cast(bucket.get(entry_in_turn(wanted, turn))?.load());
        if entry.tag == wanted && !entry.place.is_none() {
            return Some(entry.place);
        }
    }
    None
}

/// `LEN` words of a slot from word `at` on.
#[inline(always)]
pub(super) fn part<'w, const LEN: usize, F: Frame>(
    frame: &F,
    words: &'w [SharedWord],
    at: usize,
) -> Option<&'w [SharedWord; LEN]> {
    // VERIFIER: keeps the comparison and the addition on one register. With a constant length, and so one comparison for
    // the whole part, the compiler need not carry an address through a loop that is checked by another counter.
    words.get(frame.hide(at)..)?.first_chunk()
}

/// Whether the name in the slot is that of the query, whose last word is `last_word`. Their lengths are known to be equal.
#[inline(always)]
fn has_name<I: Family, F: Frame>(frame: &F, found: &Found<'_>, last_word: u64) -> bool {
    let (Some(named), name_len) = (found.named(frame), found.name_len()) else { return false };
    for (turn, stored) in named.iter().take(NAME_WORDS_MAX).enumerate() {
        let stored = stored.load();
        let read = turn.wrapping_mul(8);
        if read.wrapping_add(8) >= name_len {
            return stored == last_word;
        }
        let Some(word) = frame.view::<[u8; 8]>(I::NAME_AT.wrapping_add(read)) else { return false };
        let word = u64::from_le_bytes(*word);
        // What is stored is folded, so a word that is equal as it came need not be.
        if stored != word && stored != fold_word(word) {
            return false;
        }
    }
    false
}

/// Words of the head, by what they hold.
const EXPIRY: usize = offset_of!(AnswerHead, expires_at_boot_ns) / 8;
const LENGTHS: usize = offset_of!(AnswerHead, body_len) / 8;
const KIND: usize = offset_of!(AnswerHead, name_len) / 8;
const USE: usize = offset_of!(AnswerHead, last_used_s) / 8;
/// Words of the most TTL offsets.
pub(super) const TTL_WORDS: usize = TTL_FIELDS_MAX / 4;
/// Words of a slot from its name on.
const NAMED_WORDS: usize = NAME_WORDS_MAX + TTL_WORDS;

const _: () =
    assert!(offset_of!(AnswerHead, name_at) / 8 == LENGTHS && offset_of!(AnswerHead, body_sum) / 8 == LENGTHS);
const _: () = assert!(offset_of!(AnswerHead, body_opt_sum) / 8 == LENGTHS && offset_of!(AnswerHead, qtype) / 8 == KIND);
const _: () = assert!(offset_of!(AnswerHead, ttl_odd_count) / 8 == KIND && offset_of!(AnswerHead, rcode) / 8 == KIND);
const _: () = assert!(offset_of!(AnswerHead, flags) / 8 == USE);

//! The published answers as the daemon keeps them: writes slots and entries, retires them, and knows what is where.
//!
//! In: slots made by [`resolver_ebpf::slot`]. Out: what XDP answers. One thread owns the table.
//! Refuses: to change a slot that an entry leads to. A retired slot goes to limbo, and whoever owns the table gives it
//! back after a grace period.

mod adopt;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use resolver_ebpf::abi::{
    AnswerHead, BLOCK_LINES, BODY_AT, BUCKET_ENTRIES, BucketEntry, FLAG_DO, LINE_LEN, Place, SLOT_WORDS_MAX,
    entry_in_turn, partner,
};

use super::memory::MappedArray;
use super::pool::SlotPool;
use super::schedule::Schedule;
use super::verify::digest;
use crate::answer::Rotation;
use crate::clock::NS_PER_S;

pub use adopt::Adopted;

const WORDS_PER_LINE: usize = LINE_LEN / 8;
/// Words of a slot's head.
const HEAD_WORDS: usize = BODY_AT / 8;
/// Published answers that are looked at to find one that has not been asked for lately.
const VICTIM_SAMPLE: usize = 8;
/// How long an answer that XDP has given is kept before those that it never gave, in seconds.
/// Choice: ten minutes. A flood of names that nobody asks for twice takes the places of its own kind only, and what was
/// popular once gives way in the end.
const EARNED_S: u32 = 600;
/// An answer that XDP has given within this time gives way to none in a full bucket, in seconds.
const BUSY_S: u32 = 10;
/// Shortest time between two blocks that are taken from another slot length, in nanoseconds.
/// Choice: four of them a second are 2,000 short answers.
const BLOCK_PERIOD_NS: u64 = NS_PER_S / 4;
/// Blocks that are looked at to find one that another slot length needs more.
const BLOCK_SAMPLE: usize = 8;

/// A slot's words, ready to be copied.
pub type SlotWords = [u64; SLOT_WORDS_MAX];

/// Everything about an answer that the table needs beside its slot.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Hash of the key: name, type, DO.
    pub key_hash: u64,
    /// The slot.
    pub slot: &'a SlotWords,
    /// Its length, in lines.
    pub lines: usize,
    /// When its TTL ends, in nanoseconds of CLOCK_BOOTTIME.
    pub expires_at_boot_ns: u64,
    /// From when on it is to be found anew if it is asked for, in nanoseconds of CLOCK_BOOTTIME; `u64::MAX`: never.
    pub refresh_from_boot_ns: u64,
    /// The addresses in its body that change places from time to time, if they do.
    pub rotation: Option<Rotation>,
    /// Cleared when the answer leaves the table.
    pub published: Arc<AtomicBool>,
}

/// Why an answer was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another key with the same tag is published in the same pair of buckets; the kernel half would look at only one of them.
    TagTaken,
    /// All entries of its bucket and of the partner are those of answers that are asked for all the time.
    BucketFull,
    /// No slot is free; room is being made for the next try.
    NoRoom,
}

/// Answers that had to go before their time, by what was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Their bucket.
    pub bucket: u64,
    /// The slots of their length.
    pub length: u64,
    /// The slots of another length, for which their block was needed.
    pub block: u64,
}

/// The table. See the module's documentation.
#[derive(Debug)]
pub struct AnswerTable {
    buckets: MappedArray,
    answers: MappedArray,
    bucket_shift: u32,
    pool: SlotPool,
    records: HashMap<Place, Record>,
    expiries: BinaryHeap<Reverse<(u64, Place)>>,
    looks: Schedule,
    /// When the addresses of an answer change places next.
    turns: Schedule,
    limbo: Vec<Place>,
    evictions: Evictions,
    /// When the next block may be taken from another length, in nanoseconds of CLOCK_BOOTTIME.
    next_block_boot_ns: u64,
    random: u32,
}

#[derive(Debug)]
struct Record {
    /// Position of the entry among all words of the buckets.
    entry_at: usize,
    expires_at_boot_ns: u64,
    published_at_s: u32,
    /// Of the slot as it was written.
    digest: u64,
    refresh_from_boot_ns: u64,
    rotation: Option<Rotation>,
    published: Arc<AtomicBool>,
}

/// How much an answer is wanted: those that XDP has not given lately come before those that it has, and among equals the one
/// that was asked for, or published, longest ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    earned: bool,
    wanted_at_s: u32,
}

impl AnswerTable {
    /// An empty table over mapped `BUCKETS` (2 to 2^31, a power of two) and `ANSWERS`, both zeroed.
    pub fn new(buckets: MappedArray, answers: MappedArray, blocks: u32) -> Self {
        let bucket_count = buckets.words().len() / BUCKET_ENTRIES;
        Self {
            bucket_shift: 64 - bucket_count.trailing_zeros(),
            buckets,
            answers,
            pool: SlotPool::new(blocks),
            records: HashMap::new(),
            expiries: BinaryHeap::new(),
            looks: Schedule::default(),
            turns: Schedule::default(),
            limbo: Vec::new(),
            evictions: Evictions::default(),
            next_block_boot_ns: 0,
            random: 0x9e37_79b9,
        }
    }

    /// What [`resolver_ebpf::abi::Settings::bucket_shift`] has to be for this table.
    pub fn bucket_shift(&self) -> u32 {
        self.bucket_shift
    }

    /// Published answers.
    pub fn published(&self) -> usize {
        self.records.len()
    }

    /// Answers that had to go before their time.
    pub fn evictions(&self) -> Evictions {
        self.evictions
    }

    /// Whether slots are getting scarce: nine of ten blocks are in use.
    pub fn is_crowded(&self) -> bool {
        self.pool.used_blocks() * 10 >= self.pool.blocks() * 9
    }

    /// Bytes of `ANSWERS` that belong to blocks in use.
    pub fn used_bytes(&self) -> usize {
        self.pool.used_blocks() * BLOCK_LINES * LINE_LEN
    }

    /// Publishes an answer, in place of an older one for the same key. XDP answers with it from the last store on.
    ///
    /// # Errors
    /// Why it is not published; nothing has changed then, except that room may be under way.
    pub fn publish(&mut self, entry: &Entry<'_>, now_boot_ns: u64) -> Result<(), Refusal> {
        let tag = entry.key_hash as u32;
        let now_s = (now_boot_ns / NS_PER_S) as u32;
        let found = self.find(entry.key_hash, entry.slot)?;
        let (entry_at, evicts) = match found {
            Some(entry_at) => (entry_at, false),
            None => (self.least_wanted(entry.key_hash, now_s).ok_or(Refusal::BucketFull)?, true),
        };
        let Some(place) = self.pool.take(entry.lines) else {
            self.make_room(entry.lines, now_boot_ns);
            return Err(Refusal::NoRoom);
        };
        self.write_slot(place, entry.slot, entry.lines);
        let old = self.entry(entry_at).place;
        if !old.is_none() && !evicts {
            self.inherit_use(old, place);
        }
        // Release: the slot's words are in memory before the entry that leads to them.
        let word = bytemuck::cast(BucketEntry { place, tag });
        store(&self.buckets.words()[entry_at], word, Ordering::Release);
        if !old.is_none() {
            self.forget(old);
            self.evictions.bucket += u64::from(evicts);
        }
        entry.published.store(true, Ordering::Relaxed);
        self.remember(entry, place, entry_at, now_s);
        if !self.pool.has_room(entry.lines) {
            self.make_room(entry.lines, now_boot_ns);
        }
        Ok(())
    }

    /// Retires everything whose time is over.
    pub fn retire_expired(&mut self, now_boot_ns: u64) {
        while let Some(&Reverse((expires_at, place))) = self.expiries.peek()
            && expires_at <= now_boot_ns
        {
            self.expiries.pop();
            // The slot may have been given to another answer since.
            if self.records.get(&place).is_some_and(|record| record.expires_at_boot_ns == expires_at) {
                self.retire(place);
            }
        }
    }

    /// Retires everything.
    pub fn flush(&mut self) {
        let places: Vec<Place> = self.records.keys().copied().collect();
        for place in places {
            self.retire(place);
        }
    }

    /// Up to `max` published answers whose time to be found anew has come and that XDP has given since then. Each is told
    /// again some time later, unless it has been replaced.
    pub fn nearly_over(&mut self, now_boot_ns: u64, max: usize) -> Vec<SlotWords> {
        let mut found = Vec::new();
        while found.len() < max
            && let Some(place) = self.looks.next_due(now_boot_ns)
        {
            // The slot may have been given to another answer since.
            let Some(record) = self.records.get(&place) else { continue };
            let (from, end) = (record.refresh_from_boot_ns, record.expires_at_boot_ns);
            if from > now_boot_ns || end <= now_boot_ns {
                continue;
            }
            let is_wanted = u64::from(self.last_used_s(place)) >= from / NS_PER_S;
            if is_wanted {
                found.push(self.read_slot(place));
            }
            self.looks.again(now_boot_ns, end, is_wanted, place);
        }
        found
    }

    /// Lets addresses of answers that XDP has given change places: once in `period_s` seconds, and of up to `max` answers now. What is
    /// published stays as it is; a turned copy takes its place. Those who find no room stay as they are until the next time.
    pub fn rotate(&mut self, now_boot_ns: u64, period_s: u32, max: usize) {
        let next_boot_ns = now_boot_ns + u64::from(period_s) * NS_PER_S;
        for _ in 0..max {
            let Some(place) = self.turns.next_due(now_boot_ns) else { return };
            let Some(record) = self.records.get(&place) else { continue };
            let Some(rotation) = record.rotation else { continue };
            let is_used = self.last_used_s(place) >= record.published_at_s;
            let turned = if is_used { self.turn(place, rotation, now_boot_ns) } else { None };
            self.turns.add(next_boot_ns, turned.unwrap_or(place));
        }
    }

    /// Puts a turned copy of an answer in its place.
    fn turn(&mut self, place: Place, rotation: Rotation, now_boot_ns: u64) -> Option<Place> {
        let lines = usize::from(self.pool.length_of(place));
        let mut slot = self.read_slot(place);
        // What somebody else has changed is not made good by turning it.
        if self.records.get(&place)?.digest != digest(&slot) {
            return None;
        }
        let new = self.pool.take(lines)?;
        let body = bytemuck::cast_slice_mut::<u64, u8>(&mut slot).get_mut(BODY_AT..).unwrap_or_default();
        rotation.turn(body, 1);
        self.write_slot(new, &slot, lines);
        let mut record = self.records.remove(&place)?;
        record.digest = digest(&slot);
        let word = bytemuck::cast(BucketEntry { place: new, ..self.entry(record.entry_at) });
        // Release: as for a new answer.
        store(&self.buckets.words()[record.entry_at], word, Ordering::Release);
        self.limbo.push(place);
        record.published_at_s = (now_boot_ns / NS_PER_S) as u32;
        self.expiries.push(Reverse((record.expires_at_boot_ns, new)));
        self.looks.add(record.refresh_from_boot_ns, new);
        self.records.insert(new, record);
        Some(new)
    }

    /// Slots that no entry leads to any more. They may be given back after a grace period that starts now.
    pub fn take_limbo(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.limbo)
    }

    /// Makes retired slots free. The caller has waited for the grace period.
    pub fn give_back(&mut self, places: &[Place]) {
        for &place in places {
            self.pool.give_back(place);
        }
    }

    /// Every published slot.
    pub fn slots(&self) -> impl Iterator<Item = SlotWords> + '_ {
        self.records.keys().map(|&place| self.read_slot(place))
    }

    /// The maps' memory: `BUCKETS` and `ANSWERS`.
    pub fn memory(&self) -> [&MappedArray; 2] {
        [&self.buckets, &self.answers]
    }

    /// Buckets of the index.
    pub fn bucket_count(&self) -> usize {
        self.buckets.words().len() / BUCKET_ENTRIES
    }

    /// A published slot as it is, and the digest of what was written, if the entry at `entry_at` is the one that should lead
    /// there.
    pub fn written(&self, place: Place, entry_at: usize) -> Option<(SlotWords, u64)> {
        let record = self.records.get(&place).filter(|record| record.entry_at == entry_at)?;
        Some((self.read_slot(place), record.digest))
    }

    /// Published answers to which their entry does not lead.
    pub fn unreachable(&self) -> usize {
        self.records.iter().filter(|(place, record)| self.entry(record.entry_at).place != **place).count()
    }

    /// When the answer published for a key ends, in nanoseconds of CLOCK_BOOTTIME; none if there is none.
    pub fn expires_at_boot_ns(&self, key_hash: u64) -> Option<u64> {
        let entries = self.entries_of(key_hash).map(|at| self.entry(at));
        let mut tagged = entries.filter(|entry| !entry.place.is_none() && entry.tag == key_hash as u32);
        Some(self.records.get(&tagged.next()?.place)?.expires_at_boot_ns)
    }

    /// The entries that a key may have, by their positions among all words of the buckets: those of its own bucket, then those of
    /// the partner, as the kernel half looks at them.
    pub fn entries_of(&self, key_hash: u64) -> impl Iterator<Item = usize> + use<> {
        let (home, tag) = ((key_hash >> self.bucket_shift) as u32, key_hash as u32);
        let in_turn = move |turn| entry_in_turn(tag, turn);
        let entries_of =
            move |bucket| (0..BUCKET_ENTRIES).map(move |turn| bucket as usize * BUCKET_ENTRIES + in_turn(turn));
        [home, partner(home)].into_iter().flat_map(entries_of)
    }

    /// Finds the entry to replace: the one of the same key, or a free one; none if both buckets are full.
    fn find(&self, key_hash: u64, wanted: &SlotWords) -> Result<Option<usize>, Refusal> {
        let (tag, mut free) = (key_hash as u32, None);
        for at in self.entries_of(key_hash) {
            let entry = self.entry(at);
            if entry.place.is_none() {
                free = free.or(Some(at));
            } else if entry.tag == tag {
                return if self.has_key_of(entry.place, wanted) { Ok(Some(at)) } else { Err(Refusal::TagTaken) };
            }
        }
        Ok(free)
    }

    /// The entry of two full buckets that is wanted least; none if all are in use all the time.
    fn least_wanted(&self, key_hash: u64, now_s: u32) -> Option<usize> {
        let standing = |at: usize| self.standing(self.entry(at).place, now_s);
        let at = self.entries_of(key_hash).min_by_key(|&at| standing(at))?;
        let Standing { earned, wanted_at_s } = standing(at);
        (!earned || now_s.saturating_sub(wanted_at_s) >= BUSY_S).then_some(at)
    }

    /// Retires one answer that a slot of `lines` lines could follow, the least wanted of a sample. If no block has slots of that
    /// length, or those that have are all wanted, a block of another length is emptied.
    fn make_room(&mut self, lines: usize, now_boot_ns: u64) {
        self.retire_expired(now_boot_ns);
        let now_s = (now_boot_ns / NS_PER_S) as u32;
        let mut random = self.random;
        let sample = self.pool.sample(lines, || next_random(&mut random), VICTIM_SAMPLE);
        self.random = random;
        let published = sample.iter().copied().filter(|place| self.records.contains_key(place));
        let victim = published.min_by_key(|&place| self.standing(place, now_s));
        if sample.is_empty() && self.limbo.is_empty() {
            self.empty_block(self.pool.emptiest_block());
        } else if let Some(victim) = victim
            && !(self.standing(victim, now_s).earned && self.take_block(lines, now_boot_ns))
        {
            self.retire(victim);
            self.evictions.length += 1;
        }
    }

    /// Empties a block of another length of which XDP has lately given less than half of the answers, if one is met among some.
    fn take_block(&mut self, lines: usize, now_boot_ns: u64) -> bool {
        if now_boot_ns < self.next_block_boot_ns {
            return false;
        }
        let now_s = (now_boot_ns / NS_PER_S) as u32;
        for _ in 0..BLOCK_SAMPLE {
            let random = next_random(&mut self.random);
            let Some(places) = self.pool.block_of_another_length(lines, random) else { continue };
            let earned = places.iter().filter(|&&place| self.standing(place, now_s).earned).count();
            if earned * 2 < places.len() {
                self.next_block_boot_ns = now_boot_ns + BLOCK_PERIOD_NS;
                self.empty_block(places);
                return true;
            }
        }
        false
    }

    fn empty_block(&mut self, places: Vec<Place>) {
        for place in places {
            self.evictions.block += u64::from(self.records.contains_key(&place));
            self.retire(place);
        }
    }

    /// How much an answer is wanted.
    fn standing(&self, place: Place, now_s: u32) -> Standing {
        let published_at_s = self.records.get(&place).map_or(0, |record| record.published_at_s);
        let used_s = self.last_used_s(place);
        let earned = used_s != 0 && now_s.saturating_sub(used_s) < EARNED_S;
        Standing { earned, wanted_at_s: used_s.max(published_at_s) }
    }

    /// Second of CLOCK_BOOTTIME in which XDP last answered with a slot; 0 = never.
    fn last_used_s(&self, place: Place) -> u32 {
        let word = self.slot_words(place)[LAST_USED_WORD].load(Ordering::Relaxed);
        (word >> LAST_USED_SHIFT) as u32
    }

    /// An answer in place of an older one for the same key is as popular as that was.
    fn inherit_use(&self, old: Place, new: Place) {
        let word = &self.slot_words(new)[LAST_USED_WORD];
        let used = u64::from(self.last_used_s(old)) << LAST_USED_SHIFT;
        let rest = word.load(Ordering::Relaxed) & !(u64::from(u32::MAX) << LAST_USED_SHIFT);
        store(word, rest | used, Ordering::Relaxed);
    }

    fn retire(&mut self, place: Place) {
        if let Some(record) = self.records.get(&place) {
            store(&self.buckets.words()[record.entry_at], 0, Ordering::Relaxed);
            self.forget(place);
        }
    }

    /// Puts a slot, to which no entry leads any more, into limbo.
    fn forget(&mut self, place: Place) {
        if let Some(record) = self.records.remove(&place) {
            record.published.store(false, Ordering::Relaxed);
            self.limbo.push(place);
        }
    }

    fn remember(&mut self, entry: &Entry<'_>, place: Place, entry_at: usize, published_at_s: u32) {
        let &Entry { expires_at_boot_ns, refresh_from_boot_ns, rotation, .. } = entry;
        // Answers that were replaced or evicted leave their expiry behind; drop those before they outnumber the living.
        if self.expiries.len() > 2 * self.records.len() + 1024 {
            let living = self.records.iter().map(|(place, record)| Reverse((record.expires_at_boot_ns, *place)));
            self.expiries = living.collect();
        }
        if self.looks.len() > 2 * self.records.len() + 1024 {
            self.looks.keep(|place| self.records.contains_key(&place));
        }
        if self.turns.len() > 2 * self.records.len() + 1024 {
            self.turns.keep(|place| self.records.contains_key(&place));
        }
        self.expiries.push(Reverse((expires_at_boot_ns, place)));
        self.looks.add(refresh_from_boot_ns, place);
        if rotation.is_some() {
            // The first look sets the time.
            self.turns.add(0, place);
        }
        let published = Arc::clone(&entry.published);
        let digest = digest(entry.slot);
        let record =
            Record { entry_at, expires_at_boot_ns, published_at_s, digest, refresh_from_boot_ns, rotation, published };
        self.records.insert(place, record);
    }

    /// An entry, by its position among all words of the buckets.
    pub fn entry(&self, at: usize) -> BucketEntry {
        bytemuck::cast(self.buckets.words()[at].load(Ordering::Relaxed))
    }

    fn write_slot(&self, place: Place, slot: &SlotWords, lines: usize) {
        for (word, value) in self.slot_words(place).iter().zip(slot).take(lines * WORDS_PER_LINE) {
            store(word, *value, Ordering::Relaxed);
        }
    }

    /// Whether a slot holds an answer for the same key as `wanted`: type, form and name.
    fn has_key_of(&self, place: Place, wanted: &SlotWords) -> bool {
        let words = self.slot_words(place);
        let head = |word: &dyn Fn(usize) -> u64| -> AnswerHead {
            let head: [u64; HEAD_WORDS] = std::array::from_fn(word);
            bytemuck::cast(head)
        };
        let load = |at: usize| words.get(at).map_or(0, |word| word.load(Ordering::Relaxed));
        let (here, there) = (head(&load), head(&|at| wanted[at]));
        let key = |head: &AnswerHead| (head.qtype, head.name_len, head.flags & FLAG_DO);
        // Names are folded, and filled up with zeros to whole words.
        let (at, to) = (usize::from(here.name_at) / 8, usize::from(there.name_at) / 8);
        let mut name_words = 0..usize::from(there.name_len).div_ceil(8);
        key(&here) == key(&there) && name_words.all(|n| wanted.get(to + n).is_some_and(|&word| word == load(at + n)))
    }

    /// Copies a slot in use; what lies beyond its length is zero.
    fn read_slot(&self, place: Place) -> SlotWords {
        let mut slot = [0; SLOT_WORDS_MAX];
        let length = usize::from(self.pool.length_of(place)) * WORDS_PER_LINE;
        for (value, word) in slot.iter_mut().zip(self.slot_words(place)).take(length) {
            *value = word.load(Ordering::Relaxed);
        }
        slot
    }

    /// The words from a slot's start to the end of the map.
    fn slot_words(&self, place: Place) -> &[AtomicU64] {
        &self.answers.words()[first_word(place)..]
    }
}

/// Every store into the maps' memory. A daemon may be killed after any of them; see [`adopt`].
fn store(word: &AtomicU64, value: u64, order: Ordering) {
    #[cfg(test)]
    JOURNAL.with_borrow_mut(|journal| journal.push((std::ptr::from_ref(word) as usize, value)));
    word.store(value, order);
}

#[cfg(test)]
thread_local! {
    /// All stores of this thread in their order: addresses and values.
    static JOURNAL: std::cell::RefCell<Vec<(usize, u64)>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Where a slot starts, among all words of `ANSWERS`.
pub fn first_word(place: Place) -> usize {
    (place.block() as usize * BLOCK_LINES + place.line() as usize) * WORDS_PER_LINE
}

/// The next of a row of numbers without much order; 24 bits.
fn next_random(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(0x2c92_77b5).wrapping_add(0xac56_4b05);
    *state >> 8
}

/// Where in a slot the kernel half notes when it last answered with it.
const LAST_USED_WORD: usize = offset_of!(AnswerHead, last_used_s) / 8;
const LAST_USED_SHIFT: usize = offset_of!(AnswerHead, last_used_s) % 8 * 8;

const _: () = assert!(LAST_USED_SHIFT == 0 && size_of::<AnswerHead>() == BODY_AT);

#[cfg(test)]
mod tests;

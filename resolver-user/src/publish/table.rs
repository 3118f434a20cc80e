//! The published answers as the daemon keeps them: writes slots and entries, retires them, and knows what is where.
//!
//! In: slots made by [`resolver_ebpf::slot`]. Out: what XDP answers. One thread owns the table.
//! Refuses: to change a slot that an entry leads to. A retired slot goes to limbo, and whoever owns the table gives it
//! back after a grace period.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use resolver_ebpf::abi::{BLOCK_LINES, BUCKET_ENTRIES, BucketEntry, LINE_LEN, Place, SLOT_WORDS_MAX};

use super::memory::MappedArray;
use super::pool::SlotPool;
use super::slot;
use super::verify::digest;
use crate::clock::NS_PER_S;

const WORDS_PER_LINE: usize = LINE_LEN / 8;
/// Published answers that are looked at to find one that has not been asked for lately.
const VICTIM_SAMPLE: usize = 8;

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
    /// Cleared when the answer leaves the table.
    pub published: Arc<AtomicBool>,
}

/// Why an answer was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another key with the same tag is published in the same bucket; the kernel half would look at only one of them.
    TagTaken,
    /// No slot is free; room is being made for the next try.
    NoRoom,
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
    limbo: Vec<Place>,
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
    published: Arc<AtomicBool>,
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
            limbo: Vec::new(),
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
        let bucket = (entry.key_hash >> self.bucket_shift) as usize * BUCKET_ENTRIES;
        let found = self.find(bucket, tag, entry.slot)?;
        let Some(place) = self.pool.take(entry.lines) else {
            self.make_room(entry.lines, now_boot_ns);
            return Err(Refusal::NoRoom);
        };
        self.write_slot(place, entry.slot, entry.lines);
        let entry_at = found.unwrap_or_else(|| self.least_wanted(bucket));
        let old = self.entry(entry_at).place;
        // Release: the slot's words are in memory before the entry that leads to them.
        let word = bytemuck::cast(BucketEntry { place, tag });
        self.buckets.words()[entry_at].store(word, Ordering::Release);
        if !old.is_none() {
            self.forget(old);
        }
        entry.published.store(true, Ordering::Relaxed);
        self.remember_expiry(entry.expires_at_boot_ns, place);
        let published_at_s = (now_boot_ns / NS_PER_S) as u32;
        let published = Arc::clone(&entry.published);
        let (expires_at_boot_ns, digest) = (entry.expires_at_boot_ns, digest(entry.slot));
        let record = Record { entry_at, expires_at_boot_ns, published_at_s, digest, published };
        self.records.insert(place, record);
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
        let bucket = (key_hash >> self.bucket_shift) as usize * BUCKET_ENTRIES;
        let entries = (bucket..bucket + BUCKET_ENTRIES).map(|at| self.entry(at));
        let mut tagged = entries.filter(|entry| !entry.place.is_none() && entry.tag == key_hash as u32);
        Some(self.records.get(&tagged.next()?.place)?.expires_at_boot_ns)
    }

    /// Finds the entry to replace: the one of the same key, or a free one; none if the bucket is full.
    fn find(&self, bucket: usize, tag: u32, wanted: &SlotWords) -> Result<Option<usize>, Refusal> {
        let mut free = None;
        for at in bucket..bucket + BUCKET_ENTRIES {
            let entry = self.entry(at);
            if entry.place.is_none() {
                free = free.or(Some(at));
            } else if entry.tag == tag {
                let same = slot::same_key(&self.read_slot(entry.place), wanted);
                return if same { Ok(Some(at)) } else { Err(Refusal::TagTaken) };
            }
        }
        Ok(free)
    }

    /// The entry of a full bucket that was asked for longest ago.
    fn least_wanted(&self, bucket: usize) -> usize {
        let at = (bucket..bucket + BUCKET_ENTRIES).min_by_key(|&at| self.wanted_at_s(self.entry(at).place));
        at.unwrap_or(bucket)
    }

    /// Retires one answer that a slot of `lines` lines could follow, the least wanted of a sample; or, if no block has
    /// slots of that length, all answers of the emptiest block.
    fn make_room(&mut self, lines: usize, now_boot_ns: u64) {
        self.retire_expired(now_boot_ns);
        self.random = self.random.wrapping_mul(0x2c92_77b5).wrapping_add(0xac56_4b05);
        let sample = self.pool.neighbours(lines, self.random >> 4, VICTIM_SAMPLE);
        let published = sample.iter().copied().filter(|place| self.records.contains_key(place));
        if let Some(victim) = published.min_by_key(|&place| self.wanted_at_s(place)) {
            self.retire(victim);
        } else if sample.is_empty() && self.limbo.is_empty() {
            for place in self.pool.emptiest_block() {
                self.retire(place);
            }
        }
    }

    /// Second of CLOCK_BOOTTIME in which an answer was last asked for, publishing counted as asking.
    fn wanted_at_s(&self, place: Place) -> u32 {
        let published_at_s = self.records.get(&place).map_or(0, |record| record.published_at_s);
        slot::last_used_s(&self.read_slot(place)).max(published_at_s)
    }

    fn retire(&mut self, place: Place) {
        if let Some(record) = self.records.get(&place) {
            self.buckets.words()[record.entry_at].store(0, Ordering::Relaxed);
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

    fn remember_expiry(&mut self, expires_at_boot_ns: u64, place: Place) {
        // Answers that were replaced or evicted leave their expiry behind; drop those before they outnumber the living.
        if self.expiries.len() > 2 * self.records.len() + 1024 {
            let living = self.records.iter().map(|(place, record)| Reverse((record.expires_at_boot_ns, *place)));
            self.expiries = living.collect();
        }
        self.expiries.push(Reverse((expires_at_boot_ns, place)));
    }

    /// An entry, by its position among all words of the buckets.
    pub fn entry(&self, at: usize) -> BucketEntry {
        bytemuck::cast(self.buckets.words()[at].load(Ordering::Relaxed))
    }

    fn write_slot(&self, place: Place, slot: &SlotWords, lines: usize) {
        for (word, value) in self.slot_words(place).iter().zip(slot).take(lines * WORDS_PER_LINE) {
            word.store(*value, Ordering::Relaxed);
        }
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

/// Where a slot starts, among all words of `ANSWERS`.
pub fn first_word(place: Place) -> usize {
    (place.block() as usize * BLOCK_LINES + place.line() as usize) * WORDS_PER_LINE
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;
    use resolver_ebpf::abi::{AnswerBlock, Bucket, HASH_KEY_WORDS};
    use resolver_ebpf::slot::{Answer, answer_key_hash, render};
    use std::os::fd::AsFd as _;

    use super::*;

    const KEY: [u64; HASH_KEY_WORDS] = [0x1234_5678_9abc_def1; HASH_KEY_WORDS];

    fn memory(length: usize) -> MappedArray {
        let file = memfd_create("test", MFdFlags::empty()).unwrap();
        ftruncate(&file, length as i64).unwrap();
        MappedArray::new(file.as_fd(), length).unwrap()
    }

    fn table(buckets: usize, blocks: u32) -> AnswerTable {
        let answers = memory(blocks as usize * size_of::<AnswerBlock>());
        AnswerTable::new(memory(buckets * size_of::<Bucket>()), answers, blocks)
    }

    /// A name of two labels that no other number has.
    fn name(number: u32) -> Vec<u8> {
        let mut name = vec![8];
        name.extend(format!("{number:08x}").into_bytes());
        name.extend(b"\x04test\0");
        name
    }

    struct Offer {
        words: SlotWords,
        lines: usize,
        key_hash: u64,
        expires_at_boot_ns: u64,
        published: Arc<AtomicBool>,
    }

    impl Offer {
        fn new(number: u32, body_len: usize, expires_at_s: u64) -> Self {
            let (name, body) = (name(number), vec![number as u8; body_len]);
            let answer = Answer {
                name: &name,
                qtype: 1,
                dnssec_ok: false,
                secure: true,
                rcode: 0,
                answer_count: 1,
                authority_count: 0,
                body: &body,
                ttl_offsets: &[6],
                expires_at_boot_ns: expires_at_s * NS_PER_S,
            };
            let mut words = [0; SLOT_WORDS_MAX];
            let lines = render(&answer, &mut words).unwrap();
            let key_hash = answer_key_hash(&name, 1, false, &KEY);
            Self { words, lines, key_hash, expires_at_boot_ns: answer.expires_at_boot_ns, published: Arc::default() }
        }

        fn publish(&self, table: &mut AnswerTable) -> Result<(), Refusal> {
            let entry = Entry {
                key_hash: self.key_hash,
                slot: &self.words,
                lines: self.lines,
                expires_at_boot_ns: self.expires_at_boot_ns,
                published: Arc::clone(&self.published),
            };
            table.publish(&entry, NS_PER_S)
        }

        /// What the kernel half would find.
        fn found_in(&self, table: &AnswerTable) -> Option<SlotWords> {
            let bucket = (self.key_hash >> table.bucket_shift) as usize * BUCKET_ENTRIES;
            let entries = (bucket..bucket + BUCKET_ENTRIES).map(|at| table.entry(at));
            let mut tagged = entries.filter(|entry| !entry.place.is_none() && entry.tag == self.key_hash as u32);
            let words = table.read_slot(tagged.next()?.place);
            slot::same_key(&words, &self.words).then_some(words)
        }

        fn is_published(&self) -> bool {
            self.published.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn what_is_published_is_found_and_what_expires_is_gone() {
        let mut table = table(1024, 4);
        let offers: Vec<_> = (0..200).map(|number| Offer::new(number, 40, 10 + u64::from(number))).collect();
        for offer in &offers {
            offer.publish(&mut table).unwrap();
        }
        assert!(offers.iter().all(|offer| offer.found_in(&table) == Some(offer.words) && offer.is_published()));
        table.retire_expired(109 * NS_PER_S);
        assert_eq!(table.published(), 100);
        for (number, offer) in offers.iter().enumerate() {
            assert_eq!(offer.found_in(&table).is_some(), number >= 100);
            assert_eq!(offer.is_published(), number >= 100);
        }
        table.flush();
        assert!(table.published() == 0 && offers.iter().all(|offer| offer.found_in(&table).is_none()));
    }

    #[test]
    fn a_slot_is_not_used_again_before_it_is_given_back() {
        let mut table = table(2, 1);
        let old = Offer::new(1, 1180, 10);
        old.publish(&mut table).unwrap();
        let new = Offer::new(1, 1100, 20);
        new.publish(&mut table).unwrap();
        assert_eq!(new.found_in(&table), Some(new.words));
        assert!(!old.is_published() && new.is_published());
        let limbo = table.take_limbo();
        assert_eq!(limbo.len(), 1);
        let room = (BLOCK_LINES / 22) - 2;
        let others: Vec<_> = (2..2 + room as u32).map(|number| Offer::new(number, 1180, 10)).collect();
        let before = table.read_slot(limbo[0]);
        for offer in &others {
            // Buckets overflow on the way; that, too, must not touch the slot in limbo.
            let _ = offer.publish(&mut table);
        }
        assert_eq!(table.read_slot(limbo[0]), before);
        assert_eq!(before, old.words);
        table.give_back(&limbo);
        assert!(table.pool.has_room(22));
    }

    #[test]
    fn a_full_bucket_loses_the_answer_nobody_asked_for() {
        let mut table = table(2, 16);
        let offers: Vec<_> = (0..500).map(|number| Offer::new(number, 40, 100)).collect();
        for offer in &offers {
            assert_eq!(offer.publish(&mut table), Ok(()));
        }
        assert_eq!(table.published(), 2 * BUCKET_ENTRIES);
        let published = offers.iter().filter(|offer| offer.is_published());
        assert!(published.clone().all(|offer| offer.found_in(&table).is_some()));
        assert_eq!(published.count(), table.published());
    }

    #[test]
    fn a_full_pool_makes_room_after_a_grace_period() {
        let mut table = table(1024, 2);
        let offers: Vec<_> = (0..2000).map(|number| Offer::new(number, 1180, 100)).collect();
        let mut refused = 0;
        for offer in &offers {
            refused += usize::from(offer.publish(&mut table) == Err(Refusal::NoRoom));
            let limbo = table.take_limbo();
            table.give_back(&limbo);
        }
        assert_eq!(refused, 0, "one answer goes before the next one comes");
        assert!(table.published() >= 80);
        let small = Offer::new(5000, 40, 100);
        assert_eq!(small.publish(&mut table), Err(Refusal::NoRoom));
        let limbo = table.take_limbo();
        table.give_back(&limbo);
        assert_eq!(small.publish(&mut table), Ok(()), "a whole block was emptied for another length");
    }

    #[test]
    fn an_equal_tag_of_another_name_is_refused() {
        let mut table = table(2, 16);
        let first = Offer::new(1, 40, 100);
        let mut second = Offer::new(2, 40, 100);
        second.key_hash = first.key_hash;
        first.publish(&mut table).unwrap();
        assert_eq!(second.publish(&mut table), Err(Refusal::TagTaken));
        assert_eq!(first.found_in(&table), Some(first.words));
    }

    #[test]
    fn places_of_published_answers_differ() {
        let mut table = table(4096, 64);
        for number in 0..5000 {
            let _ = Offer::new(number, 40 + number as usize % 900, 100).publish(&mut table);
        }
        let places: HashSet<_> = table.records.keys().collect();
        assert_eq!(places.len(), table.published());
        assert_eq!(table.slots().count(), table.published());
    }

    /// The bound that the project sets itself: 1.6 × the stored bytes + 128 bytes an answer, preallocation included.
    #[test]
    fn a_default_cache_full_of_ordinary_answers_keeps_the_memory_bound() {
        let (buckets, blocks) = super::super::writer::dimensions(100_000);
        let mut table = table(buckets as usize, blocks);
        let (mut stored, mut number) = (0, 0);
        // Of twenty: fourteen addresses with DO=0, four signed ones, a plain denial, a signed one (RFC 4035 §5.4).
        let body_lens = [16, 16, 28, 16, 48, 16, 28, 16, 128, 16, 16, 72, 48, 144, 28, 16, 128, 460, 32, 160];
        while table.published() < 100_000 {
            let offer = Offer::new(number, body_lens[number as usize % body_lens.len()], 100);
            if offer.publish(&mut table) == Ok(()) {
                stored += slot::describe(&offer.words, 0).unwrap().size;
            }
            number += 1;
            assert!(number < 110_000, "100,000 answers find room; {} did", table.published());
        }
        let memory = buckets as usize * size_of::<Bucket>() + blocks as usize * size_of::<AnswerBlock>();
        let bound = stored * 16 / 10 + 128 * table.published() as u64;
        assert!(memory as u64 <= bound, "{memory} bytes of memory, bound {bound}, stored {stored}");
        assert!(memory < 64 << 20);
    }
}

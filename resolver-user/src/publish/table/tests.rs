//! Claims on the table, with memory of its own in the place of maps.

use std::collections::HashSet;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use resolver_ebpf::abi::{AnswerBlock, Bucket, HASH_KEY_WORDS};
use resolver_ebpf::slot::{Answer, answer_key_hash, render};
use std::os::fd::AsFd as _;

use super::super::slot;
use super::*;

pub(super) const KEY: [u64; HASH_KEY_WORDS] = [0x1234_5678_9abc_def1; HASH_KEY_WORDS];

pub(super) fn memory(length: usize) -> MappedArray {
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

pub(super) struct Offer {
    pub(super) words: SlotWords,
    lines: usize,
    pub(super) key_hash: u64,
    pub(super) expires_at_boot_ns: u64,
    refresh_from_boot_ns: u64,
    rotation: Option<Rotation>,
    published: Arc<AtomicBool>,
}

impl Offer {
    pub(super) fn new(number: u32, body_len: usize, expires_at_s: u64) -> Self {
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
        Self {
            words,
            lines,
            key_hash,
            expires_at_boot_ns: answer.expires_at_boot_ns,
            refresh_from_boot_ns: u64::MAX,
            rotation: None,
            published: Arc::default(),
        }
    }

    pub(super) fn publish(&self, table: &mut AnswerTable) -> Result<(), Refusal> {
        self.publish_at(table, 1)
    }

    fn publish_at(&self, table: &mut AnswerTable, now_s: u64) -> Result<(), Refusal> {
        let entry = Entry {
            key_hash: self.key_hash,
            slot: &self.words,
            lines: self.lines,
            expires_at_boot_ns: self.expires_at_boot_ns,
            refresh_from_boot_ns: self.refresh_from_boot_ns,
            rotation: self.rotation,
            published: Arc::clone(&self.published),
        };
        table.publish(&entry, now_s * NS_PER_S)
    }

    /// What the kernel half would find.
    fn found_in(&self, table: &AnswerTable) -> Option<SlotWords> {
        let entries = table.entries_of(self.key_hash).map(|at| table.entry(at));
        let mut tagged = entries.filter(|entry| !entry.place.is_none() && entry.tag == self.key_hash as u32);
        let place = tagged.next()?.place;
        table.has_key_of(place, &self.words).then(|| table.read_slot(place))
    }

    pub(super) fn is_published(&self) -> bool {
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
    let (buckets, blocks) = super::super::writer::start::dimensions(100_000);
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

/// What the kernel half does when it answers: the second goes into the slot's head.
fn answered(table: &AnswerTable, offer: &Offer, now_s: u32) {
    let entries = table.entries_of(offer.key_hash).map(|at| table.entry(at));
    let mut tagged = entries.filter(|entry| !entry.place.is_none() && entry.tag == offer.key_hash as u32);
    let word = &table.slot_words(tagged.next().unwrap().place)[LAST_USED_WORD];
    word.store(word.load(Ordering::Relaxed) & !u64::from(u32::MAX) | u64::from(now_s), Ordering::Relaxed);
}

fn give_back(table: &mut AnswerTable) {
    let limbo = table.take_limbo();
    table.give_back(&limbo);
}

#[test]
fn a_bucket_full_of_busy_answers_takes_no_other_and_idle_ones_give_way_to_those_that_were_never_given() {
    let mut table = table(2, 16);
    let mut taken: Vec<Offer> = Vec::new();
    let (mut refused, mut number) = (0, 0);
    while refused < 20 {
        let offer = Offer::new(number, 40, 10_000);
        match offer.publish_at(&mut table, 100) {
            Ok(()) => {
                answered(&table, &offer, 100);
                taken.push(offer);
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::BucketFull);
                refused += 1;
            }
        }
        number += 1;
    }
    assert!(taken.len() > BUCKET_ENTRIES && taken.iter().all(Offer::is_published));
    assert_eq!(table.evictions(), Evictions::default());
    // One that was given long ago, and is not asked for any more, goes after ten seconds.
    let late = Offer::new(number, 40, 10_000);
    late.publish_at(&mut table, 100 + u64::from(BUSY_S)).unwrap();
    assert_eq!(table.evictions(), Evictions { bucket: 1, ..Evictions::default() });
    assert_eq!(taken.iter().filter(|offer| !offer.is_published()).count(), 1);
    // It was never given: the next one of its bucket takes its place, not that of one that was.
    let next = (number + 1..).map(|number| Offer::new(number, 40, 10_000));
    let mut same_bucket =
        next.filter(|next| next.key_hash >> table.bucket_shift == late.key_hash >> table.bucket_shift);
    same_bucket.next().unwrap().publish_at(&mut table, 101 + u64::from(BUSY_S)).unwrap();
    assert!(!late.is_published());
}

#[test]
fn a_flood_of_names_that_nobody_asks_for_twice_leaves_popular_ones_alone() {
    // Room for some 2,000 short slots, one in four of them popular; the flood comes to twenty times the room.
    let mut table = table(4096, 4);
    let popular: Vec<Offer> = (0..500).map(|number| Offer::new(number, 16, 100_000)).collect();
    for offer in &popular {
        offer.publish_at(&mut table, 1).unwrap();
        answered(&table, offer, 2);
    }
    for number in 0..40_000 {
        let now_s = 3 + u64::from(number) / 100;
        // Refused or not: that is the flood's affair.
        let _ = Offer::new(1000 + number, 16, 100_000).publish_at(&mut table, now_s);
        give_back(&mut table);
        // Each popular name is asked for about once in a minute.
        if number % 12 == 0 {
            let offer = &popular[(number as usize / 12) % popular.len()];
            if offer.is_published() {
                answered(&table, offer, now_s as u32);
            }
        }
    }
    let left = popular.iter().filter(|offer| offer.is_published()).count();
    assert!(left >= 495, "{left} of 500 popular names are left");
    let Evictions { length, block, .. } = table.evictions();
    assert!(length > 30_000 && block == 0, "{:?}", table.evictions());
}

#[test]
fn popular_answers_of_another_length_get_a_block_from_those_that_nobody_wants() {
    let mut table = table(4096, 4);
    let mut small = (0..).map(|number| Offer::new(number, 16, 100_000));
    while small.next().unwrap().publish_at(&mut table, 1) != Err(Refusal::NoRoom) {}
    let mut large: Vec<Offer> = Vec::new();
    for second in 0..400u64 {
        let offer = Offer::new(100_000 + second as u32, 1180, 100_000);
        if offer.publish_at(&mut table, 10 + second) == Ok(()) {
            large.push(offer);
        }
        for offer in large.iter().filter(|offer| offer.is_published()) {
            answered(&table, offer, 10 + second as u32);
        }
        give_back(&mut table);
    }
    let kept = large.iter().filter(|offer| offer.is_published()).count();
    assert!(kept > 46, "more than one block of 46: {kept}");
    assert!(table.evictions().block > 500, "{:?}", table.evictions());
}

#[test]
fn an_answer_that_is_asked_for_in_its_last_part_is_told_and_an_idle_one_is_not() {
    let mut table = table(1024, 4);
    let offers: Vec<Offer> = (0..3)
        .map(|number| Offer { refresh_from_boot_ns: 8 * NS_PER_S, ..Offer::new(number, 16, 10) })
        .chain([Offer::new(3, 16, 10)])
        .collect();
    for offer in &offers {
        offer.publish(&mut table).unwrap();
        answered(&table, offer, 7);
    }
    let told = |table: &mut AnswerTable, now_ns: u64| -> Vec<_> {
        table.nearly_over(now_ns, 10).iter().map(|words| slot::question(words).unwrap().name.to_string()).collect()
    };
    assert!(told(&mut table, 8 * NS_PER_S).is_empty(), "asked for before, but not since");
    answered(&table, &offers[1], 8);
    answered(&table, &offers[3], 8);
    assert!(told(&mut table, 8 * NS_PER_S + 1).is_empty(), "looked at again only after a while");
    assert_eq!(told(&mut table, 8 * NS_PER_S + NS_PER_S / 2), ["00000001.test."], "and one is not to be found anew");
    assert!(told(&mut table, 8 * NS_PER_S + NS_PER_S / 2).is_empty(), "told once");
    // What takes its place is as popular, and has a time of its own.
    let renewed = Offer { refresh_from_boot_ns: 17 * NS_PER_S, ..Offer::new(1, 16, 19) };
    renewed.publish_at(&mut table, 9).unwrap();
    assert_eq!(told(&mut table, 9 * NS_PER_S + NS_PER_S / 2), [""; 0]);
    assert_eq!(table.last_used_s(table.entry(table.records.values().next().unwrap().entry_at).place).min(7), 7);
    answered(&table, &renewed, 17);
    table.retire_expired(10 * NS_PER_S);
    assert_eq!(told(&mut table, 17 * NS_PER_S), ["00000001.test."]);
}

#[test]
fn addresses_change_places_in_a_copy_and_only_if_they_were_asked_for() {
    let mut table = table(1024, 4);
    let mut offer = Offer::new(1, 48, 100);
    let body_byte = |words: &SlotWords, at: usize| bytemuck::bytes_of(words)[BODY_AT + at];
    for (number, at) in [12usize, 28, 44].into_iter().enumerate() {
        bytemuck::bytes_of_mut(&mut offer.words)[BODY_AT + at..BODY_AT + at + 4].fill(number as u8 + 1);
    }
    offer.rotation = Rotation::of_ttl_fields(&[6, 22, 38], 4);
    offer.publish(&mut table).unwrap();
    table.rotate(2 * NS_PER_S, 5, 10);
    assert_eq!(offer.found_in(&table), Some(offer.words), "nobody has asked for it");
    answered(&table, &offer, 3);
    table.rotate(6 * NS_PER_S, 5, 10);
    assert!(table.limbo.is_empty(), "not yet");
    let old = table.records.keys().copied().next().unwrap();
    table.rotate(7 * NS_PER_S, 5, 10);
    let turned = offer.found_in(&table).unwrap();
    assert_eq!([12, 28, 44].map(|at| body_byte(&turned, at)), [2, 3, 1]);
    let checked = slot::describe(&turned, 0).unwrap();
    assert_eq!(checked.last_used_s_ago, Some(0), "it is as popular as it was");
    assert_eq!((table.take_limbo(), table.published()), (vec![old], 1));
    assert!(offer.is_published());
    let words = table.read_slot(old);
    assert_eq!([12, 28, 44].map(|at| body_byte(&words, at)), [1, 2, 3], "running programs still read the old one");
    table.retire_expired(100 * NS_PER_S);
    assert_eq!((table.published(), offer.is_published()), (0, false));
}

//! A daemon dies between any two stores, or leaves nonsense: what is taken over is in order.

use resolver_ebpf::abi::{AnswerBlock, BODY_AT, Bucket, BucketEntry};

use super::super::tests::{KEY, Offer, memory};
use super::super::{JOURNAL, MappedArray};
use super::*;
use crate::publish::SlotFault;

const BUCKETS: usize = 16;
const BLOCKS: u32 = 12;
const NOW: u64 = 5 * NS_PER_S;

/// The words of both maps.
#[derive(Clone)]
struct Image {
    buckets: Vec<u64>,
    answers: Vec<u64>,
}

impl Image {
    fn of(table: &AnswerTable) -> Self {
        let words = |array: &MappedArray| array.words().iter().map(|word| word.load(Ordering::Relaxed)).collect();
        Self { buckets: words(&table.buckets), answers: words(&table.answers) }
    }

    /// A table whose memory holds this.
    fn table(&self) -> AnswerTable {
        let mapped = |words: &[u64]| {
            let array = memory(words.len() * 8);
            array.words().iter().zip(words).for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
            array
        };
        AnswerTable::new(mapped(&self.buckets), mapped(&self.answers), BLOCKS)
    }

    fn entries(&self) -> u64 {
        self.buckets.iter().filter(|word| **word != 0).count() as u64
    }
}

fn empty() -> AnswerTable {
    let answers = memory(BLOCKS as usize * size_of::<AnswerBlock>());
    AnswerTable::new(memory(BUCKETS * size_of::<Bucket>()), answers, BLOCKS)
}

/// The entry with an offer's tag in its bucket.
fn entry_of(offer: &Offer, table: &AnswerTable) -> Option<BucketEntry> {
    let mut entries = table.entries_of(offer.key_hash).map(|at| table.entry(at));
    entries.find(|entry| !entry.place.is_none() && entry.tag == offer.key_hash as u32)
}

/// What the kernel half would find, whatever the table knows of it.
fn served(offer: &Offer, table: &AnswerTable) -> Option<SlotWords> {
    let place = entry_of(offer, table)?.place;
    table.has_key_of(place, &offer.words).then(|| table.slot_of(place))?
}

/// The same, if the table knows of it.
fn found(offer: &Offer, table: &AnswerTable) -> Option<SlotWords> {
    let place = entry_of(offer, table)?.place;
    table.records.contains_key(&place).then(|| served(offer, table))?
}

/// Gives back what is in limbo, as after a grace period.
fn pass_grace_period(table: &mut AnswerTable) {
    let limbo = table.take_limbo();
    table.give_back(&limbo);
}

/// Every slot that an entry leads to is a whole one, and no two of them share a line.
fn check_sound(table: &AnswerTable) {
    let mut lines_used = std::collections::HashSet::new();
    for (&place, record) in &table.records {
        assert_eq!(table.entry(record.entry_at).place, place);
        for line in 0..u32::from(table.pool.length_of(place)) {
            assert!(lines_used.insert((place.block(), place.line() + line)), "{place:?} overlaps");
        }
        assert!(slot::read(&unused(table.read_slot(place))).is_some());
    }
    let entries = Image::of(table).entries();
    assert_eq!(entries, table.published() as u64, "no entry is without a record");
}

/// Goes on with a table: what is published is found, and what was there before stays whole.
fn check_useful(table: &mut AnswerTable) {
    for number in 10_000..10_100 {
        let offer = Offer::new(number, 30 + number as usize % 700, 900);
        if offer.publish(table) == Ok(()) {
            let now = found(&offer, table).map(unused);
            assert_eq!(now, Some(offer.words));
        }
        check_limbo_apart(table);
        if number.is_multiple_of(7) {
            pass_grace_period(table);
        }
    }
    check_sound(table);
    table.flush();
    pass_grace_period(table);
    assert_eq!((table.published(), table.used_bytes()), (0, 0), "nothing is lost");
}

fn check_limbo_apart(table: &AnswerTable) {
    assert!(table.limbo.iter().all(|place| !table.records.contains_key(place)));
}

/// A table in use: with answers of many lengths, some of which were replaced or retired.
fn world() -> (AnswerTable, Vec<Offer>) {
    let mut table = empty();
    let mut offers: Vec<Offer> =
        (0..70).map(|n| Offer::new(n, 20 + n as usize * 37 % 1100, 100 + u64::from(n))).collect();
    for offer in &offers {
        offer.publish(&mut table).unwrap();
    }
    for number in (0..70).step_by(9) {
        let newer = Offer::new(number, 500, 400);
        newer.publish(&mut table).unwrap();
        pass_grace_period(&mut table);
        offers[number as usize] = newer;
    }
    table.retire_expired(105 * NS_PER_S);
    offers.retain(Offer::is_published);
    (table, offers)
}

#[test]
fn what_was_adopted_can_be_verified_and_a_change_since_is_seen() {
    let (before, offers) = world();
    let mut table = Image::of(&before).table();
    table.adopt(&KEY, NOW);
    let faults = |table: &AnswerTable| table.held(0, &KEY).slots.into_iter().map(|slot| slot.fault).collect::<Vec<_>>();
    assert!(!offers.is_empty() && faults(&table) == vec![None; offers.len()], "{:?}", faults(&table));
    let place = entry_of(&offers[0], &table).unwrap().place;
    table.slot_words(place)[BODY_AT / 8].fetch_xor(1, Ordering::Relaxed);
    let changed = faults(&table).into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(changed, [SlotFault::Changed]);
}

#[test]
fn what_stands_in_a_partner_is_adopted_and_in_its_place() {
    let answers = memory(BLOCKS as usize * size_of::<AnswerBlock>());
    let mut before = AnswerTable::new(memory(2 * size_of::<Bucket>()), answers, BLOCKS);
    let mut offers: Vec<Offer> = (0..40).map(|number| Offer::new(number, 40, 400)).collect();
    for offer in &offers {
        offer.publish(&mut before).unwrap();
    }
    offers.retain(Offer::is_published);
    let mut table = Image::of(&before).table();
    assert_eq!(table.adopt(&KEY, NOW).kept, 2 * BUCKET_ENTRIES as u64);
    assert!(offers.iter().all(|offer| found(offer, &table).map(unused) == Some(offer.words)));
    let faults: Vec<_> = table.held(0, &KEY).slots.into_iter().map(|slot| slot.fault).collect();
    assert_eq!(faults, vec![None; 2 * BUCKET_ENTRIES]);
}

/// Does something to a table in use, and adopts what a daemon leaves that dies after each store of it.
fn kill_at_every_step(act: impl Fn(&mut AnswerTable)) {
    let (mut table, offers) = world();
    let before = Image::of(&table);
    let starts = [&table.buckets, &table.answers].map(|array| array.words().as_ptr() as usize);
    JOURNAL.take();
    act(&mut table);
    let journal = JOURNAL.take();
    assert!(!journal.is_empty());
    let mut image = before;
    for step in 0..=journal.len() {
        if let Some(&(address, value)) = step.checked_sub(1).map(|last| &journal[last]) {
            let at = |start: usize| address.wrapping_sub(start) / 8;
            match image.buckets.get_mut(at(starts[0])) {
                Some(word) => *word = value,
                None => image.answers[at(starts[1])] = value,
            }
        }
        let mut adopting = image.table();
        let served: Vec<_> = offers.iter().map(|offer| served(offer, &adopting)).collect();
        let adopted = adopting.adopt(&KEY, NOW);
        // The order of stores is such that nothing is ever out of order.
        assert_eq!(adopted, Adopted { kept: image.entries(), ..Adopted::default() }, "after store {step}");
        let found: Vec<_> = offers.iter().map(|offer| found(offer, &adopting)).collect();
        assert_eq!(found, served, "what XDP answers is what was adopted");
        check_sound(&adopting);
        if step % 64 == 0 || step == journal.len() {
            check_useful(&mut adopting);
        }
    }
}

#[test]
fn a_daemon_that_dies_while_it_publishes_leaves_a_table_in_order() {
    kill_at_every_step(|table| Offer::new(500, 700, 300).publish(table).unwrap());
}

#[test]
fn a_daemon_that_dies_while_it_replaces_an_answer_leaves_the_old_one_or_the_new_one() {
    kill_at_every_step(|table| Offer::new(40, 1100, 300).publish(table).unwrap());
}

#[test]
fn a_daemon_that_dies_while_it_retires_leaves_a_table_in_order() {
    kill_at_every_step(|table| table.retire_expired(130 * NS_PER_S));
}

#[test]
fn a_daemon_that_dies_while_it_flushes_leaves_a_table_in_order() {
    kill_at_every_step(AnswerTable::flush);
}

#[test]
fn a_daemon_that_dies_while_it_uses_slots_again_leaves_a_table_in_order() {
    kill_at_every_step(|table| {
        for number in 20..28 {
            // Whether there is room is not the question.
            let _ = Offer::new(number, 25 + number as usize * 91 % 1000, 300).publish(table);
            pass_grace_period(table);
        }
    });
}

#[test]
fn expired_answers_those_of_another_key_and_those_from_the_future_are_dropped() {
    let (table, offers) = world();
    let image = Image::of(&table);
    let check = |key: &[u64; HASH_KEY_WORDS], now_boot_ns: u64, expected: Adopted| {
        let mut adopting = image.table();
        assert_eq!(adopting.adopt(key, now_boot_ns), expected);
        check_sound(&adopting);
        check_useful(&mut adopting);
    };
    let all = image.entries();
    check(&KEY, NOW, Adopted { kept: all, ..Adopted::default() });
    let kept = offers.iter().filter(|offer| offer.expires_at_boot_ns > 140 * NS_PER_S).count() as u64;
    assert!(kept > 0 && kept < all);
    check(&KEY, 140 * NS_PER_S, Adopted { kept, dropped: all - kept, unsound: 0 });
    let mut other_key = KEY;
    other_key[0] ^= 2;
    check(&other_key, NOW, Adopted { unsound: all, ..Adopted::default() });
    let mut far = image.table();
    let later = Offer::new(900, 40, 2 + u64::from(FAST_TTL_S_MAX));
    later.publish(&mut far).unwrap();
    let mut adopting = Image::of(&far).table();
    assert_eq!(adopting.adopt(&KEY, NS_PER_S).unsound, 1, "more than a day is no TTL of ours");
    assert!(served(&later, &adopting).is_none());
}

#[test]
fn nothing_is_left_for_xdp_of_what_may_not_be_given_any_more() {
    let (table, offers) = world();
    let mut adopting = Image::of(&table).table();
    assert_eq!(adopting.disinherit(), offers.len() as u64);
    assert_eq!(Image::of(&adopting).entries(), 0);
    assert_eq!(adopting.adopt(&KEY, NOW), Adopted::default());
    check_useful(&mut adopting);
}

#[test]
fn an_adopted_answer_is_replaced_retired_and_dumped_like_any_other() {
    let (table, offers) = world();
    let mut adopting = Image::of(&table).table();
    adopting.adopt(&KEY, NOW);
    assert_eq!(adopting.slots().count(), offers.len());
    let newer = Offer::new(41, 60, 600);
    newer.publish(&mut adopting).unwrap();
    assert_eq!(found(&newer, &adopting), Some(newer.words));
    assert_eq!(adopting.take_limbo().len(), 1);
    adopting.retire_expired(599 * NS_PER_S);
    assert_eq!(adopting.published(), 1, "each keeps its own end");
    check_sound(&adopting);
}

/// xorshift64, so that every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

#[test]
fn whatever_lies_in_the_maps_what_is_adopted_is_whole_and_under_its_own_name() {
    let (table, offers) = world();
    let image = Image::of(&table);
    let used: Vec<usize> = (0..image.answers.len()).filter(|at| image.answers[*at] != 0).collect();
    let mut random = Random(0x0123_4567_89ab_cdef);
    let (mut unsound, mut kept) = (0, 0);
    for round in 0..120 {
        let mut damaged = image.clone();
        for _ in 0..1 + random.below(12) {
            let value = match random.below(3) {
                0 => random.0,
                1 => damaged.buckets[random.below(damaged.buckets.len())],
                _ => damaged.answers[used[random.below(used.len())]] ^ 1 << random.below(64),
            };
            match random.below(2) {
                0 => damaged.buckets[random.below(BUCKETS * BUCKET_ENTRIES)] = value,
                _ => damaged.answers[used[random.below(used.len())]] = value,
            }
        }
        let mut adopting = damaged.table();
        let adopted = adopting.adopt(&KEY, NOW);
        assert_eq!(adopted.kept + adopted.dropped + adopted.unsound, damaged.entries());
        for offer in &offers {
            let differs = |found: &SlotWords| unused(*found) != offer.words;
            // Only what the kernel half writes, and the end of the TTL, which no sum covers, may be otherwise.
            if let Some(found) = found(offer, &adopting).filter(differs) {
                let mut with_its_end = unused(found);
                with_its_end[0] = offer.words[0];
                let flags_and_counts = [2, 3];
                let same = (0..with_its_end.len())
                    .all(|at| flags_and_counts.contains(&at) || with_its_end[at] == offer.words[at]);
                assert!(same, "round {round}");
            }
        }
        check_sound(&adopting);
        check_useful(&mut adopting);
        unsound += adopted.unsound;
        kept += adopted.kept;
    }
    assert!(unsound > 200 && kept > 2000, "{unsound} unsound, {kept} kept");
}

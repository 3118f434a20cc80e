//! Takes over the answers that a daemon before has published and that XDP still answers from.
//!
//! In: the memory of `BUCKETS` and `ANSWERS` as that daemon left it, perhaps killed between any two stores. Out: a table in
//! which everything is in order: each entry leads to a whole slot of its own, under its own hash, whose time is not over.
//! What is not so is cleared, and counted; it is only ever an answer less. Slots to which no entry leads are free once the
//! caller has waited for a grace period: a program may have found one of them before its entry went.
//! Refuses to judge whether the answers may be given at all: that is asked of what they rest on, before.

use resolver_ebpf::abi::{
    AnswerHead, BLOCK_LINES, BUCKET_ENTRIES, FAST_TTL_S_MAX, HASH_KEY_WORDS, Place, SLOT_LINES_MAX, SLOT_START_MAX,
};
use resolver_ebpf::slot::{self, answer_key_hash};

use super::{AnswerTable, Arc, Entry, NS_PER_S, Ordering, SlotWords, WORDS_PER_LINE, store};

/// The last of so many parts of the time that is left is when an adopted answer is found anew if it is asked for.
const REFRESH_PART: u64 = 10;
/// That is at least so long, in nanoseconds.
const REFRESH_NS_MIN: u64 = 2 * NS_PER_S;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Answers taken over.
    pub kept: u64,
    /// Entries cleared whose time was over, or which rest on something else.
    pub dropped: u64,
    /// Entries cleared that were not in order. However a daemon ended, it leaves none: the order of its stores sees to that.
    pub unsound: u64,
}

/// An answer in order.
struct Sound {
    place: Place,
    lines: usize,
    expires_at_boot_ns: u64,
    words: SlotWords,
}

impl AnswerTable {
    /// Fills an empty table with what lies in its memory. `hash_key`: the one that it was published with.
    pub fn adopt(&mut self, hash_key: &[u64; HASH_KEY_WORDS], now_boot_ns: u64) -> Adopted {
        let mut adopted = Adopted::default();
        for at in 0..self.buckets.words().len() {
            if self.buckets.words()[at].load(Ordering::Acquire) == 0 {
                continue;
            }
            let count = match self.sound(at, hash_key, now_boot_ns) {
                // Without a whole second left it would not be published either.
                Some(sound) if sound.expires_at_boot_ns < now_boot_ns + NS_PER_S => &mut adopted.dropped,
                Some(sound) if self.pool.occupy(sound.place, sound.lines) => {
                    self.enlist(at, &sound, now_boot_ns);
                    adopted.kept += 1;
                    continue;
                }
                _ => &mut adopted.unsound,
            };
            *count += 1;
            store(&self.buckets.words()[at], 0, Ordering::Relaxed);
        }
        self.pool.settle();
        adopted
    }

    /// Clears every entry of an empty table's memory: what they lead to may not be given any more. Returns how many there were.
    pub fn disinherit(&mut self) -> u64 {
        let used = self.buckets.words().iter().filter(|word| word.load(Ordering::Relaxed) != 0);
        used.inspect(|word| store(word, 0, Ordering::Relaxed)).count() as u64
    }

    /// The answer of an entry, if all is in order with it, its time over or not; those before it in its pair of buckets have been looked at.
    fn sound(&self, at: usize, hash_key: &[u64; HASH_KEY_WORDS], now_boot_ns: u64) -> Option<Sound> {
        let entry = self.entry(at);
        let place = entry.place;
        let is_place = place == Place::new(place.block(), place.line()) && place.line() as usize <= SLOT_START_MAX;
        if !is_place || place.block() as usize >= self.answers.words().len() / (BLOCK_LINES * WORDS_PER_LINE) {
            return None;
        }
        let words = self.slot_of(place)?;
        let view = slot::read(&words)?;
        let head = view.head;
        let (mut offsets, mut again) = ([0; _], [0; _]);
        let answer = view.answer(&mut offsets)?;
        // What the same answer would be written as: sums, lengths, the folded name and the padding are all compared by this.
        if slot::render(&answer, &mut again).ok()? != usize::from(head.slot_lines) || again != unused(words) {
            return None;
        }
        let hash = answer_key_hash(answer.name, answer.qtype, answer.dnssec_ok, hash_key);
        let is_here = hash as u32 == entry.tag && self.entries_of(hash).any(|other| other == at);
        // The kernel half looks at the first entry of a tag alone, in whichever of the two buckets it begins.
        let pair = at - at % (2 * BUCKET_ENTRIES);
        let is_first = (pair..at).all(|other| self.entry(other).place.is_none() || self.entry(other).tag != entry.tag);
        let last_ns = now_boot_ns.saturating_add(u64::from(FAST_TTL_S_MAX) * NS_PER_S);
        (is_here && is_first && head.expires_at_boot_ns <= last_ns).then_some(Sound {
            place,
            lines: usize::from(head.slot_lines),
            expires_at_boot_ns: head.expires_at_boot_ns,
            words,
        })
    }

    /// Copies a slot of which only its own head says how long it is.
    fn slot_of(&self, place: Place) -> Option<SlotWords> {
        let words = self.slot_words(place);
        let mut head = [0u64; size_of::<AnswerHead>() / 8];
        for (value, word) in head.iter_mut().zip(words) {
            *value = word.load(Ordering::Relaxed);
        }
        let head: AnswerHead = bytemuck::must_cast(head);
        let lines = usize::from(head.slot_lines);
        (lines <= SLOT_LINES_MAX).then(|| {
            let mut slot: SlotWords = [0; _];
            for (value, word) in slot.iter_mut().zip(words).take(lines * WORDS_PER_LINE) {
                *value = word.load(Ordering::Relaxed);
            }
            slot
        })
    }

    /// Remembers an answer that is published already. Nobody waits to hear when it leaves, and when it came is not known: it is
    /// as wanted as its last use says, and is found anew towards the end of the time that it had left.
    fn enlist(&mut self, entry_at: usize, sound: &Sound, now_boot_ns: u64) {
        let &Sound { place, lines, expires_at_boot_ns, ref words } = sound;
        let last_part_ns = (expires_at_boot_ns.saturating_sub(now_boot_ns) / REFRESH_PART).max(REFRESH_NS_MIN);
        let entry = Entry {
            key_hash: 0,
            slot: words,
            lines,
            expires_at_boot_ns,
            refresh_from_boot_ns: expires_at_boot_ns.saturating_sub(last_part_ns),
            rotation: None,
            published: Arc::default(),
        };
        self.remember(&entry, place, entry_at, 0);
    }
}

/// A slot as it was before it was used: what the kernel half writes is left out.
fn unused(mut words: SlotWords) -> SlotWords {
    let head: &mut AnswerHead =
        bytemuck::from_bytes_mut(&mut bytemuck::cast_slice_mut(&mut words)[..size_of::<AnswerHead>()]);
    head.last_used_s = 0;
    words
}

#[cfg(test)]
mod tests;

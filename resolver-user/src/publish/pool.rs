//! Divides the blocks of `ANSWERS` into slots. Bookkeeping only: touches no map.
//!
//! In: how long a slot has to be. Out: places, and places in use to choose from when there is none free.
//! A block holds slots of one length; which one is decided when the first slot is taken from it, and forgotten when the
//! last one is given back. So any mix of answer sizes finds the memory it needs.

use std::collections::BTreeSet;

use resolver_ebpf::abi::{BLOCK_LINES, Place, SLOT_LINES_MAX, SLOT_START_MAX};

/// Slot lengths, in lines of 64 bytes. Choice: steps of at most a quarter above 512 bytes keep the waste low; the
/// shortest holds an A answer with a name of 24 bytes, the longest the largest UDP answer.
pub const SLOT_LENGTHS: [u8; 11] = [2, 3, 4, 5, 6, 7, 8, 10, 13, 17, SLOT_LINES_MAX as u8];

const BITMAP_WORDS: usize = BLOCK_LINES / 2 / 64;

/// The state of every block.
#[derive(Debug)]
pub struct SlotPool {
    blocks: Vec<BlockState>,
    /// Blocks that belong to no length yet, last one taken first.
    unassigned: Vec<u32>,
    /// For each length: the blocks that have a free slot, and all its blocks.
    lengths: [LengthState; SLOT_LENGTHS.len()],
}

#[derive(Clone, Debug, Default)]
struct LengthState {
    open: BTreeSet<u32>,
    all: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct BlockState {
    /// Position in [`SLOT_LENGTHS`]; meaningful while slots are used.
    length: usize,
    /// Position in `all` of that length.
    all_at: usize,
    used: u16,
    /// One bit for each slot, set while it is used.
    bitmap: [u64; BITMAP_WORDS],
}

impl SlotPool {
    /// A pool of `blocks` empty blocks.
    pub fn new(blocks: u32) -> Self {
        Self {
            blocks: vec![BlockState::default(); blocks as usize],
            unassigned: (0..blocks).rev().collect(),
            lengths: Default::default(),
        }
    }

    /// Takes a slot of at least `lines` lines; none if no block has room for one.
    pub fn take(&mut self, lines: usize) -> Option<Place> {
        let length = position_of(lines)?;
        let block = match self.lengths[length].open.first() {
            Some(&block) => block,
            None => self.assign(length)?,
        };
        let state = &mut self.blocks[block as usize];
        let word = state.bitmap.iter().position(|&word| word != u64::MAX)?;
        let bit = state.bitmap[word].trailing_ones() as usize;
        let slot = word * 64 + bit;
        state.bitmap[word] |= 1 << bit;
        state.used += 1;
        if usize::from(state.used) == slots_per_block(length) {
            self.lengths[length].open.remove(&block);
        }
        Some(Place::new(block, (slot * usize::from(SLOT_LENGTHS[length])) as u32))
    }

    /// Gives a slot back.
    ///
    /// # Panics
    /// If the slot is not in use: that would be a fault of the writer, and going on would serve foreign bytes.
    pub fn give_back(&mut self, place: Place) {
        let block = place.block();
        let state = &mut self.blocks[block as usize];
        let length = state.length;
        let slot = place.line() as usize / usize::from(SLOT_LENGTHS[length]);
        let mask = 1u64 << (slot % 64);
        assert!(state.bitmap[slot / 64] & mask != 0, "slot {place:?} given back twice");
        state.bitmap[slot / 64] &= !mask;
        state.used -= 1;
        if state.used == 0 {
            let all_at = state.all_at;
            self.lengths[length].open.remove(&block);
            self.lengths[length].all.swap_remove(all_at);
            if let Some(&moved) = self.lengths[length].all.get(all_at) {
                self.blocks[moved as usize].all_at = all_at;
            }
            self.unassigned.push(block);
        } else {
            self.lengths[length].open.insert(block);
        }
    }

    /// Length of a slot in use, in lines.
    pub fn length_of(&self, place: Place) -> u8 {
        SLOT_LENGTHS[self.blocks[place.block() as usize].length]
    }

    /// Whether a slot of at least `lines` lines can be taken.
    pub fn has_room(&self, lines: usize) -> bool {
        position_of(lines).is_some_and(|length| !self.unassigned.is_empty() || !self.lengths[length].open.is_empty())
    }

    /// Slots in use of the same length as one of `lines` lines, drawn by chance with `random`: the candidates for making room.
    /// Empty if no block has that length. Each from a block of its own choice: neighbours were published together.
    pub fn sample(&self, lines: usize, mut random: impl FnMut() -> u32, count: usize) -> Vec<Place> {
        let Some(length) = position_of(lines) else { return Vec::new() };
        let all = &self.lengths[length].all;
        let drawn = (0..count).filter_map(|_| {
            let block = all[random() as usize % all.len().max(1)..].first()?;
            self.used_from(*block, random() as usize % slots_per_block(length))
        });
        if all.is_empty() { Vec::new() } else { drawn.collect() }
    }

    /// A block of another length than that of `lines` lines, drawn by chance, with the slots that are used in it.
    pub fn block_of_another_length(&self, lines: usize, random: u32) -> Option<Vec<Place>> {
        let length = position_of(lines)?;
        let block = random as usize % self.blocks.len().max(1);
        let state = self.blocks.get(block).filter(|state| state.used > 0 && state.length != length)?;
        Some((0..slots_per_block(state.length)).filter_map(|slot| self.used_at(block as u32, slot)).collect())
    }

    /// All used slots of the block that has the fewest: what must go for another length to get a block.
    pub fn emptiest_block(&self) -> Vec<Place> {
        let used = self.blocks.iter().enumerate().filter(|(_, state)| state.used > 0);
        let Some((block, state)) = used.min_by_key(|(_, state)| state.used) else { return Vec::new() };
        (0..slots_per_block(state.length)).filter_map(|slot| self.used_at(block as u32, slot)).collect()
    }

    /// Blocks in all.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks in use.
    pub fn used_blocks(&self) -> usize {
        self.blocks.len() - self.unassigned.len()
    }

    /// The first slot in use from the one with this number on, around the block's end.
    fn used_from(&self, block: u32, first: usize) -> Option<Place> {
        let state = &self.blocks[block as usize];
        let (word, bit) = (first / 64, first % 64);
        let at_or_after = state.bitmap[word] & (u64::MAX << bit);
        let others = (1..=BITMAP_WORDS).map(|step| (word + step) % BITMAP_WORDS);
        let bits = std::iter::once((word, at_or_after)).chain(others.map(|word| (word, state.bitmap[word])));
        let (word, bits) = bits.into_iter().find(|(_, bits)| *bits != 0)?;
        self.used_at(block, word * 64 + bits.trailing_zeros() as usize)
    }

    fn used_at(&self, block: u32, slot: usize) -> Option<Place> {
        let state = &self.blocks[block as usize];
        let used = state.bitmap[slot / 64] & 1 << (slot % 64) != 0;
        used.then(|| Place::new(block, (slot * usize::from(SLOT_LENGTHS[state.length])) as u32))
    }

    fn assign(&mut self, length: usize) -> Option<u32> {
        let block = self.unassigned.pop()?;
        let all_at = self.lengths[length].all.len();
        self.blocks[block as usize] = BlockState { length, all_at, ..BlockState::default() };
        self.lengths[length].open.insert(block);
        self.lengths[length].all.push(block);
        Some(block)
    }
}

fn position_of(lines: usize) -> Option<usize> {
    SLOT_LENGTHS.iter().position(|&length| usize::from(length) >= lines)
}

/// Slots of one length in a block: the last one starts at [`SLOT_START_MAX`] or before.
fn slots_per_block(length: usize) -> usize {
    SLOT_START_MAX / usize::from(SLOT_LENGTHS[length]) + 1
}

const _: () = assert!(SLOT_START_MAX / 2 < BITMAP_WORDS * 64);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn slots_never_overlap_and_end_inside_their_block() {
        let mut pool = SlotPool::new(40);
        let mut lines_used = HashSet::new();
        let mut taken = Vec::new();
        for round in 0..4000 {
            let lines = 1 + round * 7 % SLOT_LINES_MAX;
            let Some(place) = pool.take(lines) else { continue };
            assert!(usize::from(pool.length_of(place)) >= lines);
            for line in 0..u32::from(pool.length_of(place)) {
                assert!(place.line() + line < BLOCK_LINES as u32);
                assert!(lines_used.insert((place.block(), place.line() + line)), "{place:?} overlaps");
            }
            taken.push(place);
        }
        assert!(taken.len() > 2000);
        for place in taken {
            pool.give_back(place);
        }
        assert_eq!(pool.used_blocks(), 0);
    }

    #[test]
    fn an_emptied_block_serves_another_length() {
        let mut pool = SlotPool::new(1);
        let small = pool.take(2).unwrap();
        assert_eq!(pool.take(22), None);
        assert!(!pool.has_room(22));
        assert_eq!(pool.emptiest_block(), [small]);
        pool.give_back(small);
        assert!(pool.take(22).is_some());
    }

    #[test]
    fn a_sample_is_of_slots_in_use_of_the_same_length_and_reaches_all_of_them() {
        let mut pool = SlotPool::new(3);
        let mut seed = 7u32;
        let mut random = || {
            seed = seed.wrapping_mul(0x2c92_77b5).wrapping_add(0xac56_4b05);
            seed >> 4
        };
        assert!(pool.sample(22, &mut random, 3).is_empty());
        let small: HashSet<Place> = (0..600).map(|_| pool.take(2).unwrap()).collect();
        let large: HashSet<Place> = (0..5).map(|_| pool.take(22).unwrap()).collect();
        let mut met = HashSet::new();
        for _ in 0..20_000 {
            let found = pool.sample(22, &mut random, 3);
            assert!(found.len() == 3 && found.iter().all(|place| large.contains(place)));
            let found = pool.sample(1, &mut random, 3);
            assert!(found.iter().all(|place| small.contains(place)));
            met.extend(found);
        }
        assert_eq!(met.len(), small.len(), "none is out of reach");
        assert!(pool.sample(10, &mut random, 8).is_empty());
        let other = (0..100).find_map(|_| pool.block_of_another_length(2, random())).unwrap();
        assert_eq!(other.into_iter().collect::<HashSet<_>>(), large);
    }

    #[test]
    fn blocks_that_come_and_go_are_known_by_their_length() {
        let mut pool = SlotPool::new(8);
        let mut taken: Vec<Place> = (0..8 * 46).map(|_| pool.take(22).unwrap()).collect();
        assert!(!pool.has_room(22));
        // Whole blocks go, from the middle first.
        taken.sort_by_key(|place| (place.block() % 3 != 1, place.block()));
        for (count, place) in taken.iter().enumerate() {
            let left: HashSet<Place> = taken[count..].iter().copied().collect();
            let found = pool.sample(22, || count as u32 * 77, 4);
            assert!(!found.is_empty() && found.iter().all(|place| left.contains(place)));
            pool.give_back(*place);
        }
        assert_eq!(pool.used_blocks(), 0);
        assert!(pool.sample(22, || 3, 4).is_empty());
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn giving_back_twice_is_a_fault() {
        let mut pool = SlotPool::new(1);
        let first = pool.take(2).unwrap();
        let _second = pool.take(2).unwrap();
        pool.give_back(first);
        pool.give_back(first);
    }
}

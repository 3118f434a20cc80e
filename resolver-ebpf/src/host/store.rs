//! The maps as plain memory, or as memory mapped from the kernel.

use crate::abi::{BLOCK_LINES, LINE_LEN, Place, SLOT_REACH_WORDS, SLOT_START_MAX, Settings};
use crate::serve::{Bucket, SharedWord, Slot, Store};

/// The maps of the fast path, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct PlainStore<'a> {
    /// `SETTINGS`.
    pub settings: &'a Settings,
    /// `BUCKETS`.
    pub buckets: &'a [Bucket],
    /// `ANSWERS`: all lines of all blocks, as words.
    pub answers: &'a [SharedWord],
    /// What the kernel's jiffies stand at.
    pub jiffies: u64,
}

impl Store for PlainStore<'_> {
    fn settings(&self) -> Option<&Settings> {
        Some(self.settings)
    }

    fn bucket(&self, number: u32) -> Option<&Bucket> {
        self.buckets.get(usize::try_from(number).ok()?)
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        let (block, line) = (place.block() as usize, place.line() as usize);
        if line > SLOT_START_MAX {
            return None;
        }
        let at = (block * BLOCK_LINES + line) * (LINE_LEN / 8);
        self.answers.get(at..at + SLOT_REACH_WORDS)?.first_chunk()
    }

    fn jiffies(&self) -> u64 {
        self.jiffies
    }
}

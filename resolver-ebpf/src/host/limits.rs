//! Rate limits that the vectors meet: budgets that are all whole, or all spent.

use super::OwnedStore;
use super::records::NOW_BOOT_NS;
use crate::abi::{LIMIT_CELLS, LIMIT_LEVELS, LIMIT_ROWS, LIMIT_WORDS, LimitLevel, LimitRules, LimitTable};
use crate::limit::Limits;

/// What the limiter says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitCase {
    /// [`LimitRules::mode`].
    pub mode: u32,
    /// [`LimitRules::slip_one_in`].
    pub slip_one_in: u32,
    /// Whether every budget of a level is spent.
    pub spent: [bool; LIMIT_LEVELS],
}

/// Rules with ten answers a second for each client, a hundred for all around it, and bursts of a second.
pub fn rules(mode: u32, slip_one_in: u32) -> LimitRules {
    let levels = [LimitLevel::new(10, 1, 32, 64), LimitLevel::new(100, 1, 24, 56)];
    LimitRules { mode, slip_one_in, hash_key: HASH_KEY, levels, padding: [0; 3] }
}

impl OwnedStore {
    /// Puts a case in force, every budget as it says; without one, nobody is limited.
    pub fn set_limits(&mut self, case: Option<LimitCase>) {
        self.settings.limits = case.is_some().into();
        let Some(case) = case else { return };
        let rules = rules(case.mode, case.slip_one_in);
        let limits = Limits(self.limits());
        limits.set_hash_key(rules.hash_key);
        limits.set_rules(&rules);
        let level_len = LIMIT_ROWS * LIMIT_CELLS;
        let cells = self.limits().get(CELLS_WORD..LIMIT_WORDS).unwrap_or_default();
        for ((cells, level), is_spent) in cells.chunks(level_len).zip(rules.levels).zip(case.spent) {
            let shown = if is_spent { NOW_BOOT_NS + level.slack_ns + level.interval_ns } else { 0 };
            cells.iter().for_each(|cell| cell.store(shown));
        }
    }
}

/// A hash key; random enough.
const HASH_KEY: [[u64; 2]; LIMIT_LEVELS] =
    [[0x9E37_79B9_7F4A_7C15, 0xD120_5DEE_CE66_D5A5], [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB]];
/// Where the cells stand in the table, in words.
const CELLS_WORD: usize = core::mem::offset_of!(LimitTable, cells) / 8;

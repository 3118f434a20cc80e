//! The one limiter of both halves: whether a prefix of clients may have another answer, and who could not.
//!
//! In: the words of a [`LimitTable`], a client, the time. Out: a [`Verdict`].
//! GCRA over two rows of cells with a keyed hash (see [`crate::abi`]); a query within its limits raises the lower of its two
//! cells, and the other one only as far (a count-min sketch with conservative update). What is refused costs nothing, so a
//! flood never costs a prefix more than its rate.
//! Two CPUs that charge one cell at the same moment may lose one charge: the limit is then lax by one answer. No order of
//! stores leaves a cell that does not come back: one too far ahead of the time is pulled back.
//! Refuses: clocks and randomness, which are passed in, and to know who is exempt.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use core::mem::offset_of;

use crate::abi::{
    LIMIT_CELL_BITS, LIMIT_CELLS, LIMIT_ENFORCE, LIMIT_LEVELS, LIMIT_LOG_ONLY, LIMIT_ROWS, LIMIT_WORDS, LimitLevel,
    LimitRules, LimitTable, OFFENDER_KEPT_TICKS, OFFENDER_TICK_LOG2, OFFENDERS, Offender,
};
use crate::serve::SharedWord;
use crate::wire::bytes::low_u32;

/// What becomes of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Verdict {
    /// It is within its limits.
    Within,
    /// It is over the limit of its narrow prefix, and answered all the same: log-only.
    LoggedNarrow,
    /// The same for the wide prefix.
    LoggedWide,
    /// It is over the limit of its narrow prefix, and gets an empty answer with TC.
    SlippedNarrow,
    /// The same for the wide prefix.
    SlippedWide,
    /// It is over the limit of its narrow prefix, and gets nothing.
    DroppedNarrow,
    /// The same for the wide prefix.
    DroppedWide,
}

impl Verdict {
    /// The verdict of a number; an unknown one limits nobody.
    #[inline(always)]
    pub const fn of_number(number: u64) -> Self {
        match number {
            1 => Self::LoggedNarrow,
            2 => Self::LoggedWide,
            3 => Self::SlippedNarrow,
            4 => Self::SlippedWide,
            5 => Self::DroppedNarrow,
            6 => Self::DroppedWide,
            _ => Self::Within,
        }
    }
}

impl Verdict {
    /// The level whose limit a query is over that is answered all the same.
    #[inline(always)]
    pub const fn logged_level(self) -> Option<usize> {
        match self {
            Self::LoggedNarrow => Some(NARROW),
            Self::LoggedWide => Some(WIDE),
            _ => None,
        }
    }
}

/// What a query within its limits does to its budgets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Use {
    /// It will be answered here: it is charged.
    Answer,
    /// It will be passed to who asks again, and is charged there. In log-only it is not looked at.
    Pass,
}

/// The words of a [`LimitTable`].
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a>(pub &'a [SharedWord; LIMIT_WORDS]);

/// What one level says about a client.
struct Seen {
    prefix: u64,
    hash: u64,
    /// Where its cells stand in the table.
    cells: [usize; LIMIT_ROWS],
    /// When its budget is whole again, in nanoseconds of CLOCK_BOOTTIME: at least now.
    whole_at_ns: u64,
    interval_ns: u64,
    /// How far ahead of now that may be.
    slack_ns: u64,
}

impl<'a> Limits<'a> {
    /// Decides about a query of a client ([`crate::abi::client_v4`], [`crate::abi::client_v6`]), and charges it.
    #[inline(always)]
    pub fn ask(self, client: u64, is_v4: bool, purpose: Use, now_ns: u64, random: impl FnOnce() -> u32) -> Verdict {
        let [mode, slip_one_in]: [u32; 2] = bytemuck::must_cast(self.rule(offset_of!(LimitRules, mode)));
        if mode != LIMIT_ENFORCE && (mode != LIMIT_LOG_ONLY || purpose == Use::Pass) {
            return Verdict::Within;
        }
        let narrow = self.see::<NARROW>(client, is_v4, now_ns);
        if narrow.is_over(now_ns) {
            self.note::<NARROW>(&narrow, now_ns);
            return match is_slipped(mode, slip_one_in, random) {
                None => Verdict::LoggedNarrow,
                Some(true) => Verdict::SlippedNarrow,
                Some(false) => Verdict::DroppedNarrow,
            };
        }
        let wide = self.see::<WIDE>(client, is_v4, now_ns);
        if wide.is_over(now_ns) {
            self.note::<WIDE>(&wide, now_ns);
            return match is_slipped(mode, slip_one_in, random) {
                None => Verdict::LoggedWide,
                Some(true) => Verdict::SlippedWide,
                Some(false) => Verdict::DroppedWide,
            };
        }
        if purpose == Use::Answer {
            self.charge(&narrow);
            self.charge(&wide);
        }
        Verdict::Within
    }

    /// Replaces the rules but for their hash key. Budgets stay, unless prefixes have another length than before: then all begin
    /// anew, since they were those of others.
    pub fn set_rules(self, rules: &LimitRules) {
        let words: &[u64; size_of::<LimitRules>() / 8] = bytemuck::must_cast_ref(rules);
        let key = KEY_WORD..KEY_WORD.saturating_add(2 * LIMIT_LEVELS);
        let mut masks = MASK_WORDS.into_iter().filter_map(|at| Some((self.0.get(at)?.load(), *words.get(at)?)));
        // A table that was never used has no masks.
        let are_others = masks.any(|(before, after)| before != 0 && before != after);
        // The first word, which has the mode, last.
        for (at, (place, word)) in self.0.iter().zip(words).enumerate().rev() {
            if !key.contains(&at) {
                place.store(*word);
            }
        }
        if are_others {
            self.0.iter().skip(OFFENDERS_WORD).for_each(|word| word.store(0));
        }
    }

    /// Gives the table a hash key, if it has none yet.
    pub fn set_hash_key(self, key: [[u64; 2]; LIMIT_LEVELS]) {
        let words: [u64; 2 * LIMIT_LEVELS] = bytemuck::must_cast(key);
        let places = self.0.get(KEY_WORD..).unwrap_or_default();
        if places.iter().take(words.len()).all(|place| place.load() == 0) {
            places.iter().zip(words).for_each(|(place, word)| place.store(word));
        }
    }

    /// The prefixes of a level that were over their limit.
    pub fn offenders(self, level: usize) -> impl Iterator<Item = Offender> {
        let at = OFFENDERS_WORD.saturating_add(level.saturating_mul(OFFENDERS * 2));
        let words = self.0.get(at..).unwrap_or_default().as_chunks::<2>().0;
        let read = |[prefix, state]: &[SharedWord; 2]| Offender { prefix: prefix.load(), state: state.load() };
        words.iter().take(OFFENDERS).map(read).filter(|offender| offender.prefix != 0)
    }

    /// Looks at the cells of a client's prefix.
    #[inline(always)]
    fn see<const LEVEL: usize>(self, client: u64, is_v4: bool, now_ns: u64) -> Seen {
        let level = |field: usize| {
            self.rule(
                offset_of!(LimitRules, levels)
                    .wrapping_add(LEVEL.wrapping_mul(size_of::<LimitLevel>()))
                    .wrapping_add(field),
            )
        };
        let mask = if is_v4 { level(offset_of!(LimitLevel, mask_v4)) } else { level(offset_of!(LimitLevel, mask_v6)) };
        let key =
            |word: usize| self.rule(KEY_WORD.wrapping_add(LEVEL.wrapping_mul(2)).wrapping_add(word).wrapping_mul(8));
        let prefix = client & mask;
        let hash = hash(prefix, key(0), key(1));
        let cells = [
            cell_at::<LEVEL, 0>(hash >> (u64::BITS.wrapping_sub(LIMIT_CELL_BITS))),
            cell_at::<LEVEL, 1>(hash >> (u64::BITS.wrapping_sub(2 * LIMIT_CELL_BITS))),
        ];
        let [first, second] = cells.map(|at| self.0.get(at).map_or(0, SharedWord::load));
        Seen {
            prefix,
            hash,
            cells,
            whole_at_ns: first.min(second).max(now_ns),
            interval_ns: level(offset_of!(LimitLevel, interval_ns)),
            slack_ns: level(offset_of!(LimitLevel, slack_ns)),
        }
    }

    /// Takes one answer from a budget: raises the lower cell by it, and the other one as far.
    #[inline(always)]
    fn charge(self, seen: &Seen) {
        for at in seen.cells {
            if let Some(cell) = self.0.get(at) {
                cell.raise(seen.whole_at_ns.wrapping_add(seen.interval_ns));
            }
        }
    }

    /// Remembers that a prefix was over its limit, and pulls its cells back if they are further ahead than can be.
    #[inline(always)]
    fn note<const LEVEL: usize>(self, seen: &Seen, now_ns: u64) {
        let full_ns = now_ns.wrapping_add(seen.slack_ns).wrapping_add(seen.interval_ns);
        if seen.whole_at_ns > full_ns.wrapping_add(AHEAD_NS_MAX) {
            for at in seen.cells {
                if let Some(cell) = self.0.get(at) {
                    cell.store(full_ns);
                }
            }
        }
        let number = (seen.hash >> (u64::BITS.wrapping_sub(OFFENDER_BITS))) as usize & (OFFENDERS - 1);
        let at = OFFENDERS_WORD.wrapping_add(LEVEL.wrapping_mul(OFFENDERS).wrapping_add(number).wrapping_mul(2));
        let (Some(prefix), Some(state)) = (self.0.get(at), self.0.get(at.wrapping_add(1))) else { return };
        let now_ticks = low_u32(now_ns >> OFFENDER_TICK_LOG2);
        let (known, shown) = (prefix.load(), state.load());
        let mut times = low_u32(shown);
        if known != seen.prefix {
            if known != 0 && now_ticks.wrapping_sub(low_u32(shown >> 32)) < OFFENDER_KEPT_TICKS {
                return;
            }
            prefix.store(seen.prefix);
            times = 0;
        }
        state.store(u64::from(now_ticks) << 32 | u64::from(times.saturating_add(1)));
    }

    /// The word of the rules that has the byte `offset`.
    #[inline(always)]
    fn rule(self, offset: usize) -> u64 {
        self.0.get(offset >> 3).map_or(0, SharedWord::load)
    }
}

impl Seen {
    /// Whether another answer is too much.
    #[inline(always)]
    fn is_over(&self, now_ns: u64) -> bool {
        self.whole_at_ns > now_ns.wrapping_add(self.slack_ns)
    }
}

/// Whether a query over a limit gets an empty answer; none in log-only.
#[inline(always)]
fn is_slipped(mode: u32, slip_one_in: u32, random: impl FnOnce() -> u32) -> Option<bool> {
    // The upper half of a product is below its factor: no division.
    let drawn = |below: u32| u64::from(random()).wrapping_mul(u64::from(below)) >> 32;
    (mode == LIMIT_ENFORCE).then(|| slip_one_in != 0 && drawn(slip_one_in) == 0)
}

/// Pair-multiply-shift (Thorup, "High Speed Hashing for Integers and Strings", §3.5): of its 32 high bits, two prefixes that
/// were chosen without knowing the key share half with probability 2^-16 and all with 2^-32.
#[inline(always)]
const fn hash(prefix: u64, first: u64, second: u64) -> u64 {
    first.wrapping_add(prefix >> 32).wrapping_mul(second.wrapping_add(prefix & 0xffff_ffff))
}

/// Where a cell stands in the table.
#[inline(always)]
const fn cell_at<const LEVEL: usize, const ROW: usize>(hash: u64) -> usize {
    let row = CELLS_WORD.wrapping_add((LEVEL.wrapping_mul(LIMIT_ROWS).wrapping_add(ROW)).wrapping_mul(LIMIT_CELLS));
    row.wrapping_add(hash as usize & (LIMIT_CELLS - 1))
}

/// Where the first mask of a level stands in the table, in words.
const fn mask_word(level: usize) -> usize {
    let level_at = offset_of!(LimitRules, levels).wrapping_add(level.wrapping_mul(size_of::<LimitLevel>()));
    level_at.wrapping_add(offset_of!(LimitLevel, mask_v4)) / 8
}

/// Levels.
const NARROW: usize = 0;
const WIDE: usize = 1;
/// Where things stand in the table, in words.
const KEY_WORD: usize = offset_of!(LimitRules, hash_key) / 8;
const MASK_WORDS: [usize; 2 * LIMIT_LEVELS] =
    [mask_word(NARROW), mask_word(NARROW) + 1, mask_word(WIDE), mask_word(WIDE) + 1];
const OFFENDERS_WORD: usize = offset_of!(LimitTable, offenders) / 8;
const CELLS_WORD: usize = offset_of!(LimitTable, cells) / 8;
/// Bits of an offender's number.
const OFFENDER_BITS: u32 = OFFENDERS.trailing_zeros();
/// How far a cell may be ahead of a whole budget, in nanoseconds, before it is taken for one of older rules or of another
/// clock. Much more than the clocks of the two halves can differ, or a client could use the difference.
const AHEAD_NS_MAX: u64 = 1_000_000_000;

const _: () = assert!(offset_of!(LimitRules, mode) == 0 && offset_of!(LimitRules, slip_one_in) == 4);
const _: () = assert!(offset_of!(LimitLevel, mask_v6) == offset_of!(LimitLevel, mask_v4).wrapping_add(8));
const _: () = assert!(offset_of!(LimitTable, rules) == 0 && OFFENDERS_WORD < CELLS_WORD && OFFENDERS.is_power_of_two());

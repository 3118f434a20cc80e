//! Keeps answers for as long as they may be kept, and lets identical misses share one search.
//!
//! In: outcomes of resolution. Out: the same, by name and type, until their time is up. Rooms: [`AnswerCache`] holds
//! finished answers, [`ResponseCache`] holds raw replies to validation's sub-queries for seconds, [`InFlight`] joins
//! askers of the same question, [`SetCache`] holds single sets of answers for other questions, [`Failures`] keeps questions that fail from being asked again and again, [`CachedAnswer`] keeps an outcome packed
//! and renders it once per form, [`Keeping`] says how long one is kept.
//! Refuses: resolving, judging, sockets and clocks; the time comes in as a number. Every cache is bounded by entries,
//! of which large ones count as several (`size`).
//! Ruled by RFC 2181 §5.4.1, §8 and RFC 2308 (TTLs), RFC 8767 (stale answers), RFC 9520 (failures).

mod answers;
mod entry;
mod failures;
mod in_flight;
mod keeping;
mod key;
mod responses;
mod sets;
mod size;

pub use answers::AnswerCache;
pub use entry::{CachedAnswer, Kept, Outcome, RenderedForm};
pub use failures::{FAILURE_PAUSE_S_MAX, FAILURE_PAUSE_S_MIN, Failures};
pub use in_flight::{InFlight, Joined, Leader, result};
pub use keeping::Keeping;
use key::AnswerKey;
pub use key::{QuestionKey, QuestionRef};
pub use responses::ResponseCache;
pub use sets::{AtHand, Moment, SetCache, is_answered_by_sets};
use size::BySize;

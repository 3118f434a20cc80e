//! Remembers which questions could not be answered, so that they are asked again at growing intervals only (RFC 9520 §3.2).
//!
//! In: failures and successes of searches. Out: for how long a question is not asked again. Nothing else is kept of a failure here.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use super::{QuestionKey, QuestionRef};
use crate::clock::NS_PER_S;

/// How long a question is not asked again after a first failure, in seconds (RFC 9520 §3.2: at least 1, 5 is recommended).
pub const FAILURE_PAUSE_S_MIN: u32 = 5;
/// The longest such time, in seconds (RFC 9520 §3.2: no more than five minutes).
pub const FAILURE_PAUSE_S_MAX: u32 = 300;
/// Questions that are remembered.
const ENTRIES_MAX: usize = 4096;

/// What is known of questions that failed.
#[derive(Debug)]
pub struct Failures {
    entries: Cache<QuestionKey, Failure>,
    /// When a search last succeeded, in nanoseconds of CLOCK_BOOTTIME.
    success_at_boot_ns: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    at_boot_ns: u64,
    pause_s: u32,
}

impl Failure {
    fn ends_at_boot_ns(self) -> u64 {
        self.at_boot_ns.saturating_add(u64::from(self.pause_s).saturating_mul(NS_PER_S))
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self { entries: Cache::new(ENTRIES_MAX), success_at_boot_ns: AtomicU64::new(0) }
    }
}

impl Failures {
    /// Notes a failure, and says for how many seconds the question is not to be asked again: 5, and twice as long each time that it
    /// fails anew soon after that, to five minutes.
    ///
    /// Choice: it grows only where something else was found out since the last failure. Else the servers are to blame, or
    /// the line, and names must not stay away for minutes after those are back.
    pub fn note(&self, question: QuestionRef<'_>, key: impl FnOnce() -> QuestionKey, now_boot_ns: u64) -> u32 {
        let before = self.entries.get(&question).filter(|before| {
            let over_ns = now_boot_ns.saturating_sub(before.ends_at_boot_ns());
            over_ns < u64::from(FAILURE_PAUSE_S_MAX) * NS_PER_S
        });
        let pause_s = match before {
            Some(before) if self.success_at_boot_ns.load(Ordering::Relaxed) > before.at_boot_ns => {
                before.pause_s.saturating_mul(2).min(FAILURE_PAUSE_S_MAX)
            }
            Some(before) => before.pause_s,
            None => FAILURE_PAUSE_S_MIN,
        };
        self.entries.insert(key(), Failure { at_boot_ns: now_boot_ns, pause_s });
        pause_s
    }

    /// Notes that a question was answered.
    pub fn forgive(&self, question: QuestionRef<'_>, now_boot_ns: u64) {
        self.success_at_boot_ns.store(now_boot_ns, Ordering::Relaxed);
        if !self.entries.is_empty() {
            self.entries.remove(&question);
        }
    }

    /// Whether a question is not to be asked now.
    pub fn pauses(&self, question: QuestionRef<'_>, now_boot_ns: u64) -> bool {
        !self.entries.is_empty()
            && self.entries.get(&question).is_some_and(|failure| now_boot_ns < failure.ends_at_boot_ns())
    }

    /// Forgets everything: other servers may be asked from now on.
    pub fn clear(&self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RecordType;

    const WWW: QuestionRef<'_> = QuestionRef { qname_wire: b"\x03www\0", qtype: RecordType::A };

    fn key() -> QuestionKey {
        QuestionKey::new(&crate::wire::Question::new("www.".parse().unwrap(), RecordType::A))
    }

    #[test]
    fn a_question_that_keeps_failing_while_others_succeed_is_asked_less_and_less() {
        let failures = Failures::default();
        let other = QuestionRef { qtype: RecordType::AAAA, ..WWW };
        let mut now_boot_ns = NS_PER_S;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let pause_s = failures.note(WWW, key, now_boot_ns);
            assert!(failures.pauses(WWW, now_boot_ns) && !failures.pauses(other, now_boot_ns));
            pauses.push(pause_s);
            failures.forgive(other, now_boot_ns + 1);
            now_boot_ns += u64::from(pause_s) * NS_PER_S;
            assert!(failures.pauses(WWW, now_boot_ns - 1) && !failures.pauses(WWW, now_boot_ns));
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        failures.forgive(WWW, now_boot_ns);
        assert_eq!(failures.note(WWW, key, now_boot_ns), 5, "an answer wipes the slate");
        let later = now_boot_ns + u64::from(5 + FAILURE_PAUSE_S_MAX) * NS_PER_S;
        failures.forgive(other, later - 1);
        assert_eq!(failures.note(WWW, key, later), 5, "and so does time");
    }

    #[test]
    fn while_nothing_succeeds_no_question_is_to_blame() {
        let failures = Failures::default();
        let pauses: Vec<u32> = (0..4).map(|n| failures.note(WWW, key, (1 + n * 5) * NS_PER_S)).collect();
        assert_eq!(pauses, [5, 5, 5, 5]);
    }
}

//! When to look at published answers, to see whether they are still asked for.
//!
//! In: places with times. Out: those whose time has come, soonest first. Does not know what became of a place meanwhile: whoever
//! owns the table does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use resolver_ebpf::abi::Place;

use crate::clock::NS_PER_S;

/// Shortest time between two looks, in nanoseconds.
const LOOK_PERIOD_NS_MIN: u64 = NS_PER_S / 4;
/// Shortest time until an answer that is being found anew is told again, in nanoseconds: servers may need that long.
const TELL_PERIOD_NS_MIN: u64 = NS_PER_S;

/// Times to look.
#[derive(Debug, Default)]
pub struct Schedule(BinaryHeap<Reverse<(u64, Place)>>);

impl Schedule {
    /// Looks at a place at that time, in nanoseconds of CLOCK_BOOTTIME; `u64::MAX`: never.
    pub fn add(&mut self, at_boot_ns: u64, place: Place) {
        if at_boot_ns != u64::MAX {
            self.0.push(Reverse((at_boot_ns, place)));
        }
    }

    /// Looks again at an answer that ends at `end_boot_ns`, after a quarter of what is left to it; if it was told, after half.
    pub fn again(&mut self, now_boot_ns: u64, end_boot_ns: u64, told: bool, place: Place) {
        let left_ns = end_boot_ns.saturating_sub(now_boot_ns);
        let wait_ns = if told { (left_ns / 2).max(TELL_PERIOD_NS_MIN) } else { (left_ns / 4).max(LOOK_PERIOD_NS_MIN) };
        let at_boot_ns = now_boot_ns.saturating_add(wait_ns);
        if at_boot_ns < end_boot_ns {
            self.add(at_boot_ns, place);
        }
    }

    /// The place to look at next, if its time has come.
    pub fn next_due(&mut self, now_boot_ns: u64) -> Option<Place> {
        let &Reverse((at_boot_ns, place)) = self.0.peek()?;
        (at_boot_ns <= now_boot_ns).then(|| {
            self.0.pop();
            place
        })
    }

    /// Forgets all but those places.
    pub fn keep(&mut self, mut stays: impl FnMut(Place) -> bool) {
        self.0.retain(|Reverse((_, place))| stays(*place));
    }

    /// Number of looks to come.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_in_time_and_end_with_the_answer() {
        let (mut schedule, place) = (Schedule::default(), Place::new(1, 2));
        schedule.add(u64::MAX, Place::new(0, 0));
        schedule.add(8 * NS_PER_S, place);
        assert_eq!((schedule.len(), schedule.next_due(7 * NS_PER_S)), (1, None));
        assert_eq!(schedule.next_due(8 * NS_PER_S), Some(place));
        schedule.again(8 * NS_PER_S, 10 * NS_PER_S, false, place);
        assert_eq!(schedule.next_due(8 * NS_PER_S + NS_PER_S / 2), Some(place), "a quarter of what is left");
        schedule.again(9 * NS_PER_S, 10 * NS_PER_S, true, place);
        assert_eq!(schedule.len(), 0, "told, and no time for another try");
        schedule.again(0, 100 * NS_PER_S, true, place);
        assert_eq!((schedule.next_due(49 * NS_PER_S), schedule.next_due(50 * NS_PER_S)), (None, Some(place)));
    }
}

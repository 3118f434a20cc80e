//! When an answer is found anew although its time is not over, and how much of that may be done (`prefetch`).
//!
//! In: an answer's times, and how many such searches a second are allowed. Out: the moment from which on somebody who asks for it
//! has it found anew; permits for searches. Names that nobody asks for in that last part of their time are left to expire.
//! Reads no clock and starts nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::NS_PER_S;

/// Searches a second unless told otherwise. Choice: twice as many popular names with TTLs of a minute as an edge gateway has.
pub const PREFETCH_PER_S: u32 = 100;
/// Most that may be asked for.
pub const PREFETCH_PER_S_MAX: u32 = 10_000;
/// Answers with less time than this in all are not found anew ahead of time, in nanoseconds: it would be all the time.
const TTL_NS_MIN: u64 = 5 * NS_PER_S;
/// The last part of an answer's time: one in so many.
const LAST_PART: u64 = 10;
/// But at least so long, in nanoseconds: so that what is asked for once a second counts, and a search has time to end.
const LAST_PART_NS_MIN: u64 = 2 * NS_PER_S;

/// From when on an answer of this time is found anew if it is asked for, in nanoseconds of CLOCK_BOOTTIME; `u64::MAX`: never.
pub fn refresh_from_boot_ns(found_at_boot_ns: u64, expires_at_boot_ns: u64) -> u64 {
    let ttl_ns = expires_at_boot_ns.saturating_sub(found_at_boot_ns);
    match ttl_ns {
        ..TTL_NS_MIN => u64::MAX,
        _ => expires_at_boot_ns.saturating_sub((ttl_ns / LAST_PART).max(LAST_PART_NS_MIN)),
    }
}

/// How many searches ahead of time there are, in this second and under way.
#[derive(Debug, Default)]
pub struct Prefetching {
    /// The second of CLOCK_BOOTTIME, and how many were begun in it: 32 bits each.
    begun: AtomicU64,
    under_way: AtomicU32,
}

/// A search that was allowed. Dropped when it ends.
#[derive(Debug)]
pub struct Permit(Arc<Prefetching>);

impl Prefetching {
    /// Allows one more search, unless `per_s` were begun in this second or are under way.
    pub fn permit(self: &Arc<Self>, per_s: u32, now_boot_ns: u64) -> Option<Permit> {
        let now_s = now_boot_ns / NS_PER_S;
        let counted = self.begun.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |begun| {
            let count = if begun >> 32 == now_s & u64::from(u32::MAX) { begun & u64::from(u32::MAX) } else { 0 };
            (count < u64::from(per_s)).then_some(now_s << 32 | (count + 1))
        });
        counted.ok()?;
        let permit = Permit(Arc::clone(self));
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        (before < per_s).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tenth_counts_or_two_seconds_and_short_times_never() {
        let window_s = |ttl_s: u64| {
            let from = refresh_from_boot_ns(7 * NS_PER_S, (7 + ttl_s) * NS_PER_S);
            (from != u64::MAX).then(|| (7 + ttl_s) * NS_PER_S - from).map(|ns| ns / NS_PER_S)
        };
        assert_eq!(
            [0, 4, 5, 10, 20, 300, 86_400].map(window_s),
            [None, None, Some(2), Some(2), Some(2), Some(30), Some(8640)]
        );
    }

    #[test]
    fn so_many_a_second_and_so_many_at_once_and_no_more() {
        let prefetching = Arc::new(Prefetching::default());
        let first: Vec<_> = (0..3).map(|_| prefetching.permit(3, 0).unwrap()).collect();
        assert!(prefetching.permit(3, NS_PER_S - 1).is_none(), "this second");
        assert!(prefetching.permit(3, NS_PER_S).is_none(), "three are under way");
        drop(first);
        let again: Vec<_> = (0..4).filter_map(|_| prefetching.permit(3, 2 * NS_PER_S)).collect();
        assert_eq!(again.len(), 3);
        assert!(prefetching.permit(0, 9 * NS_PER_S).is_none(), "off");
    }
}

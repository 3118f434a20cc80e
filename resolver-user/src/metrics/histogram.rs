//! Durations by powers of two, counted without a lock; the kernel half counts into the same buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resolver_ebpf::abi::{LATENCY_BUCKETS, latency_bucket};
use serde::{Deserialize, Serialize};

/// Durations, counted by any thread. Recording costs two relaxed additions.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; LATENCY_BUCKETS],
    sum_ns: AtomicU64,
}

/// What a histogram shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// Durations by [`latency_bucket`]; each is in one bucket only.
    pub buckets: [u64; LATENCY_BUCKETS],
    /// Their sum, in nanoseconds.
    pub sum_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; LATENCY_BUCKETS], sum_ns: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Records a duration.
    pub fn record(&self, duration: Duration) {
        self.record_several(duration, 1);
    }

    /// Records as many equal durations.
    pub fn record_several(&self, duration: Duration, count: u64) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(latency_bucket(ns)) {
            bucket.fetch_add(count, Ordering::Relaxed);
            self.sum_ns.fetch_add(ns.saturating_mul(count), Ordering::Relaxed);
        }
    }

    /// What it shows now. A duration that is recorded meanwhile may be in the buckets and not yet in the sum.
    pub fn snapshot(&self) -> Durations {
        let buckets = std::array::from_fn(|at| self.buckets.get(at).map_or(0, |count| count.load(Ordering::Relaxed)));
        Durations { buckets, sum_ns: self.sum_ns.load(Ordering::Relaxed) }
    }
}

impl Durations {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_one_bucket_and_in_the_sum() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_nanos(1000));
        histogram.record_several(Duration::from_nanos(1025), 3);
        histogram.record(Duration::from_secs(100));
        let shown = histogram.snapshot();
        assert_eq!((shown.buckets[5], shown.buckets[6], shown.buckets[31]), (1, 3, 1));
        assert_eq!((shown.count(), shown.sum_ns), (5, 1000 + 3 * 1025 + 100_000_000_000));
    }
}

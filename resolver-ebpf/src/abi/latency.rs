//! How long answers take: durations by powers of two, in the kernel half and in the daemon alike.

use bytemuck::{Pod, Zeroable};

/// Number of buckets of a histogram.
pub const LATENCY_BUCKETS: usize = 32;
/// The first bucket holds up to 2 to this power, in nanoseconds; each further one twice as much, the last one all the rest.
pub const LATENCY_FIRST_LOG2: u32 = 5;
/// The kernel half times one of so many frames; a power of two.
/// Choice: reading the clock twice costs about 40 ns, so this costs less than 1 ns a frame.
pub const LATENCY_ONE_IN: u64 = 64;

/// The one element of `LATENCY`, for each CPU: frames seen, and how long the answered ones among the timed took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Latency {
    /// Frames seen, whatever became of them. Frames of which this makes a multiple of [`LATENCY_ONE_IN`] are timed.
    pub frames: u64,
    /// When the last timed frame came, in nanoseconds of CLOCK_MONOTONIC.
    pub started_mono_ns: u64,
    /// Sum of the timed answers' durations, in nanoseconds.
    pub sum_ns: u64,
    /// Timed answers by duration; see [`latency_bucket`].
    pub buckets: [u64; LATENCY_BUCKETS],
}

/// The bucket of a duration: the first whose upper end it does not exceed.
#[inline(always)]
pub const fn latency_bucket(ns: u64) -> usize {
    // Rounded up, so that a power of two is in the bucket that it ends.
    let log2 = u64::BITS.saturating_sub(ns.saturating_sub(1).leading_zeros());
    let bucket = log2.saturating_sub(LATENCY_FIRST_LOG2) as usize;
    if bucket < LATENCY_BUCKETS { bucket } else { LATENCY_BUCKETS - 1 }
}

const _: () = assert!(size_of::<Latency>() == (LATENCY_BUCKETS + 3) * size_of::<u64>());
const _: () = assert!(LATENCY_ONE_IN.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_with_a_power_of_two() {
        for (ns, bucket) in [(0, 0), (1, 0), (32, 0), (33, 1), (64, 1), (65, 2), (1 << 20, 15), ((1 << 20) + 1, 16)] {
            assert_eq!(latency_bucket(ns), bucket, "{ns} ns");
        }
        assert_eq!(latency_bucket(1 << 35), 30);
        assert_eq!(latency_bucket((1 << 35) + 1), 31);
        assert_eq!(latency_bucket(u64::MAX), 31);
    }
}

//! Numbers that look random and are the same in every run (Marsaglia's xorshift64). For tests and loads, not for secrets.

use std::time::Duration;

/// A series of numbers.
pub struct Random(u64);

impl Random {
    /// The series that begins with `seed`.
    ///
    /// # Panics
    /// If it is 0, after which nothing but zeroes follows.
    pub fn new(seed: u64) -> Self {
        assert!(seed != 0, "the series stands still at 0");
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }

    /// A part of 1: 0 or more, and less than 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A time shorter than `limit`.
    pub fn shorter_than(&mut self, limit: Duration) -> Duration {
        limit.mul_f64(self.share())
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

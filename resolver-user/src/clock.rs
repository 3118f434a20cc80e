//! The one source of time. Passed in wherever time matters, so that tests drive it.
//!
//! Wall time decides whether a signature is valid; boot time (which goes on in suspend) ages everything that is cached.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall time, in seconds since 1970.
    pub unix_s: u64,
    /// CLOCK_BOOTTIME, in nanoseconds.
    pub boot_ns: u64,
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Now;

    /// Reads CLOCK_BOOTTIME alone, for who ages many things, in nanoseconds.
    fn boot_ns(&self) -> u64 {
        self.now().boot_ns
    }

    /// What wall time is ahead of CLOCK_BOOTTIME, in nanoseconds.
    fn wall_offset_ns(&self) -> u64 {
        let now = self.now();
        now.unix_s.saturating_mul(NS_PER_S).saturating_sub(now.boot_ns)
    }
}

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { unix_s: read(ClockId::CLOCK_REALTIME) / NS_PER_S, boot_ns: self.boot_ns() }
    }

    fn boot_ns(&self) -> u64 {
        read(ClockId::CLOCK_BOOTTIME)
    }

    fn wall_offset_ns(&self) -> u64 {
        read(ClockId::CLOCK_REALTIME).saturating_sub(read(ClockId::CLOCK_BOOTTIME))
    }
}

/// Nanoseconds of a clock that every kernel we run on has (CLOCK_BOOTTIME since 2.6.39); 0 before its epoch.
fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).map(|time| (time.tv_sec(), time.tv_nsec()));
    let (seconds, nanoseconds) = time.unwrap_or((0, 0));
    u64::try_from(seconds).unwrap_or(0).saturating_mul(NS_PER_S).saturating_add(u64::try_from(nanoseconds).unwrap_or(0))
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    unix_s: AtomicU64,
    boot_ns: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Now) -> Self {
        Self { unix_s: now.unix_s.into(), boot_ns: now.boot_ns.into() }
    }

    /// Moves both clocks forward.
    pub fn advance_s(&self, seconds: u64) {
        self.unix_s.fetch_add(seconds, Ordering::Relaxed);
        self.boot_ns.fetch_add(seconds.saturating_mul(NS_PER_S), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Now { unix_s: self.unix_s.load(Ordering::Relaxed), boot_ns: self.boot_ns.load(Ordering::Relaxed) }
    }
}

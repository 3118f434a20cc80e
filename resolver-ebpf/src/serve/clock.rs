//! The time, as the kernel half knows it.
//!
//! Jiffies and what the daemon says of them, because reading a clock costs half an answer. When the daemon has said nothing
//! for [`crate::abi::CLOCK_HOLDS_S`], it is gone or stuck, and a suspended machine would go unnoticed: then the clock is read.

use super::Store;
use crate::abi::Settings;

/// Now, in nanoseconds of CLOCK_BOOTTIME.
#[inline(always)]
pub(super) fn boot_ns<S: Store>(store: &S, settings: &Settings) -> u64 {
    let jiffies = store.jiffies();
    if jiffies > settings.offset_until_jiffies {
        return store.boot_ns();
    }
    jiffies.wrapping_mul(settings.jiffy_ns).wrapping_add(settings.boot_offset_ns)
}

//! A word of memory that both halves may access at any time.

use core::sync::atomic::AtomicU64;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::Ordering;

/// Eight aligned bytes, loaded and stored as one.
#[derive(Debug, Default, bytemuck::TransparentWrapper)]
#[repr(transparent)]
pub struct SharedWord(AtomicU64);

impl SharedWord {
    /// A word that holds `value`.
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// The word's value.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        load(&self.0)
    }

    /// Changes the word to a higher value; a higher one stays. In the kernel one that comes at the same moment may be lost.
    #[inline(always)]
    pub fn raise(&self, value: u64) {
        raise(&self.0, value);
    }

    /// Changes the word.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        store(&self.0, value);
    }
}

/// On the host: acquire, so that what an index entry leads to is seen after the entry.
#[cfg(not(target_arch = "bpf"))]
fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

/// On the host: release, so that what an entry leads to is seen before the entry.
#[cfg(not(target_arch = "bpf"))]
fn store(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
}

/// On the host: a thread may be stopped for long, and must not undo then what others have done.
#[cfg(not(target_arch = "bpf"))]
fn raise(word: &AtomicU64, value: u64) {
    word.fetch_max(value, Ordering::AcqRel);
}

/// In the kernel, where nothing stops us between the two.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn raise(word: &AtomicU64, value: u64) {
    if load(word) < value {
        store(word, value);
    }
}

/// In the kernel: one load. An entry's address depends on nothing, a slot's on its entry, so the order of loads holds.
#[cfg(target_arch = "bpf")]
#[inline(always)]
#[expect(unsafe_code, reason = "LLVM has no atomic loads for the BPF instructions that every kernel knows")]
fn load(word: &AtomicU64) -> u64 {
    // SAFETY: the pointer comes from a reference; a volatile access of eight aligned bytes is a single instruction.
    unsafe { word.as_ptr().read_volatile() }
}

/// In the kernel: one store.
#[cfg(target_arch = "bpf")]
#[inline(always)]
#[expect(unsafe_code, reason = "as for loads")]
fn store(word: &AtomicU64, value: u64) {
    // SAFETY: as for loads; an `AtomicU64` may be changed through a shared reference.
    unsafe { word.as_ptr().write_volatile(value) }
}

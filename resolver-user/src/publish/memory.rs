//! The maps' memory, mapped into the daemon: slots and entries are written without a system call.
//!
//! Everything behind a mapping is shared with the kernel half, so it is only reachable as atomic words.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use resolver_ebpf::serve::SharedWord;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A mapped ARRAY map (`BPF_F_MMAPABLE`, Linux 5.5) as 8-byte words.
#[derive(Debug)]
pub struct MappedArray {
    start: NonNull<AtomicU64>,
    words: usize,
}

impl MappedArray {
    /// Maps the whole of an mmapable ARRAY map whose elements together have `length` bytes, a multiple of 8.
    ///
    /// # Errors
    /// What the kernel says; `EINVAL`-like if the map is smaller than `length`.
    #[expect(unsafe_code, reason = "BPF map memory is reachable only through mmap")]
    pub fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice cannot collide with other memory; the kernel
        // refuses a length beyond the map's pages.
        let start = unsafe { mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, map, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, words: length / 8 })
    }

    /// The words of the map.
    #[expect(unsafe_code, reason = "BPF map memory is reachable only through mmap")]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `start` is page-aligned, so aligned for words, and mapped for `words` words until drop; the kernel
        // half changes them, which atomics allow.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl AsRef<[SharedWord]> for MappedArray {
    /// The same words, as the code of both halves takes them.
    #[expect(unsafe_code, reason = "BPF map memory is reachable only through mmap")]
    fn as_ref(&self) -> &[SharedWord] {
        // SAFETY: as in `words`; a `SharedWord` is an `AtomicU64` and nothing else.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.words) }
    }
}

impl Drop for MappedArray {
    #[expect(unsafe_code, reason = "BPF map memory is reachable only through mmap")]
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` mapped; `words` borrows from self, so no reference outlives it.
        if let Err(error) = unsafe { munmap(self.start.as_ptr().cast(), self.words * 8) } {
            tracing::warn!(%error, "cannot unmap a BPF map");
        }
    }
}

// SAFETY: the mapping belongs to no thread, and it is only read and written as atomic words.
#[expect(unsafe_code, reason = "BPF map memory is reachable only through mmap")]
unsafe impl Send for MappedArray {}

// SAFETY: as for `Send`.
#[expect(unsafe_code, reason = "BPF map memory is reachable only through mmap")]
unsafe impl Sync for MappedArray {}

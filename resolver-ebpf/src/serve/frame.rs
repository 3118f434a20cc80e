//! What the fast path asks of packet memory.

use bytemuck::Pod;

/// Furthest offset that the `_far` methods reach, in bytes.
/// VERIFIER: bounds the variable part of a packet offset. A frame of ours ends below: at most 62 bytes of headers before
/// 1232 bytes of DNS.
pub const FAR_MAX: usize = 2047;

/// A frame from its Ethernet header on, without checksum.
///
/// References into the frame end with its next change of size; the borrow checker sees to that, as the verifier would.
pub trait Frame {
    /// Length in bytes. Padding counts.
    fn len(&self) -> usize;

    /// Whether there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of the interface that the frame came in by.
    fn ingress(&self) -> u32;

    /// Lays `T`, of alignment 1, over the bytes at `at`. `None` when they do not lie in the frame.
    ///
    /// VERIFIER: `at` is known at compile time, or counts the turns of a bounded loop.
    fn view<T: Pod>(&self, at: usize) -> Option<&T>;

    /// Like [`Frame::view`], to change.
    fn view_mut<T: Pod>(&mut self, at: usize) -> Option<&mut T>;

    /// Like [`Frame::view`], for any `at` up to [`FAR_MAX`].
    fn view_far<T: Pod>(&self, at: usize) -> Option<&T>;

    /// Like [`Frame::view_far`], to change.
    fn view_far_mut<T: Pod>(&mut self, at: usize) -> Option<&mut T>;

    /// `value`, of which the verifier knows nothing any more; `noise` is any number that it knows nothing of.
    ///
    /// VERIFIER: what was decided is remembered in such a number and asked anew where it matters. Otherwise the rest of the
    /// program would be gone through once for each way in which it was decided.
    fn forget(&self, value: u64, noise: u64) -> u64;

    /// `value`, of which the compiler knows nothing any more, and the verifier as much as before.
    ///
    /// VERIFIER: keeps a comparison and the addition to a pointer on one register.
    fn hide(&self, value: usize) -> usize;

    /// The same for a length.
    fn forget_len(&self, len: usize, noise: u64) -> usize;

    /// Writes `count` words (below 256) from `at` (up to [`FAR_MAX`]) on, as `word` gives them.
    /// False, with some of them perhaps written, when the frame or `word` ends before.
    fn write_words(&mut self, at: usize, count: usize, word: impl Fn(usize) -> Option<u64>) -> bool;

    /// Adds `by` bytes behind the frame, or removes them. False, with nothing changed, when there is no room.
    fn resize_tail(&mut self, by: i32) -> bool;

    /// Adds `by` bytes before the frame. False, with nothing changed, when there is no room.
    fn grow_head(&mut self, by: i32) -> bool;

    /// Takes `by` bytes off the front of the frame, which become room. False, with nothing changed, when less than an Ethernet header
    /// would be left.
    fn shrink_head(&mut self, by: i32) -> bool;
}

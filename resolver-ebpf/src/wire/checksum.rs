//! The Internet checksum, from parts (RFC 1071).
//!
//! In: 64-bit sums of memory words as they lie. Out: the 16 bits that go into a header, as they lie.
//! Refuses to read a packet: what a packet says of its own sum is not believed, since packets of local sockets carry
//! partial sums.

use super::bytes::low_u16;

/// Adds the four 16-bit words of `word` to a sum.
#[inline(always)]
pub const fn add_word(sum: u64, word: u64) -> u64 {
    sum.wrapping_add(word & 0xffff_ffff).wrapping_add(word >> 32)
}

/// The same sum when its bytes start at an odd offset: bytes swap sides, and 256 does that in ones' complement.
///
/// `sum` must be below 2^40, which 2^24 words of 16 bits do not reach.
#[inline(always)]
pub const fn at_parity(sum: u64, offset_is_odd: u64) -> u64 {
    sum << (offset_is_odd << 3)
}

/// Folds a sum below 2^62 to 16 bits.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff).wrapping_add(sum >> 32);
    let sum = (sum & 0xffff).wrapping_add(sum >> 16);
    let sum = (sum & 0xffff).wrapping_add(sum >> 16);
    let sum = (sum & 0xffff).wrapping_add(sum >> 16);
    low_u16(sum)
}

/// The UDP checksum for a sum over pseudo-header, header and payload. 0 is sent as all ones (RFC 768).
#[inline(always)]
pub const fn udp(sum: u64) -> u16 {
    match !fold(sum) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// Folded sum of `bytes` from an even offset; a last odd byte is padded with zero. For the daemon, which stores sums.
pub fn of_bytes(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in bytes.chunks(2) {
        let low = pair.first().copied().unwrap_or(0);
        let high = pair.get(1).copied().unwrap_or(0);
        sum = sum.wrapping_add(u64::from(u16::from_le_bytes([low, high])));
    }
    fold(sum)
}

//! Integers in network order, and the low parts of a word.
//!
//! "As it lies" means the bytes in memory read as one little-endian integer: what a checksum adds and a comparison compares.
//! Refuses big-endian machines: words of names and sums are kept as they lie, and a stored slot would not be portable.

use bytemuck::{Pod, Zeroable};

#[cfg(target_endian = "big")]
compile_error!("the map layout and the sums are written for little-endian machines");

/// A 16-bit integer in network order, at any address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(transparent)]
pub struct Be16(pub [u8; 2]);

impl Be16 {
    /// The field that holds `value`.
    #[inline(always)]
    pub const fn new(value: u16) -> Self {
        Self(value.to_be_bytes())
    }

    /// The value.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be_bytes(self.0)
    }

    /// The field as it lies.
    #[inline(always)]
    pub const fn raw(self) -> u16 {
        u16::from_le_bytes(self.0)
    }

    /// The field that lies as `raw`.
    #[inline(always)]
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw.to_le_bytes())
    }
}

/// The 16 low bits.
#[inline(always)]
pub const fn low_u16(word: u64) -> u16 {
    let [a, b, ..] = word.to_le_bytes();
    u16::from_le_bytes([a, b])
}

/// The 32 low bits.
#[inline(always)]
pub const fn low_u32(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The 16 low bits of a length that is known to be small.
#[inline(always)]
pub const fn low_len(len: usize) -> u16 {
    let [a, b, ..] = len.to_le_bytes();
    u16::from_le_bytes([a, b])
}

//! Names in wire form, eight bytes at a time: where they end, folding of case, and the keyed hash.
//!
//! A name is taken to end at its first zero byte. That is sound because the publisher refuses names with a zero byte
//! inside a label and complete wire names are prefix-free: whatever else a client sends, compression pointers included,
//! differs from every published name. Folding the length bytes with the rest is harmless: they are below `A`.
//!
//! The hash is NH (the inner function of UMAC, RFC 4418 §5.2.2) over folded words with a random key: two names that were
//! chosen without knowing the key collide with probability 2^-32. It only has to spread names over buckets and tags; the
//! fast path always compares the whole name.

use super::bytes::{low_u16, low_u32};
use crate::abi::HASH_KEY_WORDS;

/// Longest name in wire form, with its final zero byte (RFC 1035 §2.3.4).
pub const NAME_LEN_MAX: usize = 255;
/// Words of the longest name.
pub const NAME_WORDS_MAX: usize = NAME_LEN_MAX.div_ceil(8);

/// Folds A–Z to a–z in each of the eight bytes.
#[inline(always)]
pub const fn fold_word(word: u64) -> u64 {
    let low_bits = word & (ONES * 0x7f);
    let at_least_a = low_bits.wrapping_add(ONES * (0x80 - 0x41));
    let above_z = low_bits.wrapping_add(ONES * (0x7f - 0x5a));
    let letters = (at_least_a ^ above_z) & !word & HIGHS;
    word | (letters >> 2)
}

/// The end of a name within a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameEnd {
    /// The word with everything behind the zero byte cleared.
    pub word: u64,
    /// Bytes of the name in this word, the zero byte included: 1..=8.
    pub len: usize,
}

/// The first zero byte of a word, if there is one.
#[inline(always)]
pub fn end_of_name(word: u64) -> Option<NameEnd> {
    let zeroes = word.wrapping_sub(ONES) & !word & HIGHS;
    if zeroes == 0 {
        return None;
    }
    let first = zeroes & zeroes.wrapping_neg();
    // One bit for each byte before the zero byte; the product adds them up in the highest byte.
    let before = (first >> 7).wrapping_sub(1) & ONES;
    let len = usize::from(low_u16(before.wrapping_mul(ONES) >> 56)).wrapping_add(1);
    Some(NameEnd { word: word & first.wrapping_sub(1), len })
}

/// Adds a folded word to a name's hash.
#[inline(always)]
pub fn add_to_hash(hash: u64, folded: u64, key: u64) -> u64 {
    let low = low_u32(folded).wrapping_add(low_u32(key));
    let high = low_u32(folded >> 32).wrapping_add(low_u32(key >> 32));
    hash.wrapping_add(u64::from(low).wrapping_mul(u64::from(high)))
}

/// Hash of a name (any case, wire form). For the daemon; the fast path hashes while it reads.
pub fn hash_name(name: &[u8], key: &[u64; HASH_KEY_WORDS]) -> u64 {
    let mut hash = 0;
    for (bytes, key) in name.chunks(8).zip(key) {
        hash = add_to_hash(hash, fold_word(word_of(bytes)), *key);
    }
    hash
}

/// The hash of a key. Bucket = this >> `bucket_shift`; tag = [`tag`] of this.
#[inline(always)]
pub fn key_hash(name_hash: u64, qtype: u16, dnssec_ok: bool) -> u64 {
    let kind = u64::from(qtype) << 1 | u64::from(dnssec_ok);
    let mixed = (name_hash ^ name_hash >> 32) ^ kind;
    // Fibonacci hashing: the upper bits, which choose the bucket, depend on every bit below them.
    mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What a bucket entry keeps of a key's hash.
#[inline(always)]
pub const fn tag(key_hash: u64) -> u32 {
    low_u32(key_hash)
}

/// Up to eight bytes as a word, padded with zero.
pub fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0u8; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn folding_changes_capital_letters_and_nothing_else() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                let mut bytes = [0x80, 0x41, 0x5a, 0x00, 0xff, 0x40, 0x5b, 0x7f];
                bytes[at] = byte;
                assert_eq!(fold_word(u64::from_le_bytes(bytes)).to_le_bytes(), bytes.map(|b| b.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn a_name_ends_at_its_first_zero_byte() {
        for end in 0..8 {
            for filler in [1, 0x7f, 0x80, 0x81, 0xff] {
                let mut bytes = [filler; 8];
                bytes[end] = 0;
                let with_one_zero = u64::from_le_bytes(bytes);
                bytes[end..].fill(0);
                let word = u64::from_le_bytes(bytes);
                assert_eq!(end_of_name(with_one_zero), Some(NameEnd { word, len: end + 1 }));
                assert_eq!(end_of_name(word), Some(NameEnd { word, len: end + 1 }));
            }
        }
        assert_eq!(end_of_name(0x0101_0101_0101_0101), None);
        assert_eq!(end_of_name(0x8080_8080_8080_8080), None);
        assert_eq!(end_of_name(u64::MAX), None);
    }

    #[test]
    fn the_hash_ignores_case_and_nothing_else() {
        let mut key = [0; HASH_KEY_WORDS];
        for (i, word) in (1u64..).zip(&mut key) {
            *word = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        let hash = |name: &[u8]| hash_name(name, &key);
        assert_eq!(hash(b"\x03WwW\x07eXample\x00"), hash(b"\x03www\x07example\x00"));
        assert_ne!(hash(b"\x03www\x07example\x00"), hash(b"\x03www\x07examplf\x00"));
        assert_ne!(hash(b"\x03www\x07example\x00"), hash(b"\x03wwv\x07example\x00"));
        let hashes =
            [(1, false), (1, true), (28, false), (28, true)].map(|(qtype, d)| key_hash(hash(b"\x00"), qtype, d));
        for (i, a) in hashes.iter().enumerate() {
            for b in &hashes[..i] {
                assert_ne!(tag(*a), tag(*b));
            }
        }
    }
}

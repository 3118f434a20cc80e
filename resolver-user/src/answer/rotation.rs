//! Lets the addresses of an answer change places, so that clients which take the first one share the load (round robin).
//!
//! In: where the records of a body stand. Out: a [`Rotation`], which turns the addresses of the last set of the answer in place. Only
//! addresses change places, not records: nothing moves that anything points at, no length changes, and neither does the sum of
//! the body, as equal fields stand at equal parity. Signatures hold: the canonical order is another one anyway (RFC 4034 §6.3).

use std::num::NonZeroU8;
use std::ops::Range;

/// Bytes between a TTL field and the RDATA: the TTL itself, and RDLENGTH.
const TTL_TO_RDATA: usize = 6;
/// Most addresses that change places. Choice: as many as any slot of the kernel map holds of A records.
const ADDRESSES_MAX: usize = 64;

/// The addresses of an answer that change places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Where the first one stands, in bytes from the body's start.
    first_at: u16,
    /// From one to the next, in bytes; even.
    stride: u16,
    /// Length of each, in bytes.
    len: u8,
    /// How many: at least 2. So that an answer without a rotation takes no more memory.
    count: NonZeroU8,
}

impl Rotation {
    /// The rotation of a set whose records' TTL fields stand at `ttl_offsets`, with addresses of `len` bytes; none if there is nothing to
    /// rotate, or it would need more than an exchange of equal fields.
    pub fn of_ttl_fields(ttl_offsets: &[u16], len: u8) -> Option<Self> {
        let (&first, &second) = (ttl_offsets.first()?, ttl_offsets.get(1)?);
        let stride = second.checked_sub(first)?;
        let even_steps = ttl_offsets.windows(2).all(|pair| matches!(pair, [a, b] if b.checked_sub(*a) == Some(stride)));
        let is_sound = stride.is_multiple_of(2) && even_steps && ttl_offsets.len() <= ADDRESSES_MAX;
        let first_at = first.checked_add(u16::try_from(TTL_TO_RDATA).ok()?)?;
        let count = u8::try_from(ttl_offsets.len()).ok().and_then(NonZeroU8::new)?;
        is_sound.then_some(Self { first_at, stride, len, count })
    }

    /// Turns the addresses of a body by so many places.
    pub fn turn(&self, body: &mut [u8], places: u32) {
        let count = usize::from(self.count.get());
        let places = places as usize % count;
        let mut addresses = Vec::with_capacity(count * usize::from(self.len));
        for number in 0..count {
            addresses.extend_from_slice(body.get(self.field(number)).unwrap_or_default());
        }
        if addresses.len() != count * usize::from(self.len) {
            return;
        }
        for (number, address) in addresses.chunks(usize::from(self.len)).enumerate() {
            let to = (number + count - places) % count;
            if let Some(field) = body.get_mut(self.field(to)) {
                field.copy_from_slice(address);
            }
        }
    }

    fn field(&self, number: usize) -> Range<usize> {
        let at = usize::from(self.first_at) + number * usize::from(self.stride);
        at..at + usize::from(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_comes_first_once_and_nothing_else_moves() {
        let body: Vec<u8> = (0..60).collect();
        let Some(rotation) = Rotation::of_ttl_fields(&[8, 24, 40], 4) else { panic!("three addresses in a row") };
        let mut turned = body.clone();
        let mut firsts = Vec::new();
        for _ in 0..3 {
            firsts.extend(turned.get(14).copied());
            rotation.turn(&mut turned, 1);
        }
        assert_eq!((firsts, &turned), (vec![14, 30, 46], &body), "three turns are one whole");
        rotation.turn(&mut turned, 2);
        let differing = turned.iter().zip(&body).enumerate().filter(|(_, (after, before))| after != before);
        let moved: Vec<usize> = differing.map(|(at, _)| at).collect();
        let addresses: Vec<usize> = [14, 30, 46].into_iter().flat_map(|at| at..at + 4).collect();
        assert_eq!(moved, addresses);
        let sum = |bytes: &[u8]| {
            let (words, _) = bytes.as_chunks::<2>();
            words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum::<u32>()
        };
        assert_eq!(sum(&turned), sum(&body));
    }

    #[test]
    fn what_is_no_row_of_equal_fields_stays_as_it_is() {
        assert_eq!(Rotation::of_ttl_fields(&[8], 4), None);
        assert_eq!(Rotation::of_ttl_fields(&[8, 23], 4), None, "odd steps would change the sum");
        assert_eq!(Rotation::of_ttl_fields(&[8, 24, 42], 4), None);
        assert_eq!(Rotation::of_ttl_fields(&[0; 65], 4), None);
        let mut short = [0, 1, 2];
        Rotation::of_ttl_fields(&[8, 24], 4).into_iter().for_each(|rotation| rotation.turn(&mut short, 1));
        assert_eq!(short, [0, 1, 2]);
    }
}

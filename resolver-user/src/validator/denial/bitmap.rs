//! The types that exist at a name, as NSEC and NSEC3 list them (RFC 4034 §4.1.2).

use crate::wire::RecordType;

/// A checked type bitmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::validator) struct TypeBitmap {
    wire: Box<[u8]>,
}

impl TypeBitmap {
    /// Reads a bitmap that fills `wire`; none if its blocks are malformed or out of order.
    pub(in crate::validator) fn read(wire: &[u8]) -> Option<Self> {
        let mut rest = wire;
        let mut last = None;
        while !rest.is_empty() {
            let (&[window, length], tail) = rest.split_first_chunk::<2>()?;
            if last.is_some_and(|last| last >= window) || !(1..=32).contains(&length) {
                return None;
            }
            last = Some(window);
            rest = tail.get(usize::from(length)..)?;
        }
        Some(Self { wire: wire.into() })
    }

    /// Whether the type is listed.
    pub(in crate::validator) fn contains(&self, rtype: RecordType) -> bool {
        let [high, low] = rtype.0.to_be_bytes();
        let mut rest = &*self.wire;
        while let Some((&[window, length], tail)) = rest.split_first_chunk::<2>() {
            let Some((block, after)) = tail.split_at_checked(usize::from(length)) else { return false };
            if window == high {
                return block.get(usize::from(low >> 3)).is_some_and(|byte| byte & (0x80 >> (low & 7)) != 0);
            }
            rest = after;
        }
        false
    }

    /// Its bytes.
    pub(in crate::validator) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Whether no type is listed.
    pub(in crate::validator) fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bitmap_of_rfc_4034_lists_its_types() {
        // RFC 4034 §4.3: A MX RRSIG NSEC TYPE1234.
        let mut wire = vec![0, 6, 0x40, 0x01, 0x00, 0x00, 0x00, 0x03, 0x04, 0x1b];
        wire.extend([0; 26]);
        wire.push(0x20);
        let bitmap = TypeBitmap::read(&wire).unwrap();
        let listed: Vec<u16> = (0..=u16::MAX).filter(|&number| bitmap.contains(RecordType(number))).collect();
        assert_eq!(listed, [1, 15, 46, 47, 1234]);
    }

    #[test]
    fn malformed_bitmaps_are_refused() {
        for wire in [&[0][..], &[0, 0], &[0, 2, 1], &[0, 33], &[0, 1, 1, 0, 1, 1], &[1, 1, 1, 0, 1, 1]] {
            assert_eq!(TypeBitmap::read(wire), None, "{wire:?}");
        }
        assert!(TypeBitmap::read(&[]).unwrap().is_empty());
    }
}

//! Where names stand in RDATA: needed to decompress it (RFC 3597 §4) and to fold it for signatures (RFC 4034 §6.2).

use super::{Name, RecordType, WireError};

/// One field of an RDATA layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RdataField {
    /// So many bytes.
    Bytes(usize),
    /// A character string: a length byte and as many bytes (RFC 1035 §3.3).
    CharacterString,
    /// A domain name.
    Name,
    /// A name whose prefix was cut off: a length in bits, the address bytes, and a name if the length is not 0 (RFC 2874).
    A6,
}

use RdataField::{A6, Bytes, CharacterString, Name as NameField};

/// The fields of `rtype` up to its last name; what follows is opaque. Empty: the RDATA holds no names that are
/// compressed or folded.
///
/// These are the types of RFC 4034 §6.2 as corrected by RFC 6840 §5.1: NSEC's next name is neither compressed nor folded,
/// RRSIG's signer is not compressed but folded.
pub fn rdata_layout(rtype: RecordType) -> &'static [RdataField] {
    match rtype.0 {
        // NS MD MF CNAME MB MG MR PTR DNAME
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => &[NameField],
        // SOA MINFO RP
        6 | 14 | 17 => &[NameField, NameField],
        // MX AFSDB RT KX
        15 | 18 | 21 | 36 => &[Bytes(2), NameField],
        // SIG RRSIG
        24 | 46 => &[Bytes(18), NameField],
        // PX
        26 => &[Bytes(2), NameField, NameField],
        // NXT
        30 => &[NameField],
        // SRV
        33 => &[Bytes(6), NameField],
        // NAPTR
        35 => &[Bytes(4), CharacterString, CharacterString, CharacterString, NameField],
        38 => &[A6],
        _ => &[],
    }
}

/// Copies the RDATA at `start..end` of `message` with its names decompressed, letter case kept.
///
/// # Errors
/// [`WireError::Rdata`] if it does not follow its type's layout.
pub(super) fn decompress(message: &[u8], start: usize, end: usize, rtype: RecordType) -> Result<Box<[u8]>, WireError> {
    let bad = WireError::Rdata { at: start };
    let mut out = Vec::with_capacity(end.saturating_sub(start));
    let mut at = start;
    for field in rdata_layout(rtype) {
        match *field {
            Bytes(length) => at = copy(message, at, length, end, &mut out).ok_or(bad)?,
            CharacterString => {
                let length = usize::from(*message.get(at).ok_or(bad)?).saturating_add(1);
                at = copy(message, at, length, end, &mut out).ok_or(bad)?;
            }
            NameField => {
                let (name, after) = Name::read_compressed(message, at).map_err(|_| bad)?;
                if after > end {
                    return Err(bad);
                }
                out.extend_from_slice(name.wire());
                at = after;
            }
            // Its name is never compressed and its type is historic (RFC 6563): kept as it is.
            A6 => {}
        }
    }
    copy(message, at, end.checked_sub(at).ok_or(bad)?, end, &mut out).ok_or(bad)?;
    Ok(out.into_boxed_slice())
}

fn copy(message: &[u8], at: usize, length: usize, end: usize, out: &mut Vec<u8>) -> Option<usize> {
    let after = at.checked_add(length).filter(|&after| after <= end)?;
    out.extend_from_slice(message.get(at..after)?);
    Some(after)
}

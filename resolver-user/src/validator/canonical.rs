//! The canonical form of a set: the bytes that a signature is made over (RFC 4034 §6, §3.1.8.1; RFC 6840 §5.1).
//!
//! In: a set as received and one of its signatures. Out: the signed bytes, or none if there is no canonical form; what
//! cannot be canonicalised is not verified. Works on wire bytes throughout: RDATA is never taken apart beyond its names,
//! so types that we do not know, and odd spellings of those we do, verify as they were signed.

use crate::wire::{CLASS_IN, Name, RdataField, RecordType, RrSet, Rrsig, rdata_layout};

/// Length of the RRSIG fields before the signer's name, in bytes.
const RRSIG_FIXED_LEN: usize = 18;

/// The bytes that `signature` signs if it is one of `set`.
pub(super) fn signed_bytes(set: &RrSet, signature: &Rrsig) -> Option<Vec<u8>> {
    let owner = signed_owner(&set.owner, signature.labels)?.canonical_wire();
    let mut rdatas = Vec::with_capacity(set.rdatas.len());
    for rdata in &set.rdatas {
        rdatas.push(canonical_rdata(set.rtype, rdata)?);
    }
    rdatas.sort_unstable();
    // Two records that differ only in letter case are one record (RFC 4034 §6.3).
    rdatas.dedup();

    let mut bytes = signature.rdata.get(..RRSIG_FIXED_LEN)?.to_vec();
    bytes.extend_from_slice(&signature.signer.canonical_wire());
    for rdata in &rdatas {
        bytes.extend_from_slice(&owner);
        bytes.extend_from_slice(&set.rtype.0.to_be_bytes());
        bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        bytes.extend_from_slice(&signature.original_ttl_s.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(rdata.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(rdata);
    }
    Some(bytes)
}

/// Number of labels of `owner` that a Labels field counts: not the root, not a leading `*` (RFC 4034 §3.1.3).
pub(super) fn counted_labels(owner: &Name) -> usize {
    owner.label_count().saturating_sub(usize::from(owner.is_wildcard()))
}

/// The owner that was signed: `owner` itself, or the wildcard it was expanded from (RFC 4035 §5.3.2). None if the Labels
/// field counts more labels than the owner has.
fn signed_owner(owner: &Name, labels: u8) -> Option<Name> {
    let (counted, labels) = (counted_labels(owner), usize::from(labels));
    match labels.cmp(&counted) {
        std::cmp::Ordering::Equal => Some(owner.clone()),
        std::cmp::Ordering::Less => owner.ancestor(labels)?.wildcard(),
        std::cmp::Ordering::Greater => None,
    }
}

/// RDATA with the names folded that RFC 4034 §6.2 wants folded; none if it does not follow its type's layout.
fn canonical_rdata(rtype: RecordType, rdata: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(rdata.len());
    let mut rest = rdata;
    for field in rdata_layout(rtype) {
        let length = match *field {
            RdataField::Bytes(length) => length,
            RdataField::CharacterString => usize::from(*rest.first()?).saturating_add(1),
            RdataField::Name => name_len(rest)?,
            // Prefix length in bits, the suffix bytes that it leaves over, a name unless the prefix is empty.
            RdataField::A6 => {
                let prefix = usize::from(*rest.first()?);
                let suffix = 128usize.checked_sub(prefix)?.div_ceil(8).saturating_add(1);
                let (bytes, name) = rest.split_at_checked(suffix)?;
                out.extend_from_slice(bytes);
                rest = name;
                if prefix == 0 { 0 } else { name_len(name)? }
            }
        };
        let (part, after) = rest.split_at_checked(length)?;
        match field {
            RdataField::Name | RdataField::A6 => out.extend(part.iter().map(u8::to_ascii_lowercase)),
            RdataField::Bytes(_) | RdataField::CharacterString => out.extend_from_slice(part),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// Length of the uncompressed name that `bytes` start with.
fn name_len(bytes: &[u8]) -> Option<usize> {
    let (name, end) = Name::read_compressed(bytes, 0).ok()?;
    // A pointer would make the two differ: the message parser has resolved them all.
    (name.wire().len() == end).then_some(end)
}

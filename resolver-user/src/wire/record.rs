//! One resource record, and the typed views of RDATA that resolution itself reads.

use super::{Name, RecordType};

/// A resource record as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Owner, letter case as received.
    pub owner: Name,
    /// Type.
    pub rtype: RecordType,
    /// Class, by number.
    pub class: u16,
    /// TTL, in seconds; a value with the top bit set was read as 0 (RFC 2181 §8).
    pub ttl_s: u32,
    /// RDATA with its names decompressed, otherwise as received.
    pub rdata: Box<[u8]>,
}

/// Length of an RRSIG's fields before the signer, in bytes.
const FIXED_LEN: usize = 18;

/// The fields of an RRSIG (RFC 4034 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rrsig {
    /// Type of the set that is signed.
    pub type_covered: RecordType,
    /// Algorithm, by number.
    pub algorithm: u8,
    /// Labels of the owner before wildcard expansion, root and `*` not counted.
    pub labels: u8,
    /// TTL of the set in its zone, in seconds.
    pub original_ttl_s: u32,
    /// End of validity: seconds since 1970 modulo 2^32, compared by serial arithmetic (RFC 1982).
    pub expiration: u32,
    /// Start of validity, likewise.
    pub inception: u32,
    /// Key tag of the signing key.
    pub key_tag: u16,
    /// Name of the zone that signed.
    pub signer: Name,
    /// TTL of the RRSIG record, in seconds.
    pub ttl_s: u32,
    /// The whole RDATA, names decompressed.
    pub rdata: Box<[u8]>,
}

impl Rrsig {
    /// Reads the fields of an RRSIG record; none if its RDATA is malformed.
    pub fn read(record: &Record) -> Option<Self> {
        let rdata = &*record.rdata;
        let (fixed, rest) = rdata.split_first_chunk::<FIXED_LEN>()?;
        let [t0, t1, algorithm, labels, o0, o1, o2, o3, e0, e1, e2, e3, i0, i1, i2, i3, k0, k1] = *fixed;
        let (signer, end) = Name::read_compressed(rest, 0).ok()?;
        // A pointer inside extracted RDATA leads nowhere; the copy made by the parser has none.
        if end != signer.wire().len() {
            return None;
        }
        Some(Self {
            type_covered: RecordType(u16::from_be_bytes([t0, t1])),
            algorithm,
            labels,
            original_ttl_s: u32::from_be_bytes([o0, o1, o2, o3]),
            expiration: u32::from_be_bytes([e0, e1, e2, e3]),
            inception: u32::from_be_bytes([i0, i1, i2, i3]),
            key_tag: u16::from_be_bytes([k0, k1]),
            signer,
            ttl_s: record.ttl_s,
            rdata: record.rdata.clone(),
        })
    }

    /// The signature itself: what follows the signer in the RDATA.
    pub fn signature(&self) -> &[u8] {
        self.rdata.get(self.signature_at()..).unwrap_or_default()
    }

    /// The same, to be broken by tests.
    #[cfg(test)]
    pub(crate) fn signature_mut(&mut self) -> &mut [u8] {
        let at = self.signature_at();
        self.rdata.get_mut(at..).unwrap_or_default()
    }

    fn signature_at(&self) -> usize {
        FIXED_LEN.saturating_add(self.signer.wire().len())
    }
}

/// The fields of a SOA that resolution reads (RFC 1035 §3.3.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soa {
    /// Serial number.
    pub serial: u32,
    /// Upper bound of the TTL of negative answers, in seconds (RFC 2308 §4).
    pub minimum_s: u32,
}

impl Soa {
    /// Reads the fields of a SOA's RDATA; none if it is malformed.
    pub fn read(rdata: &[u8]) -> Option<Self> {
        let (_, after_mname) = Name::read_compressed(rdata, 0).ok()?;
        let (_, at) = Name::read_compressed(rdata, after_mname).ok()?;
        let numbers: &[u8; 20] = rdata.get(at..)?.try_into().ok()?;
        let word = |index: usize| {
            let part = numbers.get(index..).and_then(|part| part.first_chunk::<4>());
            part.map(|part| u32::from_be_bytes(*part))
        };
        Some(Self { serial: word(0)?, minimum_s: word(16)? })
    }
}

//! Keys, and the DS records that vouch for them (RFC 4034 §2, §5, Appendix B).
//!
//! In: RDATA of DNSKEY and DS. Out: [`ZoneKey`], [`Ds`], and whether one vouches for the other.
//! Does not verify signatures and does not decide what an unsupported algorithm means; [`super::chain`] does.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, digest};

use super::algorithm::Algorithm;
use super::{DsAnchor, Policy};
use crate::wire::Name;

/// Zone key flag: the key may sign sets of its zone (RFC 4034 §2.1.1).
const FLAG_ZONE: u16 = 0x0100;
/// Revoke flag (RFC 5011 §2.1).
const FLAG_REVOKE: u16 = 0x0080;
/// Secure entry point flag: a hint that the key signs keys (RFC 4034 §2.1.1).
const FLAG_SECURE_ENTRY_POINT: u16 = 0x0001;
/// The only valid protocol number (RFC 4034 §2.1.2).
const PROTOCOL: u8 = 3;

/// A DNSKEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ZoneKey {
    /// Flags.
    pub(super) flags: u16,
    /// Protocol; must be 3.
    pub(super) protocol: u8,
    /// Algorithm, by number.
    pub(super) algorithm: u8,
    /// Key tag.
    pub(super) tag: u16,
    /// The public key, in the form of its algorithm.
    pub(super) public_key: Box<[u8]>,
    /// The whole RDATA.
    pub(super) rdata: Box<[u8]>,
}

impl ZoneKey {
    /// Reads DNSKEY RDATA; none if it is shorter than its fixed part.
    pub(super) fn read(rdata: &[u8]) -> Option<Self> {
        let (&[f0, f1, protocol, algorithm], public_key) = rdata.split_first_chunk::<4>()?;
        Some(Self {
            flags: u16::from_be_bytes([f0, f1]),
            protocol,
            algorithm,
            tag: key_tag(rdata),
            public_key: public_key.into(),
            rdata: rdata.into(),
        })
    }

    /// Whether the zone key flag is set.
    pub(super) fn has_zone_flag(&self) -> bool {
        self.flags & FLAG_ZONE != 0
    }

    /// Whether sets of the zone may be signed with it: a zone key of protocol 3 that is not revoked.
    pub(super) fn may_sign_zone(&self) -> bool {
        self.has_zone_flag() && self.protocol == PROTOCOL && !self.is_revoked()
    }

    /// Whether it is marked as revoked (RFC 5011 §2.1).
    pub(super) fn is_revoked(&self) -> bool {
        self.flags & FLAG_REVOKE != 0
    }

    /// Whether it is marked as one that anchors may vouch for (RFC 4034 §2.1.1).
    pub(super) fn is_secure_entry_point(&self) -> bool {
        self.flags & FLAG_SECURE_ENTRY_POINT != 0
    }

    /// Its RDATA without the revoke flag.
    pub(super) fn unrevoked(&self) -> Box<[u8]> {
        let [high, low] = (self.flags & !FLAG_REVOKE).to_be_bytes();
        let mut rdata = self.rdata.clone();
        if let Some(flags) = rdata.first_chunk_mut::<2>() {
            *flags = [high, low];
        }
        rdata
    }

    /// The algorithm, if policy accepts it and we can verify with it and with this key.
    pub(super) fn usable_algorithm(&self, policy: &Policy) -> Option<Algorithm> {
        Algorithm::accepted(self.algorithm, policy).filter(|algorithm| algorithm.supports_key(&self.public_key))
    }
}

/// Key tag (RFC 4034 Appendix B). Algorithm 1 has another one (B.1), but is never supported.
fn key_tag(rdata: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in rdata.chunks(2) {
        let word = match *pair {
            [high, low] => u16::from_be_bytes([high, low]),
            [high] => u16::from_be_bytes([high, 0]),
            _ => 0,
        };
        // At most 32,768 words of 16 bits: fits 32 bits.
        sum = sum.wrapping_add(u32::from(word));
    }
    let folded = sum.wrapping_add(sum >> 16) & 0xffff;
    u16::try_from(folded).unwrap_or(u16::MAX)
}

/// A digest type that we compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DigestType {
    /// 1 (RFC 4034 §5.1.3), which RFC 9905 retires.
    Sha1,
    /// 2 (RFC 4509).
    Sha256,
    /// 4 (RFC 6605 §2).
    Sha384,
}

impl DigestType {
    /// The digest type with this number, if we can compute it.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Sha1),
            2 => Some(Self::Sha256),
            4 => Some(Self::Sha384),
            _ => None,
        }
    }

    /// The digest type with this number, if we can compute it and policy accepts it.
    pub(super) fn accepted(number: u8, policy: &Policy) -> Option<Self> {
        Self::from_number(number).filter(|&digest_type| policy.sha1_allowed || digest_type != Self::Sha1)
    }

    /// Length of a digest, in bytes.
    pub(super) fn len(self) -> usize {
        self.hash().output_len()
    }

    /// The digest of a key of `zone` (RFC 4034 §5.1.4).
    pub(super) fn digest(self, zone: &Name, key: &ZoneKey) -> Box<[u8]> {
        let mut digested = zone.canonical_wire().into_vec();
        digested.extend_from_slice(&key.rdata);
        digest(self.hash(), &digested).as_ref().into()
    }

    fn hash(self) -> &'static ring::digest::Algorithm {
        match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
        }
    }
}

/// A DS record, or an anchor in the form of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ds {
    /// Tag of the key that it vouches for.
    pub(super) key_tag: u16,
    /// Algorithm of that key, by number.
    pub(super) algorithm: u8,
    /// Digest type, by number.
    pub(super) digest_type: u8,
    /// Digest of the owner and the key's RDATA.
    digest: Box<[u8]>,
}

impl Ds {
    /// Reads DS RDATA; none if it is shorter than its fixed part.
    pub(super) fn read(rdata: &[u8]) -> Option<Self> {
        let (&[t0, t1, algorithm, digest_type], digest) = rdata.split_first_chunk::<4>()?;
        Some(Self { key_tag: u16::from_be_bytes([t0, t1]), algorithm, digest_type, digest: digest.into() })
    }

    /// Whether policy accepts the algorithm that it names.
    pub(super) fn has_accepted_algorithm(&self, policy: &Policy) -> bool {
        Algorithm::accepted(self.algorithm, policy).is_some()
    }

    /// Its digest type, if policy accepts it.
    pub(super) fn digest_type(&self, policy: &Policy) -> Option<DigestType> {
        DigestType::accepted(self.digest_type, policy)
    }

    /// Whether it names this key by tag and algorithm: cheap, and no proof.
    pub(super) fn names(&self, key: &ZoneKey) -> bool {
        self.key_tag == key.tag && self.algorithm == key.algorithm
    }

    /// Whether it vouches for this key of `zone`: tag, algorithm and digest agree.
    pub(super) fn vouches_for(&self, zone: &Name, key: &ZoneKey) -> bool {
        let Some(digest_type) = DigestType::from_number(self.digest_type) else { return false };
        self.names(key) && digest_type.digest(zone, key) == self.digest
    }
}

impl From<&DsAnchor> for Ds {
    fn from(anchor: &DsAnchor) -> Self {
        Self {
            key_tag: anchor.key_tag,
            algorithm: anchor.algorithm,
            digest_type: anchor.digest_type,
            digest: anchor.digest.clone(),
        }
    }
}

//! Trust anchors: the DS records from which every chain starts, and the names below which none is looked for (RFC 7646).

use thiserror::Error;

use super::Policy;
use super::algorithm::Algorithm;
use super::key::{DigestType, Ds, ZoneKey};
use crate::wire::{DomainMap, Name};

/// One anchor, in the form of a DS record (RFC 4034 §5.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DsAnchor {
    /// The zone.
    pub zone: Name,
    /// Key tag.
    pub key_tag: u16,
    /// Algorithm, by number.
    pub algorithm: u8,
    /// Digest type, by number.
    pub digest_type: u8,
    /// Digest.
    pub digest: Box<[u8]>,
}

/// Why an anchor cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnchorError {
    /// The digest's length does not fit its type.
    #[error("digest of type {digest_type} has {length} bytes, not {expected}")]
    DigestLength {
        /// Digest type, by number.
        digest_type: u8,
        /// Length found, in bytes.
        length: usize,
        /// Length that the type has, in bytes.
        expected: usize,
    },
    /// We cannot verify with this algorithm.
    #[error("algorithm {algorithm} is not supported; supported: 8, 10, 13, 14, 15, 16")]
    Algorithm {
        /// Algorithm, by number.
        algorithm: u8,
    },
    /// We cannot compute this digest.
    #[error("digest type {digest_type} is not supported; supported: 2, 4")]
    DigestType {
        /// Digest type, by number.
        digest_type: u8,
    },
}

impl DsAnchor {
    /// The anchor, with a digest of SHA-256, that vouches for a key of `zone` given as DNSKEY RDATA; none if that is too short.
    pub fn of_key(zone: &Name, dnskey: &[u8]) -> Option<Self> {
        let key = ZoneKey::read(dnskey)?;
        let (key_tag, algorithm, digest_type) = (key.tag, key.algorithm, 2);
        let digest = DigestType::Sha256.digest(zone, &key);
        Some(Self { zone: zone.clone(), key_tag, algorithm, digest_type, digest })
    }

    /// Whether it vouches for this key, given as DNSKEY RDATA: tag, algorithm and digest agree.
    pub fn vouches_for(&self, dnskey: &[u8]) -> bool {
        ZoneKey::read(dnskey).is_some_and(|key| Ds::from(self).vouches_for(&self.zone, &key))
    }

    /// Checks that the anchor can be used. Choice: one that needs SHA-1 cannot, even where policy allows SHA-1: an operator
    /// who writes an anchor can write one with a digest of today.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), AnchorError> {
        self.check_under(&Policy::DEFAULT)
    }

    fn check_under(&self, policy: &Policy) -> Result<(), AnchorError> {
        if Algorithm::accepted(self.algorithm, policy).is_none() {
            return Err(AnchorError::Algorithm { algorithm: self.algorithm });
        }
        let digest_type = DigestType::accepted(self.digest_type, policy);
        let expected = digest_type.ok_or(AnchorError::DigestType { digest_type: self.digest_type })?.len();
        match self.digest.len() {
            length if length == expected => Ok(()),
            length => Err(AnchorError::DigestLength { digest_type: self.digest_type, length, expected }),
        }
    }
}

/// All anchors, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrustAnchors {
    anchors: Vec<DsAnchor>,
    negative: Vec<Name>,
    /// Domains that have servers of their own (true), and those below that have not (false).
    private: DomainMap<bool>,
}

/// What the anchors say about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnchoredAt<'a> {
    /// Its chain starts at this zone.
    Zone(&'a Name),
    /// A negative anchor at this name turns validation off for it.
    Negative(&'a Name),
    /// No anchor covers it.
    Nowhere,
}

impl TrustAnchors {
    /// The usable ones of `anchors`, and `negative` ones: at and below those, everything is insecure unless a deeper
    /// anchor says otherwise.
    pub fn new(anchors: Vec<DsAnchor>, negative: Vec<Name>) -> Self {
        Self::under(&Policy::DEFAULT, anchors, negative)
    }

    /// The same under a policy, which may accept SHA-1. What an operator writes was checked before, more strictly.
    pub fn under(policy: &Policy, anchors: Vec<DsAnchor>, negative: Vec<Name>) -> Self {
        let is_usable = |anchor: &DsAnchor| anchor.check_under(policy).is_ok();
        Self { anchors: anchors.into_iter().filter(is_usable).collect(), negative, private: DomainMap::default() }
    }

    /// The same with domains that the operator has given servers of their own (true), and domains that have none (false).
    #[must_use]
    pub fn with_private(self, private: DomainMap<bool>) -> Self {
        Self { private, ..self }
    }

    /// The domain with servers of its own that `name` belongs to; none if an anchor, of either kind, decides about the name
    /// from at or below that domain, or from nowhere.
    pub(super) fn private_domain(&self, name: &Name) -> Option<Name> {
        let found = self.private.find(name.wire()).filter(|found| *found.value)?;
        let domain = name.ancestor(found.labels)?;
        match self.decisive(name) {
            AnchoredAt::Zone(zone) if domain.is_below(zone) => Some(domain),
            AnchoredAt::Zone(_) | AnchoredAt::Negative(_) | AnchoredAt::Nowhere => None,
        }
    }

    /// Whether the operator has excepted this very domain from one with servers of its own: the public tree decides about it.
    pub(super) fn is_excepted(&self, name: &Name) -> bool {
        let found = self.private.find(name.wire()).filter(|found| !*found.value);
        found.is_some_and(|found| found.labels == name.label_count())
    }

    /// The anchor that decides about `name`: the closest one. At the same name the negative one does, as it is the
    /// exception (RFC 7646 §2).
    pub(super) fn decisive<'a>(&'a self, name: &Name) -> AnchoredAt<'a> {
        let zones = self.anchors.iter().map(|anchor| &anchor.zone);
        let zone = zones.filter(|zone| name.is_at_or_below(zone)).max_by_key(|zone| zone.label_count());
        let negatives = self.negative.iter().filter(|negative| name.is_at_or_below(negative));
        match (zone, negatives.max_by_key(|negative| negative.label_count())) {
            (Some(zone), Some(negative)) if zone.is_below(negative) => AnchoredAt::Zone(zone),
            (_, Some(negative)) => AnchoredAt::Negative(negative),
            (Some(zone), None) => AnchoredAt::Zone(zone),
            (None, None) => AnchoredAt::Nowhere,
        }
    }

    /// The highest zone from which a chain may run to `name`, past the anchor that decides about it. A negative anchor on the
    /// way ends it, and so does a private domain, which the zones above know nothing of.
    pub(super) fn outermost<'a>(&'a self, name: &Name) -> Option<&'a Name> {
        let AnchoredAt::Zone(mut outermost) = self.decisive(name) else { return None };
        if self.private.find(name.wire()).is_some_and(|found| *found.value) {
            return Some(outermost);
        }
        // Bound: each turn is one anchor further up.
        while let Some(AnchoredAt::Zone(above)) = outermost.parent().map(|above| self.decisive(&above)) {
            outermost = above;
        }
        Some(outermost)
    }

    /// Every anchor that is none of the negative ones.
    pub fn all(&self) -> &[DsAnchor] {
        &self.anchors
    }

    /// The anchors of `zone`.
    pub fn of_zone(&self, zone: &Name) -> impl Iterator<Item = &DsAnchor> {
        self.anchors.iter().filter(move |anchor| anchor.zone == *zone)
    }
}

//! Describes single records as a validation sees them: what a DS matches, what a key is, whether a signature holds.
//!
//! In: records of replies, verified or not. Out: facts for people, found with the very functions that validation uses.
//! Says nothing about trust: a signature that holds under a key proves nothing until a chain leads to that key, and the
//! chain is followed by [`super::Validation`] alone.

use super::algorithm::rsa_modulus_bits;
use super::key::{Ds, ZoneKey};
use super::signature::{Attempt, SignatureFailure, is_plausible, verify_set};
use super::work::Work;
use super::{DenialFacts, Pace, Policy, WorkBudget, WorkLimits, denial};
use crate::clock::Now;
use crate::wire::{Name, RrSet, Rrsig};

/// A DNSKEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// Key tag.
    pub tag: u16,
    /// Flags.
    pub flags: u16,
    /// Algorithm, by number.
    pub algorithm: u8,
    /// Size: of the modulus, or of the curve.
    pub bits: usize,
    /// Whether it is marked as one that signs keys.
    pub is_secure_entry_point: bool,
    /// Whether it is revoked (RFC 5011).
    pub is_revoked: bool,
    /// Whether it may sign sets of its zone: zone flag, protocol 3, not revoked.
    pub may_sign_zone: bool,
    /// Whether we verify with this algorithm and this very key.
    pub is_supported: bool,
}

/// A DS and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsFacts {
    /// Tag of the key that it names.
    pub key_tag: u16,
    /// Algorithm of that key, by number.
    pub algorithm: u8,
    /// Digest type, by number.
    pub digest_type: u8,
    /// Whether it matches a key.
    pub outcome: DsOutcome,
}

/// What a DS comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DsOutcome {
    /// It vouches for a key that may sign its zone.
    Matches,
    /// It vouches for a key that may not: no zone flag, another protocol, or revoked.
    KeyUnfit,
    /// A key has its tag and algorithm, and another digest.
    DigestDiffers,
    /// No key has its tag and algorithm.
    NoSuchKey,
    /// The algorithm is not supported, so the record counts for nothing.
    AlgorithmUnsupported,
    /// The digest type is not supported, so the record counts for nothing.
    DigestUnsupported,
}

/// What checking one signature comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureOutcome {
    /// It verifies with a key that it names.
    Verifies,
    /// It does not verify, or its times contradict each other.
    Bad,
    /// It is over.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// Its labels or its signer cannot be those of this set.
    Implausible,
    /// No key has its tag and algorithm.
    NoSuchKey,
    /// Only keys that we do not verify with, or that may not sign, have its tag and algorithm.
    KeyUnfit,
    /// The work limit was reached before its turn.
    NotChecked,
}

impl KeyFacts {
    /// Describes DNSKEY RDATA; none if it is too short.
    pub fn read(rdata: &[u8], policy: &Policy) -> Option<Self> {
        let key = ZoneKey::read(rdata)?;
        let key_bits = key.public_key.len().saturating_mul(8);
        let bits = match key.algorithm {
            1 | 5 | 7 | 8 | 10 => rsa_modulus_bits(&key.public_key).unwrap_or(key_bits),
            // Both coordinates of a point; its curve has half as many.
            13 | 14 => key_bits.checked_div(2).unwrap_or(key_bits),
            // One byte more than the curve has, for a sign (RFC 8032 §5.2.2).
            16 => key_bits.saturating_sub(8),
            _ => key_bits,
        };
        Some(Self {
            tag: key.tag,
            flags: key.flags,
            algorithm: key.algorithm,
            bits,
            is_secure_entry_point: key.is_secure_entry_point(),
            is_revoked: key.is_revoked(),
            may_sign_zone: key.may_sign_zone(),
            is_supported: key.usable_algorithm(policy).is_some(),
        })
    }
}

impl DsFacts {
    /// Describes DS RDATA beside the DNSKEY RDATAs of `zone`; none if it is too short.
    pub fn read(zone: &Name, rdata: &[u8], dnskeys: &[Box<[u8]>], policy: &Policy) -> Option<Self> {
        let ds = Ds::read(rdata)?;
        let keys = read_keys(dnskeys);
        let vouched = keys.iter().filter(|key| ds.vouches_for(zone, key));
        let outcome = if !ds.has_accepted_algorithm(policy) {
            DsOutcome::AlgorithmUnsupported
        } else if ds.digest_type(policy).is_none() {
            DsOutcome::DigestUnsupported
        } else if vouched.clone().any(ZoneKey::may_sign_zone) {
            DsOutcome::Matches
        } else if vouched.count() > 0 {
            DsOutcome::KeyUnfit
        } else if keys.iter().any(|key| ds.names(key)) {
            DsOutcome::DigestDiffers
        } else {
            DsOutcome::NoSuchKey
        };
        Some(Self { key_tag: ds.key_tag, algorithm: ds.algorithm, digest_type: ds.digest_type, outcome })
    }
}

/// Checks one signature of a set with the DNSKEY RDATAs of its signer, as validation would.
pub fn check_signature(
    set: &RrSet,
    signature: &Rrsig,
    dnskeys: &[Box<[u8]>],
    now: Now,
    policy: &Policy,
    budget: &mut WorkBudget,
) -> SignatureOutcome {
    if signature.type_covered != set.rtype || !is_plausible(signature, &set.owner) {
        return SignatureOutcome::Implausible;
    }
    let keys = read_keys(dnskeys);
    let named = || keys.iter().filter(|key| key.tag == signature.key_tag && key.algorithm == signature.algorithm);
    let only = RrSet { signatures: vec![signature.clone()], ..set.clone() };
    let mut work = Work { now, policy, budget, pace: Pace::Unhindered, spent_before: 0 };
    match verify_set(&only, &signature.signer, &keys, &mut Attempt::NEW.clone(), &mut work) {
        Err(_) => SignatureOutcome::NotChecked,
        Ok(Ok(_)) => SignatureOutcome::Verifies,
        Ok(Err(SignatureFailure::Expired(_))) => SignatureOutcome::Expired,
        Ok(Err(SignatureFailure::NotYetValid(_))) => SignatureOutcome::NotYetValid,
        Ok(Err(_)) if named().next().is_none() => SignatureOutcome::NoSuchKey,
        Ok(Err(_)) if !named().any(|key| key.may_sign_zone() && key.usable_algorithm(policy).is_some()) => {
            SignatureOutcome::KeyUnfit
        }
        Ok(Err(_)) => SignatureOutcome::Bad,
    }
}

/// Describes the denial records among `sets` as records of `zone` about `name`.
pub fn describe_denial(sets: &[RrSet], zone: &Name, name: &Name, limits: WorkLimits) -> Vec<DenialFacts> {
    denial::describe(sets, zone, name, limits)
}

fn read_keys(dnskeys: &[Box<[u8]>]) -> Vec<ZoneKey> {
    dnskeys.iter().filter_map(|rdata| ZoneKey::read(rdata)).collect()
}

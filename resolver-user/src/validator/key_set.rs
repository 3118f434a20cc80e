//! What the DNSKEY set of an anchored zone says about its keys: what RFC 5011 acts upon.
//!
//! In: a reply to a DNSKEY query, the zone's anchors, the time. Out: a [`KeySet`] that an anchor's own key has signed, and
//! which known keys have revoked themselves. Times of signatures are always checked here, whatever the policy says: an old
//! set must not bring an old key back.
//! Does not decide what becomes of a key: that is for [`crate::trust`].

use thiserror::Error;

use super::key::{Ds, ZoneKey};
use super::signature::{Attempt, candidates, is_signed_by, verify_set};
use super::vouch::vouched_keys;
use super::work::{Halt, Pace, Work};
use super::{BogusReason, BudgetItem, Policy, TrustAnchors, WorkBudget, WorkLimits};
use crate::clock::Now;
use crate::wire::{Name, RecordType, Response, RrSet};

/// A DNSKEY set signed by a key that an anchor vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// Its keys that an anchor may vouch for: secure entry points that we can verify with, revoked ones included.
    pub keys: Vec<EntryKey>,
    /// Original TTL by the signature that verified, in seconds.
    pub original_ttl_s: u32,
    /// What is left of that signature's validity, in seconds.
    pub signature_left_s: u32,
}

/// A key that an anchor may vouch for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryKey {
    /// DNSKEY RDATA, without the revoke flag.
    pub rdata: Box<[u8]>,
    /// Whether it has the flag.
    pub is_revoked: bool,
}

/// How a known key stands in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// As ever.
    Present,
    /// With the revoke flag.
    Revoked,
    /// Not at all.
    Absent,
}

/// Why a set does not count.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// It is bogus, or not there.
    #[error("{0}")]
    Bogus(BogusReason),
    /// Checking it costs too much.
    #[error("too many {0}")]
    Budget(BudgetItem),
}

impl From<Halt> for KeySetError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Budget(item) => Self::Budget(item),
            // Nobody waits here, so nothing pauses.
            Halt::Pace => Self::Budget(BudgetItem::SignatureChecks),
        }
    }
}

impl KeySet {
    /// Reads and verifies the set of `zone` in the reply to its DNSKEY query.
    ///
    /// # Errors
    /// It is not there, or none of the anchors' keys has signed it in time.
    pub fn read(
        response: &Response,
        zone: &Name,
        anchors: &TrustAnchors,
        policy: &Policy,
        now: Now,
    ) -> Result<Self, KeySetError> {
        let policy = Policy { times_checked: true, ..*policy };
        let mut budget = WorkBudget::new(policy.limits);
        let mut work = unhindered(now, &policy, &mut budget);
        let set = find(response, zone).map_err(KeySetError::Bogus)?;
        let keys = keys(set);
        let ds_set: Vec<Ds> = anchors.of_zone(zone).map(Ds::from).collect();
        let vouched = vouched_keys(zone, &ds_set, &keys, &work).map_err(KeySetError::Bogus)?;
        let mut failure = BogusReason::MissingRrsig { owner: zone.clone(), rtype: RecordType::DNSKEY };
        let looked_at = usize::try_from(policy.limits.rrsigs_per_rrset).unwrap_or(usize::MAX);
        for signature in candidates(set, zone).take(looked_at) {
            let only = RrSet { signatures: vec![signature.clone()], ..set.clone() };
            match verify_set(&only, zone, &vouched, &mut Attempt::NEW.clone(), &mut work)? {
                Err(reason) => failure = reason.reason(set),
                Ok(_) => {
                    let [_, _, _, _, low @ ..] = now.unix_s.to_be_bytes();
                    let signature_left_s = signature.expiration.wrapping_sub(u32::from_be_bytes(low));
                    let keys = keys.iter().filter_map(|key| EntryKey::of(key, &policy)).collect();
                    return Ok(Self { keys, original_ttl_s: signature.original_ttl_s, signature_left_s });
                }
            }
        }
        Err(KeySetError::Bogus(failure))
    }

    /// How a key stands in the set.
    pub fn presence(&self, rdata: &[u8]) -> Presence {
        match self.keys.iter().find(|key| *key.rdata == *rdata) {
            Some(EntryKey { is_revoked: true, .. }) => Presence::Revoked,
            Some(_) => Presence::Present,
            None => Presence::Absent,
        }
    }
}

impl EntryKey {
    fn of(key: &ZoneKey, policy: &Policy) -> Option<Self> {
        let fits = key.is_secure_entry_point() && key.has_zone_flag() && key.usable_algorithm(policy).is_some();
        (fits && key.protocol == 3).then(|| Self { rdata: key.unrevoked(), is_revoked: key.is_revoked() })
    }
}

/// The keys of the zone's set that carry the revoke flag, RDATA without it: revoked only once that is proven.
pub fn flagged_revoked(response: &Response, zone: &Name) -> Vec<Box<[u8]>> {
    let keys = find(response, zone).map(keys).unwrap_or_default();
    keys.iter().filter(|key| key.is_revoked()).map(ZoneKey::unrevoked).collect()
}

/// Those of the known keys, RDATA without the revoke flag, that stand in the set with the flag and have signed it with it.
/// That alone revokes them: nobody else need have signed the set (RFC 5011 §2.1).
pub fn proven_revoked(
    response: &Response,
    zone: &Name,
    known: &[Box<[u8]>],
    policy: &Policy,
    now: Now,
) -> Vec<Box<[u8]>> {
    let policy = Policy { times_checked: true, ..*policy };
    let Ok(set) = find(response, zone) else { return Vec::new() };
    let revoked = keys(set).into_iter().filter(|key| key.is_revoked() && known.contains(&key.unrevoked()));
    let proven = revoked.filter(|key| {
        // Each has a budget of its own: another one's junk must not hide a revocation. Known keys are few.
        let mut budget = WorkBudget::new(WorkLimits::DEFAULT);
        is_signed_by(set, zone, key, &mut unhindered(now, &policy, &mut budget)).unwrap_or(false)
    });
    proven.map(|key| key.unrevoked()).collect()
}

/// Work to the end: this is no client's query.
fn unhindered<'a>(now: Now, policy: &'a Policy, budget: &'a mut WorkBudget) -> Work<'a> {
    Work { now, policy, budget, pace: Pace::Unhindered, spent_before: 0 }
}

fn find<'a>(response: &'a Response, zone: &Name) -> Result<&'a RrSet, BogusReason> {
    let is_it = |set: &&RrSet| set.rtype == RecordType::DNSKEY && set.owner == *zone && !set.rdatas.is_empty();
    response.answer.iter().find(is_it).ok_or_else(|| BogusReason::MissingDnskey { zone: zone.clone() })
}

fn keys(set: &RrSet) -> Vec<ZoneKey> {
    set.rdatas.iter().filter_map(|rdata| ZoneKey::read(rdata)).collect()
}

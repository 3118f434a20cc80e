//! What a zone's DS records vouch for: which of its keys may begin to verify it, or why it counts as unsigned (RFC 4035 §5.2).
//!
//! In: DS and DNSKEY records that are at hand. Out: keys, or a reason. Refuses nothing and verifies no signature.

use super::key::{DigestType, Ds, ZoneKey};
use super::work::Work;
use super::{BogusReason, InsecureReason, Policy};
use crate::wire::Name;

/// Why a zone with these DS records counts as unsigned, if so: none has both an algorithm and a digest that we accept
/// (RFC 4035 §5.2, RFC 6840 §5.2).
pub(super) fn unsupported(zone: &Name, ds_set: &[Ds], policy: &Policy) -> Option<InsecureReason> {
    let accepted_algorithm = ds_set.iter().find(|ds| ds.has_accepted_algorithm(policy));
    if accepted_ds(ds_set, policy).next().is_some() {
        return None;
    }
    Some(match accepted_algorithm {
        Some(ds) => InsecureReason::Digest { zone: zone.clone(), digest_type: ds.digest_type },
        None => {
            let algorithm = ds_set.first().map_or(0, |ds| ds.algorithm);
            InsecureReason::Algorithm { zone: zone.clone(), algorithm }
        }
    })
}

/// The DS records that we accept: all that have an algorithm and a digest of ours, but those of SHA-1 only if there are no
/// others (RFC 4509 §3).
fn accepted_ds<'a>(ds_set: &'a [Ds], policy: &'a Policy) -> impl Iterator<Item = &'a Ds> {
    let digest_type = |ds: &Ds| ds.digest_type(policy).filter(|_| ds.has_accepted_algorithm(policy));
    let has_stronger =
        ds_set.iter().any(|ds| digest_type(ds).is_some_and(|digest_type| digest_type != DigestType::Sha1));
    ds_set.iter().filter(move |ds| match digest_type(ds) {
        Some(DigestType::Sha1) => !has_stronger,
        accepted => accepted.is_some(),
    })
}

/// Why nothing can be verified with any of these keys, if so; no keys are no reason.
///
/// Choice: asked of the keys that the DS names and of no others. Were it asked of the zone signing keys too, a stand-by key
/// that we cannot use would switch validation off for a zone whose other key signs everything; so data that only an
/// unusable key signs, below a usable one, is bogus.
pub(super) fn unusable(zone: &Name, keys: &[ZoneKey], policy: &Policy) -> Option<InsecureReason> {
    if keys.iter().any(|key| key.usable_algorithm(policy).is_some()) {
        return None;
    }
    // Their algorithm is accepted, or the DS would not have been (RFC 4035 §5.2).
    let key = keys.first()?;
    Some(InsecureReason::KeySize { zone: zone.clone(), algorithm: key.algorithm, key_tag: key.tag })
}

/// The keys that the DS records vouch for and that may sign the zone's sets.
pub(super) fn vouched_keys(
    zone: &Name,
    ds_set: &[Ds],
    keys: &[ZoneKey],
    work: &Work<'_>,
) -> Result<Vec<ZoneKey>, BogusReason> {
    let limits = work.budget.limits();
    let limit = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let mut vouched: Vec<&ZoneKey> = Vec::new();
    for ds in accepted_ds(ds_set, work.policy).take(limit(limits.ds_per_zone)) {
        let named = keys.iter().filter(|key| ds.names(key)).take(limit(limits.keys_per_tag));
        vouched.extend(named.filter(|key| ds.vouches_for(zone, key)));
    }
    let may_sign: Vec<ZoneKey> = vouched.iter().filter(|key| key.may_sign_zone()).copied().cloned().collect();
    if !may_sign.is_empty() {
        return Ok(may_sign);
    }
    let zone = zone.clone();
    Err(match vouched.first() {
        Some(key) if !key.has_zone_flag() => BogusReason::NoZoneKeyBit { zone },
        _ => BogusReason::NoMatchingKey { zone },
    })
}

//! Verifies the signatures of one set with the keys of one zone (RFC 4035 §5.3).
//!
//! In: a set, the zone's name and its trusted keys, the time and the budget. Out: how the set is signed, or why no
//! signature of it holds. Does not ask where the keys come from, and does not prove that a wildcard was rightly expanded.

use super::BogusReason;
use super::canonical::{counted_labels, signed_bytes};
use super::key::ZoneKey;
use super::work::{Halt, Work};
use crate::wire::{Name, RrSet, Rrsig};

/// Difference of clocks that is forgiven at either end of a signature's validity, in seconds.
/// Choice: none; to be made an option together with the other clock policies.
const CLOCK_SKEW_S: u32 = 0;
/// Signatures that an honest set may have of one zone: two algorithms, each in a roll of its key (RFC 6781 §4.1). A set with
/// more is looked at without hurry.
const SIGNATURES_USUAL_MAX: usize = 4;

/// What a valid signature says about its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// Longest time the set may be kept, in seconds: the smallest of its TTL, the original TTL and what is left of the
    /// signature's validity (RFC 4035 §5.3.3).
    pub(super) ttl_s: u32,
    /// What is left of the signature's validity, in seconds.
    pub(super) valid_s: u32,
    /// For a set that was expanded from a wildcard: the number of labels of the wildcard's parent.
    pub(super) expanded_from: Option<usize>,
}

/// How far the verification of a set has come, so that it can pause between two checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Signatures that are done with.
    signatures_done: usize,
    /// Keys that the next signature was tried with already.
    keys_done: usize,
    /// Checks that failed.
    failed_checks: u32,
    /// What to report if nothing verifies.
    failure: SignatureFailure,
}

impl Attempt {
    /// Nothing is done yet.
    pub(super) const NEW: Self =
        Self { signatures_done: 0, keys_done: 0, failed_checks: 0, failure: SignatureFailure::Missing };

    /// Leaves a signature behind that does not hold.
    fn next_signature(&mut self, failure: SignatureFailure) {
        self.signatures_done = self.signatures_done.saturating_add(1);
        self.keys_done = 0;
        self.failure = worse(self.failure, failure);
    }
}

/// Why no signature of a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureFailure {
    /// There is none that could be one of the zone.
    Missing,
    /// None verifies.
    Bad,
    /// The keys that they name are no zone keys (RFC 4034 §2.1.1).
    NoZoneKeyBit,
    /// All that could verify have expired; the latest expiration.
    Expired(u32),
    /// All that could verify are not valid yet; the earliest inception.
    NotYetValid(u32),
}

impl SignatureFailure {
    /// The verdict that follows for `set`.
    pub(super) fn reason(self, set: &RrSet) -> BogusReason {
        let (owner, rtype) = (set.owner.clone(), set.rtype);
        match self {
            Self::Missing => BogusReason::MissingRrsig { owner, rtype },
            Self::Bad => BogusReason::BadSignature { owner, rtype },
            Self::NoZoneKeyBit => {
                let zone = set.signatures.first().map_or(owner, |signature| signature.signer.clone());
                BogusReason::NoZoneKeyBit { zone }
            }
            Self::Expired(expiration) => BogusReason::Expired { owner, rtype, expiration },
            Self::NotYetValid(inception) => BogusReason::NotYetValid { owner, rtype, inception },
        }
    }
}

/// Whether a signature may be one of a set of `owner` at all: it stands for no more labels than the owner has, and its
/// signer lies at or above the owner and, so that a wildcard cannot reach out of its zone, within the labels it counts.
pub(super) fn is_plausible(signature: &Rrsig, owner: &Name) -> bool {
    let labels = usize::from(signature.labels);
    labels <= counted_labels(owner)
        && labels >= signature.signer.label_count()
        && owner.is_at_or_below(&signature.signer)
}

/// The signatures of `set` that may be those of `zone`.
pub(super) fn candidates<'a>(set: &'a RrSet, zone: &'a Name) -> impl Iterator<Item = &'a Rrsig> {
    set.signatures.iter().filter(move |signature| {
        signature.type_covered == set.rtype && signature.signer == *zone && is_plausible(signature, &set.owner)
    })
}

/// Verifies `set` with the keys of `zone`. Goes on where `attempt` left off.
///
/// # Errors
/// The budget ran out, or it is time to pause.
pub(super) fn verify_set(
    set: &RrSet,
    zone: &Name,
    keys: &[ZoneKey],
    attempt: &mut Attempt,
    work: &mut Work<'_>,
) -> Result<Result<Signed, SignatureFailure>, Halt> {
    let now_s = work.signature_time_s();
    let looked_at = usize::try_from(work.budget.limits().rrsigs_per_rrset).unwrap_or(usize::MAX);
    let crowded = candidates(set, zone).count() > SIGNATURES_USUAL_MAX;
    for signature in candidates(set, zone).take(looked_at).skip(attempt.signatures_done) {
        if let Some(out_of_time) = now_s.and_then(|now_s| out_of_time(signature, now_s)) {
            attempt.next_signature(out_of_time);
            continue;
        }
        if verify_one(set, signature, keys, crowded, attempt, work)? {
            return Ok(Ok(signed(set, signature, now_s)));
        }
        attempt.next_signature(unverified(signature, keys));
    }
    Ok(Err(attempt.failure))
}

/// Whether `set` has a signature by this very key, in time, whatever the key may sign otherwise: a revoked one proves its
/// own revocation (RFC 5011 §2.1).
///
/// # Errors
/// The budget ran out, or it is time to pause.
pub(super) fn is_signed_by(set: &RrSet, zone: &Name, key: &ZoneKey, work: &mut Work<'_>) -> Result<bool, Halt> {
    let now_s = work.signature_time_s();
    let looked_at = usize::try_from(work.budget.limits().rrsigs_per_rrset).unwrap_or(usize::MAX);
    let Some(algorithm) = key.usable_algorithm(work.policy) else { return Ok(false) };
    let own = candidates(set, zone).filter(|own| own.key_tag == key.tag && own.algorithm == key.algorithm);
    for signature in own.take(looked_at) {
        if now_s.is_some_and(|now_s| out_of_time(signature, now_s).is_some()) {
            continue;
        }
        let Some(message) = signed_bytes(set, signature) else { return Ok(false) };
        work.pay_signature_check(algorithm.weight(&key.public_key), false)?;
        if algorithm.verify(&key.public_key, &message, signature.signature()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why a signature that is in time does not verify with these keys.
fn unverified(signature: &Rrsig, keys: &[ZoneKey]) -> SignatureFailure {
    let mut named = keys.iter().filter(|key| key.tag == signature.key_tag && key.algorithm == signature.algorithm);
    match named.next() {
        Some(first) if !first.has_zone_flag() && named.all(|key| !key.has_zone_flag()) => {
            SignatureFailure::NoZoneKeyBit
        }
        _ => SignatureFailure::Bad,
    }
}

/// Verifies one signature with the keys that it names by tag and algorithm.
fn verify_one(
    set: &RrSet,
    signature: &Rrsig,
    keys: &[ZoneKey],
    crowded: bool,
    attempt: &mut Attempt,
    work: &mut Work<'_>,
) -> Result<bool, Halt> {
    let limits = *work.budget.limits();
    let keys_per_tag = usize::try_from(limits.keys_per_tag).unwrap_or(usize::MAX);
    let named = || {
        keys.iter()
            .filter(|key| key.tag == signature.key_tag && key.algorithm == signature.algorithm && key.may_sign_zone())
    };
    let crowded = crowded || named().nth(1).is_some();
    let mut message = None;
    for key in named().take(keys_per_tag).skip(attempt.keys_done) {
        if let Some(algorithm) = key.usable_algorithm(work.policy) {
            if attempt.failed_checks >= limits.failed_checks_per_rrset {
                return Ok(false);
            }
            work.pay_signature_check(algorithm.weight(&key.public_key), crowded)?;
            if message.is_none() {
                message = signed_bytes(set, signature);
            }
            let Some(message) = &message else { return Ok(false) };
            if algorithm.verify(&key.public_key, message, signature.signature()) {
                return Ok(true);
            }
            work.budget.note_failed_check();
            attempt.failed_checks = attempt.failed_checks.saturating_add(1);
        }
        attempt.keys_done = attempt.keys_done.saturating_add(1);
    }
    Ok(false)
}

/// Why a signature does not hold at `now_s`, if so (RFC 4034 §3.1.5). All comparisons are serial ones (RFC 1982).
fn out_of_time(signature: &Rrsig, now_s: u32) -> Option<SignatureFailure> {
    if serial_before(signature.expiration, signature.inception) {
        return Some(SignatureFailure::Bad);
    }
    if serial_before(now_s.wrapping_add(CLOCK_SKEW_S), signature.inception) {
        return Some(SignatureFailure::NotYetValid(signature.inception));
    }
    serial_before(signature.expiration.wrapping_add(CLOCK_SKEW_S), now_s)
        .then_some(SignatureFailure::Expired(signature.expiration))
}

/// Whether `a` comes before `b` in serial arithmetic (RFC 1982 §3.2). Two numbers half the circle apart, for which the
/// RFC leaves it open, count as "before" both ways, so that such a signature is refused.
fn serial_before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) <= 1 << 31
}

/// The failure to report when two signatures fail: bad over out of time, and the closest miss among those.
fn worse(known: SignatureFailure, new: SignatureFailure) -> SignatureFailure {
    use SignatureFailure::{Bad, Expired, Missing, NoZoneKeyBit, NotYetValid};
    match (known, new) {
        (Missing, new) => new,
        (Bad, _) | (_, Bad) => Bad,
        (NoZoneKeyBit, _) | (_, NoZoneKeyBit) => NoZoneKeyBit,
        (Expired(a), Expired(b)) => Expired(if serial_before(a, b) { b } else { a }),
        (NotYetValid(a), NotYetValid(b)) => NotYetValid(if serial_before(a, b) { a } else { b }),
        (known, _) => known,
    }
}

/// What a signature that holds says. Where times are not checked, its expiration limits nothing.
fn signed(set: &RrSet, signature: &Rrsig, now_s: Option<u32>) -> Signed {
    let remaining_s = now_s.map_or(u32::MAX, |now_s| signature.expiration.wrapping_sub(now_s));
    let labels = usize::from(signature.labels);
    Signed {
        ttl_s: set.ttl_s.min(signature.original_ttl_s).min(remaining_s),
        valid_s: remaining_s,
        expanded_from: (labels < counted_labels(&set.owner)).then_some(labels),
    }
}

//! Judges one set, or gathers what a section proves, with the keys that the chain of trust supplies.
//!
//! In: a set or an authority section of a reply, by number, and the deepest name at which its zone can start. Out: secure
//! with the time it may be kept, or insecure with the fact that says so; [`Pause`] for everything else.
//! Knows nothing of questions and aliases: [`super::validation`] does.

use std::sync::Arc;

use super::chain::{Chain, Pause};
use super::denial::{Denial, Evidence};
use super::key::ZoneKey;
use super::signature::{candidates, is_plausible};
use super::work::Work;
use super::zones::{Fact, ZoneFact};
use super::{BogusReason, IndeterminateReason, InsecureReason};
use crate::wire::{Name, Question, RecordType, Response, RrSet, Soa};

/// A section of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Answer.
    Answer,
    /// Authority.
    Authority,
}

/// The place of a set among all replies of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetId {
    /// Number of the reply.
    pub(super) reply: usize,
    /// Section.
    pub(super) section: Section,
    /// Number of the set in it.
    pub(super) index: usize,
}

impl SetId {
    /// The set, if `response` is that reply.
    pub(super) fn of(self, response: &Response) -> Option<&RrSet> {
        match self.section {
            Section::Answer => response.answer.get(self.index),
            Section::Authority => response.authority.get(self.index),
        }
    }
}

/// The judgement on a set.
#[derive(Clone, Debug)]
pub(super) enum Judged {
    /// A chain of signatures leads to it.
    Secure {
        /// What is proven about its zone.
        fact: Arc<Fact>,
        /// Longest time it may be kept, in seconds, its zone's keys aside.
        ttl_s: u32,
        /// The same, its own TTL aside.
        proof_ttl_s: u32,
        /// Whether it was expanded from a wildcard.
        expanded: bool,
        /// The verified sets that prove that the wildcard rightly answered.
        proof: Vec<RrSet>,
    },
    /// It belongs to a zone that is proven insecure, or its being right cannot be told from an unsigned delegation.
    Insecure {
        /// What is proven about its zone.
        fact: Arc<Fact>,
        /// The verified sets that the proof came from, if any belong to the answer.
        proof: Vec<RrSet>,
    },
}

/// The verified part of an authority section.
#[derive(Debug)]
pub(super) struct Gathered {
    /// What proves that something does not exist.
    pub(super) evidence: Evidence,
    /// The verified NSEC and NSEC3 sets, TTLs capped.
    pub(super) proof: Vec<RrSet>,
    /// The verified SOA, if there was one, TTL capped to that of negative answers (RFC 2308 §5).
    pub(super) soa: Option<RrSet>,
    /// Smallest TTL of all of them, in seconds.
    pub(super) ttl_s: u32,
    /// Why the first set that failed did so.
    pub(super) failure: Option<BogusReason>,
    /// Whether that was a SOA, without which the zone does not deny.
    pub(super) soa_failed: bool,
}

impl Chain {
    /// Judges a set. `side` is the deepest name at which the zone that holds the set can start.
    pub(super) fn judge_set(&mut self, id: SetId, side: &Name, work: &mut Work<'_>) -> Result<Judged, Pause> {
        let response = self.response(id.reply);
        let set = response.as_deref().and_then(|response| id.of(response));
        let Some(set) = set else { return Err(self.lost()) };
        if let Some(fact) = self.private(side, work)? {
            return Ok(Judged::Insecure { fact, proof: Vec::new() });
        }
        let (owner, rtype) = (set.owner.clone(), set.rtype);
        let failure = if set.signatures.is_empty() {
            BogusReason::MissingRrsig { owner, rtype }
        } else {
            match self.signer(set, side) {
                None => BogusReason::BadSignature { owner, rtype },
                Some(signer) => match self.judge_signed(id, set, &signer, work)? {
                    Ok(judged) => return Ok(judged),
                    Err(failure) => failure,
                },
            }
        };
        let fact = self.unless_insecure(id.reply, side, failure, !set.signatures.is_empty(), work)?;
        Ok(Judged::Insecure { fact, proof: Vec::new() })
    }

    /// Judges a set by its signatures from `signer`; the inner error says why it fails.
    fn judge_signed(
        &mut self,
        id: SetId,
        set: &RrSet,
        signer: &Name,
        work: &mut Work<'_>,
    ) -> Result<Result<Judged, BogusReason>, Pause> {
        let fact = self.fact_at(signer, work)?;
        let keys = match &fact.what {
            ZoneFact::Insecure(_) => return Ok(Ok(Judged::Insecure { fact, proof: Vec::new() })),
            ZoneFact::NoCut { .. } => {
                return Ok(Err(BogusReason::BadSignature { owner: set.owner.clone(), rtype: set.rtype }));
            }
            ZoneFact::Secure(keys) => keys,
        };
        let signed = match self.verify(id, set, signer, keys, work)? {
            Ok(signed) => signed,
            Err(failure) => return Ok(Err(failure.reason(set))),
        };
        let Some(encloser_labels) = signed.expanded_from else {
            if set.owner.is_wildcard() {
                let labels = set.owner.label_count().saturating_sub(1);
                self.learn_wildcard(secure_set(set, signer, signed.ttl_s, work), labels, signer, &fact, work.now);
            }
            let (ttl_s, proof_ttl_s) = (signed.ttl_s, signed.valid_s);
            return Ok(Ok(Judged::Secure { fact, ttl_s, proof_ttl_s, expanded: false, proof: Vec::new() }));
        };
        // Expanded from a wildcard: right only if no closer name exists (RFC 4035 §5.3.4, RFC 5155 §8.8).
        let denied = BogusReason::MissingDenial { question: Question::new(set.owner.clone(), set.rtype) };
        let Some(next_closer) = set.owner.ancestor(encloser_labels.saturating_add(1)) else { return Ok(Err(denied)) };
        let gathered = self.gather(id.reply, signer, keys, work)?;
        let (ttl_s, proof_ttl_s) = (signed.ttl_s.min(gathered.ttl_s), signed.valid_s.min(gathered.ttl_s));
        let denial = gathered.evidence.no_closer_match(&next_closer, work.budget)?;
        if denial == Denial::Proven {
            self.learn_denial(&gathered, signer, &fact, work.now);
            self.learn_wildcard(secure_set(set, signer, signed.ttl_s, work), encloser_labels, signer, &fact, work.now);
        }
        let proof = gathered.proof;
        // A fact about the next closer name, which is what the span covers, and not about the zone: the chain remembers it.
        let insecure = |reason| Fact::new(&next_closer, ZoneFact::Insecure(reason), ttl_s, work.now);
        Ok(match denial {
            Denial::Proven => Ok(Judged::Secure { fact, ttl_s, proof_ttl_s, expanded: true, proof }),
            Denial::OptOut => {
                Ok(Judged::Insecure { fact: insecure(InsecureReason::OptOut { zone: signer.clone() }), proof })
            }
            Denial::TooManyIterations(iterations) => {
                let reason = InsecureReason::Iterations { zone: signer.clone(), iterations };
                Ok(Judged::Insecure { fact: insecure(reason), proof })
            }
            Denial::FarTooManyIterations(iterations) => {
                Err(BogusReason::Iterations { zone: signer.clone(), iterations })
            }
            Denial::Unproven => Err(gathered.failure.unwrap_or(denied)),
        })
    }

    /// The zone that signed a set, going by its first signature that could be from a zone between `side` and the anchor.
    fn signer(&self, set: &RrSet, side: &Name) -> Option<Name> {
        signer_within(set, side, &self.anchor_zone(side)?)
    }

    /// The zone whose denial an authority section holds: the deepest signer of a SOA, NSEC or NSEC3 at or above `side`.
    pub(super) fn denial_signer(&self, reply: usize, side: &Name) -> Option<Name> {
        let response = self.response(reply)?;
        let sets = response.authority.iter().filter(|set| is_denial_type(set.rtype));
        sets.filter_map(|set| self.signer(set, side)).max_by_key(Name::label_count)
    }

    /// The same among the zones above the anchor that decides about `side`, which have a chain of their own.
    ///
    /// Choice: they may prove that there is nothing (RFC 6840 §5.10, "accept any success"), but nothing else: whoever pins the
    /// keys of a zone wants its data from nobody else.
    pub(super) fn denial_signer_above(&self, reply: usize, side: &Name) -> Option<Name> {
        let (response, outermost) = (self.response(reply)?, self.outermost_zone(side)?);
        let sets = response.authority.iter().filter(|set| is_denial_type(set.rtype));
        sets.filter_map(|set| signer_within(set, side, &outermost)).max_by_key(Name::label_count)
    }

    /// Verifies the SOA and the denial records of `zone` in the authority section of a reply.
    pub(super) fn gather(
        &mut self,
        reply: usize,
        zone: &Name,
        keys: &[ZoneKey],
        work: &mut Work<'_>,
    ) -> Result<Gathered, Pause> {
        let mut gathered = Gathered {
            evidence: Evidence::new(zone.clone()),
            proof: Vec::new(),
            soa: None,
            ttl_s: u32::MAX,
            failure: None,
            soa_failed: false,
        };
        let response = self.response(reply);
        let sets = response.as_ref().map(|response| &*response.authority).unwrap_or_default();
        for (index, set) in sets.iter().enumerate() {
            let of_zone =
                if set.rtype == RecordType::SOA { set.owner == *zone } else { set.owner.is_at_or_below(zone) };
            if !is_denial_type(set.rtype) || set.rdatas.is_empty() || !of_zone {
                continue;
            }
            // A denial record of another zone, such as a child's on the way, is neither used nor a failure.
            let foreign = !set.signatures.is_empty() && set.signatures.iter().all(|one| one.signer != *zone);
            if foreign && set.rtype != RecordType::SOA {
                continue;
            }
            match self.verify(SetId { reply, section: Section::Authority, index }, set, zone, keys, work)? {
                // A wildcard's own NSEC under an expanded name proves nothing (CVE-2017-15105).
                Ok(signed) if signed.expanded_from.is_none() => {
                    gathered.take(secure_set(set, zone, signed.ttl_s, work));
                }
                Ok(_) => {}
                Err(failure) => {
                    gathered.failure.get_or_insert(failure.reason(set));
                    gathered.soa_failed |= set.rtype == RecordType::SOA;
                }
            }
        }
        Ok(gathered)
    }

    /// The proof that `side` belongs to an insecure zone, if there is one; else `failure`, which makes the set of this reply bogus.
    /// With `signed`, the failure is that of a signature, and stands even where the proof cannot be looked for.
    pub(super) fn unless_insecure(
        &mut self,
        reply: usize,
        side: &Name,
        failure: BogusReason,
        signed: bool,
        work: &mut Work<'_>,
    ) -> Result<Arc<Fact>, Pause> {
        if self.is_suspect(reply, side, signed, work.now) {
            return Err(Pause::Suspect(failure, reply));
        }
        match self.covering(side, work) {
            // The way down has proven zones meanwhile.
            Err(Pause::Need(_)) if self.is_suspect(reply, side, signed, work.now) => {
                Err(Pause::Suspect(failure, reply))
            }
            Ok(fact) if matches!(fact.what, ZoneFact::Insecure(_)) => Ok(fact),
            Ok(_) => Err(Pause::blaming(reply, failure)),
            Err(Pause::Bogus(..) | Pause::Indeterminate(IndeterminateReason::Fetch { .. })) if signed => {
                Err(Pause::blaming(reply, failure))
            }
            Err(pause) => Err(pause),
        }
    }
}

impl Gathered {
    fn take(&mut self, mut set: RrSet) {
        if set.rtype == RecordType::SOA {
            set.ttl_s = negative_ttl_s(&set);
            self.ttl_s = self.ttl_s.min(set.ttl_s);
            self.soa = Some(set);
        } else {
            self.evidence.add(&set);
            self.ttl_s = self.ttl_s.min(set.ttl_s);
            self.proof.push(set);
        }
    }
}

/// The zone that signed a set, going by its first signature that could be from a zone between `side` and `above`.
fn signer_within(set: &RrSet, side: &Name, above: &Name) -> Option<Name> {
    let plausible = set.signatures.iter().filter(|signature| is_plausible(signature, &set.owner));
    let mut signers = plausible.map(|signature| &signature.signer);
    signers.find(|signer| side.is_at_or_below(signer) && signer.is_at_or_below(above)).cloned()
}

/// A verified set with its TTL capped, and only with signatures that were looked at and can be its zone's: one that
/// verifies is among them.
pub(super) fn secure_set(set: &RrSet, zone: &Name, ttl_s: u32, work: &Work<'_>) -> RrSet {
    let looked_at = usize::try_from(work.budget.limits().rrsigs_per_rrset).unwrap_or(usize::MAX);
    let signatures = candidates(set, zone).take(looked_at).cloned().collect();
    RrSet { ttl_s: set.ttl_s.min(ttl_s), signatures, ..set.clone() }
}

/// How long a negative answer with this SOA may be kept, in seconds (RFC 2308 §5); 0 if it is malformed.
pub(super) fn negative_ttl_s(soa: &RrSet) -> u32 {
    let minimum_s = soa.rdatas.first().and_then(|rdata| Soa::read(rdata)).map_or(0, |soa| soa.minimum_s);
    soa.ttl_s.min(minimum_s)
}

/// The deepest name at which the zone that holds a set of this type and owner can start: DS belongs to the parent.
pub(super) fn zone_side(owner: &Name, rtype: RecordType) -> Name {
    if rtype == RecordType::DS { owner.parent().unwrap_or_else(Name::root) } else { owner.clone() }
}

fn is_denial_type(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3)
}

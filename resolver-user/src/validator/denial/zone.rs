//! What one zone has said of names that nobody has asked for: its records, and the proofs that can be made of them.
//!
//! In: verified sets of the zone, then questions. Out: denials, answers from wildcards, and what is an unsigned delegation. Each proof
//! is put together here and held against the same rules as one that a server gives ([`Evidence`]).
//! Ruled by RFC 8198 §5, RFC 9077 (no denial outlives the SOA's negative TTL), RFC 5155 §8.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::nsec3::{Hash, Nsec3, hash_name};
use super::{Delegation, Denial, Evidence};
use crate::clock::{NS_PER_S, Now};
use crate::validator::judge::negative_ttl_s;
use crate::validator::{ProvenStatus, Validated, WorkBudget, WorkLimits};
use crate::wire::{Name, Question, RCode, RecordType, Response, RrSet};

/// Names between a question and its zone that are hashed for NSEC3.
/// Choice: as deep as names of services go; deeper ones, such as reverse names, are asked for upstream.
const HASHED_NAMES_MAX: usize = 8;

/// What a zone has said of itself.
#[derive(Debug, Default)]
pub(super) struct ZoneDenials {
    soa: Option<Kept>,
    /// How long negative answers of the zone may be kept, in seconds, as its last SOA said.
    negative_ttl_s: Option<u32>,
    /// By owner, in canonical order.
    nsecs: BTreeMap<Name, Kept>,
    /// By owner hash; all of one chain.
    nsec3s: BTreeMap<Hash, Kept>,
    /// Iterations and salt of that chain.
    chain: Option<(u16, Box<[u8]>)>,
    /// What stands at wildcards, by owner and type.
    wildcards: HashMap<(Name, RecordType), Kept>,
}

/// A verified set and its time, in nanoseconds of boot time.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) set: Arc<RrSet>,
    pub(super) learned_at_boot_ns: u64,
    pub(super) expires_at_boot_ns: u64,
}

impl ZoneDenials {
    /// Number of records.
    pub(super) fn len(&self) -> usize {
        let soas = usize::from(self.soa.is_some());
        [self.nsecs.len(), self.nsec3s.len(), self.wildcards.len()].into_iter().fold(soas, usize::saturating_add)
    }

    /// Keeps a set of this zone, unless the same is known for longer already: it may have come from here.
    pub(super) fn keep(&mut self, zone: &Name, kept: Kept) {
        match kept.set.rtype {
            RecordType::SOA => {
                if !self.soa.as_ref().is_some_and(|known| known.outlives(&kept)) {
                    self.negative_ttl_s = negative_ttl_s_of_zone(&kept.set);
                    self.soa = Some(kept);
                }
            }
            RecordType::NSEC => replace(self.nsecs.entry(kept.set.owner.clone()), kept),
            RecordType::NSEC3 => {
                let Some(record) = Nsec3::read(&kept.set, zone) else { return };
                let chain = (record.iterations, record.salt.clone());
                if self.chain.as_ref() != Some(&chain) {
                    self.nsec3s.clear();
                    self.chain = Some(chain);
                }
                replace(self.nsec3s.entry(record.owner), kept);
            }
            rtype => {
                let known = self.wildcards.entry((kept.set.owner.clone(), rtype)).or_insert_with(|| kept.clone());
                if !known.outlives(&kept) {
                    *known = kept;
                }
            }
        }
    }

    /// That what is asked for does not exist.
    pub(super) fn deny(&self, zone: &Name, question: &Question, now: Now) -> Option<Arc<Validated>> {
        let soa = self.soa.as_ref().filter(|soa| self.ttl_s(soa, now) > 0)?;
        let mut proof = self.nsec_proof(&question.qname, now);
        proof.extend(self.nsec3_proof(zone, &question.qname, now));
        // Its own budget, since nobody waits for an upstream here: the number of names is bounded above.
        let mut budget = WorkBudget::new(WorkLimits::DEFAULT);
        let evidence = evidence(zone, &proof);
        let Question { qname, qtype } = question;
        let rcode = if evidence.name_error(qname, &mut budget) == Ok(Denial::Proven) {
            RCode::NXDOMAIN
        } else if evidence.no_data(qname, *qtype, &mut budget) == Ok(Denial::Proven) {
            RCode::NOERROR
        } else {
            return None;
        };
        let all = || std::iter::once(soa).chain(proof.iter().copied());
        let ttl_s = all().map(|kept| self.ttl_s(kept, now)).min().filter(|ttl_s| *ttl_s > 0)?;
        let authority = all().map(|kept| RrSet { ttl_s, ..(*kept.set).clone() }).collect();
        let response = Response { question: question.clone(), rcode, answer: Vec::new(), authority };
        Some(Arc::new(Validated {
            response,
            status: ProvenStatus::Secure,
            insecure_reason: None,
            ttl_s,
            proof_ttl_s: ttl_s,
        }))
    }

    /// The answer that a wildcard has, and the proof that no name is closer to the question than the wildcard's parent.
    pub(super) fn expand(&self, zone: &Name, question: &Question, now: Now) -> Option<Response> {
        if self.wildcards.is_empty() || !is_wildcard_data(question.qtype) {
            return None;
        }
        let Question { qname, qtype } = question;
        // Bound: one turn per label of the name below the zone. Where a wildcard is, its parent is, too, so that none further up can answer
        // (RFC 4592 §3.3.1): one proof is looked for, whatever a zone has put on the way.
        let (set, next_closer) = (zone.label_count()..qname.label_count()).rev().find_map(|labels| {
            let wildcard = qname.ancestor(labels)?.wildcard()?;
            let at = |rtype| self.wildcards.get(&(wildcard.clone(), rtype)).filter(|kept| self.ttl_s(kept, now) > 0);
            let set = at(*qtype).or_else(|| at(RecordType::CNAME))?;
            Some((set, qname.ancestor(labels.saturating_add(1))?))
        })?;
        let proof = self.absence(zone, &next_closer, now)?;
        let mut answer = self.aged(set, now);
        answer.owner = qname.clone();
        let (answer, authority) = (vec![answer], vec![self.aged(proof, now)]);
        Some(Response { question: question.clone(), rcode: RCode::NOERROR, answer, authority })
    }

    /// For how many seconds it is known that `child` is a delegation without DS, if it is.
    pub(super) fn unsigned_s(&self, zone: &Name, child: &Name, now: Now) -> Option<u32> {
        let nsec3 = || {
            let (iterations, salt) = self.hashing()?;
            self.nsec3s.get(&hash_name(child, iterations, salt))
        };
        let kept = self.nsecs.get(child).or_else(nsec3)?;
        let mut budget = WorkBudget::new(WorkLimits::DEFAULT);
        let delegation = evidence(zone, &[kept]).delegation(child, &mut budget);
        (delegation == Ok(Delegation::Unsigned)).then(|| self.ttl_s(kept, now)).filter(|ttl_s| *ttl_s > 0)
    }

    /// The record that shows that `name` does not exist, nor anything below it.
    fn absence(&self, zone: &Name, name: &Name, now: Now) -> Option<&Kept> {
        let nsec = self.nsec_at_or_before(name, now);
        let nsec3 = || {
            let (iterations, salt) = self.hashing()?;
            self.nsec3_at_or_before(&hash_name(name, iterations, salt), now).map(|(_, kept)| kept)
        };
        let shows = |kept: &&Kept| {
            let mut budget = WorkBudget::new(WorkLimits::DEFAULT);
            evidence(zone, &[*kept]).no_closer_match(name, &mut budget) == Ok(Denial::Proven)
        };
        nsec.filter(shows).or_else(|| nsec3().filter(shows))
    }

    /// The NSEC at or before `qname`, and the one at or before each wildcard that could answer for it.
    fn nsec_proof(&self, qname: &Name, now: Now) -> Vec<&Kept> {
        let Some(first) = self.nsec_at_or_before(qname, now) else { return Vec::new() };
        let mut proof = vec![first];
        if first.set.owner != *qname
            && let Some(wildcard) = closest_encloser(&first.set, qname).wildcard()
            && let Some(second) = self.nsec_at_or_before(&wildcard, now)
            && second.set.owner != first.set.owner
        {
            proof.push(second);
        }
        proof
    }

    fn nsec_at_or_before(&self, name: &Name, now: Now) -> Option<&Kept> {
        self.nsecs.range(..=name).next_back().map(|(_, kept)| kept).filter(|kept| self.ttl_s(kept, now) > 0)
    }

    /// The NSEC3 that match or cover `qname`, the names above it up to the closest encloser, and its wildcard.
    fn nsec3_proof(&self, zone: &Name, qname: &Name, now: Now) -> Vec<&Kept> {
        let mut proof: Vec<&Kept> = Vec::new();
        let Some((iterations, salt)) = self.hashing() else { return proof };
        let at = |name: &Name| self.nsec3_at_or_before(&hash_name(name, iterations, salt), now);
        let mut name = qname.clone();
        for _ in 0..HASHED_NAMES_MAX {
            let Some((is_match, kept)) = at(&name) else { return Vec::new() };
            add(&mut proof, kept);
            if is_match {
                if name != *qname
                    && let Some((_, kept)) = name.wildcard().and_then(|wildcard| at(&wildcard))
                {
                    add(&mut proof, kept);
                }
                // Of the names above the next closer one only the encloser counts.
                return proof;
            }
            match name.parent().filter(|parent| parent.is_at_or_below(zone)) {
                Some(parent) => name = parent,
                None => break,
            }
        }
        Vec::new()
    }

    /// How the zone hashes its names, unless that is more work than is done without a limit.
    fn hashing(&self) -> Option<(u16, &[u8])> {
        let (iterations, salt) = self.chain.as_ref()?;
        (*iterations <= WorkLimits::DEFAULT.nsec3_iterations_insecure_above).then_some((*iterations, &**salt))
    }

    /// The record of this hash, or the one before it, which may cover it; the first hash of all follows the last.
    fn nsec3_at_or_before(&self, hash: &Hash, now: Now) -> Option<(bool, &Kept)> {
        let before = self.nsec3s.range(..=*hash).next_back().or_else(|| self.nsec3s.iter().next_back());
        before.filter(|(_, kept)| self.ttl_s(kept, now) > 0).map(|(owner, kept)| (owner == hash, kept))
    }

    /// Whole seconds that are left of a set's life. A denial's is no longer than the SOA allows, whichever of them came first.
    fn ttl_s(&self, kept: &Kept, now: Now) -> u32 {
        let is_denial = matches!(kept.set.rtype, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3);
        let negative_ttl_s = self.negative_ttl_s.filter(|_| is_denial).unwrap_or(u32::MAX);
        let negative_ns = u64::from(negative_ttl_s).saturating_mul(NS_PER_S);
        let ends_at_boot_ns = kept.expires_at_boot_ns.min(kept.learned_at_boot_ns.saturating_add(negative_ns));
        let left_ns = ends_at_boot_ns.saturating_sub(now.boot_ns);
        u32::try_from(left_ns.checked_div(NS_PER_S).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    fn aged(&self, kept: &Kept, now: Now) -> RrSet {
        RrSet { ttl_s: self.ttl_s(kept, now), ..(*kept.set).clone() }
    }
}

impl Kept {
    /// Whether this is the same set with no shorter life.
    fn outlives(&self, other: &Self) -> bool {
        self.set.rdatas == other.set.rdatas && self.expires_at_boot_ns >= other.expires_at_boot_ns
    }
}

/// Puts a set in its place, unless the same is there for longer.
fn replace<K: Ord>(place: Entry<'_, K, Kept>, kept: Kept) {
    match place {
        Entry::Occupied(known) if known.get().outlives(&kept) => {}
        Entry::Occupied(mut known) => drop(known.insert(kept)),
        Entry::Vacant(place) => drop(place.insert(kept)),
    }
}

/// How long negative answers of a zone with this SOA may be kept, in seconds (RFC 2308 §5), whatever is left of its own TTL.
fn negative_ttl_s_of_zone(soa: &RrSet) -> Option<u32> {
    let ttl_s = soa.signatures.iter().map(|signature| signature.original_ttl_s).min()?;
    Some(negative_ttl_s(&RrSet { ttl_s, ..soa.clone() }))
}

/// Whether a wildcard answers with this type. Choice: what stands at the start of a zone, leads elsewhere, or speaks of the chain of
/// trust, is asked for (RFC 4592 §4).
pub(in crate::validator) fn is_wildcard_data(rtype: RecordType) -> bool {
    let is_special = matches!(
        rtype,
        RecordType::NS
            | RecordType::SOA
            | RecordType::DNAME
            | RecordType::DS
            | RecordType::DNSKEY
            | RecordType::RRSIG
            | RecordType::SIG
            | RecordType::NSEC
            | RecordType::NSEC3
            | RecordType::NSEC3PARAM
    );
    !is_special && !rtype.is_meta()
}

fn evidence(zone: &Name, proof: &[&Kept]) -> Evidence {
    let mut evidence = Evidence::new(zone.clone());
    proof.iter().for_each(|kept| evidence.add(&kept.set));
    evidence
}

fn add<'a>(proof: &mut Vec<&'a Kept>, kept: &'a Kept) {
    if !proof.iter().any(|known| known.set.owner == kept.set.owner) {
        proof.push(kept);
    }
}

/// The longest ancestor that `qname` shares with the two names of an NSEC that covers it.
fn closest_encloser(nsec: &RrSet, qname: &Name) -> Name {
    let by_owner = qname.common_ancestor(&nsec.owner);
    let next = nsec.rdatas.first().and_then(|rdata| Name::read_compressed(rdata, 0).ok());
    let by_next = next.map_or_else(Name::root, |(next, _)| qname.common_ancestor(&next));
    if by_owner.label_count() >= by_next.label_count() { by_owner } else { by_next }
}

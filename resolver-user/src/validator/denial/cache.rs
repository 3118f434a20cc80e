//! Answers from denials that were proven before: aggressive use of NSEC and NSEC3 (RFC 8198).
//!
//! In: validated answers, of which the SOA, NSEC and NSEC3 sets are kept, and questions. Out: a [`Validated`] that denies,
//! made from records whose signatures were verified when they came. Bounded: when full, it starts anew.
//! Refuses: opt-out spans, iterations that are not hashed, positive answers from wildcards, and any record beyond its TTL.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::nsec3::{Hash, Nsec3, hash_name};
use super::{Denial, Evidence};
use crate::clock::{NS_PER_S, Now};
use crate::validator::anchor::AnchoredAt;
use crate::validator::{ProvenStatus, TrustAnchors, Validated, WorkBudget, WorkLimits};
use crate::wire::{Name, Question, RCode, RecordType, Response, RrSet};

/// Names between a question and its zone that are hashed for NSEC3.
/// Choice: as deep as names of services go; deeper ones, such as reverse names, are asked for upstream.
const HASHED_NAMES_MAX: usize = 8;

/// Denial records of all zones, with the end of their life.
#[derive(Debug)]
pub struct DenialCache {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    zones: HashMap<Name, ZoneDenials>,
    records: usize,
}

/// What a zone has said of itself.
#[derive(Debug, Default)]
struct ZoneDenials {
    soa: Option<Kept>,
    /// By owner, in canonical order.
    nsecs: BTreeMap<Name, Kept>,
    /// By owner hash; all of one chain.
    nsec3s: BTreeMap<Hash, Kept>,
    /// Iterations and salt of that chain.
    chain: Option<(u16, Box<[u8]>)>,
}

/// A verified set and its end, in nanoseconds of boot time.
#[derive(Clone, Debug)]
struct Kept {
    set: Arc<RrSet>,
    expires_at_boot_ns: u64,
}

impl DenialCache {
    /// An empty cache for at most `capacity` records.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// Forgets everything. To be called when anchors change.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    /// Number of records, those at the end of their life included.
    pub fn len(&self) -> usize {
        self.state().records
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the denial records of a Secure answer, for no longer than the answer itself: what makes it Secure may end
    /// before the records do.
    pub fn learn(&self, validated: &Validated, now: Now) {
        if validated.status() != ProvenStatus::Secure {
            return;
        }
        let mut state = self.state();
        for set in &validated.response().authority {
            let is_denial = matches!(set.rtype, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3);
            // What is Secure has only signatures of its own zone.
            let Some(signature) = set.signatures.first().filter(|_| is_denial) else { continue };
            if state.records >= self.capacity {
                *state = State::default();
            }
            let life_ns = u64::from(set.ttl_s.min(validated.ttl_s())).saturating_mul(NS_PER_S);
            let expires_at_boot_ns = now.boot_ns.saturating_add(life_ns);
            let kept = Kept { set: Arc::new(set.clone()), expires_at_boot_ns };
            let added = state.zones.entry(signature.signer.clone()).or_default().keep(&signature.signer, kept);
            state.records = state.records.saturating_add(usize::from(added));
        }
    }

    /// The proof that what `question` asks for does not exist, if the records that are kept have one.
    ///
    /// A zone denies only names whose chain runs through it: not those at or below a negative anchor, nor those of an
    /// island, which an anchor sets apart from the zones above it.
    pub fn deny(&self, question: &Question, anchors: &TrustAnchors, now: Now) -> Option<Arc<Validated>> {
        if question.qtype.is_meta() || question.qtype == RecordType::RRSIG {
            return None;
        }
        // A DS belongs to the parent (RFC 4035 §3.1.4.1).
        let side = if question.qtype == RecordType::DS { question.qname.parent()? } else { question.qname.clone() };
        let AnchoredAt::Zone(anchor) = anchors.decisive(&side) else { return None };
        let state = self.state();
        let zones = (anchor.label_count()..=side.label_count()).rev().filter_map(|labels| side.ancestor(labels));
        let mut known = zones.filter_map(|zone| Some((state.zones.get(&zone)?, zone)));
        known.find_map(|(denials, zone)| denials.deny(&zone, question, now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ZoneDenials {
    /// Keeps a set of this zone; says whether it is one more.
    fn keep(&mut self, zone: &Name, kept: Kept) -> bool {
        match kept.set.rtype {
            RecordType::SOA => self.soa.replace(kept).is_none(),
            RecordType::NSEC => self.nsecs.insert(kept.set.owner.clone(), kept).is_none(),
            _ => {
                let Some(record) = Nsec3::read(&kept.set, zone) else { return false };
                let chain = (record.iterations, record.salt.clone());
                if self.chain.as_ref() != Some(&chain) {
                    self.nsec3s.clear();
                    self.chain = Some(chain);
                }
                self.nsec3s.insert(record.owner, kept).is_none()
            }
        }
    }

    fn deny(&self, zone: &Name, question: &Question, now: Now) -> Option<Arc<Validated>> {
        let soa = self.soa.as_ref().filter(|soa| soa.is_alive(now))?;
        let mut proof = self.nsec_proof(&question.qname, now);
        proof.extend(self.nsec3_proof(zone, &question.qname, now));
        let mut evidence = Evidence::new(zone.clone());
        proof.iter().for_each(|kept| evidence.add(&kept.set));
        // Its own budget, since nobody waits for an upstream here: the number of names is bounded above.
        let mut budget = WorkBudget::new(WorkLimits::DEFAULT);
        let Question { qname, qtype } = question;
        let rcode = if evidence.name_error(qname, &mut budget) == Ok(Denial::Proven) {
            RCode::NXDOMAIN
        } else if evidence.no_data(qname, *qtype, &mut budget) == Ok(Denial::Proven) {
            RCode::NOERROR
        } else {
            return None;
        };
        let all = || std::iter::once(soa).chain(&proof);
        let ttl_s = all().map(|kept| kept.ttl_s(now)).min().unwrap_or(0);
        if ttl_s == 0 {
            return None;
        }
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

    /// The NSEC at or before `qname`, and the one at or before each wildcard that could answer for it.
    fn nsec_proof(&self, qname: &Name, now: Now) -> Vec<Kept> {
        let Some(first) = self.nsec_at_or_before(qname, now) else { return Vec::new() };
        let mut proof = vec![first.clone()];
        if first.set.owner != *qname
            && let Some(wildcard) = closest_encloser(&first.set, qname).wildcard()
            && let Some(second) = self.nsec_at_or_before(&wildcard, now)
            && second.set.owner != first.set.owner
        {
            proof.push(second.clone());
        }
        proof
    }

    fn nsec_at_or_before(&self, name: &Name, now: Now) -> Option<&Kept> {
        self.nsecs.range(..=name).next_back().map(|(_, kept)| kept).filter(|kept| kept.is_alive(now))
    }

    /// The NSEC3 that match or cover `qname`, the names above it up to the closest encloser, and its wildcard.
    fn nsec3_proof(&self, zone: &Name, qname: &Name, now: Now) -> Vec<Kept> {
        let mut proof: Vec<Kept> = Vec::new();
        let Some((iterations, salt)) = &self.chain else { return proof };
        if *iterations > WorkLimits::DEFAULT.nsec3_iterations_insecure_above {
            return proof;
        }
        let at = |name: &Name| self.nsec3_at_or_before(&hash_name(name, *iterations, salt), now);
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

    /// The record of this hash, or the one before it, which may cover it; the first hash of all follows the last.
    fn nsec3_at_or_before(&self, hash: &Hash, now: Now) -> Option<(bool, &Kept)> {
        let before = self.nsec3s.range(..=*hash).next_back().or_else(|| self.nsec3s.iter().next_back());
        before.filter(|(_, kept)| kept.is_alive(now)).map(|(owner, kept)| (owner == hash, kept))
    }
}

impl Kept {
    fn is_alive(&self, now: Now) -> bool {
        self.ttl_s(now) > 0
    }

    /// Whole seconds left.
    fn ttl_s(&self, now: Now) -> u32 {
        let left_ns = self.expires_at_boot_ns.saturating_sub(now.boot_ns);
        u32::try_from(left_ns.checked_div(NS_PER_S).unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

fn add(proof: &mut Vec<Kept>, kept: &Kept) {
    if !proof.iter().any(|known| known.set.owner == kept.set.owner) {
        proof.push(kept.clone());
    }
}

/// The longest ancestor that `qname` shares with the two names of an NSEC that covers it.
fn closest_encloser(nsec: &RrSet, qname: &Name) -> Name {
    let by_owner = qname.common_ancestor(&nsec.owner);
    let next = nsec.rdatas.first().and_then(|rdata| Name::read_compressed(rdata, 0).ok());
    let by_next = next.map_or_else(Name::root, |(next, _)| qname.common_ancestor(&next));
    if by_owner.label_count() >= by_next.label_count() { by_owner } else { by_next }
}

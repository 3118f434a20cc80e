//! Answers from what was proven before: aggressive use of NSEC, NSEC3 and wildcards (RFC 8198).
//!
//! In: sets of zones that are secure, as they are verified: SOA, NSEC, NSEC3, and what stands at wildcards. Out: a
//! [`Validated`] that denies, a [`Response`] made from a wildcard, or that a delegation is unsigned. Bounded: when full, the zone
//! with most records makes room.
//! Refuses: to deny by opt-out spans, iterations that are not hashed, and any record beyond its TTL or its zone's negative one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::zone::{Kept, ZoneDenials};
use crate::clock::{NS_PER_S, Now};
use crate::validator::anchor::AnchoredAt;
use crate::validator::{TrustAnchors, Validated};
use crate::wire::{Name, Question, RecordType, Response, RrSet};

/// The part of all records that the largest zone must have to make room alone; else all do. Choice: so that looking for it is rare.
const LARGE_ZONE_PART: usize = 8;

/// What zones say of names that nobody has asked for, with the end of its life.
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

    /// Most records that are kept.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a set for `ttl_s` seconds that was verified with the keys of `zone`, which is secure. One that was expanded from a
    /// wildcard is handed over as the wildcard has it.
    pub(in crate::validator) fn learn(&self, zone: &Name, set: RrSet, ttl_s: u32, now: Now) {
        if ttl_s == 0 || self.capacity == 0 {
            return;
        }
        let life_ns = u64::from(ttl_s).saturating_mul(NS_PER_S);
        let expires_at_boot_ns = now.boot_ns.saturating_add(life_ns);
        let kept = Kept { set: Arc::new(set), learned_at_boot_ns: now.boot_ns, expires_at_boot_ns };
        let mut state = self.state();
        if state.records >= self.capacity {
            state.make_room(self.capacity);
        }
        let zone_denials = state.zones.entry(zone.clone()).or_default();
        let before = zone_denials.len();
        zone_denials.keep(zone, kept);
        let after = zone_denials.len();
        state.records = state.records.saturating_sub(before).saturating_add(after);
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
        self.state().find(&side, anchors, |zone, denials| denials.deny(zone, question, now))
    }

    /// The answer that a wildcard has for `question`, with the proof that no closer name exists (RFC 8198 §5.3), if both are
    /// known. To be judged as if a server had given it; an alias is where it ends. The same names as with [`Self::deny`] are
    /// left alone.
    pub fn expand(&self, question: &Question, anchors: &TrustAnchors, now: Now) -> Option<Response> {
        self.state().find(&question.qname, anchors, |zone, denials| denials.expand(zone, question, now))
    }

    /// For how many seconds it is known from what `zone` has said that `child` is a delegation without DS, if it is. That there is none is
    /// no news to whoever has data of it, and that it may lie in an opt-out span is better asked anew.
    pub(in crate::validator) fn unsigned_s(&self, zone: &Name, child: &Name, now: Now) -> Option<u32> {
        self.state().zones.get(zone)?.unsigned_s(zone, child, now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the closest of the zones at and above `side` says of which something is known, and to which the chain leads.
    fn find<T>(
        &self,
        side: &Name,
        anchors: &TrustAnchors,
        ask: impl Fn(&Name, &ZoneDenials) -> Option<T>,
    ) -> Option<T> {
        let AnchoredAt::Zone(anchor) = anchors.decisive(side) else { return None };
        let zones = (anchor.label_count()..=side.label_count()).rev().filter_map(|labels| side.ancestor(labels));
        let mut known = zones.filter_map(|zone| Some((self.zones.get(&zone)?, zone)));
        known.find_map(|(denials, zone)| ask(&zone, denials))
    }

    /// Forgets the zone that has most records, as one has that is asked for made-up names; all, if none has many.
    fn make_room(&mut self, capacity: usize) {
        let largest = self.zones.iter().max_by_key(|(_, denials)| denials.len());
        let largest = largest.map(|(zone, denials)| (zone.clone(), denials.len()));
        match largest {
            Some((zone, records)) if records >= capacity.div_ceil(LARGE_ZONE_PART) => {
                self.zones.remove(&zone);
                self.records = self.records.saturating_sub(records);
            }
            _ => *self = Self::default(),
        }
    }
}

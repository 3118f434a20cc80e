//! Single sets of proven answers, for other questions than the one that brought them.
//!
//! In: validated answers; then questions. Out: what a server would reply that had only this set: the set that is asked for, the CNAME at the
//! name, or the closest DNAME above it with the CNAME that follows. It comes with what is left of its TTL and with its signatures,
//! and is worth no more than a server's reply: whoever takes it has it judged anew. So no status is kept here that could be wrong.
//!
//! Kept is what RFC 2181 §5.4.1 ranks as data of an authoritative answer. Of a Secure answer that is every set; of an insecure one the
//! alias at the name that was asked for, since all else may be hearsay: a forged reply about one name says nothing of others. A
//! DNAME speaks for many names, so it is used only if it was Secure when it came (RFC 6672 §5.3.1). The set that was asked
//! for is in the answer, which the [`AnswerCache`](super::AnswerCache) has.
//! Refuses: denials, what a wildcard was expanded to (its proof is not kept), and TTL 0 (RFC 1035 §3.2.1).

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{BySize, QuestionKey, QuestionRef};
use crate::clock::NS_PER_S;
use crate::validator::{ProvenStatus, Validated};
use crate::wire::{Name, Question, RCode, RecordType, Response, RrSet};

/// Places for sets, for as many of answers one.
/// Choice: fewer than half of all answers have aliases, and theirs are shared by the types that are asked for.
const ANSWERS_PER_SET: usize = 2;

/// The cache of single sets.
#[derive(Debug)]
pub struct SetCache {
    /// None with `cache-size=0`.
    entries: Option<Cache<QuestionKey, Arc<KnownSet>, BySize>>,
}

/// A set and what was known when it came.
#[derive(Clone, Debug)]
pub struct KnownSet {
    /// The set.
    pub(super) set: RrSet,
    /// Whether it was Secure.
    was_secure: bool,
    /// Generation of what it was judged by, and of the servers that were asked: it says nothing under another one.
    generation: u64,
    /// When its time is up, in nanoseconds of CLOCK_BOOTTIME.
    expires_at_boot_ns: u64,
}

/// A reply that is at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtHand {
    /// The reply, its TTLs those that are left.
    pub response: Response,
    /// Until when it may be used, in nanoseconds of CLOCK_BOOTTIME.
    pub expires_at_boot_ns: u64,
}

/// What answers and sets have in common that belong together, and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Generation of what answers rest on.
    pub generation: u64,
    /// The time, in nanoseconds of CLOCK_BOOTTIME.
    pub boot_ns: u64,
}

impl SetCache {
    /// A cache beside one of `answers_max` answers; 0 keeps nothing.
    pub fn new(answers_max: usize) -> Self {
        let places = answers_max.div_ceil(ANSWERS_PER_SET);
        Self { entries: (places > 0).then(|| Cache::with_weighter(places, places as u64, BySize)) }
    }

    /// Keeps the sets of an answer that may answer other questions, each for its own TTL and at most for `ttl_s_max` seconds. `is_known`:
    /// whether a set was taken from here or from another answer, and so is no news.
    pub fn learn(&self, validated: &Validated, is_known: impl Fn(&RrSet) -> bool, ttl_s_max: u32, now: Moment) {
        let Some(entries) = &self.entries else { return };
        let response = validated.response();
        let was_secure = validated.status() == ProvenStatus::Secure;
        for set in response.answer.iter().filter(|set| speaks_for_itself(response, set, was_secure)) {
            let ttl_s = set.ttl_s.min(ttl_s_max);
            if ttl_s == 0 || is_known(set) {
                continue;
            }
            let expires_at_boot_ns = now.boot_ns.saturating_add(u64::from(ttl_s).saturating_mul(NS_PER_S));
            let known = KnownSet { set: set.clone(), was_secure, generation: now.generation, expires_at_boot_ns };
            let key = QuestionKey::new(&Question::new(set.owner.clone(), set.rtype));
            entries.insert(key, Arc::new(known));
        }
    }

    /// What is at hand for a question. `may_rename`: whether the same servers are asked about the owner of a DNAME as about the
    /// question; if not, it says nothing of it.
    pub fn reply(&self, question: &Question, now: Moment, may_rename: impl Fn(&Name) -> bool) -> Option<AtHand> {
        if !is_answered_by_sets(question.qtype) {
            return None;
        }
        let wire = question.qname.wire();
        let at_name = |rtype| self.known(QuestionRef { qname_wire: wire, qtype: rtype }, now);
        if let Some(known) = at_name(question.qtype).or_else(|| at_name(RecordType::CNAME)) {
            return Some(known.reply(question, Vec::new(), RCode::NOERROR, now));
        }
        let dname = above(wire).find_map(|wire| {
            let known = self.known(QuestionRef { qname_wire: wire, qtype: RecordType::DNAME }, now)?;
            (known.was_secure && may_rename(&known.set.owner)).then_some(known)
        })?;
        let target = dname.set.rdatas.first().and_then(|rdata| Name::from_wire(rdata).ok())?;
        let (made, rcode) = match question.qname.moved(&dname.set.owner, &target) {
            Some(target) => (vec![cname(&question.qname, &target)], RCode::NOERROR),
            None => (Vec::new(), RCode::YXDOMAIN),
        };
        Some(dname.reply(question, made, rcode, now))
    }

    fn known(&self, key: QuestionRef<'_>, now: Moment) -> Option<Arc<KnownSet>> {
        let known = self.entries.as_ref()?.get(&key)?;
        (known.generation == now.generation && known.ttl_left_s(now) > 0).then_some(known)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        if let Some(entries) = &self.entries {
            entries.clear();
        }
    }

    /// Number of sets, those whose time is up included until they are replaced.
    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, Cache::len)
    }

    /// Most sets that are kept, of ordinary size.
    pub fn capacity(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| usize::try_from(entries.capacity()).unwrap_or(usize::MAX))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl KnownSet {
    /// Whole seconds left.
    fn ttl_left_s(&self, now: Moment) -> u32 {
        let left_ns = self.expires_at_boot_ns.saturating_sub(now.boot_ns);
        u32::try_from(left_ns / NS_PER_S).unwrap_or(u32::MAX)
    }

    /// The reply that this set makes, with what follows from it.
    fn reply(&self, question: &Question, made: Vec<RrSet>, rcode: RCode, now: Moment) -> AtHand {
        let answer = std::iter::once(self.set.clone()).chain(made).collect();
        let response = Response { question: question.clone(), rcode, answer, authority: Vec::new() };
        AtHand { response: response.with_ttl_s(self.ttl_left_s(now)), expires_at_boot_ns: self.expires_at_boot_ns }
    }
}

/// Whether a set of an answer needs nothing else of it to be believed, and is worth a place.
fn speaks_for_itself(response: &Response, set: &RrSet, was_secure: bool) -> bool {
    let question = &response.question;
    let is_alias = matches!(set.rtype, RecordType::CNAME | RecordType::DNAME);
    let is_asked = set.owner == question.qname && set.rtype == question.qtype;
    let labels = set.owner.label_count().saturating_sub(usize::from(set.owner.is_wildcard()));
    let is_whole = set.signatures.iter().all(|signature| usize::from(signature.labels) == labels);
    let has_dname = || {
        let mut dnames = response.answer.iter().filter(|other| other.rtype == RecordType::DNAME);
        dnames.any(|dname| set.owner.is_below(&dname.owner))
    };
    is_answered_by_sets(set.rtype)
        && is_whole
        // More than one is no alias (RFC 2181 §10.1).
        && (!is_alias || set.rdatas.len() == 1)
        && if was_secure {
            // Without signatures it follows from a DNAME.
            !set.signatures.is_empty() && (is_alias || !is_asked)
        } else {
            set.rtype == RecordType::CNAME && set.owner == question.qname && !has_dname()
        }
}

/// Whether a question for this type can be answered from single sets. Not what the parent's side of a cut has, or an alias has
/// beside itself (RFC 4035 §2.5), or what nobody has as a set.
pub fn is_answered_by_sets(qtype: RecordType) -> bool {
    let beside_aliases = [RecordType::DS, RecordType::DNSKEY, RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3];
    !qtype.is_meta() && !beside_aliases.contains(&qtype)
}

/// The wire forms of all names above one, the closest first.
fn above(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(wire), |rest| {
        let (&length, labels) = rest.split_first()?;
        (length > 0).then(|| labels.get(usize::from(length)..)).flatten()
    })
    .skip(1)
}

fn cname(owner: &Name, target: &Name) -> RrSet {
    let rdatas = vec![target.wire().into()];
    RrSet { owner: owner.clone(), rtype: RecordType::CNAME, ttl_s: u32::MAX, rdatas, signatures: Vec::new() }
}

#[cfg(test)]
mod tests;

//! Describes what denial records say of a name: which of them matches or covers what.
//!
//! In: NSEC and NSEC3 sets of one zone, verified or not, and a name. Out: facts for people. Proves nothing: whether the
//! facts make a proof, and whether the records may be believed, is for [`super::Evidence`] to say, over the same records.

use super::nsec::Nsec;
use super::nsec3::{Chain, Hash, Nsec3};
use crate::validator::{WorkBudget, WorkLimits};
use crate::wire::{Name, RecordType, RrSet, base32hex, bitmap_types, salt_text};

/// One denial record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialFacts {
    /// Owner: a name, for NSEC3 with a hash as its first label.
    pub owner: Name,
    /// The next name, or the next hash.
    pub next: String,
    /// Types that exist at the owner.
    pub types: Vec<RecordType>,
    /// What only NSEC3 has.
    pub nsec3: Option<Nsec3Facts>,
    /// What it says of the names that matter.
    pub relations: Vec<Relation>,
}

/// Parameters of an NSEC3 record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nsec3Facts {
    /// Iterations.
    pub iterations: u16,
    /// Salt in hexadecimal; `-` if it is empty.
    pub salt: String,
    /// Whether the span may hide unsigned delegations.
    pub opt_out: bool,
}

/// How a record stands to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The name.
    pub name: Name,
    /// Its part in a proof.
    pub role: Role,
    /// Its hash, for NSEC3.
    pub hash: Option<String>,
    /// Whether the record matches the name; else it covers it.
    pub matches: bool,
}

/// The part of a name in a proof (RFC 4035 §5.4, RFC 5155 §1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The name asked about.
    Name,
    /// Its longest ancestor that exists.
    ClosestEncloser,
    /// The name one label longer.
    NextCloser,
    /// The wildcard below the closest encloser.
    Wildcard,
}

/// Describes the denial records among `sets` as records of `zone` about `name`. Records that [`super::Evidence`] would
/// leave out are left out. Hashes no more than one proof may.
pub(in crate::validator) fn describe(sets: &[RrSet], zone: &Name, name: &Name, limits: WorkLimits) -> Vec<DenialFacts> {
    let nsecs = read(sets, RecordType::NSEC, |set| Nsec::read(set, zone));
    let nsec3s = read(sets, RecordType::NSEC3, |set| Nsec3::read(set, zone));
    let mut facts: Vec<DenialFacts> = nsecs.iter().map(|(set, nsec)| nsec_facts(set, nsec, &nsecs, name)).collect();
    let records: Vec<Nsec3> = nsec3s.iter().map(|(_, record)| record.clone()).collect();
    let mut budget = WorkBudget::new(limits);
    let mut chain = Chain::new(zone, &records, &mut budget).ok();
    let names = chain.as_mut().map(|chain| names_of_proof(chain, zone, name)).unwrap_or_default();
    facts.extend(nsec3s.iter().map(|(set, record)| nsec3_facts(set, record, &names)));
    facts
}

fn read<T>(sets: &[RrSet], rtype: RecordType, read: impl Fn(&RrSet) -> Option<T>) -> Vec<(&RrSet, T)> {
    sets.iter().filter(|set| set.rtype == rtype).filter_map(|set| Some((set, read(set)?))).collect()
}

fn nsec_facts(set: &RrSet, nsec: &Nsec, all: &[(&RrSet, Nsec)], name: &Name) -> DenialFacts {
    let covering = all.iter().map(|(_, nsec)| nsec).find(|nsec| nsec.covers(name));
    let wildcard = covering.and_then(|nsec| nsec.closest_encloser(name).wildcard());
    let mut relations = Vec::new();
    for (role, name) in [(Role::Name, Some(name)), (Role::Wildcard, wildcard.as_ref())] {
        let Some(name) = name else { continue };
        let matches = nsec.owner == *name;
        if matches || nsec.covers(name) {
            relations.push(Relation { name: name.clone(), role, hash: None, matches });
        }
    }
    let types = bitmap_types(nsec.types.wire());
    DenialFacts { owner: set.owner.clone(), next: nsec.next.to_string(), types, nsec3: None, relations }
}

fn nsec3_facts(set: &RrSet, record: &Nsec3, names: &[(Role, Name, Hash)]) -> DenialFacts {
    let relation = |(role, name, hash): &(Role, Name, Hash)| {
        let matches = record.owner == *hash;
        let relation = || Relation { name: name.clone(), role: *role, hash: Some(base32hex(hash)), matches };
        (matches || record.covers(hash)).then(relation)
    };
    let nsec3 = Nsec3Facts { iterations: record.iterations, salt: salt_text(&record.salt), opt_out: record.opt_out };
    DenialFacts {
        owner: set.owner.clone(),
        next: base32hex(&record.next),
        types: bitmap_types(record.types.wire()),
        nsec3: Some(nsec3),
        relations: names.iter().filter_map(relation).collect(),
    }
}

/// The names that a proof about `name` hashes (RFC 5155 §8.3), as far as the budget reaches. Without a closest encloser
/// among the records, as for a wildcard's answer, these are the name and its ancestors.
fn names_of_proof(chain: &mut Chain<'_>, zone: &Name, name: &Name) -> Vec<(Role, Name, Hash)> {
    let mut climbed: Vec<(Role, Name, Hash)> = Vec::new();
    let mut next = Some(name.clone());
    // Bound: one turn per label of the name below the zone, each paid from the budget.
    while let Some(at) = next.take().filter(|at| at.is_at_or_below(zone)) {
        let (Ok(hash), Ok(matching)) = (chain.hash(&at), chain.matching(&at)) else { break };
        if matching.is_some() {
            let Some((_, next_closer, its_hash)) = climbed.pop() else { return vec![(Role::Name, at, hash)] };
            let wildcard = at.wildcard().and_then(|wildcard| Some((chain.hash(&wildcard).ok()?, wildcard)));
            let mut names = vec![(Role::ClosestEncloser, at, hash), (Role::NextCloser, next_closer, its_hash)];
            names.extend(wildcard.map(|(hash, wildcard)| (Role::Wildcard, wildcard, hash)));
            return names;
        }
        next = at.parent();
        let role = if climbed.is_empty() { Role::Name } else { Role::NextCloser };
        climbed.push((role, at, hash));
    }
    climbed
}

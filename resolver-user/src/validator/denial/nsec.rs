//! Proofs from NSEC records (RFC 4035 §5.4, RFC 6840 §4).
//!
//! In: NSEC records of one zone, checked by [`Nsec::read`], and a question. Out: whether they prove it.
//! Does no signature checks. A record is used only as far as its zone speaks for the name: never from the parent's side
//! of a cut for the child's data, and never for names below a cut or a DNAME.

use super::{Delegation, TypeBitmap, denies_type, ends_authority, matched_delegation};
use crate::wire::{Name, RecordType, RrSet};

/// One NSEC record.
#[derive(Clone, Debug)]
pub(super) struct Nsec {
    pub(super) owner: Name,
    /// The next name of the zone in canonical order; the apex, if there is none.
    pub(super) next: Name,
    pub(super) types: TypeBitmap,
    /// Whether `next` is the apex: the record covers everything after its owner.
    is_last: bool,
}

impl Nsec {
    /// Reads the NSEC of a set of `zone`. None if the set has not exactly one record, or if the record is malformed,
    /// reaches out of the zone, or does not lead forward.
    pub(super) fn read(set: &RrSet, zone: &Name) -> Option<Self> {
        let [rdata] = &*set.rdatas else { return None };
        let (next, end) = Name::read_compressed(rdata, 0).ok()?;
        let types = TypeBitmap::read(rdata.get(end..)?)?;
        let is_last = next == *zone;
        let in_zone = set.owner.is_at_or_below(zone) && next.is_at_or_below(zone);
        (in_zone && (is_last || set.owner < next)).then(|| Self { owner: set.owner.clone(), next, types, is_last })
    }

    /// Whether `name` lies between owner and next name, in a part of the tree for which the zone speaks. That says that
    /// there are no records at `name`; there may still be names below it.
    pub(super) fn covers(&self, name: &Name) -> bool {
        let between = self.owner < *name && (self.is_last || *name < self.next);
        between && !(name.is_below(&self.owner) && ends_authority(&self.types))
    }

    /// Whether `name` does not exist, not even as an empty non-terminal.
    fn shows_absent(&self, name: &Name) -> bool {
        self.covers(name) && !self.next.is_below(name)
    }

    /// Given that this covers `name`: the longest ancestor of `name` that exists.
    pub(super) fn closest_encloser(&self, name: &Name) -> Name {
        let by_owner = name.common_ancestor(&self.owner);
        let by_next = name.common_ancestor(&self.next);
        if by_owner.label_count() >= by_next.label_count() { by_owner } else { by_next }
    }
}

/// Whether one of the records shows that `name` does not exist, not even as an empty non-terminal.
pub(super) fn is_absent(nsecs: &[Nsec], name: &Name) -> bool {
    nsecs.iter().any(|nsec| nsec.shows_absent(name))
}

/// Whether neither `qname` nor a wildcard that would answer for it exists.
pub(super) fn name_error(nsecs: &[Nsec], qname: &Name) -> bool {
    wildcard_for_absent(nsecs, qname).is_some_and(|wildcard| is_absent(nsecs, &wildcard))
}

/// Whether there is no `qtype` at `qname`, nor at a wildcard that would answer for it.
pub(super) fn no_data(nsecs: &[Nsec], qname: &Name, qtype: RecordType) -> bool {
    let at = |name: &Name| nsecs.iter().any(|nsec| nsec.owner == *name && denies_type(&nsec.types, name, qtype));
    let empty_non_terminal = || nsecs.iter().any(|nsec| nsec.covers(qname) && nsec.next.is_below(qname));
    at(qname)
        || empty_non_terminal()
        || wildcard_for_absent(nsecs, qname).is_some_and(|wildcard| {
            at(&wildcard) || nsecs.iter().any(|nsec| nsec.covers(&wildcard) && nsec.next.is_below(&wildcard))
        })
}

/// What there is at `child`, given that there is no DS.
pub(super) fn delegation(nsecs: &[Nsec], child: &Name) -> Delegation {
    if let Some(nsec) = nsecs.iter().find(|nsec| nsec.owner == *child) {
        return matched_delegation(&nsec.types);
    }
    if nsecs.iter().any(|nsec| nsec.covers(child) && nsec.next.is_below(child)) {
        return Delegation::NotThere;
    }
    // Whether a wildcard exists does not matter: no name that it answers for is a delegation.
    if is_absent(nsecs, child) { Delegation::Nothing } else { Delegation::Unproven }
}

/// If `qname` is shown not to exist: the wildcard that would answer for it, if it existed.
fn wildcard_for_absent(nsecs: &[Nsec], qname: &Name) -> Option<Name> {
    nsecs.iter().find(|nsec| nsec.shows_absent(qname))?.closest_encloser(qname).wildcard()
}

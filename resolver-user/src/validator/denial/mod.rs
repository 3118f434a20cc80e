//! Proves that names and types do not exist (RFC 4035 §5.4, RFC 5155 §8, RFC 6840 §4).
//!
//! In: NSEC and NSEC3 sets that are already verified, and what is to be proven. Out: a [`Denial`] or a [`Delegation`].
//! Does no signature checks and no lookups. NSEC and NSEC3 live next door, in [`nsec`] and [`nsec3`]; a zone uses one of
//! them, and where both came along each is tried.

mod bitmap;
mod cache;
mod describe;
mod nsec;
mod nsec3;
mod zone;

use super::{BudgetItem, WorkBudget};
use crate::wire::{Name, RecordType, RrSet};

pub(super) use bitmap::TypeBitmap;
pub use cache::DenialCache;
pub(super) use describe::describe;
pub use describe::{DenialFacts, Nsec3Facts, Relation, Role};
use nsec::Nsec;
use nsec3::{Chain as Nsec3Chain, Nsec3};
pub(super) use zone::is_wildcard_data;

/// What came of an attempt to prove that something does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// It does not exist.
    Proven,
    /// It lies in an opt-out span: it may exist as an unsigned delegation, or below one (RFC 5155 §6, §9.2).
    OptOut,
    /// NSEC3 iterations above what we hash, up to what may be tolerated: the zone counts as unsigned.
    TooManyIterations(u16),
    /// NSEC3 iterations above what may be tolerated.
    FarTooManyIterations(u16),
    /// No proof.
    Unproven,
}

/// What is proven about a name for which there is no DS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delegation {
    /// A delegation without DS.
    Unsigned,
    /// In an opt-out span, so perhaps a delegation without DS.
    OptOut,
    /// The name exists and is no delegation.
    NotThere,
    /// The name does not exist, so nothing below it does.
    Nothing,
    /// As for [`Denial`].
    TooManyIterations(u16),
    /// As for [`Denial`].
    FarTooManyIterations(u16),
    /// No proof.
    Unproven,
}

/// Verified NSEC and NSEC3 records of one zone.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    zone: Name,
    nsecs: Vec<Nsec>,
    nsec3s: Vec<Nsec3>,
}

impl Evidence {
    /// No evidence yet about `zone`.
    pub(super) fn new(zone: Name) -> Self {
        Self { zone, nsecs: Vec::new(), nsec3s: Vec::new() }
    }

    /// Adds a set that is verified with the keys of the zone and was not expanded from a wildcard. A set that cannot
    /// prove anything (malformed, reaching out of the zone, of an unknown hash algorithm) is left out.
    pub(super) fn add(&mut self, set: &RrSet) {
        match set.rtype {
            RecordType::NSEC => self.nsecs.extend(Nsec::read(set, &self.zone)),
            RecordType::NSEC3 => self.nsec3s.extend(Nsec3::read(set, &self.zone)),
            _ => {}
        }
    }

    /// Whether `qname` does not exist, nor a wildcard that would answer for it.
    ///
    /// # Errors
    /// The budget's item that ran out.
    pub(super) fn name_error(&self, qname: &Name, budget: &mut WorkBudget) -> Result<Denial, BudgetItem> {
        if nsec::name_error(&self.nsecs, qname) {
            return Ok(Denial::Proven);
        }
        self.with_nsec3(budget, |chain| chain.name_error(qname))
    }

    /// Whether nothing of type `qtype` exists at `qname`, nor at a wildcard that would answer for it.
    ///
    /// # Errors
    /// The budget's item that ran out.
    pub(super) fn no_data(
        &self,
        qname: &Name,
        qtype: RecordType,
        budget: &mut WorkBudget,
    ) -> Result<Denial, BudgetItem> {
        if nsec::no_data(&self.nsecs, qname, qtype) {
            return Ok(Denial::Proven);
        }
        self.with_nsec3(budget, |chain| chain.no_data(qname, qtype))
    }

    /// Whether `next_closer`, the name one label longer than a wildcard's parent, does not exist, so that the wildcard
    /// rightly answered for a name at or below it.
    ///
    /// # Errors
    /// The budget's item that ran out.
    pub(super) fn no_closer_match(&self, next_closer: &Name, budget: &mut WorkBudget) -> Result<Denial, BudgetItem> {
        if nsec::is_absent(&self.nsecs, next_closer) {
            return Ok(Denial::Proven);
        }
        self.with_nsec3(budget, |chain| chain.no_closer_match(next_closer))
    }

    /// What there is at `child`, a name below the zone's apex, given that there is no DS.
    ///
    /// # Errors
    /// The budget's item that ran out.
    pub(super) fn delegation(&self, child: &Name, budget: &mut WorkBudget) -> Result<Delegation, BudgetItem> {
        match nsec::delegation(&self.nsecs, child) {
            Delegation::Unproven => {}
            proven => return Ok(proven),
        }
        match Nsec3Chain::new(&self.zone, &self.nsec3s, budget) {
            Ok(mut chain) => chain.delegation(child),
            Err(Denial::TooManyIterations(iterations)) => Ok(Delegation::TooManyIterations(iterations)),
            Err(Denial::FarTooManyIterations(iterations)) => Ok(Delegation::FarTooManyIterations(iterations)),
            Err(_) => Ok(Delegation::Unproven),
        }
    }

    fn with_nsec3(
        &self,
        budget: &mut WorkBudget,
        prove: impl FnOnce(&mut Nsec3Chain<'_>) -> Result<Denial, BudgetItem>,
    ) -> Result<Denial, BudgetItem> {
        match Nsec3Chain::new(&self.zone, &self.nsec3s, budget) {
            Ok(mut chain) => prove(&mut chain),
            Err(denial) => Ok(denial),
        }
    }
}

/// Whether a record that matches a name, with these types at it, proves that there is no `qtype` (RFC 4035 §5.4,
/// RFC 6840 §4.1, §4.3): neither the type nor a CNAME is there, and the record is from the side of the cut that holds the
/// type asked for.
fn denies_type(types: &TypeBitmap, qname: &Name, qtype: RecordType) -> bool {
    let right_side = if qtype == RecordType::DS {
        // The apex of the child knows nothing of its own DS; the root has no parent.
        !types.contains(RecordType::SOA) || qname.is_root()
    } else {
        !is_parent_side(types)
    };
    // ANY is denied only by a name without any type: an empty non-terminal.
    let absent = if qtype == RecordType::ANY { types.is_empty() } else { !types.contains(qtype) };
    right_side && absent && !types.contains(RecordType::CNAME)
}

/// Whether these are the types of a delegation as its parent knows them.
fn is_parent_side(types: &TypeBitmap) -> bool {
    types.contains(RecordType::NS) && !types.contains(RecordType::SOA)
}

/// Whether nothing that is said at a name with these types holds for names below it: it is delegated or redirected
/// (RFC 6840 §4.1, RFC 6672 §5.3.4.1).
fn ends_authority(types: &TypeBitmap) -> bool {
    is_parent_side(types) || types.contains(RecordType::DNAME)
}

/// What a record that matches `child`, with these types, says of a delegation there.
fn matched_delegation(types: &TypeBitmap) -> Delegation {
    if types.contains(RecordType::DS) || types.contains(RecordType::SOA) {
        return Delegation::Unproven;
    }
    if types.contains(RecordType::NS) { Delegation::Unsigned } else { Delegation::NotThere }
}

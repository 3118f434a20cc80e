//! Denial records that no honest zone would hold together, as evidence, for the proofs by themselves.

use super::super::denial::{Delegation, Denial, Evidence};
use super::zone::bitmap;
use super::*;
use crate::validator::{WorkBudget, WorkLimits};
pub const NS: RecordType = RecordType::NS;
pub const SOA: RecordType = RecordType::SOA;
pub const DS: RecordType = RecordType::DS;
pub const A: RecordType = RecordType::A;
pub const CNAME: RecordType = RecordType::CNAME;
pub const DNAME: RecordType = RecordType::DNAME;
pub const NSEC: RecordType = RecordType::NSEC;

pub fn budget() -> WorkBudget {
    WorkBudget::new(WorkLimits::DEFAULT)
}

/// One NSEC: owner, next name, types.
pub type Link<'a> = (&'a str, &'a str, &'a [RecordType]);

pub fn nsecs(zone: &str, links: &[Link<'_>]) -> Evidence {
    let mut evidence = Evidence::new(name(zone));
    for (owner, next, types) in links {
        let rdata = [name(next).wire(), &bitmap(types)].concat();
        evidence.add(&unsigned_set(&name(owner), NSEC, vec![rdata.into()]));
    }
    evidence
}

#[track_caller]
pub fn no_data(evidence: &Evidence, qname: &str, qtype: RecordType) -> bool {
    evidence.no_data(&name(qname), qtype, &mut budget()).unwrap() == Denial::Proven
}

#[track_caller]
pub fn name_error(evidence: &Evidence, qname: &str) -> bool {
    evidence.name_error(&name(qname), &mut budget()).unwrap() == Denial::Proven
}

pub fn delegation(evidence: &Evidence, child: &str) -> Delegation {
    evidence.delegation(&name(child), &mut budget()).unwrap()
}

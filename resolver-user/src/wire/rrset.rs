//! Questions, RRsets, and the grouping of a section's records into sets with their signatures (RFC 2181 §5).

use std::fmt;

use super::{CLASS_IN, Name, Record, RecordType, Rrsig};

/// What is asked: a name and a type in class IN.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Name, letter case as asked; compared without it.
    pub qname: Name,
    /// Type.
    pub qtype: RecordType,
}

impl Question {
    /// A question for `qtype` at `qname`.
    pub fn new(qname: Name, qtype: RecordType) -> Self {
        Self { qname, qtype }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.qname, self.qtype)
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All records of one owner and type in class IN, with the signatures that came with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrSet {
    /// Owner, letter case of the first record.
    pub owner: Name,
    /// Type. Never RRSIG, unless the section held signatures for which no set came: those are in `signatures` of a set
    /// of the covered type that has no `rdatas`.
    pub rtype: RecordType,
    /// TTL, in seconds: the smallest of the records (RFC 2181 §5.2).
    pub ttl_s: u32,
    /// RDATA of each record, in the order received, exact duplicates dropped (RFC 2181 §5).
    pub rdatas: Vec<Box<[u8]>>,
    /// Signatures that cover this owner and type, in the order received.
    pub signatures: Vec<Rrsig>,
}

/// Groups the records of one section into sets, in the order of their first records. Records of other classes and
/// malformed RRSIGs are left out: neither can be part of an answer.
pub fn group(records: &[Record]) -> Vec<RrSet> {
    let mut sets: Vec<RrSet> = Vec::new();
    for record in records.iter().filter(|record| record.class == CLASS_IN) {
        let signature = if record.rtype == RecordType::RRSIG { Rrsig::read(record) } else { None };
        let rtype = match &signature {
            Some(signature) => signature.type_covered,
            None if record.rtype == RecordType::RRSIG => continue,
            None => record.rtype,
        };
        let position = sets.iter().position(|set| set.rtype == rtype && set.owner == record.owner);
        let empty = || RrSet {
            owner: record.owner.clone(),
            rtype,
            ttl_s: u32::MAX,
            rdatas: Vec::new(),
            signatures: Vec::new(),
        };
        let index = position.unwrap_or_else(|| {
            sets.push(empty());
            sets.len().saturating_sub(1)
        });
        let Some(set) = sets.get_mut(index) else { continue };
        set.ttl_s = set.ttl_s.min(record.ttl_s);
        match signature {
            Some(signature) => {
                if !set.signatures.iter().any(|known| known.rdata == signature.rdata) {
                    set.signatures.push(signature);
                }
            }
            None => {
                if !set.rdatas.contains(&record.rdata) {
                    set.rdatas.push(record.rdata.clone());
                }
            }
        }
    }
    sets
}

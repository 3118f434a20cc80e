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

impl RrSet {
    /// Its records, without signatures.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.rdatas.iter().map(|rdata| Record {
            owner: self.owner.clone(),
            rtype: self.rtype,
            class: CLASS_IN,
            ttl_s: self.ttl_s,
            rdata: rdata.clone(),
        })
    }
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

/// The same for an authority section. At the cut between two zones both have an NSEC of the same owner (RFC 4035 §2.3), and a
/// reply that goes from one zone into the other may prove something by both: these are two sets.
pub fn group_authority(records: &[Record]) -> Vec<RrSet> {
    group(records).into_iter().flat_map(divided_at_cut).collect()
}

/// The NSEC set of a child's apex and that of its parent, if both stand in one; else the set as it is.
fn divided_at_cut(set: RrSet) -> Vec<RrSet> {
    let childs = set.rdatas.iter().filter(|rdata| lists_soa(rdata)).count();
    if set.rtype != RecordType::NSEC || childs == 0 || childs == set.rdatas.len() {
        return vec![set];
    }
    let RrSet { owner, rtype, ttl_s, rdatas, signatures } = set;
    let (childs, parents): (Vec<_>, Vec<_>) = rdatas.into_iter().partition(|rdata| lists_soa(rdata));
    let (by_child, by_parent): (Vec<_>, Vec<_>) = signatures.into_iter().partition(|one| one.signer == owner);
    let part = |rdatas, signatures| RrSet { owner: owner.clone(), rtype, ttl_s, rdatas, signatures };
    vec![part(parents, by_parent), part(childs, by_child)]
}

/// Whether the type bitmap of an NSEC record lists SOA, which only the record at a zone's apex does (RFC 4034 §4.1.2).
fn lists_soa(nsec_rdata: &[u8]) -> bool {
    let Ok((_, after_name)) = Name::read_compressed(nsec_rdata, 0) else { return false };
    // Window 0, its length, and the types 0 to 7.
    matches!(nsec_rdata.get(after_name..), Some(&[0, length, types, ..]) if length > 0 && types & 0x02 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nsec_sets_of_both_sides_of_a_cut_are_two() {
        let owner: Name = "a.e.".parse().unwrap();
        // Next name a.e.; types NS and DS, and NS, SOA and RRSIG.
        let parents = b"\x01a\x01e\0\0\x06\x20\0\0\0\0\x10".to_vec();
        let childs = b"\x01a\x01e\0\0\x06\x22\0\0\0\0\x02".to_vec();
        let signature = |signer: &str| {
            let mut rdata = vec![0, 47, 13, 2, 0, 0, 14, 16, 0, 0, 0, 2, 0, 0, 0, 1, 0, 7];
            rdata.extend_from_slice(signer.parse::<Name>().unwrap().wire());
            rdata.extend_from_slice(&[1; 64]);
            rdata
        };
        let record = |rtype, rdata: Vec<u8>| Record {
            owner: owner.clone(),
            rtype,
            class: CLASS_IN,
            ttl_s: 60,
            rdata: rdata.into(),
        };
        let (nsec, rrsig) = (RecordType::NSEC, RecordType::RRSIG);
        let both = [
            record(nsec, childs.clone()),
            record(rrsig, signature("a.e.")),
            record(nsec, parents.clone()),
            record(rrsig, signature("e.")),
        ];
        assert_eq!(group(&both).len(), 1);
        let sets = group_authority(&both);
        let shown: Vec<(&[u8], String)> =
            sets.iter().map(|set| (&*set.rdatas[0], set.signatures[0].signer.to_string())).collect();
        assert_eq!(shown, [(&*parents, "e.".to_owned()), (&*childs, "a.e.".to_owned())]);
        let alone = group_authority(&both[..2]);
        assert_eq!((alone.len(), alone[0].signatures.len()), (1, 1));
    }
}

//! A zone signed in memory, and the responses an honest server would give for it.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::{SigningKey, Terms};
use super::{NOW_S, name};
use crate::wire::{Name, Question, RCode, RecordType, Response, RrSet};

/// How a zone denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denies {
    Nsec,
    Nsec3 {
        iterations: u16,
        opt_out: bool,
    },
    /// Not at all: the zone is unsigned.
    Unsigned,
}

pub const NSEC3: Denies = Denies::Nsec3 { iterations: 0, opt_out: false };
pub const OPT_OUT: Denies = Denies::Nsec3 { iterations: 0, opt_out: true };
pub const TTL_S: u32 = 3600;
/// Minimum field of every SOA.
pub const MINIMUM_S: u32 = 300;

pub struct Zone {
    pub name: Name,
    pub denies: Denies,
    pub keys: Vec<SigningKey>,
    pub terms: Terms,
    /// All sets that the zone holds, delegations included, without denial records.
    pub sets: BTreeMap<(Name, RecordType), Vec<Vec<u8>>>,
}

impl Zone {
    /// A zone with a SOA, an NS and one key of `algorithm`.
    pub fn new(zone: &str, denies: Denies, algorithm: u8) -> Self {
        let keys = if denies == Denies::Unsigned { vec![] } else { vec![SigningKey::new(algorithm, 257)] };
        let terms = Terms { inception: NOW_S - 86_400, expiration: NOW_S + 7 * 86_400, labels: None };
        let mut zone = Self { name: name(zone), denies, keys, terms, sets: BTreeMap::new() };
        let soa = [b"\x02ns\x00\x00".as_slice(), &[0; 16], &MINIMUM_S.to_be_bytes()].concat();
        let apex = zone.name.clone();
        zone.add(&apex, RecordType::SOA, soa);
        zone.add(&apex, RecordType::NS, b"\x02ns\x00".to_vec());
        zone.publish_keys();
        zone
    }

    pub fn add(&mut self, owner: &Name, rtype: RecordType, rdata: Vec<u8>) {
        self.sets.entry((owner.clone(), rtype)).or_default().push(rdata);
    }

    /// Makes the DNSKEY set that of the keys.
    pub fn publish_keys(&mut self) {
        self.sets.remove(&(self.name.clone(), RecordType::DNSKEY));
        for dnskey in self.keys.iter().map(|key| key.dnskey.clone()).collect::<Vec<_>>() {
            self.add(&self.name.clone(), RecordType::DNSKEY, dnskey);
        }
    }

    /// The honest response to a question that falls into this zone. Follows no aliases.
    pub fn answer(&self, question: &Question) -> Response {
        let Question { qname, qtype } = question;
        let mut response =
            Response { question: question.clone(), rcode: RCode::NOERROR, answer: vec![], authority: vec![] };
        let source = self.source(qname);
        if let Some(dname) = self.dname_above(qname) {
            response.answer.push(self.set(&dname, RecordType::DNAME, &dname));
            let target = Name::from_wire(&self.sets[&(dname.clone(), RecordType::DNAME)][0]).unwrap();
            let labels: Vec<&[u8]> = qname.labels().take(qname.label_count() - dname.label_count()).collect();
            let made = labels.iter().rev().try_fold(target, |below, label| below.prepend(label).ok());
            match made {
                Some(made) => response.answer.push(unsigned_set(qname, RecordType::CNAME, vec![made.wire().into()])),
                None => response.rcode = RCode::YXDOMAIN,
            }
            return response;
        }
        let Some(source) = source else {
            response.rcode = RCode::NXDOMAIN;
            return self.deny(response, qname, true);
        };
        let types: Vec<RecordType> = self.types_at(&source);
        if *qtype == RecordType::ANY && !types.is_empty() {
            response.answer.extend(types.iter().map(|&rtype| self.set(&source, rtype, qname)));
        } else if types.contains(qtype) {
            response.answer.push(self.set(&source, *qtype, qname));
        } else if types.contains(&RecordType::CNAME) {
            response.answer.push(self.set(&source, RecordType::CNAME, qname));
        } else {
            return self.deny(response, qname, source != *qname);
        }
        if source != *qname {
            response.authority.extend(self.proof(qname, false));
        }
        response
    }

    fn deny(&self, mut response: Response, qname: &Name, wildcard: bool) -> Response {
        response.authority.push(self.set(&self.name, RecordType::SOA, &self.name));
        response.authority.extend(self.proof(qname, wildcard));
        response
    }

    /// The name whose records answer for `qname`: itself, or a wildcard; none if there is nothing.
    fn source(&self, qname: &Name) -> Option<Name> {
        if self.exists(qname) {
            return Some(qname.clone());
        }
        self.encloser(qname).wildcard().filter(|wildcard| self.exists(wildcard))
    }

    fn encloser(&self, qname: &Name) -> Name {
        let mut encloser = qname.parent().unwrap();
        while !self.exists(&encloser) {
            encloser = encloser.parent().unwrap();
        }
        encloser
    }

    /// Whether the name has records, or names below it have.
    fn exists(&self, qname: &Name) -> bool {
        self.sets.keys().any(|(owner, _)| owner.is_at_or_below(qname))
    }

    fn dname_above(&self, qname: &Name) -> Option<Name> {
        let dnames = self.sets.keys().filter(|(owner, rtype)| *rtype == RecordType::DNAME && qname.is_below(owner));
        dnames.map(|(owner, _)| owner.clone()).next()
    }

    fn types_at(&self, owner: &Name) -> Vec<RecordType> {
        self.sets.keys().filter(|(at, _)| at == owner).map(|(_, rtype)| *rtype).collect()
    }

    /// Whether this is an unsigned delegation that the zone leaves out of its chain.
    fn opts_out(&self, owner: &Name) -> bool {
        matches!(self.denies, Denies::Nsec3 { opt_out: true, .. }) && self.types_at(owner) == [RecordType::NS]
    }

    /// The set at `source` as an answer for `owner`, signed if the zone is.
    pub fn set(&self, source: &Name, rtype: RecordType, owner: &Name) -> RrSet {
        let rdatas = self.sets[&(source.clone(), rtype)].iter().map(|rdata| rdata.clone().into_boxed_slice()).collect();
        let mut set = unsigned_set(source, rtype, rdatas);
        self.sign(&mut set);
        set.owner = owner.clone();
        set
    }

    /// Signs a set with every key of the zone.
    pub fn sign(&self, set: &mut RrSet) {
        set.signatures = self.keys.iter().map(|key| key.sign(set, &self.name, self.terms)).collect();
    }

    /// The denial records for `qname` and, if asked for, for the wildcard that could answer for it.
    fn proof(&self, qname: &Name, wildcard: bool) -> Vec<RrSet> {
        let mut wanted = vec![qname.clone()];
        let in_chain = |at: &Name| self.sets.keys().any(|(owner, _)| owner.is_at_or_below(at) && !self.opts_out(owner));
        if !in_chain(qname) {
            let mut encloser = qname.parent().unwrap();
            while !in_chain(&encloser) {
                encloser = encloser.parent().unwrap();
            }
            if let Denies::Nsec3 { .. } = self.denies {
                wanted = vec![encloser.clone(), qname.ancestor(encloser.label_count() + 1).unwrap()];
            }
            wanted.extend(encloser.wildcard().filter(|_| wildcard));
        }
        match self.denies {
            Denies::Unsigned => vec![],
            Denies::Nsec => pick(&self.nsec_chain(), &wanted),
            Denies::Nsec3 { .. } => self.pick_nsec3(&wanted),
        }
    }

    fn nsec_chain(&self) -> Vec<(Name, RrSet)> {
        let owners: BTreeSet<Name> = self.sets.keys().map(|(owner, _)| owner.clone()).collect();
        let owners: Vec<Name> = owners.into_iter().collect();
        let next = owners.iter().cycle().skip(1);
        let link = |(owner, next): (&Name, &Name)| {
            let mut types = self.signed_types(owner);
            types.push(RecordType::NSEC);
            (owner.clone(), self.nsec(owner, next, &types))
        };
        owners.iter().zip(next).map(link).collect()
    }

    /// A signed NSEC that says what it is told to say.
    pub fn nsec(&self, owner: &Name, next: &Name, types: &[RecordType]) -> RrSet {
        let rdata = [next.wire(), &bitmap(types)].concat();
        let mut set = unsigned_set(owner, RecordType::NSEC, vec![rdata.into()]);
        set.ttl_s = MINIMUM_S;
        self.sign(&mut set);
        set
    }

    /// The types at a name and RRSIG where something is signed.
    fn signed_types(&self, owner: &Name) -> Vec<RecordType> {
        let mut types = self.types_at(owner);
        if types != [RecordType::NS] || self.denies == Denies::Nsec {
            types.push(RecordType::RRSIG);
        }
        types
    }

    /// The NSEC3 records that match or cover the wanted names.
    fn pick_nsec3(&self, wanted: &[Name]) -> Vec<RrSet> {
        let Denies::Nsec3 { iterations, .. } = self.denies else { return vec![] };
        let mut chain = BTreeMap::new();
        for (owner, _) in self.sets.keys().filter(|(owner, _)| !self.opts_out(owner)) {
            for labels in self.name.label_count()..=owner.label_count() {
                let existing = owner.ancestor(labels).unwrap();
                let mut types = self.types_at(&existing);
                if !types.is_empty() {
                    types = self.signed_types(&existing);
                }
                chain.insert(hash(&existing, iterations), types);
            }
        }
        let hashes: Vec<String> = chain.keys().cloned().collect();
        let mut picked = BTreeMap::new();
        for wanted in wanted {
            let hash = hash(wanted, iterations);
            let after = hashes.partition_point(|known| *known <= hash);
            let index = if after == 0 { hashes.len() - 1 } else { after - 1 };
            let next = &hashes[(index + 1) % hashes.len()];
            picked.insert(index, self.nsec3(&hashes[index], next, &chain[&hashes[index]]));
        }
        picked.into_values().collect()
    }

    /// A signed NSEC3 that says what it is told to say.
    pub fn nsec3(&self, owner: &str, next: &str, types: &[RecordType]) -> RrSet {
        let Denies::Nsec3 { iterations, opt_out } = self.denies else { unreachable!() };
        let [i0, i1] = iterations.to_be_bytes();
        let rdata = [&[1, u8::from(opt_out), i0, i1, 2, 0xab, 0xcd, 20][..], &decode(next), &bitmap(types)].concat();
        let owner = self.name.prepend(owner.as_bytes()).unwrap();
        let mut set = unsigned_set(&owner, RecordType::NSEC3, vec![rdata.into()]);
        set.ttl_s = MINIMUM_S;
        self.sign(&mut set);
        set
    }
}

pub fn unsigned_set(owner: &Name, rtype: RecordType, rdatas: Vec<Box<[u8]>>) -> RrSet {
    let ttl_s = TTL_S;
    RrSet { owner: owner.clone(), rtype, ttl_s, rdatas, signatures: vec![] }
}

/// The links of an NSEC chain that match or cover the wanted names.
fn pick(chain: &[(Name, RrSet)], wanted: &[Name]) -> Vec<RrSet> {
    let mut picked = BTreeMap::new();
    for wanted in wanted {
        let (owner, set) = chain.iter().rev().find(|(owner, _)| owner <= wanted).unwrap();
        picked.insert(owner.clone(), set.clone());
    }
    picked.into_values().collect()
}

pub fn bitmap(types: &[RecordType]) -> Vec<u8> {
    let mut windows: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for rtype in types {
        let [high, low] = rtype.0.to_be_bytes();
        let block = windows.entry(high).or_default();
        let at = usize::from(low / 8);
        block.resize(block.len().max(at + 1), 0);
        block[at] |= 0x80 >> (low % 8);
    }
    windows
        .into_iter()
        .flat_map(|(high, block)| [vec![high, u8::try_from(block.len()).unwrap()], block].concat())
        .collect()
}

/// The hash of a name in base32hex, with the salt that all zones have. Written apart from the code under test.
pub fn hash(owner: &Name, iterations: u16) -> String {
    let mut bytes = owner.canonical_wire().to_vec();
    for _ in 0..=iterations {
        bytes.extend([0xab, 0xcd]);
        bytes = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes).as_ref().to_vec();
    }
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let digit = |at: usize| char::from_digit(u32::from_str_radix(&bits[at..at + 5], 2).unwrap(), 32).unwrap();
    (0..160).step_by(5).map(digit).collect()
}

pub fn decode(hash: &str) -> Vec<u8> {
    let bits: String = hash.chars().map(|digit| format!("{:05b}", digit.to_digit(32).unwrap())).collect();
    (0..160).step_by(8).map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap()).collect()
}

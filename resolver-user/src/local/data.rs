//! Looks up what was said about names.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use super::SynthDomain;
use super::reverse::address_of;
use crate::wire::{CLASS_IN, DomainMap, Found, Name, RCode, Record, RecordType};

/// Most aliases that are followed. Loops are refused when the data are put together.
pub(super) const ALIASES_MAX: usize = 20;
/// Longest name, in bytes of wire form.
const NAME_LEN_MAX: usize = 255;

/// What was said about names, ready for look-ups. A look-up that finds nothing allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalData {
    /// Records by folded name; names that only have names below them are here without records.
    pub(super) nodes: HashMap<Box<[u8]>, Vec<Data>>,
    /// What is said about whole domains.
    pub(super) rules: DomainMap<Rule>,
    pub(super) synths: Vec<SynthDomain>,
    /// Reverse zones that are not asked for elsewhere, unless a rule says otherwise.
    pub(super) private: DomainMap<()>,
    /// TTL of what has none of its own, in seconds.
    pub(super) ttl_s: u32,
    pub(super) domain_needed: bool,
    pub(super) filter_win2k: bool,
    /// Names with records.
    pub(super) name_count: usize,
}

/// A record without its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Data {
    pub(super) rtype: RecordType,
    pub(super) ttl_s: u32,
    pub(super) rdata: Box<[u8]>,
}

/// What is said about a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) null: bool,
    pub(super) local_only: bool,
    pub(super) forwarded: bool,
}

/// Equal data have equal hashes, whatever the order of their tables.
impl Hash for LocalData {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { nodes, rules, synths, private, ttl_s, domain_needed, filter_win2k, name_count } = self;
        let mut sorted: Vec<(&Box<[u8]>, &Vec<Data>)> = nodes.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        sorted.hash(state);
        (rules, synths, private, ttl_s, domain_needed, filter_win2k, name_count).hash(state);
    }
}

impl Rule {
    fn gives_addresses(&self) -> bool {
        self.null || !self.addresses.is_empty()
    }
}

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAnswer {
    /// RCODE.
    pub rcode: RCode,
    /// AA, set as dnsmasq sets it: for data, for private reverse zones, and for what `filterwin2k` holds back.
    pub authoritative: bool,
    /// The answer section: aliases first.
    pub records: Vec<Record>,
}

impl LocalData {
    /// Number of names that records were given for.
    pub fn name_count(&self) -> usize {
        self.name_count
    }

    /// Number of domains that something was said about as a whole.
    pub fn domain_count(&self) -> usize {
        self.rules.len()
    }

    /// Whether nothing was said about anything.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
            && self.rules.is_empty()
            && self.synths.is_empty()
            && self.private.is_empty()
            && !self.domain_needed
            && !self.filter_win2k
    }

    /// What is to be answered for a name, in wire form and any letter case; none if that is to be found elsewhere.
    pub fn answer(&self, qname_wire: &[u8], qtype: RecordType) -> Option<LocalAnswer> {
        if self.is_empty() {
            return None;
        }
        let mut folded = [0; NAME_LEN_MAX];
        let folded = folded.get_mut(..qname_wire.len())?;
        folded.copy_from_slice(qname_wire);
        folded.make_ascii_lowercase();
        let node = self.nodes.get(&*folded);
        if let Some(records) = node.and_then(|node| self.records(qname_wire, node, qtype)) {
            return Some(data(records));
        }
        if self.filter_win2k && matches!(qtype, RecordType::SOA | RecordType::SRV) {
            return Some(LocalAnswer { rcode: RCode::NOERROR, authoritative: true, records: Vec::new() });
        }
        if let Some(answer) = self.synthesised(qname_wire, folded, qtype) {
            return Some(answer);
        }
        let (mut exists, mut is_ruled) = (node.is_some(), false);
        for Found { value: rule, .. } in self.rules.matches_question(folded, qtype) {
            is_ruled = true;
            exists |= rule.gives_addresses();
            if let Some(answer) = self.addresses(rule, qname_wire, qtype) {
                return Some(answer);
            }
            if rule.forwarded {
                return None;
            }
            if rule.local_only {
                return Some(self.nothing(exists, false));
            }
            // It has nothing of this type: what is said about a shorter domain counts.
        }
        // A rule for a domain above a private zone is the operator's word on it, so none of these has any.
        if !is_ruled && self.private.find_folded(folded).is_some() {
            return Some(self.nothing(exists, true));
        }
        let single_label =
            folded.first().is_some_and(|&length| length > 0 && usize::from(length).saturating_add(2) == folded.len());
        let address_asked = matches!(qtype, RecordType::A | RecordType::AAAA);
        (self.domain_needed && single_label && address_asked).then(|| self.nothing(node.is_some(), false))
    }

    /// Whether a name exists by what was said here, with whatever types.
    pub fn knows(&self, name: &Name) -> bool {
        let folded = name.canonical_wire();
        let by_rule = || self.rules.find_folded(&folded).is_some_and(|found| found.value.gives_addresses());
        self.nodes.contains_key(&folded)
            || by_rule()
            || self.synths.iter().any(|synth| synth.address(&folded).is_some())
    }

    /// The records of a name that answer the question, with the aliases that lead to them; none if there is neither.
    fn records(&self, qname_wire: &[u8], node: &[Data], qtype: RecordType) -> Option<Vec<Record>> {
        let mut owner = None;
        let (mut node, mut records) = (node, Vec::new());
        for _ in 0..ALIASES_MAX {
            let alias = node.iter().find(|data| data.rtype == RecordType::CNAME);
            let wanted = if alias.is_some() { RecordType::CNAME } else { qtype };
            let mut found = node.iter().filter(|data| data.rtype == wanted).peekable();
            if found.peek().is_none() {
                break;
            }
            let name = match owner.take() {
                Some(name) => name,
                None => Name::from_wire(qname_wire).ok()?,
            };
            records.extend(found.map(|data| Record {
                owner: name.clone(),
                rtype: data.rtype,
                class: CLASS_IN,
                ttl_s: data.ttl_s,
                rdata: data.rdata.clone(),
            }));
            let Some(alias) = alias.filter(|_| qtype != RecordType::CNAME) else { break };
            let target = Name::from_wire(&alias.rdata).ok()?;
            // Differs from RFC 1034 §3.6.2 as dnsmasq does: what stands elsewhere is not fetched.
            let Some(next) = self.nodes.get(&target.canonical_wire()) else { break };
            (owner, node) = (Some(target), next);
        }
        (!records.is_empty()).then_some(records)
    }

    fn synthesised(&self, qname_wire: &[u8], folded: &[u8], qtype: RecordType) -> Option<LocalAnswer> {
        if self.synths.is_empty() {
            return None;
        }
        if qtype == RecordType::PTR {
            let address = address_of(folded)?;
            let name = self.synths.iter().find_map(|synth| synth.name(address))?;
            return self.one(qname_wire, qtype, name.wire().into());
        }
        let address = self.synths.iter().find_map(|synth| synth.address(folded))?;
        let (rtype, rdata) = address_data(address);
        if rtype == qtype { self.one(qname_wire, qtype, rdata) } else { None }
    }

    /// The addresses of a type that a rule gives, if it gives some.
    fn addresses(&self, rule: &Rule, qname_wire: &[u8], qtype: RecordType) -> Option<LocalAnswer> {
        let nulls = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
        let nulls = nulls.iter().filter(|_| rule.null);
        let addresses = rule.addresses.iter().chain(nulls).map(|&address| address_data(address));
        let rdatas = addresses.filter(|(rtype, _)| *rtype == qtype).map(|(_, rdata)| rdata);
        let records: Vec<Record> = rdatas.filter_map(|rdata| self.record(qname_wire, qtype, rdata)).collect();
        (!records.is_empty()).then(|| data(records))
    }

    /// NODATA for what exists, NXDOMAIN for what does not.
    fn nothing(&self, exists: bool, authoritative: bool) -> LocalAnswer {
        let rcode = if exists { RCode::NOERROR } else { RCode::NXDOMAIN };
        LocalAnswer { rcode, authoritative, records: Vec::new() }
    }

    fn record(&self, owner_wire: &[u8], rtype: RecordType, rdata: Box<[u8]>) -> Option<Record> {
        let owner = Name::from_wire(owner_wire).ok()?;
        Some(Record { owner, rtype, class: CLASS_IN, ttl_s: self.ttl_s, rdata })
    }

    fn one(&self, owner_wire: &[u8], rtype: RecordType, rdata: Box<[u8]>) -> Option<LocalAnswer> {
        self.record(owner_wire, rtype, rdata).map(|record| data(vec![record]))
    }
}

fn data(records: Vec<Record>) -> LocalAnswer {
    LocalAnswer { rcode: RCode::NOERROR, authoritative: true, records }
}

/// Type and RDATA of an address.
pub(super) fn address_data(address: IpAddr) -> (RecordType, Box<[u8]>) {
    match address {
        IpAddr::V4(address) => (RecordType::A, address.octets().into()),
        IpAddr::V6(address) => (RecordType::AAAA, address.octets().into()),
    }
}

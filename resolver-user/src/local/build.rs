//! Puts what was said together.

use std::collections::HashSet;
use std::net::IpAddr;

use thiserror::Error;

use super::data::{ALIASES_MAX, Data, Rule, address_data};
use super::{Cname, HostLine, LocalData, LocalSource, RuleKind, reverse_name};
use crate::wire::{DomainPattern, Name, PRIVATE_REVERSE_ZONES, RecordType};

/// Most names and domains that may be given; it bounds the memory to about 1 GiB.
const NAMES_MAX: usize = 4_000_000;

/// Why what was said cannot be held together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// Aliases lead in a circle, or on and on.
    #[error("aliases from {alias} lead in a circle, or over more than 20 names")]
    AliasLoop {
        /// One of them.
        alias: Name,
    },
    /// Two targets for one alias.
    #[error("{alias} has two targets")]
    TwoTargets {
        /// The alias.
        alias: Name,
    },
    /// More names and domains than may be.
    #[error("more than 4000000 names and domains")]
    TooManyNames,
}

impl LocalData {
    /// Makes what was said ready for look-ups.
    ///
    /// # Errors
    /// What cannot be held together.
    pub fn build(source: &LocalSource) -> Result<Self, BuildError> {
        let mut data = Self {
            ttl_s: source.ttl_s,
            domain_needed: source.domain_needed,
            filter_win2k: source.filter_win2k,
            synths: source.synths.clone(),
            ..Self::default()
        };
        for record in &source.records {
            data.add(&record.owner, record.rtype, None, record.rdata.clone());
        }
        data.add_aliases(&source.cnames)?;
        // Addresses whose names the operator has given by `ptr-record` keep those.
        let mut named = HashSet::new();
        for line in &source.hosts {
            for &address in &line.addresses {
                data.add_host(source, line, address, &mut named);
            }
        }
        data.add_rules(&source.rules);
        if source.bogus_priv {
            for zone in PRIVATE_REVERSE_ZONES.iter().filter_map(|zone| zone.parse().ok()) {
                data.private.entry(&DomainPattern::Domain(zone), || ());
            }
        }
        data.name_count = data.nodes.values().filter(|node| !node.is_empty()).count();
        let count = data.name_count.saturating_add(data.rules.len());
        if count > NAMES_MAX { Err(BuildError::TooManyNames) } else { Ok(data) }
    }

    /// Adds a record, unless it is there already.
    fn add(&mut self, owner: &Name, rtype: RecordType, ttl_s: Option<u32>, rdata: Box<[u8]>) {
        let data = Data { rtype, ttl_s: ttl_s.unwrap_or(self.ttl_s), rdata };
        let node = self.nodes.entry(owner.canonical_wire()).or_default();
        if node.iter().any(|known| known.rtype == rtype && known.rdata == data.rdata) {
            return;
        }
        node.push(data);
        // Names above reverse names are left out: nobody asks for them, and an IPv6 address has 33.
        if rtype != RecordType::PTR {
            self.add_above(owner);
        }
    }

    /// Notes that the names above `owner` exist.
    fn add_above(&mut self, owner: &Name) {
        let mut above = owner.parent();
        while let Some(name) = above.filter(|name| !name.is_root()) {
            let folded = name.canonical_wire();
            if self.nodes.contains_key(&folded) {
                return;
            }
            self.nodes.insert(folded, Vec::new());
            above = name.parent();
        }
    }

    fn add_host(&mut self, source: &LocalSource, line: &HostLine, address: IpAddr, named: &mut HashSet<IpAddr>) {
        let (rtype, rdata) = address_data(address);
        let mut own_name = None;
        for name in &line.names {
            self.add(name, rtype, line.ttl_s, rdata.clone());
            let expanded = if line.from_file { expanded(source, name, address) } else { None };
            if let Some(expanded) = &expanded {
                self.add(expanded, rtype, line.ttl_s, rdata.clone());
            }
            own_name.get_or_insert_with(|| expanded.unwrap_or_else(|| name.clone()));
        }
        let (Some(own_name), Ok(reverse)) = (own_name, reverse_name(address)) else { return };
        let given = || {
            let node = self.nodes.get(&reverse.canonical_wire());
            node.is_some_and(|node| node.iter().any(|data| data.rtype == RecordType::PTR))
        };
        // An address has the first name that it was given.
        if named.insert(address) && !given() {
            self.add(&reverse, RecordType::PTR, line.ttl_s, own_name.wire().into());
        }
    }

    fn add_aliases(&mut self, cnames: &[Cname]) -> Result<(), BuildError> {
        let mut seen = HashSet::new();
        for Cname { alias, target, ttl_s } in cnames {
            if !seen.insert(alias) {
                return Err(BuildError::TwoTargets { alias: alias.clone() });
            }
            self.add(alias, RecordType::CNAME, *ttl_s, target.wire().into());
        }
        for Cname { alias, .. } in cnames {
            let mut name = alias.clone();
            let mut hops = 0;
            while let Some(target) = self.target(&name) {
                hops += 1;
                if hops > ALIASES_MAX {
                    return Err(BuildError::AliasLoop { alias: alias.clone() });
                }
                name = target;
            }
        }
        Ok(())
    }

    fn target(&self, alias: &Name) -> Option<Name> {
        let node = self.nodes.get(&alias.canonical_wire())?;
        let cname = node.iter().find(|data| data.rtype == RecordType::CNAME)?;
        Name::from_wire(&cname.rdata).ok()
    }

    fn add_rules(&mut self, rules: &[(DomainPattern, RuleKind)]) {
        for (pattern, kind) in rules {
            let rule = self.rules.entry(pattern, Rule::default);
            match *kind {
                RuleKind::Address(address) if !rule.addresses.contains(&address) => rule.addresses.push(address),
                RuleKind::Address(_) => {}
                RuleKind::Null => rule.null = true,
                RuleKind::LocalOnly => rule.local_only = true,
                RuleKind::Forwarded => rule.forwarded = true,
            }
        }
    }
}

/// A single-label name in its domain, if it has one.
fn expanded(source: &LocalSource, name: &Name, address: IpAddr) -> Option<Name> {
    if !source.expand_hosts || name.label_count() != 1 {
        return None;
    }
    let by_range = source.subnet_domains.iter().find(|subnet| subnet.range.contains(address));
    let domain = by_range.map(|subnet| &subnet.domain).or(source.domain.as_ref())?;
    domain.prepend(name.labels().next()?).ok()
}

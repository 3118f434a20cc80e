//! What can be said about names, as read from the configuration and its files.

use std::net::IpAddr;

use super::{AddressRange, SynthDomain};
use crate::wire::{DomainPattern, Name, RecordType};

/// Everything that was said. [`LocalData::build`](super::LocalData::build) makes it ready for look-ups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSource {
    /// `local-ttl`: TTL of what has none of its own, in seconds.
    pub ttl_s: u32,
    /// `host-record` and lines of hosts files, in the order in which they claim the names of addresses.
    pub hosts: Vec<HostLine>,
    /// Records of any type: `txt-record`, `ptr-record` and their like.
    pub records: Vec<LocalRecord>,
    /// `cname`.
    pub cnames: Vec<Cname>,
    /// `address=`, and the domains of `server=` and `local=`.
    pub rules: Vec<(DomainPattern, RuleKind)>,
    /// `synth-domain`.
    pub synths: Vec<SynthDomain>,
    /// `expand-hosts`: single-label names of hosts files also stand in the domain.
    pub expand_hosts: bool,
    /// `domain` without a range.
    pub domain: Option<Name>,
    /// `domain` with a range, in order.
    pub subnet_domains: Vec<SubnetDomain>,
    /// `domain-needed`: single-label names are not asked for elsewhere.
    pub domain_needed: bool,
    /// `bogus-priv`: private reverse zones are not asked for elsewhere.
    pub bogus_priv: bool,
    /// `filterwin2k`: SOA and SRV are not asked for elsewhere.
    pub filter_win2k: bool,
}

/// Addresses with their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLine {
    /// Names; the first is the address's own.
    pub names: Vec<Name>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// TTL, in seconds; else `local-ttl`.
    pub ttl_s: Option<u32>,
    /// Whether the line stands in a hosts file, where `expand-hosts` applies.
    pub from_file: bool,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRecord {
    /// Owner.
    pub owner: Name,
    /// Type.
    pub rtype: RecordType,
    /// RDATA in wire form, names not compressed.
    pub rdata: Box<[u8]>,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cname {
    /// Alias.
    pub alias: Name,
    /// Target.
    pub target: Name,
    /// TTL, in seconds; else `local-ttl`.
    pub ttl_s: Option<u32>,
}

/// What is said about a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// `address=/domain/IP`: this address; other types are asked for elsewhere.
    Address(IpAddr),
    /// `address=/domain/#`: the null addresses.
    Null,
    /// `address=/domain/`, `local=/domain/`, `server=/domain/`: nothing is asked for elsewhere.
    LocalOnly,
    /// `server=/domain/IP`: asked for elsewhere, even if a shorter domain says otherwise.
    Forwarded,
}

/// The domain of names whose addresses are in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetDomain {
    /// Domain.
    pub domain: Name,
    /// Range.
    pub range: AddressRange,
}

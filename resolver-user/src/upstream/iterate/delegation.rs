//! A zone and whom to ask about it, as its parent, the root hints or the configuration have it.
//!
//! In: replies that are cut down to the zone that was asked. Out: [`Delegation`]s. What a zone says of its own servers makes
//! none, and no longer one: so a zone that its parent has dropped cannot keep itself alive (ghost domains). Where parent and
//! child disagree, the parent's word holds, and the child's servers are asked only if those are of no use.

use std::net::{IpAddr, SocketAddr};

use crate::config::{PORT, RootHints};
use crate::wire::{Message, Name, Record, RecordType};

/// Servers of one zone that are used.
const SERVERS_MAX: usize = 16;
/// Addresses of one server that are.
const ADDRESSES_MAX: usize = 8;
/// Longest time that a delegation is relied on, in seconds. Choice: a day, as for answers.
const TTL_S_MAX: u32 = 86_400;

/// A zone and whom to ask about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delegation {
    /// The zone.
    pub(super) zone: Name,
    /// Its servers.
    pub(super) servers: Vec<NameServer>,
    /// Until when that holds, in milliseconds of [`Outside::now_ms`](super::super::Outside).
    pub(super) expires_at_ms: u64,
    /// Where it is from.
    pub(super) origin: Origin,
}

/// Where a delegation is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The root hints: good for one question, that for the root's servers (RFC 9609).
    Hints,
    /// The configuration.
    Stub,
    /// The servers of the zone above; for the root, its own.
    Parent,
}

/// One server of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameServer {
    /// Its name; the root for a server that is known by address alone.
    pub(super) name: Name,
    /// Addresses that came with the delegation: good for nothing but asking about this zone.
    pub(super) addresses: Vec<SocketAddr>,
}

impl Delegation {
    /// The root as the hints have it.
    pub(super) fn of_hints(RootHints(hints): &RootHints) -> Self {
        let server = |(name, addresses): &(Name, Vec<IpAddr>)| NameServer {
            name: name.clone(),
            addresses: addresses.iter().map(|&address| (address, PORT).into()).collect(),
        };
        let servers = hints.iter().map(server).collect();
        Self { zone: Name::root(), servers, expires_at_ms: u64::MAX, origin: Origin::Hints }
    }

    /// A zone as it is configured.
    pub(super) fn of_stub(zone: Name, addresses: Vec<SocketAddr>) -> Self {
        let servers = vec![NameServer { name: Name::root(), addresses }];
        Self { zone, servers, expires_at_ms: u64::MAX, origin: Origin::Stub }
    }

    /// The root as its own servers have it, in the reply to a question for its NS set. Servers whose addresses are not told
    /// keep those of the hints.
    pub(super) fn of_priming(reply: &Message, hints: &Self, now_ms: u64) -> Option<Self> {
        let mut primed = Self::read(&reply.answer, &reply.additional, &Name::root(), now_ms, u64::MAX)?;
        for server in primed.servers.iter_mut().filter(|server| server.addresses.is_empty()) {
            let known = hints.servers.iter().find(|known| known.name == server.name);
            server.addresses = known.map(|known| known.addresses.clone()).unwrap_or_default();
        }
        primed.servers.iter().any(|server| !server.addresses.is_empty()).then_some(primed)
    }

    /// The zone that a reply refers to. It does not outlive the delegation of the zone above, so that whatever was dropped
    /// further up is noticed.
    pub(super) fn of_referral(reply: &Message, zone: &Name, now_ms: u64, above: &Self) -> Option<Self> {
        Self::read(&reply.authority, &reply.additional, zone, now_ms, above.expires_at_ms)
    }

    /// What a zone says of its own servers in a reply of its own.
    pub(super) fn own_servers(reply: &Message, zone: &Name) -> Option<Vec<NameServer>> {
        let records: Vec<Record> = reply.answer.iter().chain(&reply.authority).cloned().collect();
        Self::read(&records, &reply.additional, zone, 0, u64::MAX).map(|own| own.servers)
    }

    fn read(records: &[Record], glue: &[Record], zone: &Name, now_ms: u64, ends_at_ms: u64) -> Option<Self> {
        let records = records.iter().filter(|record| record.rtype == RecordType::NS && record.owner == *zone);
        let (mut servers, mut ttl_s) = (Vec::<NameServer>::new(), TTL_S_MAX);
        for record in records {
            let Ok(name) = Name::from_wire(&record.rdata) else { continue };
            ttl_s = ttl_s.min(record.ttl_s);
            if servers.len() < SERVERS_MAX && servers.iter().all(|known| known.name != name) {
                let addresses = addresses_of(&name, glue);
                servers.push(NameServer { name, addresses });
            }
        }
        let expires_at_ms = now_ms.saturating_add(u64::from(ttl_s).saturating_mul(1000)).min(ends_at_ms);
        let delegation = Self { zone: zone.clone(), servers, expires_at_ms, origin: Origin::Parent };
        (!delegation.servers.is_empty()).then_some(delegation)
    }
}

/// Addresses of a server among these records.
pub(super) fn addresses_of(name: &Name, records: &[Record]) -> Vec<SocketAddr> {
    let own = records.iter().filter(|record| record.owner == *name);
    let addresses = own.filter_map(|record| address(record.rtype, &record.rdata));
    addresses.take(ADDRESSES_MAX).map(|address| (address, PORT).into()).collect()
}

/// The address in the RDATA of an A or AAAA record.
pub(super) fn address(rtype: RecordType, rdata: &[u8]) -> Option<IpAddr> {
    match rtype {
        RecordType::A => <[u8; 4]>::try_from(rdata).ok().map(IpAddr::from),
        RecordType::AAAA => <[u8; 16]>::try_from(rdata).ok().map(IpAddr::from),
        _ => None,
    }
}

//! What is known of zones and servers on the way to answers: delegations, addresses of servers, how servers behave.
//!
//! In: what iterations have learnt. Out: where the next one begins. Nothing of it answers a client: what a parent says of its
//! child's servers is less credible than any answer (RFC 2181 §5.4.1). Everything is bounded in number and ages; none of it
//! was validated, and none need be: whoever lies here can only lead to servers whose answers do not verify.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use super::super::doubts::{Doubts, Fetched, Source};
use super::super::server::{Server, ServerReport};
use super::super::way::Way;
use super::delegation::{Delegation, NameServer, Origin};
use crate::config::{RootHints, ServerHost, ServerSpec, UpstreamConfig};
use crate::wire::{Name, RecordType, Response};

/// Zones that are known at once.
const DELEGATIONS_MAX: usize = 20_000;
/// Zones of which is known what they say of their own servers.
const OWN_SERVERS_MAX: usize = 4096;
/// Server names whose addresses are known at once, each of both IP versions.
const ADDRESSES_MAX: usize = 20_000;
/// Servers that are known at once. Of each about 500 bytes are kept.
const SERVERS_MAX: usize = 8192;
/// Of these, so many are reported.
const SERVERS_REPORTED: usize = 64;
/// Servers known to be lame for a zone.
const LAME_MAX: usize = 4096;
/// Names known to be no zones.
const NO_CUTS_MAX: usize = 20_000;
/// DS sets, or their denials, that came with referrals.
const REFERRED_DS_MAX: usize = 4096;
/// How long a server is taken to be lame for a zone, in milliseconds. Choice: five minutes; a zone that was just set up is not
/// lost for long.
const LAME_MS: u64 = 300_000;
/// How long an IP version is not used after the system said that there is no way for it, in milliseconds.
const UNREACHABLE_MS: u64 = 5000;
/// How long one priming query may take before another is made, in milliseconds.
const PRIMING_MS: u64 = 5000;

/// Addresses of one name and IP version, and until when they hold.
type Addresses = (Arc<[SocketAddr]>, u64);

/// What is known of zones and servers.
pub(super) struct Infra {
    config: UpstreamConfig,
    query_port: Option<u16>,
    hints: Arc<Delegation>,
    stubs: HashMap<Name, Arc<Delegation>>,
    /// Addresses of hints and stubs, which may be anywhere.
    configured: Vec<IpAddr>,
    delegations: Cache<Name, Arc<Delegation>>,
    /// What zones say of their own servers, by zone; asked only where all that their parents name are of no use.
    own_servers: Cache<Name, Arc<Vec<NameServer>>>,
    addresses: Cache<(Name, RecordType), Addresses>,
    servers: Cache<SocketAddr, Arc<Server>>,
    lame: Cache<(Name, SocketAddr), u64>,
    no_cuts: Cache<Name, u64>,
    referred_ds: Cache<Name, (Arc<Fetched>, u64)>,
    /// Servers whose data was bogus.
    pub(super) doubts: Doubts,
    /// Until when somebody else is asking for the root's servers.
    priming_until_ms: AtomicU64,
    /// Until when IPv4, and IPv6, are not used.
    unreachable_until_ms: [AtomicU64; 2],
}

impl fmt::Debug for Infra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Infra").field("delegations", &self.delegations.len()).finish_non_exhaustive()
    }
}

impl Infra {
    /// Nothing but what is configured.
    pub(super) fn new(config: &UpstreamConfig, query_port: Option<u16>) -> Self {
        let RootHints(hints) = &config.iterating.hints;
        let stubs = config.stub_zones();
        let of_stubs = stubs.values().flatten().map(SocketAddr::ip);
        let configured = hints.iter().flat_map(|(_, addresses)| addresses.iter().copied()).chain(of_stubs).collect();
        let stubs = stubs.into_iter();
        Self {
            configured,
            hints: Arc::new(Delegation::of_hints(&config.iterating.hints)),
            stubs: stubs.map(|(zone, at)| (zone.clone(), Arc::new(Delegation::of_stub(zone, at)))).collect(),
            config: config.clone(),
            query_port,
            delegations: Cache::new(DELEGATIONS_MAX),
            own_servers: Cache::new(OWN_SERVERS_MAX),
            addresses: Cache::new(ADDRESSES_MAX),
            servers: Cache::new(SERVERS_MAX),
            lame: Cache::new(LAME_MAX),
            no_cuts: Cache::new(NO_CUTS_MAX),
            referred_ds: Cache::new(REFERRED_DS_MAX),
            doubts: Doubts::default(),
            priming_until_ms: AtomicU64::new(0),
            unreachable_until_ms: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// Whether it is what would be made of this configuration.
    pub(super) fn is_of(&self, config: &UpstreamConfig, query_port: Option<u16>) -> bool {
        let parts = |config: &UpstreamConfig| {
            let UpstreamConfig { iterating, edns_packet_max, .. } = config;
            (iterating.clone(), config.stub_zones(), *edns_packet_max, config.port_range())
        };
        parts(&self.config) == parts(config) && self.query_port == query_port
    }

    /// The deepest zone at or above a name whose servers are known.
    pub(super) fn closest(&self, name: &Name, now_ms: u64) -> Arc<Delegation> {
        for labels in (0..=name.label_count()).rev() {
            let Some(zone) = name.ancestor(labels) else { continue };
            if let Some(stub) = self.stubs.get(&zone) {
                return Arc::clone(stub);
            }
            if let Some(known) = self.delegations.get(&zone)
                && now_ms < known.expires_at_ms
            {
                return known;
            }
        }
        Arc::clone(&self.hints)
    }

    /// The same for a zone above `zone`; none above the root.
    pub(super) fn closest_above(&self, zone: &Name, now_ms: u64) -> Option<Arc<Delegation>> {
        zone.parent().map(|above| self.closest(&above, now_ms))
    }

    /// The root as the hints have it.
    pub(super) fn hints(&self) -> &Arc<Delegation> {
        &self.hints
    }

    /// Whether it is this caller who asks for the root's servers now.
    pub(super) fn begins_priming(&self, now_ms: u64) -> bool {
        let until_ms = self.priming_until_ms.load(Ordering::Relaxed);
        let next_ms = now_ms.saturating_add(PRIMING_MS);
        let swap = |from| self.priming_until_ms.compare_exchange(from, next_ms, Ordering::Relaxed, Ordering::Relaxed);
        now_ms >= until_ms && swap(until_ms).is_ok()
    }

    /// Takes in what a zone says of its own servers.
    pub(super) fn learn_own_servers(&self, zone: &Name, servers: Vec<NameServer>) {
        self.own_servers.insert(zone.clone(), Arc::new(servers));
    }

    /// What a zone says of its own servers, if that is known.
    pub(super) fn own_servers(&self, zone: &Name) -> Option<Arc<Vec<NameServer>>> {
        self.own_servers.get(zone)
    }

    /// Takes in a delegation. What the zone has said under an older one is forgotten.
    pub(super) fn learn(&self, delegation: &Arc<Delegation>) {
        self.own_servers.remove(&delegation.zone);
        self.delegations.insert(delegation.zone.clone(), Arc::clone(delegation));
    }

    /// Forgets a delegation whose servers are of no use: the parent may have another one by now.
    pub(super) fn forget(&self, delegation: &Delegation) {
        if delegation.origin == Origin::Parent {
            self.delegations.remove(&delegation.zone);
        }
    }

    /// Addresses of a server's name; none if nobody has asked for them.
    pub(super) fn addresses(&self, name: &Name, rtype: RecordType, now_ms: u64) -> Option<Arc<[SocketAddr]>> {
        let (addresses, expires_at_ms) = self.addresses.get(&(name.clone(), rtype))?;
        (now_ms < expires_at_ms).then_some(addresses)
    }

    /// Addresses of a server's name that came with the delegation of its own zone, or of one above that it serves too.
    pub(super) fn glue(&self, name: &Name, now_ms: u64) -> Vec<SocketAddr> {
        let zones = (0..=name.label_count()).rev().filter_map(|labels| self.delegations.get(&name.ancestor(labels)?));
        let current = zones.filter(|zone| now_ms < zone.expires_at_ms);
        let mut addresses = current.map(|zone| {
            let own = zone.servers.iter().filter(|server| server.name == *name);
            own.flat_map(|server| server.addresses.iter().copied()).collect::<Vec<_>>()
        });
        addresses.find(|addresses| !addresses.is_empty()).unwrap_or_default()
    }

    /// Takes in addresses of a server's name, or that there are none.
    pub(super) fn learn_addresses(&self, name: &Name, rtype: RecordType, addresses: Arc<[SocketAddr]>, until_ms: u64) {
        self.addresses.insert((name.clone(), rtype), (addresses, until_ms));
    }

    /// The server at an address.
    pub(super) fn server(&self, address: SocketAddr) -> Arc<Server> {
        let made = || {
            let host = ServerHost::Address { ip: address.ip(), scope: None };
            let spec = ServerSpec { host, port: address.port(), interface: None, source: None };
            let way = Way::new(&spec, self.query_port, &self.config);
            Ok::<_, std::convert::Infallible>(Arc::new(Server::new(spec, address, way)))
        };
        match self.servers.get_or_insert_with(&address, made) {
            Ok(server) => server,
            Err(never) => match never {},
        }
    }

    /// Whether a server may be asked about a zone at all.
    pub(super) fn may_ask(&self, zone: &Name, address: SocketAddr, now_ms: u64) -> bool {
        let families = self.config.iterating.recursive.unwrap_or_default();
        let is_lame = || self.lame.get(&(zone.clone(), address)).is_some_and(|until_ms| now_ms < until_ms);
        let ip = address.ip();
        families.covers(ip) && self.is_fit(ip) && self.is_reachable(ip, now_ms) && !is_lame()
    }

    /// Whether a server can be at an address. On loopback only if the operator has put one there.
    fn is_fit(&self, address: IpAddr) -> bool {
        let is_local = || self.configured.iter().any(IpAddr::is_loopback);
        may_serve(address) || self.configured.contains(&address) || address.is_loopback() && is_local()
    }

    /// Whether addresses of this type are of use.
    pub(super) fn wants(&self, rtype: RecordType, now_ms: u64) -> bool {
        let families = self.config.iterating.recursive.unwrap_or_default();
        let any: IpAddr = if rtype == RecordType::A { [0; 4].into() } else { [0u16; 8].into() };
        families.covers(any) && self.is_reachable(any, now_ms)
    }

    fn is_reachable(&self, address: IpAddr, now_ms: u64) -> bool {
        let until_ms = self.unreachable_until_ms.get(usize::from(address.is_ipv6()));
        until_ms.is_none_or(|until_ms| now_ms >= until_ms.load(Ordering::Relaxed))
    }

    /// Notes that a server knows nothing of a zone.
    pub(super) fn note_lame(&self, zone: &Name, address: SocketAddr, now_ms: u64) {
        self.lame.insert((zone.clone(), address), now_ms.saturating_add(LAME_MS));
    }

    /// Forgets that it knows nothing.
    pub(super) fn forget_lame(&self, zone: &Name, address: SocketAddr) {
        self.lame.remove(&(zone.clone(), address));
    }

    /// Notes an error of the system. One that says that there is no way at all for an IP version counts for all its servers.
    pub(super) fn note_network_error(&self, address: SocketAddr, error: &io::Error, now_ms: u64) {
        let no_way = [io::ErrorKind::NetworkUnreachable, io::ErrorKind::AddrNotAvailable, io::ErrorKind::Unsupported];
        if no_way.contains(&error.kind())
            && let Some(until_ms) = self.unreachable_until_ms.get(usize::from(address.is_ipv6()))
        {
            until_ms.store(now_ms.saturating_add(UNREACHABLE_MS), Ordering::Relaxed);
        }
    }

    /// Whether a name is known to be in the zone above it, so that nobody need ask for it on the way down.
    pub(super) fn is_no_cut(&self, name: &Name, now_ms: u64) -> bool {
        self.no_cuts.get(name).is_some_and(|until_ms| now_ms < until_ms)
    }

    /// Notes that it is.
    pub(super) fn note_no_cut(&self, name: Name, until_ms: u64) {
        self.no_cuts.insert(name, until_ms);
    }

    /// What a referral said of the DS of a zone: with signatures, or not at all.
    pub(super) fn referred_ds(&self, zone: &Name, now_ms: u64) -> Option<Arc<Fetched>> {
        let (referral, until_ms) = self.referred_ds.get(zone)?;
        (now_ms < until_ms).then_some(referral)
    }

    /// Takes in what a referral by this server said of the DS of a zone.
    pub(super) fn learn_referred_ds(&self, response: Response, source: Source, until_ms: u64) {
        let zone = response.question.qname.clone();
        self.referred_ds.insert(zone, (Arc::new(Fetched { response, source: Some(source) }), until_ms));
    }

    /// Forgets what a referral said of the DS of a zone: it was bogus.
    pub(super) fn forget_referred_ds(&self, zone: &Name) {
        self.referred_ds.remove(zone);
    }

    /// The servers that were asked most, the first one most.
    pub(super) fn most_asked(&self, now_ms: u64) -> Vec<ServerReport> {
        let mut servers: Vec<Arc<Server>> = self.servers.iter().map(|(_, server)| server).collect();
        servers.sort_unstable_by_key(|server| std::cmp::Reverse(server.sent.value()));
        servers.iter().take(SERVERS_REPORTED).map(|server| server.report(Vec::new(), now_ms)).collect()
    }

    /// How many zones and servers are known.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.delegations.len(), self.servers.len())
    }
}

/// Whether a server can be at an address that others have told. Without this, anybody could have us ask ourselves, or our
/// neighbours on the link.
fn may_serve(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            !(first == 0 || address.is_loopback() || address.is_link_local() || first >= 224)
        }
        IpAddr::V6(address) => {
            let unfit = address.is_unspecified() || address.is_loopback() || address.is_multicast();
            !(unfit || address.is_unicast_link_local() || address.to_ipv4_mapped().is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_have_us_ask_ourselves_or_the_whole_link() {
        for unfit in ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1"] {
            assert!(!may_serve(unfit.parse().unwrap()), "{unfit}");
        }
        assert!(!may_serve("ff02::1".parse().unwrap()) && !may_serve("::ffff:127.0.0.1".parse().unwrap()));
        for fit in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(may_serve(fit.parse().unwrap()), "{fit}");
        }
    }
}

//! Who may ask: the operator's networks and, with `local-service`, those that the machine is attached to.
//!
//! In: the configuration and the attached networks. Out: an [`AccessList`], which says of every client what becomes of its
//! queries; the longest network that holds a client decides. The daemon looks clients up here, the kernel half in the same
//! networks, by longest prefix; the two look-ups share no code and are held against each other by tests.
//! Refuses: sockets, interfaces and the kernel's maps; it is a table.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::config::{Config, LocalService};

/// Networks of one list that the operator may write. Choice: each costs the kernel half 64 bytes, and an operator with more
/// wants a firewall.
pub const NETWORKS_MAX: usize = 1000;

/// What becomes of a client's queries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// They are answered.
    Answer,
    /// They are refused, with extended error 18 (RFC 8914 §4.19).
    Refuse,
    /// They are ignored, as dnsmasq does under `local-service`: nobody outside learns that a server is here.
    Ignore,
}

/// What holds for a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What becomes of its queries.
    pub access: Access,
    /// Whether rate limits hold for it, if there are any.
    pub is_limited: bool,
}

impl Standing {
    /// What holds for everybody where nothing is said.
    const OPEN: Self = Self { access: Access::Answer, is_limited: true };
}

/// An IP network: an address whose bits behind the prefix are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    /// In bits: 0..=32 or 0..=128.
    len: u8,
}

impl Network {
    /// The network of `len` bits that holds an address; none if no address has so many.
    pub fn of(address: IpAddr, len: u8) -> Option<Self> {
        let behind = address_bits(address).checked_sub(len)?;
        let kept = u128::MAX.checked_shl(behind.into()).unwrap_or(0);
        let masked = number_of(address) & kept;
        let address = match address {
            IpAddr::V4(_) => Ipv4Addr::from_bits(masked as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(masked).into(),
        };
        Some(Self { address, len })
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Length of its prefix, in bits.
    pub fn prefix_len(&self) -> u8 {
        self.len
    }

    /// Whether an address lies in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        Self::of(address, self.len) == Some(*self)
    }

    /// The number of its first address, and of the first one behind it if there is any.
    fn edges(&self) -> (u128, Option<u128>) {
        let bits = address_bits(self.address);
        let first = number_of(self.address);
        let last = first | u128::MAX.checked_shl((bits - self.len).into()).map_or(u128::MAX, |kept| !kept);
        let behind = if self.address.is_ipv4() && last == u32::MAX.into() { None } else { last.checked_add(1) };
        (first, behind)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

/// What is wrong with a network as written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No address stands there.
    #[error("\"{text}\" is no address or network")]
    Address {
        /// What does.
        text: Box<str>,
    },
    /// The length is none.
    #[error("\"{text}\": the length of a prefix is 0..=32, or 0..=128 for IPv6")]
    Length {
        /// The whole text.
        text: Box<str>,
    },
    /// It is an address in a network.
    #[error("\"{text}\" has bits behind its prefix; the network is {network}")]
    Bits {
        /// The whole text.
        text: Box<str>,
        /// The network that was probably meant.
        network: Network,
    },
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `address/length`, or an address alone.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address { text: text.into() })?;
        let length = || NetworkError::Length { text: text.into() };
        let len = len.map_or(Ok(address_bits(address)), |len| len.parse().map_err(|_| length()))?;
        let network = Self::of(address, len).ok_or_else(length)?;
        if network.address == address { Ok(network) } else { Err(NetworkError::Bits { text: text.into(), network }) }
    }
}

/// Says of every client what becomes of its queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    /// Each network with its rule; those of length 0 among them, unless there is no rule at all.
    networks: BTreeMap<Network, Standing>,
    /// Where one rule ends and the next begins, IPv4; the first at 0. Empty: everybody is answered.
    edges_v4: Vec<(u128, Standing)>,
    /// The same for IPv6.
    edges_v6: Vec<(u128, Standing)>,
}

impl AccessList {
    /// The list of a configuration, on a machine that is attached to these networks.
    ///
    /// With `allow-client`, who is not named is refused; with `local-service`, ignored; with `deny-client` alone, answered.
    /// Loopback and, under `local-service`, the attached networks count as allowed. Of the same network, `deny-client` is
    /// the one that holds.
    pub fn new(config: &Config, attached: &[Network]) -> Self {
        let (allowed, denied) = (&config.access.allowed, &config.access.denied);
        let is_local_only = config.listening.local_service == Some(LocalService::Net);
        // Without limits nobody needs to be exempt, and the kernel half need not look.
        let exempt = if config.rate_limit.narrow.is_some() { &config.rate_limit.exempt[..] } else { &[] };
        if allowed.is_empty() && denied.is_empty() && exempt.is_empty() && !is_local_only {
            return Self::default();
        }
        let others = match (is_local_only, allowed.is_empty()) {
            (true, _) => Access::Ignore,
            (false, false) => Access::Refuse,
            (false, true) => Access::Answer,
        };
        let unspecified = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        let mut networks: BTreeMap<_, _> =
            unspecified.into_iter().filter_map(|address| Some((Network::of(address, 0)?, others))).collect();
        let loopback = [(Ipv4Addr::LOCALHOST.into(), 8), (Ipv6Addr::LOCALHOST.into(), 128)];
        let loopback = loopback.into_iter().filter_map(|(address, len)| Network::of(address, len));
        let attached = attached.iter().copied().filter(|_| is_local_only);
        let answered = loopback.chain(attached).chain(allowed.iter().copied());
        networks.extend(answered.map(|network| (network, Access::Answer)));
        networks.extend(denied.iter().map(|network| (*network, Access::Refuse)));
        let networks = with_exempt(&networks, exempt);
        let edges = |is_v4: bool| edges(networks.iter().filter(|(network, _)| network.address.is_ipv4() == is_v4));
        Self { edges_v4: edges(true), edges_v6: edges(false), networks }
    }

    /// Whether everybody is answered because nothing is said.
    pub fn is_open(&self) -> bool {
        self.networks.is_empty()
    }

    /// What becomes of the queries of a client.
    pub fn of(&self, client: IpAddr) -> Access {
        self.standing(client).access
    }

    /// What holds for a client.
    pub fn standing(&self, client: IpAddr) -> Standing {
        let edges = if client.is_ipv4() { &self.edges_v4 } else { &self.edges_v6 };
        let number = number_of(client);
        let behind = edges.partition_point(|(edge, _)| *edge <= number);
        behind.checked_sub(1).and_then(|at| edges.get(at)).map_or(Standing::OPEN, |(_, standing)| *standing)
    }

    /// Each network with its rule.
    pub fn networks(&self) -> impl Iterator<Item = (Network, Standing)> {
        self.networks.iter().map(|(network, standing)| (*network, *standing))
    }
}

/// The networks of both lists, each with what holds in it: the rule of the longest one around it, and no limits if it lies in
/// an exempt one. Two networks are apart, or one lies in the other; so the longest network that holds a client knows all.
fn with_exempt(rules: &BTreeMap<Network, Access>, exempt: &[Network]) -> BTreeMap<Network, Standing> {
    let around = |network: &Network, other: &Network| other.len <= network.len && other.holds(network.address);
    let standing = |network: &Network| {
        let access = rules.get(network).copied().or_else(|| {
            let holding = rules.iter().filter(|(other, _)| around(network, other));
            holding.max_by_key(|(other, _)| other.len).map(|(_, access)| *access)
        });
        let is_limited = !exempt.iter().any(|other| around(network, other));
        Standing { access: access.unwrap_or(Access::Answer), is_limited }
    };
    rules.keys().chain(exempt).map(|network| (*network, standing(network))).collect()
}

/// Where one rule ends and the next begins.
fn edges<'a>(networks: impl Iterator<Item = (&'a Network, &'a Standing)> + Clone) -> Vec<(u128, Standing)> {
    let mut points: Vec<u128> = networks
        .clone()
        .flat_map(|(network, _)| {
            let (first, behind) = network.edges();
            [Some(first), behind].into_iter().flatten()
        })
        .collect();
    points.sort_unstable();
    points.dedup();
    let mut edges: Vec<(u128, Standing)> = Vec::new();
    for point in points {
        let holding = networks.clone().filter(|(network, _)| {
            let (first, behind) = network.edges();
            first <= point && behind.is_none_or(|behind| point < behind)
        });
        let Some((_, standing)) = holding.max_by_key(|(network, _)| network.len) else { continue };
        if edges.last().is_none_or(|(_, last)| last != standing) {
            edges.push((point, *standing));
        }
    }
    edges
}

/// Bits of an address.
fn address_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address as a number.
fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn list(allowed: &[&str], denied: &[&str], attached: Option<&[&str]>) -> AccessList {
        let mut config = Config::default();
        (config.access.allowed, config.access.denied) = (networks(allowed), networks(denied));
        config.listening.local_service = attached.map(|_| LocalService::Net);
        AccessList::new(&config, &networks(attached.unwrap_or_default()))
    }

    fn check(list: &AccessList, expected: &[(&str, Access)]) {
        for (client, access) in expected {
            assert_eq!(list.of(client.parse().unwrap()), *access, "{client}: {list:?}");
        }
    }

    #[test]
    fn without_a_list_everybody_is_answered() {
        let open = list(&[], &[], None);
        assert!(open.is_open() && open.networks().count() == 0);
        check(&open, &[("192.0.2.1", Access::Answer), ("::", Access::Answer), ("255.255.255.255", Access::Answer)]);
    }

    #[test]
    fn a_denied_network_leaves_all_others_alone_and_an_allowed_one_refuses_them_but_for_loopback() {
        let denied = list(&[], &["192.0.2.0/24"], None);
        check(
            &denied,
            &[("192.0.2.0", Access::Refuse), ("192.0.2.255", Access::Refuse), ("192.0.3.0", Access::Answer)],
        );
        check(&denied, &[("192.0.1.255", Access::Answer), ("2001:db8::1", Access::Answer)]);
        let allowed = list(&["192.0.2.0/24"], &[], None);
        check(
            &allowed,
            &[("192.0.2.7", Access::Answer), ("192.0.3.0", Access::Refuse), ("2001:db8::1", Access::Refuse)],
        );
        check(&allowed, &[("127.0.0.1", Access::Answer), ("127.9.9.9", Access::Answer), ("::1", Access::Answer)]);
        check(&list(&["192.0.2.0/24"], &["127.0.0.0/8"], None), &[("127.0.0.1", Access::Refuse)]);
    }

    #[test]
    fn the_longest_network_decides_whatever_the_order() {
        let nested = list(&["10.0.0.0/8", "10.1.2.0/24"], &["10.1.0.0/16", "10.1.2.3"], None);
        check(&nested, &[("10.0.0.1", Access::Answer), ("10.1.0.0", Access::Refuse), ("10.1.1.255", Access::Refuse)]);
        check(&nested, &[("10.1.2.0", Access::Answer), ("10.1.2.3", Access::Refuse), ("10.1.2.4", Access::Answer)]);
        check(&nested, &[("10.1.3.0", Access::Refuse), ("10.2.0.0", Access::Answer), ("11.0.0.0", Access::Refuse)]);
        let v6 = list(&["::/0"], &["ffff::/16", "2001:db8::/127"], None);
        check(&v6, &[("ffff:ffff::", Access::Refuse), ("fffe::", Access::Answer), ("2001:db8::1", Access::Refuse)]);
        check(&v6, &[("2001:db8::2", Access::Answer), ("255.255.255.255", Access::Refuse)]);
        check(&list(&["0.0.0.0/0"], &["255.255.255.255"], None), &[("255.255.255.255", Access::Refuse)]);
    }

    #[test]
    fn local_service_ignores_who_is_not_attached_and_lists_add_to_it() {
        let attached: Option<&[&str]> = Some(&["192.168.1.0/24", "fe80::/64"]);
        let local = list(&[], &[], attached);
        check(&local, &[("192.168.1.9", Access::Answer), ("192.168.2.1", Access::Ignore), ("fe80::7", Access::Answer)]);
        check(&local, &[("127.0.0.1", Access::Answer), ("2001:db8::1", Access::Ignore)]);
        let more = list(&["10.0.0.0/8"], &["192.168.1.128/25"], attached);
        check(&more, &[("10.1.1.1", Access::Answer), ("192.168.1.200", Access::Refuse), ("192.0.2.1", Access::Ignore)]);
    }

    #[test]
    fn exempt_networks_change_no_access_and_know_the_rule_around_them() {
        let mut config = Config::default();
        config.access.allowed = networks(&["10.0.0.0/8", "2001:db8::/32"]);
        config.access.denied = networks(&["10.1.0.0/16"]);
        config.rate_limit.exempt = networks(&["10.1.2.0/24", "10.0.0.0/8", "192.0.2.0/24", "2001:db8:1::/48"]);
        let list = AccessList::new(&config, &[]);
        assert!(list.networks().all(|(_, standing)| standing.is_limited), "nothing to be exempt from");
        config.rate_limit.narrow = Some(20);
        let list = AccessList::new(&config, &[]);
        for (client, access, is_limited) in [
            ("10.0.0.1", Access::Answer, false),
            ("10.1.0.1", Access::Refuse, false),
            ("10.1.2.3", Access::Refuse, false),
            ("192.0.2.1", Access::Refuse, false),
            ("192.0.3.1", Access::Refuse, true),
            ("2001:db8::1", Access::Answer, true),
            ("2001:db8:1::1", Access::Answer, false),
        ] {
            assert_eq!(list.standing(client.parse().unwrap()), Standing { access, is_limited }, "{client}");
        }
        let mut config = Config::default();
        (config.rate_limit.narrow, config.rate_limit.exempt) = (Some(20), networks(&["127.0.0.0/8"]));
        let list = AccessList::new(&config, &[]);
        let standing = |client: &str| list.standing(client.parse().unwrap());
        assert_eq!(standing("127.0.0.1"), Standing { access: Access::Answer, is_limited: false });
        assert_eq!((standing("192.0.2.1"), standing("::1")), (Standing::OPEN, Standing::OPEN));
    }

    #[test]
    fn networks_are_read_strictly() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("::/0", "::/0"),
            ("2001:db8::", "2001:db8::/128"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for (text, what) in [
            ("10.0.0.1/8", "the network is 10.0.0.0/8"),
            ("10.0.0.0/33", "0..=32"),
            ("10.0.0.0/", "0..=32"),
            ("::/129", "0..=128"),
            ("lan", "no address"),
            ("", "no address"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}

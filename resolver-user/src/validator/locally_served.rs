//! Reverse look-up domains of addresses that are nobody's in public (RFC 6303 §4, RFC 7793, RFC 8375).
//!
//! In: a domain. Out: whether it is one of these or lies below one. The public tree delegates them unsigned or not at all,
//! by standard, and recursive servers are told to answer for them by themselves, without signatures: a proof that they are
//! unsigned is often not to be had.

use std::sync::LazyLock;

use crate::wire::{DomainMap, DomainPattern, Name};

/// The domains.
const DOMAINS: &[&str] = &[
    // RFC 6303 §4.1, §4.2: private, this network, loopback, link-local, documentation, broadcast.
    "10.in-addr.arpa",
    "16.172.in-addr.arpa",
    "17.172.in-addr.arpa",
    "18.172.in-addr.arpa",
    "19.172.in-addr.arpa",
    "20.172.in-addr.arpa",
    "21.172.in-addr.arpa",
    "22.172.in-addr.arpa",
    "23.172.in-addr.arpa",
    "24.172.in-addr.arpa",
    "25.172.in-addr.arpa",
    "26.172.in-addr.arpa",
    "27.172.in-addr.arpa",
    "28.172.in-addr.arpa",
    "29.172.in-addr.arpa",
    "30.172.in-addr.arpa",
    "31.172.in-addr.arpa",
    "168.192.in-addr.arpa",
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    // RFC 6303 §4.3 to §4.6: unique local, link-local and documentation addresses of IPv6.
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
    // RFC 8375 §7.
    "home.arpa",
];

/// Whether a domain is one of these or lies below one. RFC 7793 adds `64.100.in-addr.arpa` to `127.100.in-addr.arpa`.
pub(super) fn is_locally_served(domain: &Name) -> bool {
    static MAP: LazyLock<DomainMap<()>> = LazyLock::new(|| {
        let shared = (64..=127).map(|number| format!("{number}.100.in-addr.arpa"));
        let names = DOMAINS.iter().map(|text| (*text).to_owned()).chain(shared);
        let mut map = DomainMap::default();
        for name in names.filter_map(|text| text.parse().ok()) {
            map.entry(&DomainPattern::Domain(name), || ());
        }
        map
    });
    MAP.find(domain.wire()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_of_the_list_is_known_and_its_neighbours_are_not() {
        let served = |text: &str| is_locally_served(&text.parse().unwrap());
        for domain in DOMAINS {
            assert!(served(domain) && served(&format!("1.{domain}")), "{domain}");
        }
        assert!(served("64.100.in-addr.arpa") && served("1.127.100.IN-ADDR.arpa"));
        for other in
            ["15.172.in-addr.arpa", "32.172.in-addr.arpa", "128.100.in-addr.arpa", "c.e.f.ip6.arpa", "arpa", "lan"]
        {
            assert!(!served(other), "{other}");
        }
    }
}

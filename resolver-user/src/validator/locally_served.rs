//! Domains, most of them for reverse look-ups of addresses, that are nobody's in public (RFC 6303 §4, RFC 7793, RFC 8375).
//!
//! In: a domain. Out: whether it is one of these or lies below one. The public tree delegates them unsigned or not at all,
//! by standard, and recursive servers are told to answer for them by themselves, without signatures: a proof that they are
//! unsigned is often not to be had.

use std::sync::LazyLock;

use crate::wire::{DomainMap, DomainPattern, Name, PRIVATE_REVERSE_ZONES};

/// Where a home network's names live (RFC 8375 §7).
const HOME: &str = "home.arpa";

/// Whether a domain is one of these or lies below one. RFC 7793 adds `64.100.in-addr.arpa` to `127.100.in-addr.arpa`.
pub(super) fn is_locally_served(domain: &Name) -> bool {
    static MAP: LazyLock<DomainMap<()>> = LazyLock::new(|| {
        let shared = (64..=127).map(|number| format!("{number}.100.in-addr.arpa"));
        let names = PRIVATE_REVERSE_ZONES.iter().chain([&HOME]).map(|text| (*text).to_owned()).chain(shared);
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
        for domain in PRIVATE_REVERSE_ZONES.iter().chain([&HOME]) {
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

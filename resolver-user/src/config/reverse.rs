//! The domains of reverse look-up that a subnet stands for (RFC 1035 §3.5, RFC 3596 §2.5).
//!
//! In: `<address>[/<prefix length>]`. Out: one domain, or several where the prefix does not end on a byte (IPv4) or a
//! nibble (IPv6): at most 128, or 8.

use std::net::IpAddr;

use super::option::{address, number};
use crate::wire::Name;

/// The domains of `<address>[/<prefix length>]`.
pub(super) fn domains(subnet: &str) -> Result<Vec<Name>, String> {
    let (ip, prefix) = match subnet.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix)),
        None => (subnet, None),
    };
    let ip = address(ip)?;
    // One unit is one label: a byte of an IPv4 address, a nibble of an IPv6 address.
    let (units, unit_bits, zone): (Vec<u32>, u32, &str) = match ip {
        IpAddr::V4(ip) => (ip.octets().iter().map(|&byte| byte.into()).collect(), 8, "in-addr.arpa"),
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().flat_map(|byte| [u32::from(byte >> 4), u32::from(byte & 15)]);
            (nibbles.collect(), 4, "ip6.arpa")
        }
    };
    let bits_max = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match prefix {
        None => bits_max,
        Some(prefix) => {
            let range = |what| format!("prefix length {prefix}: {what}; legal: 0..={bits_max}");
            number(prefix, 0, bits_max).map_err(range)?
        }
    };
    let (whole, rest) = (usize::try_from(bits / unit_bits).unwrap_or(0), bits % unit_bits);
    let text = |units: &[u32]| {
        let digit = |unit: &u32| if unit_bits == 8 { format!("{unit}.") } else { format!("{unit:x}.") };
        units.iter().rev().map(digit).collect::<String>() + zone
    };
    let fixed = units.get(..whole).unwrap_or_default();
    let texts: Vec<String> = match units.get(whole).filter(|_| rest > 0) {
        None => vec![text(fixed)],
        Some(&unit) => {
            let free = unit_bits - rest;
            let first = unit >> free << free;
            (first..first + (1 << free)).map(|unit| text(&[fixed, &[unit]].concat())).collect()
        }
    };
    texts.iter().map(|text| text.parse().map_err(|error| format!("{text}: {error}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_the_domains_that_hold_it_and_nothing_else() {
        let v6 = "8.b.d.0.1.0.0.2.ip6.arpa.";
        for (subnet, expected) in [
            ("192.0.2.7", &["7.2.0.192.in-addr.arpa."][..]),
            ("192.0.2.0/24", &["2.0.192.in-addr.arpa."]),
            ("10.0.0.0/8", &["10.in-addr.arpa."]),
            ("0.0.0.0/0", &["in-addr.arpa."]),
            ("10.20.30.40/23", &["30.20.10.in-addr.arpa.", "31.20.10.in-addr.arpa."]),
            ("172.16.0.0/15", &["16.172.in-addr.arpa.", "17.172.in-addr.arpa."]),
            ("2001:db8::/32", &[v6]),
            ("2001:db8::/31", &["8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa."]),
        ] {
            let found: Vec<String> = domains(subnet).unwrap().iter().map(Name::to_string).collect();
            assert_eq!(found, expected, "{subnet}");
        }
        assert_eq!(domains("10.0.0.128/25").unwrap().len(), 128);
        assert_eq!(domains("fd00::/9").unwrap().len(), 8);
        assert_eq!(domains("::1").unwrap()[0].label_count(), 34);
        for wrong in ["10.0.0.0/33", "fd00::/129", "x/8", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(domains(wrong).is_err(), "{wrong}");
        }
    }
}

//! The addresses in a record, and those that no outside server has any business to give.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{Name, RecordType};

/// Type SVCB (RFC 9460); HTTPS has the same layout.
const SVCB: RecordType = RecordType(64);
/// SvcParamKey `ipv4hint` (RFC 9460 §7.3).
const IPV4_HINT: u16 = 4;
/// SvcParamKey `ipv6hint`.
const IPV6_HINT: u16 = 6;

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    len: u32,
}

impl Prefix {
    /// The addresses that share the first `len` bits of `address`; none if it has fewer.
    pub fn new(address: IpAddr, len: u32) -> Option<Self> {
        let len_max = if address.is_ipv4() { 32 } else { 128 };
        (len <= len_max).then_some(Self { address, len })
    }

    /// One address.
    pub fn of(address: IpAddr) -> Self {
        Self { address, len: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                let differ = u32::from(mine) ^ u32::from(other);
                differ.leading_zeros() >= self.len
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                let differ = u128::from(mine) ^ u128::from(other);
                differ.leading_zeros() >= self.len
            }
            _ => false,
        }
    }
}

/// Calls `found` with each address that a client could connect to because of this record: those of A and AAAA, and the hints
/// of SVCB and HTTPS (Differs: dnsmasq looks at A and AAAA only).
pub(super) fn for_each_address(rtype: RecordType, rdata: &[u8], mut found: impl FnMut(IpAddr)) {
    match rtype {
        RecordType::A | RecordType::AAAA => each(rdata, rtype == RecordType::A, &mut found),
        service if is_service(service) => for_each_hint(rdata, &mut found),
        _ => {}
    }
}

/// Whether records of this type describe services, with hints at addresses (RFC 9460).
pub(super) fn is_service(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::HTTPS | SVCB)
}

fn for_each_hint(rdata: &[u8], found: &mut impl FnMut(IpAddr)) {
    let Some(name) = rdata.get(2..) else { return };
    let Ok((_, end)) = Name::read_compressed(name, 0) else { return };
    let mut rest = name.get(end..).unwrap_or_default();
    // Bound: each turn takes at least four bytes off.
    while let Some((&[k0, k1, l0, l1], tail)) = rest.split_first_chunk::<4>() {
        let Some((value, after)) = tail.split_at_checked(usize::from(u16::from_be_bytes([l0, l1]))) else { return };
        match u16::from_be_bytes([k0, k1]) {
            IPV4_HINT => each(value, true, found),
            IPV6_HINT => each(value, false, found),
            _ => {}
        }
        rest = after;
    }
}

/// All addresses of one family in a row.
fn each(bytes: &[u8], ipv4: bool, found: &mut impl FnMut(IpAddr)) {
    let v4 = bytes.as_chunks::<4>().0.iter().filter(|_| ipv4).map(|&octets| IpAddr::from(octets));
    let v6 = bytes.as_chunks::<16>().0.iter().filter(|_| !ipv4).map(|&octets| IpAddr::from(octets));
    v4.chain(v6).for_each(found);
}

/// Whether an address means something only inside a network or machine: what dnsmasq's `stop-dns-rebind` refuses, and the
/// whole of fc00::/7 (RFC 4193; Differs: dnsmasq knows fd00::/8 only).
pub fn is_private(address: IpAddr, localhost_allowed: bool) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address, localhost_allowed),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_private_v4(address, localhost_allowed),
            None => is_private_v6(address, localhost_allowed),
        },
    }
}

fn is_private_v4(address: Ipv4Addr, localhost_allowed: bool) -> bool {
    let here = address.is_loopback() || address.octets().first() == Some(&0);
    here && !localhost_allowed
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_broadcast()
}

fn is_private_v6(address: Ipv6Addr, localhost_allowed: bool) -> bool {
    let here = address.is_loopback() || address.is_unspecified();
    let [first, second, ..] = address.segments();
    here && !localhost_allowed
        || first & 0xfe00 == 0xfc00
        // Link-local, and site-local as it once was.
        || first & 0xff80 == 0xfe80
        || (first, second) == (0x2001, 0x0db8)
}

//! Names of addresses (RFC 1035 §3.5, RFC 3596 §2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{Name, NameError};

/// The name at which the PTR record of an address stands.
///
/// # Errors
/// None that an address can cause.
pub fn reverse_name(address: IpAddr) -> Result<Name, NameError> {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.").parse()
        }
        IpAddr::V6(address) => {
            let digits = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            let labels: String = digits.map(|digit| format!("{digit:x}.")).collect();
            format!("{labels}ip6.arpa.").parse()
        }
    }
}

/// The address whose name this is, in folded wire form; none if it is not the name of a whole address.
pub(super) fn address_of(folded: &[u8]) -> Option<IpAddr> {
    if let Some(mut rest) = folded.strip_suffix(b"\x07in-addr\x04arpa\0") {
        let mut octets = [0; 4];
        for octet in octets.iter_mut().rev() {
            let (&length, tail) = rest.split_first()?;
            let (label, tail) = tail.split_at_checked(usize::from(length))?;
            let digits =
                std::str::from_utf8(label).ok().filter(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
            *octet = digits?.parse().ok()?;
            rest = tail;
        }
        return rest.is_empty().then_some(Ipv4Addr::from(octets).into());
    }
    let rest = folded.strip_suffix(b"\x03ip6\x04arpa\0")?;
    if rest.len() != 64 {
        return None;
    }
    let mut bits = 0u128;
    for (label, index) in rest.chunks_exact(2).zip(0u32..) {
        let &[1, digit] = label else { return None };
        let digit = char::from(digit).to_digit(16)?;
        bits |= u128::from(digit) << (4 * index);
    }
    Some(Ipv6Addr::from(bits).into())
}

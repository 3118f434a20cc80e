//! Names made from addresses (`synth-domain`): `prefix` and the address with dashes, or, with `prefix*`, and its number in
//! the range.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::Name;

/// Addresses from one to another, both included, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// A domain of such names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SynthDomain {
    /// Domain.
    pub domain: Name,
    /// Addresses.
    pub range: AddressRange,
    /// What stands before the address or number, in lower case.
    pub prefix: String,
    /// Whether names have numbers instead of addresses.
    pub numbered: bool,
}

impl AddressRange {
    /// A range; none if its ends are of two families or in the wrong order.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// The addresses of a prefix; none if it is longer than the address.
    pub fn of_prefix(address: IpAddr, prefix_len: u32) -> Option<Self> {
        match address {
            IpAddr::V4(address) => {
                let host = u32::MAX.checked_shr(prefix_len).filter(|_| prefix_len <= 32).unwrap_or(0);
                let bits = u32::from(address);
                let range = Self::new(Ipv4Addr::from(bits & !host).into(), Ipv4Addr::from(bits | host).into());
                range.filter(|_| prefix_len <= 32)
            }
            IpAddr::V6(address) => {
                let host = u128::MAX.checked_shr(prefix_len).unwrap_or(0);
                let bits = u128::from(address);
                let range = Self::new(Ipv6Addr::from(bits & !host).into(), Ipv6Addr::from(bits | host).into());
                range.filter(|_| prefix_len <= 128)
            }
        }
    }

    /// Whether an address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// The address with this number, the first being 0.
    fn nth(&self, number: u64) -> Option<IpAddr> {
        let address: IpAddr = match self.first {
            IpAddr::V4(first) => Ipv4Addr::from(u32::from(first).checked_add(number.try_into().ok()?)?).into(),
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).checked_add(number.into())?).into(),
        };
        self.contains(address).then_some(address)
    }

    /// Number of an address of the range, the first being 0.
    fn number(&self, address: IpAddr) -> Option<u128> {
        let number = match (address, self.first) {
            (IpAddr::V4(address), IpAddr::V4(first)) => u32::from(address).checked_sub(first.into())?.into(),
            (IpAddr::V6(address), IpAddr::V6(first)) => u128::from(address).checked_sub(first.into())?,
            _ => return None,
        };
        self.contains(address).then_some(number)
    }
}

impl SynthDomain {
    /// The address that a name, in folded wire form, is made from.
    pub(super) fn address(&self, folded: &[u8]) -> Option<IpAddr> {
        let (&length, tail) = folded.split_first()?;
        let (label, parent) = tail.split_at_checked(usize::from(length))?;
        if !parent.eq_ignore_ascii_case(self.domain.wire()) {
            return None;
        }
        let text = std::str::from_utf8(label).ok()?.strip_prefix(&self.prefix)?;
        if self.numbered {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            return self.range.nth(text.parse().ok().filter(|_| plain)?);
        }
        let address = match self.range.first {
            IpAddr::V4(_) => text.replace('-', ".").parse::<Ipv4Addr>().ok()?.into(),
            IpAddr::V6(_) => text.replace('-', ":").parse::<Ipv6Addr>().ok()?.into(),
        };
        self.range.contains(address).then_some(address)
    }

    /// The name that is made from an address of the range.
    pub(super) fn name(&self, address: IpAddr) -> Option<Name> {
        let prefix = &self.prefix;
        let number = self.range.number(address)?;
        let label = match (self.numbered, address) {
            (true, _) => format!("{prefix}{number}"),
            (false, IpAddr::V4(address)) => format!("{prefix}{}", address.to_string().replace('.', "-")),
            (false, IpAddr::V6(address)) => format!("{prefix}{}", address.to_string().replace([':', '.'], "-")),
        };
        self.domain.prepend(label.as_bytes()).ok()
    }
}

//! Numbers of the protocol with their names.

use std::fmt;
use std::str::FromStr;

/// The Internet class, the only one that is resolved.
pub const CLASS_IN: u16 = 1;

/// A record type, by number. Unknown ones are carried like all others (RFC 3597).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(pub u16);

#[expect(missing_docs, reason = "the names are the protocol's own")]
impl RecordType {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const CNAME: Self = Self(5);
    pub const SOA: Self = Self(6);
    pub const PTR: Self = Self(12);
    pub const MX: Self = Self(15);
    pub const TXT: Self = Self(16);
    pub const SIG: Self = Self(24);
    pub const AAAA: Self = Self(28);
    pub const SRV: Self = Self(33);
    pub const DNAME: Self = Self(39);
    pub const OPT: Self = Self(41);
    pub const DS: Self = Self(43);
    pub const RRSIG: Self = Self(46);
    pub const NSEC: Self = Self(47);
    pub const DNSKEY: Self = Self(48);
    pub const NSEC3: Self = Self(50);
    pub const NSEC3PARAM: Self = Self(51);
    pub const HTTPS: Self = Self(65);
    pub const TSIG: Self = Self(250);
    pub const IXFR: Self = Self(251);
    pub const AXFR: Self = Self(252);
    pub const ANY: Self = Self(255);
}

impl RecordType {
    /// Whether this is a query or meta type, which no record carries (RFC 6895 §3.1: 128..=255, and OPT).
    pub fn is_meta(self) -> bool {
        self == Self::OPT || (128..=255).contains(&self.0)
    }

    /// Whether records of this type exist only for DNSSEC and are left out for DO=0 unless asked for (RFC 4035 §3.2.1).
    pub fn is_dnssec_only(self) -> bool {
        matches!(self, Self::RRSIG | Self::NSEC | Self::NSEC3)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match hickory_proto::rr::RecordType::from(self.0) {
            hickory_proto::rr::RecordType::Unknown(number) => write!(f, "TYPE{number}"),
            known => write!(f, "{known}"),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RecordType {
    type Err = UnknownType;

    /// Reads a mnemonic in any letter case, or `TYPEn` (RFC 3597 §5).
    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let upper = text.to_ascii_uppercase();
        if let Some(number) = upper.strip_prefix("TYPE").and_then(|digits| digits.parse().ok()) {
            return Ok(Self(number));
        }
        hickory_proto::rr::RecordType::from_str(&upper).map(|known| Self(known.into())).map_err(|_| UnknownType)
    }
}

/// The text names no record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown record type")]
pub struct UnknownType;

/// A response code, extended part included (RFC 6891 §6.1.3). Valid: 0..=4095.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RCode(pub u16);

#[expect(missing_docs, reason = "the names are the protocol's own")]
impl RCode {
    pub const NOERROR: Self = Self(0);
    pub const FORMERR: Self = Self(1);
    pub const SERVFAIL: Self = Self(2);
    pub const NXDOMAIN: Self = Self(3);
    pub const NOTIMP: Self = Self(4);
    pub const REFUSED: Self = Self(5);
    pub const YXDOMAIN: Self = Self(6);
    pub const BADVERS: Self = Self(16);
    pub const BADCOOKIE: Self = Self(23);
}

impl fmt::Display for RCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::NOERROR => "NOERROR",
            Self::FORMERR => "FORMERR",
            Self::SERVFAIL => "SERVFAIL",
            Self::NXDOMAIN => "NXDOMAIN",
            Self::NOTIMP => "NOTIMP",
            Self::REFUSED => "REFUSED",
            Self::YXDOMAIN => "YXDOMAIN",
            Self::BADVERS => "BADVERS",
            Self::BADCOOKIE => "BADCOOKIE",
            Self(number) => return write!(f, "RCODE{number}"),
        };
        f.write_str(name)
    }
}

impl fmt::Debug for RCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_back_what_they_print() {
        for number in [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 47, 48, 50, 51, 52, 64, 65, 257, 1234, 65280] {
            let rtype = RecordType(number);
            assert_eq!(rtype.to_string().parse(), Ok(rtype));
        }
        assert_eq!("aaaa".parse(), Ok(RecordType::AAAA));
        assert_eq!("nonsense".parse::<RecordType>(), Err(UnknownType));
    }
}

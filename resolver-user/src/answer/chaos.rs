//! Questions of class CH about the daemon itself, as dnsmasq and BIND have them: `version.bind`, `hits.bind`, … as TXT.
//!
//! What the answers say comes in; who may ask is decided elsewhere.

use super::message::{Sent, write_header, write_opt};
use super::{Asked, Failure, write_failure};
use crate::wire::{Name, RCode, RecordType};

/// Class CH (RFC 1035 §3.2.4).
const CLASS_CH: u16 = 3;
/// Longest string of a TXT record, in bytes (RFC 1035 §3.3).
const STRING_LEN_MAX: usize = 255;

/// What can be asked about the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChaosName {
    /// `version.bind`, `version.server`: program and version.
    Version,
    /// `authors.bind`: who made it.
    Authors,
    /// `copyright.bind`: its licence.
    Copyright,
    /// `cachesize.bind`: answers that the cache may hold.
    CacheSize,
    /// `insertions.bind`: answers put into the cache.
    Insertions,
    /// `evictions.bind`: answers given up for others.
    Evictions,
    /// `misses.bind`: queries whose answer had to be found elsewhere.
    Misses,
    /// `hits.bind`: queries answered by us, XDP included.
    Hits,
    /// `auth.bind`: queries for zones that we are authoritative for.
    Auth,
    /// `servers.bind`: address, queries sent and queries failed of each server.
    Servers,
    /// `id.server`, `hostname.bind` (RFC 4892): which one of several servers this is.
    Identity,
}

/// A question of another class than IN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChaosQuestion {
    /// About the daemon.
    Known(ChaosName),
    /// Of class CH and about a server, but not what we know. It is never asked elsewhere.
    Unknown,
    /// Anything else.
    Foreign,
}

impl ChaosQuestion {
    /// Reads a question section: name, type, class.
    pub fn read(question: &[u8]) -> Self {
        let Some((name, &[t0, t1, c0, c1])) = question.split_last_chunk::<4>() else { return Self::Foreign };
        let Ok(name) = Name::from_wire(name) else { return Self::Foreign };
        let name = name.to_string().to_ascii_lowercase();
        let about_server = ["bind.", "server."].iter().any(|top| name == *top || name.ends_with(&format!(".{top}")));
        if u16::from_be_bytes([c0, c1]) != CLASS_CH || !about_server {
            return Self::Foreign;
        }
        let rtype = RecordType(u16::from_be_bytes([t0, t1]));
        let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, what)| *what);
        known.filter(|_| matches!(rtype, RecordType::TXT | RecordType::ANY)).map_or(Self::Unknown, Self::Known)
    }
}

/// Writes a TXT record of these strings, of TTL 0, as the answer to `asked` into `out`, which is cleared first. Without
/// strings there is nothing to tell (NOTIMP, as dnsmasq has it); what does not fit the client is truncated.
pub fn write_chaos(asked: &Asked<'_>, strings: &[String], out: &mut Vec<u8>) -> Sent {
    if strings.is_empty() {
        return write_failure(asked, &Failure::ChaosName, out);
    }
    let mut rdata = Vec::new();
    for string in strings {
        let bytes = string.as_bytes();
        let bytes = bytes.get(..bytes.len().min(STRING_LEN_MAX)).unwrap_or_default();
        rdata.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        rdata.extend_from_slice(bytes);
    }
    // A pointer to the question's name, type, class, TTL, length.
    let mut record = vec![0xc0, 12];
    record.extend_from_slice(&RecordType::TXT.0.to_be_bytes());
    record.extend_from_slice(&CLASS_CH.to_be_bytes());
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
    record.extend_from_slice(&rdata);
    let length = 12 + asked.question.len() + record.len() + super::message::opt_len(asked);
    let truncated = length > asked.message_len_max();
    let sent = Sent { rcode: RCode::NOERROR, truncated, authentic: false };
    write_header(asked, sent, [u16::from(!truncated), 0], out);
    out.extend_from_slice(asked.question);
    if !truncated {
        out.extend_from_slice(&record);
    }
    write_opt(asked, sent.rcode, None, out);
    sent
}

/// Names and what they ask for.
const NAMES: &[(&str, ChaosName)] = &[
    ("version.bind.", ChaosName::Version),
    ("version.server.", ChaosName::Version),
    ("authors.bind.", ChaosName::Authors),
    ("copyright.bind.", ChaosName::Copyright),
    ("cachesize.bind.", ChaosName::CacheSize),
    ("insertions.bind.", ChaosName::Insertions),
    ("evictions.bind.", ChaosName::Evictions),
    ("misses.bind.", ChaosName::Misses),
    ("hits.bind.", ChaosName::Hits),
    ("auth.bind.", ChaosName::Auth),
    ("servers.bind.", ChaosName::Servers),
    ("id.server.", ChaosName::Identity),
    ("hostname.bind.", ChaosName::Identity),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, rtype: u16, class: u16) -> Vec<u8> {
        let name: Name = name.parse().unwrap();
        [name.wire(), &rtype.to_be_bytes(), &class.to_be_bytes()].concat()
    }

    #[test]
    fn questions_about_the_server_are_known_by_name_type_and_class() {
        for (name, rtype, class, expected) in [
            ("Version.BIND", 16, 3, ChaosQuestion::Known(ChaosName::Version)),
            ("id.server", 255, 3, ChaosQuestion::Known(ChaosName::Identity)),
            ("version.bind", 1, 3, ChaosQuestion::Unknown),
            ("x.bind", 16, 3, ChaosQuestion::Unknown),
            ("bind", 16, 3, ChaosQuestion::Unknown),
            ("a.b.server", 16, 3, ChaosQuestion::Unknown),
            ("version.bind", 16, 4, ChaosQuestion::Foreign),
            ("example.com", 16, 3, ChaosQuestion::Foreign),
            ("xbind", 16, 3, ChaosQuestion::Foreign),
        ] {
            assert_eq!(ChaosQuestion::read(&question(name, rtype, class)), expected, "{name} {rtype} {class}");
        }
        assert_eq!(ChaosQuestion::read(&[]), ChaosQuestion::Foreign);
    }
}

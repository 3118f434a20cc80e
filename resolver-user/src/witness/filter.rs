//! Which answers a capture is about.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::question;
use crate::access::{Network, NetworkError};
use crate::wire::{Header, Name, NameError, RCode, RecordType, UnknownType};

/// What answers must be like; all that is given must hold. As it goes over the control socket: in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureFilter {
    /// The client lies in this network.
    pub client: Option<String>,
    /// The question's name is this or below it.
    pub name: Option<String>,
    /// The question has this type.
    pub rtype: Option<String>,
    /// The answer has this RCODE.
    pub rcode: Option<String>,
}

/// What is wrong with a filter.
#[derive(Debug, Error)]
pub enum FilterError {
    /// The network.
    #[error("client: {0}")]
    Client(#[from] NetworkError),
    /// The name.
    #[error("name: {0}")]
    Name(#[from] NameError),
    /// The type.
    #[error("type: {0}")]
    Type(#[from] UnknownType),
    /// The RCODE.
    #[error("rcode \"{0}\": legal: NOERROR, NXDOMAIN, which are what XDP answers")]
    RCode(Box<str>),
}

/// A filter, read.
#[derive(Clone, Debug, Default)]
pub struct ReadFilter {
    client: Option<Network>,
    name: Option<Name>,
    rtype: Option<RecordType>,
    rcode: Option<RCode>,
}

impl CaptureFilter {
    /// Reads the words.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(&self) -> Result<ReadFilter, FilterError> {
        let rcode = |text: &String| {
            let known =
                [RCode::NOERROR, RCode::NXDOMAIN].into_iter().find(|rcode| rcode.to_string() == text.to_uppercase());
            known.ok_or_else(|| FilterError::RCode(text.as_str().into()))
        };
        Ok(ReadFilter {
            client: self.client.as_deref().map(str::parse).transpose()?,
            name: self.name.as_deref().map(str::parse).transpose()?,
            rtype: self.rtype.as_deref().map(str::parse).transpose()?,
            rcode: self.rcode.as_ref().map(rcode).transpose()?,
        })
    }
}

impl ReadFilter {
    /// Whether a client's answer is wanted.
    pub fn wants(&self, client: SocketAddr, answer: &[u8]) -> bool {
        let Some((name, rtype)) = question(answer) else { return false };
        let Some(header) = Header::read(answer) else { return false };
        self.client.is_none_or(|network| network.holds(client.ip()))
            && self.rtype.is_none_or(|wanted| wanted == rtype)
            && self.rcode.is_none_or(|wanted| wanted.0 == u16::from(header.rcode))
            && self
                .name
                .as_ref()
                .is_none_or(|wanted| Name::from_wire(name).is_ok_and(|name| name.is_at_or_below(wanted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0\x03wWw\x07Example\0\0\x1c\0\x01";

    fn wants(client: Option<&str>, name: Option<&str>, rtype: Option<&str>, rcode: Option<&str>) -> bool {
        let [client, name, rtype, rcode] = [client, name, rtype, rcode].map(|word| word.map(str::to_owned));
        let filter = CaptureFilter { client, name, rtype, rcode }.read().unwrap();
        filter.wants(([192, 0, 2, 7], 40_000).into(), ANSWER)
    }

    #[test]
    fn all_that_is_given_must_hold() {
        assert!(wants(None, None, None, None));
        for (client, is_wanted) in [("192.0.2.0/24", true), ("192.0.2.7", true), ("192.0.2.8", false), ("::/0", false)]
        {
            assert_eq!(wants(Some(client), None, None, None), is_wanted, "{client}");
        }
        for (name, is_wanted) in [("example.", true), ("WWW.example", true), (".", true), ("w.example", false)] {
            assert_eq!(wants(None, Some(name), None, None), is_wanted, "{name}");
        }
        assert!(wants(None, None, Some("AAAA"), Some("nxdomain")));
        assert!(!wants(None, None, Some("A"), None) && !wants(None, None, None, Some("NOERROR")));
        assert!(!wants(Some("192.0.2.7"), Some("example"), Some("A"), None));
    }

    #[test]
    fn a_word_that_means_nothing_is_told() {
        let filter = |field: fn(&mut CaptureFilter)| {
            let mut filter = CaptureFilter::default();
            field(&mut filter);
            filter.read().unwrap_err().to_string()
        };
        assert!(filter(|filter| filter.client = Some("x".into())).starts_with("client: "));
        assert!(filter(|filter| filter.name = Some("a..b".into())).starts_with("name: "));
        assert!(filter(|filter| filter.rtype = Some("NOTYPE".into())).starts_with("type: "));
        assert!(filter(|filter| filter.rcode = Some("SERVFAIL".into())).starts_with("rcode "));
    }
}

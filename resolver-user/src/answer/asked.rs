//! What of a client's query shapes the answer.

use resolver_ebpf::wire::cookie::Cookies;

use super::{UDP_PAYLOAD_LEN_MAX, UDP_PLAIN_LEN_MAX};

/// A query as far as its answer's header, question and OPT depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// ID, copied.
    pub id: u16,
    /// OPCODE, copied: 0..=15.
    pub opcode: u8,
    /// RD, copied.
    pub recursion_desired: bool,
    /// AD: the client understands AD (RFC 6840 §5.7).
    pub authentic_data: bool,
    /// CD, copied; data that fails validation is wanted all the same.
    pub checking_disabled: bool,
    /// Question section as received, letter case kept: name, type, class. Empty if it could not be read.
    pub question: &'a [u8],
    /// EDNS, if the query had an OPT.
    pub edns: Option<AskedEdns>,
    /// How the query came and the answer goes.
    pub transport: Transport,
}

/// What the client's OPT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedEdns {
    /// UDP payload size as sent, in bytes.
    pub udp_payload_len: u16,
    /// DO.
    pub dnssec_ok: bool,
    /// Its cookies, judged, if it sent some and cookies are on (RFC 7873).
    pub cookies: Option<Cookies>,
    /// How long we keep an idle connection, in tenths of a second, if it wants to know (RFC 7828).
    pub keepalive_ds: Option<u16>,
}

impl AskedEdns {
    /// EDNS without options.
    pub fn new(udp_payload_len: u16, dnssec_ok: bool) -> Self {
        Self { udp_payload_len, dnssec_ok, cookies: None, keepalive_ds: None }
    }
}

/// The way a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP: answers are short or truncated.
    Udp,
    /// TCP: answers have up to 65 535 bytes.
    Tcp,
}

/// The two forms in which a client may want an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// DO=0: without RRSIG, NSEC and NSEC3, unless asked for by type.
    Plain,
    /// DO=1: with them.
    Dnssec,
}

impl Asked<'_> {
    /// The form that is wanted.
    pub fn form(&self) -> Form {
        if self.edns.is_some_and(|edns| edns.dnssec_ok) { Form::Dnssec } else { Form::Plain }
    }

    /// Whether the client has proven by a server cookie of ours that it receives what is sent to its address.
    pub fn has_valid_cookie(&self) -> bool {
        self.edns.and_then(|edns| edns.cookies).is_some_and(|cookies| cookies.verdict.is_valid())
    }

    /// Longest message that may be sent, in bytes.
    pub(super) fn message_len_max(&self) -> usize {
        let length = match (self.transport, self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => UDP_PLAIN_LEN_MAX,
            (Transport::Udp, Some(edns)) => edns.udp_payload_len.clamp(UDP_PLAIN_LEN_MAX, UDP_PAYLOAD_LEN_MAX),
        };
        usize::from(length)
    }
}

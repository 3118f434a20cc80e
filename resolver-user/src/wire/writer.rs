//! Writes the queries that we send.

use super::{CLASS_IN, Question};

/// A query, with EDNS of version 0 or without.
#[derive(Clone, Copy, Debug)]
pub struct QueryWriter<'a> {
    /// What to ask.
    pub question: &'a Question,
    /// Whether the upstream is to recurse.
    pub recursion_desired: bool,
    /// AD: the server is to say whether the answer is secure (RFC 6840 §5.7).
    pub authentic_wanted: bool,
    /// CD: the upstream is to leave validation to us (RFC 6840 §5.9).
    pub checking_disabled: bool,
    /// DO: DNSSEC records are wanted. Only EDNS can say it.
    pub dnssec_ok: bool,
    /// UDP payload size to announce, in bytes; none: no EDNS.
    pub udp_payload_len: Option<u16>,
    /// COOKIE option (RFC 7873): 8 bytes of ours, then 8 to 32 of the server if they are known; empty: none. Only EDNS can
    /// carry it.
    pub cookie: &'a [u8],
}

/// Longest cookie, in bytes (RFC 7873 §4).
const COOKIE_LEN_MAX: usize = 40;
/// Code of the COOKIE option.
const COOKIE: u16 = 10;

impl QueryWriter<'_> {
    /// The query in wire form with this ID, without the two length bytes of TCP.
    pub fn write(&self, id: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(12 + self.question.qname.wire().len() + 4 + 11);
        out.extend(id.to_be_bytes());
        out.push(u8::from(self.recursion_desired));
        out.push(u8::from(self.authentic_wanted) << 5 | u8::from(self.checking_disabled) << 4);
        out.extend([0, 1, 0, 0, 0, 0, 0, u8::from(self.udp_payload_len.is_some())]);
        out.extend(self.question.qname.wire());
        out.extend(self.question.qtype.0.to_be_bytes());
        out.extend(CLASS_IN.to_be_bytes());
        if let Some(udp_payload_len) = self.udp_payload_len {
            out.extend([0, 0, 41]);
            out.extend(udp_payload_len.to_be_bytes());
            out.extend([0, 0, u8::from(self.dnssec_ok) << 7, 0]);
            let cookie = self.cookie.get(..COOKIE_LEN_MAX).unwrap_or(self.cookie);
            let cookie_len = u16::try_from(cookie.len()).unwrap_or(0);
            let rdata_len = if cookie.is_empty() { 0 } else { cookie_len.saturating_add(4) };
            out.extend(rdata_len.to_be_bytes());
            if rdata_len > 0 {
                out.extend(COOKIE.to_be_bytes());
                out.extend(cookie_len.to_be_bytes());
                out.extend(cookie);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{EdnsOption, Message, RecordType};

    #[test]
    fn a_written_query_reads_back() {
        let question = Question::new("www.Example.".parse().unwrap(), RecordType::AAAA);
        let writer = QueryWriter {
            question: &question,
            recursion_desired: true,
            authentic_wanted: true,
            checking_disabled: true,
            dnssec_ok: true,
            udp_payload_len: Some(1232),
            cookie: &[],
        };
        let message = Message::read(&writer.write(0xbeef)).unwrap();
        assert_eq!(message.header.id, 0xbeef);
        assert!(
            message.header.flags.recursion_desired
                && message.header.flags.checking_disabled
                && message.header.flags.authentic_data
        );
        assert!(!message.header.flags.response);
        assert_eq!(message.question.unwrap().0.to_string(), "www.Example. AAAA");
        let edns = message.edns.unwrap();
        assert!(edns.dnssec_ok && edns.udp_payload_len == 1232 && edns.version == 0);
        assert_eq!(edns.options, []);
        let cookie = [7; 24];
        let with_cookie = Message::read(&QueryWriter { cookie: &cookie, ..writer }.write(1)).unwrap();
        assert_eq!(with_cookie.edns.unwrap().options, [EdnsOption { code: 10, data: cookie.into() }]);
        let plain = QueryWriter { udp_payload_len: None, ..writer };
        assert_eq!(Message::read(&plain.write(1)).unwrap().edns, None);
    }
}

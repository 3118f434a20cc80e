//! The door: a client's packet becomes a [`ClientQuery`], or a reason to refuse it. Nothing is allocated.

use std::net::SocketAddr;

use resolver_ebpf::wire::cookie::{Cookies, OPTION_COOKIE};

use super::tcp::IDLE_MAX_DS;
use crate::answer::{Asked, AskedEdns, Failure, Transport};
use crate::cookies::MalformedCookie;
use crate::wire::{CLASS_IN, Header, RecordType};

/// Longest name, in bytes of wire form (RFC 1035 §2.3.4).
const NAME_LEN_MAX: usize = 255;
/// Most additional records that are read. More are taken for noise (FORMERR).
const ADDITIONAL_MAX: u16 = 8;
/// Option code of edns-tcp-keepalive (RFC 7828 §3.1).
const OPTION_KEEPALIVE: u16 = 11;

/// A query that may be answered: opcode QUERY, one question of class IN and of a type that records have, well-formed EDNS
/// of version 0 or none.
#[derive(Clone, Copy, Debug)]
pub struct ClientQuery<'a> {
    /// What shapes the answer.
    pub asked: Asked<'a>,
    /// Name of the question, wire form, letter case as asked.
    pub qname_wire: &'a [u8],
    /// Type of the question.
    pub qtype: RecordType,
    /// Who asks.
    pub client: SocketAddr,
    /// The whole message.
    pub packet: &'a [u8],
}

/// Why a packet gets no data.
#[derive(Clone, Copy, Debug)]
pub enum Rejection<'a> {
    /// It gets no answer: too short for a header, or itself a response. Answering those would let two servers be
    /// played against each other.
    Silence,
    /// It is refused.
    Refused(Asked<'a>, Failure<'a>),
    /// It asks for cookies and nothing else.
    CookiesAlone(Asked<'a>),
}

impl<'a> ClientQuery<'a> {
    /// Checks a client's packet. `judge` judges the data of a COOKIE option; none if cookies are off.
    ///
    /// # Errors
    /// What to tell the client instead.
    pub fn read(
        packet: &'a [u8],
        client: SocketAddr,
        transport: Transport,
        judge: impl Fn(&[u8]) -> Judgement,
    ) -> Result<Self, Rejection<'a>> {
        let header = Header::read(packet).filter(|header| !header.flags.response).ok_or(Rejection::Silence)?;
        let mut asked = Asked {
            id: header.id,
            opcode: header.opcode,
            recursion_desired: header.flags.recursion_desired,
            authentic_data: header.flags.authentic_data,
            checking_disabled: header.flags.checking_disabled,
            question: &[],
            edns: None,
            transport,
        };
        if header.opcode != 0 {
            return Err(Rejection::Refused(asked, Failure::Opcode));
        }
        let malformed = Rejection::Refused(asked, Failure::Malformed);
        let [questions, answers, authorities, additionals] = header.counts;
        if questions == 0 {
            return Err(read_cookies_alone(asked, packet, header.counts, &judge));
        }
        if questions != 1 || header.flags.truncated || additionals > ADDITIONAL_MAX {
            return Err(malformed);
        }
        let body = packet.get(12..).ok_or(malformed)?;
        let name_len = name_len(body).ok_or(malformed)?;
        let (question, rest) = body.split_at_checked(name_len.saturating_add(4)).ok_or(malformed)?;
        let (qname_wire, fixed) = question.split_at_checked(name_len).ok_or(malformed)?;
        let &[t0, t1, c0, c1] = fixed.first_chunk::<4>().ok_or(malformed)?;
        let qtype = RecordType(u16::from_be_bytes([t0, t1]));
        asked.question = question;
        // A transfer request carries a SOA (RFC 1995 §3), so its type is looked at before its sections.
        let meta = qtype.is_meta() || qtype.0 == 0;
        if !meta && (answers != 0 || authorities != 0) {
            return Err(Rejection::Refused(asked, Failure::Malformed));
        }
        if !meta {
            let additional = read_additional(rest, additionals, transport, &judge);
            asked.edns = additional.edns;
            if !additional.is_sound {
                return Err(Rejection::Refused(asked, Failure::Malformed));
            }
            if additional.version != 0 {
                return Err(Rejection::Refused(asked, Failure::EdnsVersion));
            }
        }
        if u16::from_be_bytes([c0, c1]) != CLASS_IN {
            return Err(Rejection::Refused(asked, Failure::Class));
        }
        if meta {
            let additional = read_additional(rest, additionals, transport, &judge);
            asked.edns = additional.edns.filter(|_| additional.is_sound);
            return Err(Rejection::Refused(asked, Failure::MetaType));
        }
        Ok(Self { asked, qname_wire, qtype, client, packet })
    }
}

/// Length of the uncompressed name at the start of `bytes`, its final zero byte included. Compression is refused: nothing
/// stands before a question that could be pointed at.
fn name_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < NAME_LEN_MAX {
        match usize::from(*bytes.get(at)?) {
            0 => return Some(at.saturating_add(1)),
            length @ 1..=63 => at = at.saturating_add(length).saturating_add(1),
            _ => return None,
        }
    }
    None
}

/// Reads a query without a question: one for cookies alone, if it carries any (RFC 7873 §5.4), else malformed.
fn read_cookies_alone<'a>(
    mut asked: Asked<'a>,
    packet: &[u8],
    counts: [u16; 4],
    judge: impl Fn(&[u8]) -> Judgement,
) -> Rejection<'a> {
    let malformed = Rejection::Refused(asked, Failure::Malformed);
    let [0, 0, 0, additionals @ 1..=ADDITIONAL_MAX] = counts else { return malformed };
    let additional = read_additional(packet.get(12..).unwrap_or_default(), additionals, asked.transport, judge);
    asked.edns = additional.edns;
    let has_cookies = additional.edns.is_some_and(|edns| edns.cookies.is_some());
    if additional.is_sound && has_cookies { Rejection::CookiesAlone(asked) } else { malformed }
}

/// What came of judging the data of a COOKIE option.
pub type Judgement = Result<Option<Cookies>, MalformedCookie>;

/// The additional section.
struct Additional {
    /// Whether the whole section and the options that we know are well-formed.
    is_sound: bool,
    /// The OPT, if there is one and its options are whole.
    edns: Option<AskedEdns>,
    /// Its version.
    version: u8,
}

/// Reads the additional section, which must fill the rest of the packet. Records other than OPT (TSIG, SIG(0)) are passed
/// over.
fn read_additional(rest: &[u8], count: u16, transport: Transport, judge: impl Fn(&[u8]) -> Judgement) -> Additional {
    let mut additional = Additional { is_sound: false, edns: None, version: 0 };
    let Some(opt) = find_opt(rest, count) else { return additional };
    additional.is_sound = true;
    if let Some(opt) = opt {
        additional.version = opt.version;
        let edns = AskedEdns::new(opt.udp_payload_len, opt.dnssec_ok);
        // Options of another version are not ours to understand.
        let read = if opt.version == 0 { read_options(edns, opt.options, transport, judge) } else { Ok(edns) };
        additional.is_sound = read.is_ok();
        additional.edns = Some(read.unwrap_or(edns));
    }
    additional
}

/// An OPT whose options are whole.
struct Opt<'a> {
    udp_payload_len: u16,
    version: u8,
    dnssec_ok: bool,
    options: &'a [u8],
}

/// Finds the one OPT that there may be, among `count` records that fill the packet; none if they do not, or are malformed.
fn find_opt(mut rest: &[u8], count: u16) -> Option<Option<Opt<'_>>> {
    let mut opt = None;
    for _ in 0..count {
        // A name here may be compressed: it ends with a pointer or with the root.
        let mut at = 0usize;
        loop {
            match usize::from(*rest.get(at)?) {
                0 => break at = at.saturating_add(1),
                length @ 1..=63 => at = at.saturating_add(length).saturating_add(1),
                0xc0.. => break at = at.saturating_add(2),
                _ => return None,
            }
        }
        let (owner, tail) = rest.split_at_checked(at)?;
        let (&[t0, t1, c0, c1, _, version, flags, _, l0, l1], tail) = tail.split_first_chunk::<10>()?;
        let (options, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        rest = tail;
        if RecordType(u16::from_be_bytes([t0, t1])) != RecordType::OPT {
            continue;
        }
        if owner != [0] || opt.is_some() || Options(options).any(|option| option.is_none()) {
            return None;
        }
        let udp_payload_len = u16::from_be_bytes([c0, c1]);
        opt = Some(Opt { udp_payload_len, version, dnssec_ok: flags & 0x80 != 0, options });
    }
    rest.is_empty().then_some(opt)
}

/// An option that we know is malformed.
struct MalformedOption;

/// Takes up the options that we know; all others are ignored (RFC 6891 §6.1.2). Of several cookies the first one counts
/// (RFC 7873 §4). Keepalive means something over TCP alone, and has no data in a query (RFC 7828 §3.2.1).
fn read_options(
    mut edns: AskedEdns,
    options: &[u8],
    transport: Transport,
    judge: impl Fn(&[u8]) -> Judgement,
) -> Result<AskedEdns, MalformedOption> {
    let mut has_cookies = false;
    for (code, data) in Options(options).flatten() {
        match code {
            OPTION_COOKIE if !has_cookies => {
                edns.cookies = judge(data).map_err(|_| MalformedOption)?;
                has_cookies = true;
            }
            OPTION_KEEPALIVE if transport == Transport::Tcp => {
                if !data.is_empty() {
                    return Err(MalformedOption);
                }
                edns.keepalive_ds = Some(IDLE_MAX_DS);
            }
            _ => {}
        }
    }
    Ok(edns)
}

/// The options of an OPT: code and data of each; none, once, where they are not whole.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let option = self.0.split_first_chunk::<4>().and_then(|(&[c0, c1, l0, l1], tail)| {
            let (data, after) = tail.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
            Some(((u16::from_be_bytes([c0, c1]), data), after))
        });
        self.0 = option.map_or(&[], |(_, after)| after);
        Some(option.map(|(option, _)| option))
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "test packets have known lengths")]
mod tests {
    use super::*;

    const OPT: &[u8] = b"\0\0\x29\x10\0\0\0\x80\0\0\0";

    fn packet(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut packet = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01\x03wWw\x07example\0\0\x01\0\x01".to_vec();
        packet.extend_from_slice(OPT);
        change(&mut packet);
        packet
    }

    fn read(packet: &[u8]) -> Result<ClientQuery<'_>, Rejection<'_>> {
        ClientQuery::read(packet, SocketAddr::from(([127, 0, 0, 1], 9)), Transport::Udp, |_| Ok(None))
    }

    #[test]
    fn a_plain_query_is_read_with_its_letter_case() {
        let packet = packet(|_| ());
        let query = read(&packet).unwrap();
        assert_eq!((query.qname_wire, query.qtype), (&b"\x03wWw\x07example\0"[..], RecordType::A));
        assert_eq!(query.asked.question.len(), 13 + 4);
        assert!(query.asked.authentic_data && query.asked.recursion_desired && !query.asked.checking_disabled);
        assert_eq!(query.asked.edns, Some(AskedEdns::new(4096, true)));
    }

    #[test]
    fn what_is_not_served_is_refused_with_its_reason() {
        type Change = fn(&mut Vec<u8>);
        let cases: &[(&str, Change, &str)] = &[
            ("response", |p| p[2] |= 0x80, "silence"),
            ("short", |p| p.truncate(11), "silence"),
            ("opcode", |p| p[2] |= 0x28, "Opcode"),
            ("truncated", |p| p[2] |= 2, "Malformed"),
            ("two questions", |p| p[5] = 2, "Malformed"),
            ("no question", |p| p[5] = 0, "Malformed"),
            ("an answer", |p| p[7] = 1, "Malformed"),
            ("compressed question", |p| p[12] = 0xc0, "Malformed"),
            ("cut in the name", |p| p.truncate(20), "Malformed"),
            ("cut in the OPT", |p| p.truncate(35), "Malformed"),
            ("trailing byte", |p| p.push(0), "Malformed"),
            (
                "two OPT",
                |p| {
                    p[11] = 2;
                    p.extend_from_slice(OPT)
                },
                "Malformed",
            ),
            (
                "option cut",
                |p| {
                    let n = p.len();
                    p[n - 1] = 3;
                    p.extend_from_slice(b"\0\x0a\0")
                },
                "Malformed",
            ),
            (
                "EDNS 1",
                |p| {
                    let n = p.len();
                    p[n - 5] = 1
                },
                "EdnsVersion",
            ),
            ("class CH", |p| p[28] = 3, "Class"),
            ("ANY", |p| p[26] = 255, "MetaType"),
            ("AXFR", |p| p[26] = 252, "MetaType"),
            ("type 0", |p| p[26] = 0, "MetaType"),
        ];
        for (what, change, expected) in cases {
            let packet = packet(change);
            let refused = match read(&packet) {
                Ok(_) => "served".to_owned(),
                Err(Rejection::Silence) => "silence".to_owned(),
                Err(Rejection::CookiesAlone(_)) => "cookies".to_owned(),
                Err(Rejection::Refused(asked, failure)) => {
                    assert_eq!(asked.id, 0x1234, "{what}");
                    format!("{failure:?}")
                }
            };
            assert_eq!(&refused, expected, "{what}");
        }
    }
}

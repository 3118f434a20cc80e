//! Writes the message: header, the client's own question, the answer's body with its TTLs, OPT.

use resolver_ebpf::abi::CookieVerdict;
use resolver_ebpf::wire::cookie::COOKIE_OPTION_LEN;

use super::rendered::Sections;
use super::{Asked, AskedEdns, ExtendedError, Failure, Notice, RenderedAnswer, UDP_PAYLOAD_LEN_MAX, UncheckedAnswer};
use crate::wire::RCode;

/// Our OPT without options, in bytes.
const OPT_LEN: usize = 11;
/// Option code of an extended error (RFC 8914 §2).
const OPTION_EXTENDED_ERROR: u16 = 15;
/// Option code of edns-tcp-keepalive (RFC 7828 §3.1).
const OPTION_KEEPALIVE: u16 = 11;
/// The whole option with a time, in bytes.
const KEEPALIVE_LEN: usize = 6;

/// A finished answer.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// Let through by validation.
    Proven(&'a RenderedAnswer),
    /// Not validated.
    Unchecked(&'a UncheckedAnswer),
}

/// What was written, for logs and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// RCODE.
    pub rcode: RCode,
    /// Whether TC was set.
    pub truncated: bool,
    /// Whether AD was set.
    pub authentic: bool,
}

/// Writes the message that answers `asked`, every TTL `ttl_s`, into `out`, which is cleared first. An answer that is too
/// large for the client becomes a truncated one without records (RFC 2181 §9).
pub fn write_answer(asked: &Asked<'_>, answer: Answer<'_>, ttl_s: u32, out: &mut Vec<u8>) -> Sent {
    write_data(asked, answer, None, ttl_s, out)
}

/// Turns the addresses in a message that [`write_answer`] has just written, if it holds several, by so many places.
pub fn turn_addresses(asked: &Asked<'_>, answer: Answer<'_>, sent: Sent, places: u32, out: &mut [u8]) {
    let sections = match answer {
        Answer::Proven(rendered) => rendered.sections(),
        Answer::Unchecked(unchecked) => unchecked.sections(),
    };
    let body_at = 12 + asked.question.len();
    if let (Some(rotation), false, Some(body)) = (sections.head().rotation, sent.truncated, out.get_mut(body_at..)) {
        rotation.turn(body, places);
    }
}

/// The same for an answer whose time is over: never with AD, and with the extended error that says so (RFC 8767 §4).
pub fn write_stale(asked: &Asked<'_>, answer: Answer<'_>, ttl_s: u32, out: &mut Vec<u8>) -> Sent {
    let rcode = match answer {
        Answer::Proven(rendered) => rendered.rcode(),
        Answer::Unchecked(unchecked) => unchecked.rcode(),
    };
    write_data(asked, answer, Some(&Notice::Stale(rcode).extended_error()), ttl_s, out)
}

/// Writes an answer. With a notice it has no proof any more: no AD, and the notice in place of its own extended error.
fn write_data(
    asked: &Asked<'_>,
    answer: Answer<'_>,
    notice: Option<&ExtendedError>,
    ttl_s: u32,
    out: &mut Vec<u8>,
) -> Sent {
    let (sections, secure) = match answer {
        Answer::Proven(rendered) => (rendered.sections(), rendered.is_secure()),
        Answer::Unchecked(unchecked) => (unchecked.sections(), false),
    };
    let (head, secure) = (sections.head(), secure && notice.is_none());
    let extended_error = notice.or(head.extended_error.as_deref());
    let length = 12 + asked.question.len() + sections.body().len() + opt_len(asked);
    let room = asked.message_len_max();
    if head.oversized || length > room {
        let sent = Sent { rcode: head.rcode, truncated: true, authentic: false };
        write_header(asked, sent, [0, 0], out);
        out.extend_from_slice(asked.question);
        write_opt(asked, sent.rcode, None, out);
        return sent;
    }
    // AD goes only to clients that show they understand it (RFC 6840 §5.8).
    let understands = asked.authentic_data || asked.edns.is_some_and(|edns| edns.dnssec_ok);
    let sent = Sent { rcode: head.rcode, truncated: false, authentic: secure && understands };
    write_header(asked, sent, [head.answer_count, head.authority_count], out);
    out.extend_from_slice(asked.question);
    write_body(sections, ttl_s, out);
    // The reason why an answer is insecure is a courtesy: it is left out where it does not fit.
    let extended_error = extended_error.filter(|error| length + option_len(error) <= room);
    write_opt(asked, sent.rcode, extended_error, out);
    sent
}

/// Writes an empty answer with TC into `out`, which is cleared first: the client may ask again by TCP. XDP sends the very
/// same (`serve/slip.rs`).
pub fn write_slip(asked: &Asked<'_>, out: &mut Vec<u8>) -> Sent {
    let sent = Sent { rcode: RCode::NOERROR, truncated: true, authentic: false };
    write_header(asked, sent, [0, 0], out);
    out.extend_from_slice(asked.question);
    write_opt(asked, sent.rcode, None, out);
    sent
}

/// Writes the message that tells the client of `asked` about a failure into `out`, which is cleared first.
pub fn write_failure(asked: &Asked<'_>, failure: &Failure<'_>, out: &mut Vec<u8>) -> Sent {
    let sent = Sent { rcode: failure.rcode(), truncated: false, authentic: false };
    write_header(asked, sent, [0, 0], out);
    out.extend_from_slice(asked.question);
    write_opt(asked, sent.rcode, failure.extended_error().as_ref(), out);
    sent
}

/// Writes the message that answers a query for cookies alone, without a question, into `out`, which is cleared first: an error
/// if it carries a server cookie that is bad (RFC 7873 §5.4).
pub fn write_cookies_alone(asked: &Asked<'_>, out: &mut Vec<u8>) -> Sent {
    let verdict = asked.edns.and_then(|edns| edns.cookies).map(|cookies| cookies.verdict);
    let rcode = if verdict == Some(CookieVerdict::Bad) { RCode::BADCOOKIE } else { RCode::NOERROR };
    let sent = Sent { rcode, truncated: false, authentic: false };
    write_header(asked, sent, [0, 0], out);
    write_opt(asked, rcode, None, out);
    sent
}

/// Writes the header into `out`, which is cleared first.
pub(super) fn write_header(asked: &Asked<'_>, sent: Sent, [answers, authorities]: [u16; 2], out: &mut Vec<u8>) {
    let truncated = u8::from(sent.truncated) << 1;
    let [_, rcode_low] = sent.rcode.0.to_be_bytes();
    let authentic = u8::from(sent.authentic) << 5;
    let [i0, i1] = asked.id.to_be_bytes();
    let ([a0, a1], [n0, n1]) = (answers.to_be_bytes(), authorities.to_be_bytes());
    // As one piece: every answer has one.
    let header = [
        i0,
        i1,
        0x80 | (asked.opcode & 15) << 3 | truncated | u8::from(asked.recursion_desired),
        0x80 | authentic | u8::from(asked.checking_disabled) << 4 | rcode_low & 15,
        0,
        u8::from(!asked.question.is_empty()),
        a0,
        a1,
        n0,
        n1,
        0,
        u8::from(asked.edns.is_some()),
    ];
    out.clear();
    out.extend_from_slice(&header);
}

fn write_body(sections: &Sections, ttl_s: u32, out: &mut Vec<u8>) {
    let body_at = out.len();
    out.extend_from_slice(sections.body());
    for &offset in sections.ttl_offsets() {
        let at = body_at + usize::from(offset);
        if let Some(field) = out.get_mut(at..at + 4) {
            field.copy_from_slice(&ttl_s.to_be_bytes());
        }
    }
}

/// Writes the OPT, if the client sent one.
pub(super) fn write_opt(asked: &Asked<'_>, rcode: RCode, extended_error: Option<&ExtendedError>, out: &mut Vec<u8>) {
    let Some(edns) = asked.edns else { return };
    out.extend_from_slice(&[0, 0, 41]);
    out.extend_from_slice(&UDP_PAYLOAD_LEN_MAX.to_be_bytes());
    let [_, rcode_high] = (rcode.0 >> 4).to_be_bytes();
    out.extend_from_slice(&[rcode_high, 0, u8::from(edns.dnssec_ok) << 7, 0]);
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&length(options_len(&edns) + extended_error.map_or(0, option_len)));
    if let Some(error) = extended_error {
        out.extend_from_slice(&OPTION_EXTENDED_ERROR.to_be_bytes());
        out.extend_from_slice(&length(2 + error.text.len()));
        out.extend_from_slice(&error.code.to_be_bytes());
        out.extend_from_slice(error.text.as_bytes());
    }
    if let Some(timeout_ds) = edns.keepalive_ds {
        for field in [OPTION_KEEPALIVE, 2, timeout_ds] {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }
    // Last, as the kernel half has it.
    if let Some(cookies) = edns.cookies {
        out.extend_from_slice(&cookies.option());
    }
}

/// Length of our OPT in the answer to `asked`, in bytes, without an extended error.
pub(super) fn opt_len(asked: &Asked<'_>) -> usize {
    asked.edns.map_or(0, |edns| OPT_LEN + options_len(&edns))
}

/// Length of the options that an answer cannot do without, in bytes.
fn options_len(edns: &AskedEdns) -> usize {
    let keepalive_len = if edns.keepalive_ds.is_some() { KEEPALIVE_LEN } else { 0 };
    keepalive_len + if edns.cookies.is_some() { COOKIE_OPTION_LEN } else { 0 }
}

/// Length of an extended error as an EDNS option, in bytes.
fn option_len(error: &ExtendedError) -> usize {
    6 + error.text.len()
}

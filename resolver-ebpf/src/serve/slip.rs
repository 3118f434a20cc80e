//! Turns a query into an empty answer with TC, in place: the client may ask again by TCP, where no source is made up.
//!
//! In: the frame and what was asked. Out: the frame, never longer than it came. It is what the daemon sends in the same
//! case, byte for byte. Rules: RFC 2181 §9 (TC), RFC 6891 §7 (OPT in the answer).

use super::Frame;
use super::admit::Query;
use super::family::Family;
use super::reply::{Headers, write_headers};
use crate::abi::{OPT_LEN, UDP_PAYLOAD_LEN_MAX};
use crate::wire::bytes::{Be16, low_len};
use crate::wire::checksum::{add_word, at_parity};
use crate::wire::dns::{DNS_HEADER_LEN, DnsHeader, HIGH_QR, HIGH_RD, HIGH_TC, LOW_RA, Opt, QUESTION_END_LEN};

/// Writes the empty answer to a query without cookies. False, with the frame as it came, when the driver does not shorten it.
#[inline(always)]
pub(super) fn slip<I: Family, F: Frame>(frame: &mut F, query: &Query) -> bool {
    let behind_question = (DNS_HEADER_LEN + QUESTION_END_LEN).wrapping_add(query.name_len);
    let dns_len = behind_question.wrapping_add(if query.has_opt { OPT_LEN } else { 0 });
    let by = i32::from(low_len(I::DNS_AT.wrapping_add(dns_len))).wrapping_sub(i32::from(low_len(frame.len())));
    if by > 0 || (by < 0 && !frame.resize_tail(by)) {
        return false;
    }
    let mut body_sum = 0;
    if query.has_opt {
        let opt = Opt::of_answer(query.dnssec_ok, low_len(UDP_PAYLOAD_LEN_MAX));
        body_sum = opt_sum(opt);
        match frame.view_far_mut::<Opt>(I::DNS_AT.wrapping_add(behind_question)) {
            Some(place) => *place = opt,
            None => return false,
        }
    }
    let header = DnsHeader {
        id: query.id,
        high: HIGH_QR | HIGH_TC | HIGH_RD,
        low: LOW_RA | query.checking_disabled,
        counts: [Be16::new(1), Be16::new(0), Be16::new(0), Be16::new(u16::from(query.has_opt))],
    };
    let body_sum = at_parity(body_sum, query.behind_is_odd);
    write_headers::<I, F>(frame, query, &Headers { header, dns_len, body_sum }).is_some()
}

/// Sum of an OPT, as from an even offset.
#[inline(always)]
fn opt_sum(opt: Opt) -> u64 {
    let [a, b, c, d, e, f, g, h, rest @ ..]: [u8; OPT_LEN] = bytemuck::must_cast(opt);
    let [i, j, k] = rest;
    add_word(u64::from(u32::from_le_bytes([i, j, k, 0])), u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

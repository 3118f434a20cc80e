//! Turns a query into its answer, in place.
//!
//! In: the frame, what was asked, what was found, and a [`Plan`], which holds all that could still have said no.
//! The client's ID, question bytes (their case included), RD and CD survive; everything else is written anew. Sums come
//! from parts and never from the packet, since packets of local sockets carry partial ones.
//! A COOKIE is the last thing in an answer.
//! Rules: RFC 1035 §4.1.1, RFC 6840 §5.7 and §5.8 (AD), RFC 6891 §7 (OPT in the answer), RFC 768.

use bytemuck::{Pod, Zeroable};

use super::Frame;
use super::admit::{Query, rest_of_frame};
use super::cookies::JudgedCookies;
use super::family::Family;
use super::lookup::{Found, part};
use super::tags::Tags;
use crate::abi::{BODY_AT, FAST_TTL_S_MAX, Outcome, SLOT_WORDS_MAX, Settings, TTL_FIELDS_MAX};
use crate::wire::bytes::{Be16, low_len, low_u16, low_u32};
use crate::wire::checksum::{self, at_parity};
use crate::wire::cookie::COOKIE_OPTION_LEN;
use crate::wire::dns::{DNS_HEADER_LEN, DnsHeader, HIGH_QR, HIGH_RD, LOW_AD, LOW_RA, QUESTION_END_LEN};
use crate::wire::ip::PROTOCOL_UDP;
use crate::wire::link::{STATIONS_WORDS, turn_stations};
use crate::wire::udp::{UDP_LEN, Udp};

/// An answer that can be given.
#[derive(Default)]
pub(super) struct Plan {
    /// Length of the message, in bytes.
    dns_len: usize,
    /// Remaining TTL in seconds, network order as it lies. Not 0.
    ttl_raw: u32,
    /// Second of CLOCK_BOOTTIME, low 32 bits.
    now_s: u32,
}

/// Decides whether the found answer can be given at `now_ns` of CLOCK_BOOTTIME: it must have a second left and fit what the
/// client takes.
#[inline(always)]
pub(super) fn plan(settings: &Settings, now_ns: u64, query: &Query, found: &Found<'_>) -> Result<Plan, Outcome> {
    let left_ns = found.expires_at_boot_ns().saturating_sub(now_ns).min(FAST_TTL_NS_MAX);
    let ttl_s = low_u32(whole_seconds(left_ns));
    if ttl_s == 0 {
        return Err(Outcome::PassExpired);
    }
    let dns_len =
        before_body(found).wrapping_add(found.body_len(query.has_opt)).wrapping_add(query.cookie.answer_len());
    if dns_len > query.payload_len_max {
        return Err(Outcome::PassTooLarge);
    }
    // The cap is on what is shown only: how long the answer lives was decided when it was published.
    let ttl_shown_s = ttl_s.min(settings.ttl_shown_s_max);
    Ok(Plan { dns_len, ttl_raw: ttl_shown_s.to_be(), now_s: low_u32(whole_seconds(now_ns)) })
}

/// Seconds since 1970, low 32 bits.
#[inline(always)]
pub(super) fn wall_s(settings: &Settings, now_boot_ns: u64) -> u32 {
    let since_whole_ns = now_boot_ns.wrapping_add(settings.wall_offset_ns.into());
    low_u32(whole_seconds(since_whole_ns)).wrapping_add(settings.wall_offset_s)
}

/// Length of header and question, in bytes.
#[inline(always)]
fn before_body(found: &Found<'_>) -> usize {
    (DNS_HEADER_LEN + QUESTION_END_LEN).wrapping_add(found.name_len())
}

/// Writes the answer.
#[inline(always)]
pub(super) fn reply<I: Family, F: Frame>(
    frame: &mut F,
    query: &Query,
    found: &Found<'_>,
    plan: &Plan,
    cookies: &JudgedCookies,
    tags: Tags,
) -> Result<Outcome, Outcome> {
    let (len, front) = (I::DNS_AT.wrapping_add(plan.dns_len), I::DNS_AT.wrapping_add(before_body(found)));
    if !resize::<I, F>(frame, len, front, tags) {
        return Err(Outcome::PassNoRoom);
    }
    // From here on the frame has its new length and all that is written lies inside: none of these can fail.
    let body_at = I::DNS_AT.wrapping_add(before_body(found));
    if !write_body(frame, body_at, query, found) || !write_ttls(frame, body_at, found, plan) {
        return Err(Outcome::PassNoRoom);
    }
    let cookies_sum = if cookies.is_none(frame, query) {
        0
    } else {
        let end = before_body(found).wrapping_add(found.body_len(true));
        write_cookies::<I, F>(frame, end, &cookies.option()).ok_or(Outcome::PassNoRoom)?
    };
    write_headers::<I, F>(frame, query, &headers(query, found, plan, cookies_sum)).ok_or(Outcome::PassNoRoom)?;
    found.mark_used(plan.now_s);
    Ok(if found.is_secure() { Outcome::AnsweredSecure } else { Outcome::AnsweredInsecure })
}

/// Gives the frame its new length. False, with the frame as it was, when the driver has no room.
///
/// Where the tail has none, as with packets of local sockets on veth, the head grows and the front, up to `body_at`,
/// moves there.
#[inline(always)]
fn resize<I: Family, F: Frame>(frame: &mut F, len: usize, body_at: usize, tags: Tags) -> bool {
    let grow = i32::from(low_len(len)).wrapping_sub(i32::from(low_len(frame.len())));
    if grow == 0 || frame.resize_tail(grow) {
        return true;
    }
    // With room before it for the tags, which have to fit when it is too late to say no.
    if grow <= 0 || !frame.grow_head(grow.wrapping_add(tags.room())) || !frame.shrink_head(tags.room()) {
        return false;
    }
    move_front::<I, F>(frame, body_at, grow.unsigned_abs())
}

/// Moves the first `front` bytes of the frame `by` bytes ahead, whole words at a time and in rising order: a word is read
/// before the moved ones reach it. Up to seven bytes behind the front change; the body is written over them.
#[inline(always)]
fn move_front<I: Family, F: Frame>(frame: &mut F, front: usize, by: u32) -> bool {
    let Ok(by) = usize::try_from(by) else { return false };
    for turn in 0..=I::FRONT_WORDS_MAX {
        let to = turn.wrapping_mul(8);
        if to >= front {
            return true;
        }
        let Some(word) = far_word_or_rest(frame, to.wrapping_add(by)) else { return false };
        let Some(place) = frame.view_mut::<[u8; 8]>(to) else { return false };
        *place = word.to_le_bytes();
    }
    false
}

/// The word at `at`; where fewer than eight bytes are left, those, padded with zero.
#[inline(always)]
fn far_word_or_rest<F: Frame>(frame: &F, at: usize) -> Option<u64> {
    match frame.view_far::<[u8; 8]>(at) {
        Some(word) => Some(u64::from_le_bytes(*word)),
        None => rest_of_frame(frame, at),
    }
}

/// Writes the body, in words; the last one overlaps the one before, so that nothing behind the body changes.
#[inline(always)]
fn write_body<F: Frame>(frame: &mut F, at: usize, query: &Query, found: &Found<'_>) -> bool {
    let slot = found.slot();
    let word_of_body = |word: usize| Some(slot.get(word.wrapping_add(BODY_AT / 8))?.load());
    if !frame.write_words(at, found.body_len(query.has_opt) >> 3, word_of_body) {
        return false;
    }
    let len = found.body_len(query.has_opt);
    let rest = len & 7;
    if rest == 0 {
        return true;
    }
    let Some([before, last]) = part(frame, slot, (len >> 3).wrapping_add(BODY_AT / 8 - 1)) else { return false };
    let word = before.load() >> (rest << 3) | last.load() << (64usize.wrapping_sub(rest << 3));
    match frame.view_far_mut::<[u8; 8]>(at.wrapping_add(len).wrapping_sub(8)) {
        Some(place) => *place = word.to_le_bytes(),
        None => return false,
    }
    true
}

/// Writes the remaining TTL into every TTL field of the body.
#[inline(always)]
fn write_ttls<F: Frame>(frame: &mut F, body_at: usize, found: &Found<'_>, plan: &Plan) -> bool {
    let kind = found.kind();
    let count = usize::from(kind.ttl_even_count).wrapping_add(usize::from(kind.ttl_odd_count));
    let Some(offset_words) = found.ttl_offsets(frame) else { return false };
    let mut offsets = 0u64;
    for turn in 0..TTL_FIELDS_MAX {
        if turn >= count {
            return true;
        }
        if turn & 3 == 0 {
            let Some(next) = offset_words.get(turn >> 2) else { return false };
            offsets = next.load();
        }
        let at = body_at.wrapping_add(usize::from(low_u16(offsets)));
        offsets >>= 16;
        let Some(field) = frame.view_far_mut::<[u8; 4]>(at) else { return false };
        *field = plan.ttl_raw.to_le_bytes();
    }
    true
}

/// Writes the cookies behind the OPT, which ends at `end` of the message, and into its length. Out: the sum of both, for the
/// UDP checksum; the length was zero in the sum of the body.
#[inline(always)]
fn write_cookies<I: Family, F: Frame>(frame: &mut F, end: usize, option: &[u8; COOKIE_OPTION_LEN]) -> Option<u64> {
    let at = I::DNS_AT.wrapping_add(end).wrapping_sub(size_of::<Be16>());
    let place = frame.view_far_mut::<CookiesOfOpt>(at)?;
    *place = CookiesOfOpt { options_len: Be16::new(low_len(COOKIE_OPTION_LEN)), option: *option };
    let words: [[u8; 4]; COOKIE_OPTION_LEN / 4] = bytemuck::must_cast(*option);
    let sum = words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from(u32::from_le_bytes(*word))));
    let sum = sum.wrapping_add(u64::from(Be16::new(low_len(COOKIE_OPTION_LEN)).raw()));
    Some(at_parity(sum, u64::from(low_len(end) & 1)))
}

/// The end of an OPT with cookies.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct CookiesOfOpt {
    /// Length of the options, in bytes.
    options_len: Be16,
    /// The only one.
    option: [u8; COOKIE_OPTION_LEN],
}

/// What the headers say.
pub(super) struct Headers {
    /// That of DNS.
    pub header: DnsHeader,
    /// Length of the message, in bytes.
    pub dns_len: usize,
    /// Sum of what stands behind the question, where it stands.
    pub body_sum: u64,
}

/// The headers of an answer. `cookies_sum` is that of what stands behind the body.
#[inline(always)]
fn headers(query: &Query, found: &Found<'_>, plan: &Plan, cookies_sum: u64) -> Headers {
    let kind = found.kind();
    let low_ad = if found.is_secure() && query.wants_ad { LOW_AD } else { 0 };
    let header = DnsHeader {
        id: query.id,
        high: HIGH_QR | HIGH_RD,
        low: LOW_RA | low_ad | query.checking_disabled | kind.rcode,
        counts: [
            Be16::new(1),
            Be16::new(u16::from(kind.answer_count)),
            Be16::new(u16::from(kind.authority_count)),
            Be16::new(u16::from(query.has_opt)),
        ],
    };
    let body_sum =
        at_parity(body_sum(found, query.has_opt, plan.ttl_raw), query.behind_is_odd).wrapping_add(cookies_sum);
    Headers { header, dns_len: plan.dns_len, body_sum }
}

/// Writes every header, from DNS up to Ethernet.
#[inline(always)]
pub(super) fn write_headers<I: Family, F: Frame>(frame: &mut F, query: &Query, headers: &Headers) -> Option<()> {
    *frame.view_mut::<DnsHeader>(I::DNS_AT)? = headers.header;

    let udp_len = headers.dns_len.wrapping_add(UDP_LEN);
    let addresses_sum = I::turn_back(frame, udp_len)?;
    let udp = frame.view_mut::<Udp>(I::UDP_AT)?;
    let len = Be16::new(low_len(udp_len));
    let (client_port, server_port) = (udp.source, udp.destination);
    let sum = [
        addresses_sum,
        // Pseudo-header and header both hold the length.
        u64::from(Be16::new(u16::from(PROTOCOL_UDP)).raw()),
        u64::from(len.raw()) << 1,
        u64::from(client_port.raw()),
        u64::from(server_port.raw()),
        headers.header.sum(),
        query.question_sum,
        headers.body_sum,
    ]
    .into_iter()
    .fold(0u64, u64::wrapping_add);
    *udp = Udp { source: server_port, destination: client_port, len, checksum: Be16::from_raw(checksum::udp(sum)) };

    let stations = frame.view_mut::<[[u8; 4]; STATIONS_WORDS]>(0)?;
    *stations = turn_stations(*stations);
    Some(())
}

/// Sum of the body with its TTLs, as from an even offset.
#[inline(always)]
fn body_sum(found: &Found<'_>, with_opt: bool, ttl_raw: u32) -> u64 {
    let kind = found.kind();
    let ttl = u64::from(ttl_raw);
    let at_even = ttl.wrapping_mul(u64::from(kind.ttl_even_count));
    let at_odd = at_parity(ttl.wrapping_mul(u64::from(kind.ttl_odd_count)), 1);
    found.body_sum(with_opt).wrapping_add(at_even).wrapping_add(at_odd)
}

/// Whole seconds in `ns`, for anything below 40 years.
/// Two multiplications, since a division costs more than all the rest of the plan.
#[inline(always)]
fn whole_seconds(ns: u64) -> u64 {
    // 36_028_797 = 2^55 / 10^9, rounded down, so the estimate is never too high, and too low by one at most.
    let estimate = (ns >> 24).wrapping_mul(36_028_797) >> 31;
    let rest = ns.wrapping_sub(estimate.wrapping_mul(NS_PER_S));
    if rest >= NS_PER_S { estimate.wrapping_add(1) } else { estimate }
}

/// Nanoseconds in a second.
const NS_PER_S: u64 = 1_000_000_000;
/// [`FAST_TTL_S_MAX`] in nanoseconds.
const FAST_TTL_NS_MAX: u64 = 86_400_000_000_000;

const _: () = assert!(FAST_TTL_S_MAX == 86_400);
const _: () = assert!(SLOT_WORDS_MAX < 256);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_and_exact() {
        let year_s = 31_557_600u64;
        for second in [0, 1, 2, 59, 60, 299, 300, 3_599, 86_399, 86_400, year_s, 10 * year_s, 39 * year_s] {
            for ns in [0, 1, 16_777_215, 16_777_216, 500_000_000, 999_999_999] {
                assert_eq!(whole_seconds(second * NS_PER_S + ns), second, "{second} s and {ns} ns");
            }
        }
    }
}

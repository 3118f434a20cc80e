//! What differs between IPv4 and IPv6: where things stand, whom we answer, and the header of the answer.

use super::{Frame, Store};
use crate::abi::{
    CLIENTS_ALL, ClientRule, ClientV4, ClientV6, CookieSecrets, ListenV4, ListenV6, Outcome, Settings, client_v4,
    client_v6,
};
use crate::wire::bytes::{Be16, low_u32};
use crate::wire::checksum::add_word;
use crate::wire::cookie::{self, Cookies, SentCookies, address_v4, address_v6};
use crate::wire::dns::{DNS_HEADER_LEN, QUESTION_END_LEN};
use crate::wire::ip::{IPV4_LEN, IPV6_FRAGMENT, IPV6_LEN, Ipv4, Ipv6, PROTOCOL_UDP};
use crate::wire::link::ETHERNET_LEN;
use crate::wire::name::NAME_WORDS_MAX;
use crate::wire::udp::{UDP_LEN, Udp};

/// One IP version, behind an Ethernet header without tags.
pub(super) trait Family {
    /// Offset of the UDP header in the frame, in bytes.
    const UDP_AT: usize;
    /// Offset of the DNS header in the frame, in bytes.
    const DNS_AT: usize = Self::UDP_AT + UDP_LEN;
    /// Offset of the question's name in the frame, in bytes.
    const NAME_AT: usize = Self::DNS_AT + DNS_HEADER_LEN;

    /// Words of the longest front: all headers, the longest name, the end of the question.
    const FRONT_WORDS_MAX: usize = (Self::NAME_AT + NAME_WORDS_MAX * 8 + QUESTION_END_LEN).div_ceil(8);

    /// Whether this is IPv4.
    const IS_V4: bool;

    /// Checks everything in front of the DNS header.
    fn admit<F: Frame, S: Store>(frame: &F, store: &S, settings: &Settings) -> Result<Admitted, Outcome>;

    /// The client, as the limiter knows it.
    fn client<F: Frame>(frame: &F) -> Option<u64>;

    /// Judges cookies that the frame's sender sent. `None` when the frame has no such header.
    fn judge_cookies<F: Frame>(frame: &F, secrets: &CookieSecrets, sent: SentCookies, now_s: u32) -> Option<Cookies>;

    /// Turns the IP header back to its sender, for a UDP packet of `udp_len` bytes.
    /// Out: the sum of both addresses for the UDP checksum. `None`, with nothing changed, when the frame has no such header.
    fn turn_back<F: Frame>(frame: &mut F, udp_len: usize) -> Option<u64>;
}

/// What is known before the DNS header is looked at.
pub(super) struct Admitted {
    /// Length of the DNS message, in bytes.
    pub dns_len: usize,
    /// Not 0 if rate limits hold for the client.
    pub limits: u32,
}

/// IPv4.
pub(super) struct V4;
/// IPv6.
pub(super) struct V6;

impl Family for V4 {
    const IS_V4: bool = true;
    const UDP_AT: usize = IP_AT + IPV4_LEN;

    #[inline(always)]
    fn admit<F: Frame, S: Store>(frame: &F, store: &S, settings: &Settings) -> Result<Admitted, Outcome> {
        let ip = frame.view::<Ipv4>(IP_AT).ok_or(Outcome::PassTruncated)?;
        if ip.version_ihl != 0x45 {
            return Err(Outcome::PassIpHeader);
        }
        if ip.is_fragment() {
            return Err(Outcome::PassFragment);
        }
        if ip.protocol != PROTOCOL_UDP {
            return Err(Outcome::PassNotUdp);
        }
        let udp = frame.view::<Udp>(Self::UDP_AT).ok_or(Outcome::PassTruncated)?;
        let endpoint = ListenV4 { address: ip.destination, port: udp.destination.0, padding: [0; 2] };
        let [first_of_ours, ..] = ip.destination;
        if !is_ours_v4(settings, endpoint) || first_of_ours == LOOPBACK_NET && !is_on_loopback(frame) {
            return Err(Outcome::PassNotOurs);
        }
        if usize::from(ip.total_len.get()) != usize::from(udp.len.get()).wrapping_add(IPV4_LEN) || !ip.checksum_holds()
        {
            return Err(Outcome::PassIpHeader);
        }
        // "This network" and everything from multicast up (RFC 6890 §2.2.2) are no sources, and loopback is one at home only.
        let [first, ..] = ip.source;
        if first == 0 || first == LOOPBACK_NET && !is_on_loopback(frame) || first >= 224 {
            return Err(Outcome::PassSource);
        }
        let generation = settings.clients;
        let mut limits = settings.limits;
        if generation != CLIENTS_ALL {
            let rule = store.client_v4(ClientV4 { generation, address: ip.source });
            limits &= answered(rule).ok_or(Outcome::PassClient)?;
        }
        Ok(Admitted { dns_len: dns_len::<F>(frame, Self::DNS_AT, udp)?, limits })
    }

    #[inline(always)]
    fn client<F: Frame>(frame: &F) -> Option<u64> {
        Some(client_v4(frame.view::<Ipv4>(IP_AT)?.source))
    }

    #[inline(always)]
    fn judge_cookies<F: Frame>(frame: &F, secrets: &CookieSecrets, sent: SentCookies, now_s: u32) -> Option<Cookies> {
        let ip = frame.view::<Ipv4>(IP_AT)?;
        Some(cookie::judge(secrets, sent, &address_v4(ip.source), now_s))
    }

    #[inline(always)]
    fn turn_back<F: Frame>(frame: &mut F, udp_len: usize) -> Option<u64> {
        let ip = frame.view_mut::<Ipv4>(IP_AT)?;
        let (client, server) = (ip.source, ip.destination);
        *ip = Ipv4::udp_packet(server, client, udp_len);
        Some(u64::from(u32::from_le_bytes(client)).wrapping_add(u64::from(u32::from_le_bytes(server))))
    }
}

impl Family for V6 {
    const IS_V4: bool = false;
    const UDP_AT: usize = IP_AT + IPV6_LEN;

    #[inline(always)]
    fn admit<F: Frame, S: Store>(frame: &F, store: &S, settings: &Settings) -> Result<Admitted, Outcome> {
        let ip = frame.view::<Ipv6>(IP_AT).ok_or(Outcome::PassTruncated)?;
        if !ip.is_version_6() || ip.has_extension() {
            return Err(Outcome::PassIpHeader);
        }
        if ip.next_header == IPV6_FRAGMENT {
            return Err(Outcome::PassFragment);
        }
        if ip.next_header != PROTOCOL_UDP {
            return Err(Outcome::PassNotUdp);
        }
        let udp = frame.view::<Udp>(Self::UDP_AT).ok_or(Outcome::PassTruncated)?;
        let ours = words_v6(ip.destination);
        if !is_ours_v6(settings, ours, udp.destination) || ours == LOOPBACK_V6 && !is_on_loopback(frame) {
            return Err(Outcome::PassNotOurs);
        }
        // Without a checksum it is no UDP over IPv6 (RFC 8200 §8.1).
        if ip.payload_len != udp.len || udp.checksum.raw() == 0 {
            return Err(Outcome::PassIpHeader);
        }
        let [high, low] = words_v6(ip.source);
        let is_no_source = high == 0 && (low == 0 || [high, low] == LOOPBACK_V6 && !is_on_loopback(frame));
        if high & 0xff == 0xff || is_no_source {
            return Err(Outcome::PassSource);
        }
        let generation = settings.clients;
        let mut limits = settings.limits;
        if generation != CLIENTS_ALL {
            let rule = store.client_v6(ClientV6 { generation, address: ip.source });
            limits &= answered(rule).ok_or(Outcome::PassClient)?;
        }
        Ok(Admitted { dns_len: dns_len::<F>(frame, Self::DNS_AT, udp)?, limits })
    }

    #[inline(always)]
    fn client<F: Frame>(frame: &F) -> Option<u64> {
        Some(client_v6(frame.view::<Ipv6>(IP_AT)?.source))
    }

    #[inline(always)]
    fn judge_cookies<F: Frame>(frame: &F, secrets: &CookieSecrets, sent: SentCookies, now_s: u32) -> Option<Cookies> {
        let ip = frame.view::<Ipv6>(IP_AT)?;
        Some(cookie::judge(secrets, sent, &address_v6(ip.source), now_s))
    }

    #[inline(always)]
    fn turn_back<F: Frame>(frame: &mut F, udp_len: usize) -> Option<u64> {
        let ip = frame.view_mut::<Ipv6>(IP_AT)?;
        let (client, server) = (ip.source, ip.destination);
        *ip = Ipv6::udp_packet(server, client, udp_len);
        let ([a, b], [c, d]) = (words_v6(client), words_v6(server));
        Some(add_word(add_word(add_word(add_word(0, a), b), c), d))
    }
}

/// Length of the DNS message that the UDP header announces, if the frame holds it all and the client can be answered.
#[inline(always)]
fn dns_len<F: Frame>(frame: &F, dns_at: usize, udp: &Udp) -> Result<usize, Outcome> {
    // No one hears an answer to port 0 (RFC 768: "no port").
    if udp.source.raw() == 0 {
        return Err(Outcome::PassSource);
    }
    let len = usize::from(udp.len.get()).checked_sub(UDP_LEN).ok_or(Outcome::PassIpHeader)?;
    if len > frame.len().saturating_sub(dns_at) {
        return Err(Outcome::PassTruncated);
    }
    Ok(len)
}

/// Whether the frame came by the loopback interface, which alone carries loopback addresses (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
#[inline(always)]
fn is_on_loopback<F: Frame>(frame: &F) -> bool {
    frame.ingress() == LOOPBACK_IFINDEX
}

/// What a rule that lets XDP answer says of limits; without a rule it may not.
#[inline(always)]
fn answered(rule: Option<ClientRule>) -> Option<u32> {
    rule.filter(|rule| rule.allowed == 1).map(|rule| rule.limited.into())
}

/// Whether we listen on an IPv4 endpoint.
#[inline(always)]
fn is_ours_v4(settings: &Settings, endpoint: ListenV4) -> bool {
    let wanted: u64 = bytemuck::must_cast(endpoint);
    let mut left = settings.listen_v4_count;
    for ours in &settings.listen_v4 {
        if left == 0 {
            return false;
        }
        if bytemuck::must_cast::<ListenV4, u64>(*ours) == wanted {
            return true;
        }
        left = left.wrapping_sub(1);
    }
    false
}

/// Whether we listen on an IPv6 endpoint.
#[inline(always)]
fn is_ours_v6(settings: &Settings, address: [u64; 2], port: Be16) -> bool {
    let [high, low] = address;
    let mut left = settings.listen_v6_count;
    for ours in &settings.listen_v6 {
        if left == 0 {
            return false;
        }
        let [ours_high, ours_low, ours_port] = bytemuck::must_cast::<ListenV6, [u64; 3]>(*ours);
        if ours_low == low && ours_high == high && low_u32(ours_port) == u32::from(port.raw()) {
            return true;
        }
        left = left.wrapping_sub(1);
    }
    false
}

/// The two words of an address, as they lie.
#[inline(always)]
fn words_v6(address: [u8; 16]) -> [u64; 2] {
    let halves: [[u8; 8]; 2] = bytemuck::must_cast(address);
    halves.map(u64::from_le_bytes)
}

/// Offset of the IP header in the frame, in bytes.
const IP_AT: usize = ETHERNET_LEN;
/// First byte of the loopback addresses of IPv4.
const LOOPBACK_NET: u8 = 127;
/// The words of `::1`, as they lie.
const LOOPBACK_V6: [u64; 2] = [0, 1 << 56];
/// Number of the loopback interface, in every network namespace.
const LOOPBACK_IFINDEX: u32 = 1;

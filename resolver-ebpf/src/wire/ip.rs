//! IPv4 (RFC 791) and IPv6 (RFC 8200), without options, extension headers or fragments.

use bytemuck::{Pod, Zeroable};

use super::bytes::{Be16, low_len};
use super::checksum;

/// Protocol, or next header, of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// Time to live and hop limit of our answers. Choice: what Linux sends by default.
pub const HOPS: u8 = 64;

/// IPv4 header without options.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Ipv4 {
    /// Version 4 and the header's length in 4-byte units: 0x45 without options.
    pub version_ihl: u8,
    /// Differentiated services.
    pub tos: u8,
    /// Length of header and payload, in bytes.
    pub total_len: Be16,
    /// Identification.
    pub id: Be16,
    /// Flags (reserved, DF, MF) and offset of the fragment.
    pub fragment: Be16,
    /// Time to live.
    pub ttl: u8,
    /// What follows.
    pub protocol: u8,
    /// Checksum of the header, as it lies.
    pub checksum: Be16,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

/// Length of [`Ipv4`], in bytes.
pub const IPV4_LEN: usize = size_of::<Ipv4>();
/// "Don't fragment", alone.
pub const IPV4_DF: Be16 = Be16::new(0x4000);

impl Ipv4 {
    /// Whether this is a fragment, or sets the reserved flag.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.fragment.get() & !IPV4_DF.get() != 0
    }

    /// Whether the header's checksum holds.
    #[inline(always)]
    pub fn checksum_holds(&self) -> bool {
        self.sum() == 0xffff
    }

    /// The header of a UDP packet of `udp_len` bytes (at most 65515) to `destination`, with its checksum. TOS and id are 0.
    #[inline(always)]
    pub fn udp_packet(source: [u8; 4], destination: [u8; 4], udp_len: usize) -> Self {
        let mut header = Self {
            version_ihl: 0x45,
            tos: 0,
            total_len: Be16::new(low_len(udp_len.wrapping_add(IPV4_LEN))),
            id: Be16::new(0),
            fragment: IPV4_DF,
            ttl: HOPS,
            protocol: PROTOCOL_UDP,
            checksum: Be16::new(0),
            source,
            destination,
        };
        header.checksum = Be16::from_raw(!header.sum());
        header
    }

    /// Folded sum of the header.
    #[inline(always)]
    fn sum(&self) -> u16 {
        let words: [[u8; 4]; IPV4_LEN / 4] = bytemuck::must_cast(*self);
        let [a, b, c, d, e] = words.map(|word| u64::from(u32::from_le_bytes(word)));
        checksum::fold(a.wrapping_add(b).wrapping_add(c).wrapping_add(d).wrapping_add(e))
    }
}

/// IPv6 header.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Ipv6 {
    /// Version 6, traffic class, flow label.
    pub version_class_flow: [u8; 4],
    /// Length of what follows this header, in bytes.
    pub payload_len: Be16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

/// Length of [`Ipv6`], in bytes.
pub const IPV6_LEN: usize = size_of::<Ipv6>();
/// Next header of a fragment.
pub const IPV6_FRAGMENT: u8 = 44;

impl Ipv6 {
    /// Whether the version is 6.
    #[inline(always)]
    pub const fn is_version_6(&self) -> bool {
        let [first, ..] = self.version_class_flow;
        first >> 4 == 6
    }

    /// Whether an extension header follows (IANA "IPv6 Extension Header Types", fragments left out).
    #[inline(always)]
    pub const fn has_extension(&self) -> bool {
        matches!(self.next_header, 0 | 43 | 50 | 51 | 60 | 135 | 139 | 140)
    }

    /// The header of a UDP packet of `udp_len` bytes to `destination`. Traffic class and flow label are 0.
    #[inline(always)]
    pub const fn udp_packet(source: [u8; 16], destination: [u8; 16], udp_len: usize) -> Self {
        Self {
            version_class_flow: [0x60, 0, 0, 0],
            payload_len: Be16::new(low_len(udp_len)),
            next_header: PROTOCOL_UDP,
            hop_limit: HOPS,
            source,
            destination,
        }
    }
}

const _: () = assert!(IPV4_LEN == 20 && align_of::<Ipv4>() == 1);
const _: () = assert!(IPV6_LEN == 40 && align_of::<Ipv6>() == 1);

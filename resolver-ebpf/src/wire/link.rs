//! Ethernet II (IEEE 802.3 §3.2.6).
//! VLAN tags (IEEE 802.1Q §9.6) are known by their types and length; where they lead is the fast path's business.

use bytemuck::{Pod, Zeroable};

use super::bytes::Be16;

/// Type of an IPv4 packet.
pub const ETHER_IPV4: Be16 = Be16::new(0x0800);
/// Type of an IPv6 packet.
pub const ETHER_IPV6: Be16 = Be16::new(0x86dd);
/// Types that announce a VLAN tag: customer, service, and the service tag from before its standard.
pub const ETHER_VLAN: [Be16; 3] = [Be16::new(0x8100), Be16::new(0x88a8), Be16::new(0x9100)];
/// Length of a tag with its type, in bytes. It stands before the type of what follows.
pub const VLAN_TAG_LEN: usize = 4;
/// Where the first tag stands, in bytes.
pub const VLAN_TAGS_AT: usize = 12;
/// The bits of a tag that say which VLAN it is: its type and number, not its priority.
pub const VLAN_TAG_MASK: [u8; VLAN_TAG_LEN] = [0xff, 0xff, 0x0f, 0xff];
/// Length of the header, in bytes.
pub const ETHERNET_LEN: usize = size_of::<Ethernet>();

/// The header of a frame.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Ethernet {
    /// Station the frame goes to.
    pub destination: [u8; 6],
    /// Station the frame comes from.
    pub source: [u8; 6],
    /// What follows.
    pub ether_type: Be16,
}

impl Ethernet {
    /// Whether the frame goes to a group of stations; broadcast is one.
    #[inline(always)]
    pub const fn is_to_group(&self) -> bool {
        let [first, ..] = self.destination;
        first & 1 != 0
    }
}

/// The two stations of a header, in words of four bytes.
pub const STATIONS_WORDS: usize = 3;

/// The stations of a header in each other's place. In words, because BPF copies six bytes one by one.
#[inline(always)]
pub const fn turn_stations([a, b, c]: [[u8; 4]; STATIONS_WORDS]) -> [[u8; 4]; STATIONS_WORDS] {
    let (a, b, c) = (u32::from_le_bytes(a), u32::from_le_bytes(b), u32::from_le_bytes(c));
    [(b >> 16 | c << 16).to_le_bytes(), (c >> 16 | a << 16).to_le_bytes(), (a >> 16 | b << 16).to_le_bytes()]
}

const _: () = assert!(ETHERNET_LEN == 14 && align_of::<Ethernet>() == 1);

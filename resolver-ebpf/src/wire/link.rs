//! Ethernet II (IEEE 802.3 §3.2.6).
//! Refuses to look behind VLAN tags.

use bytemuck::{Pod, Zeroable};

use super::bytes::Be16;

/// Type of an IPv4 packet.
pub const ETHER_IPV4: Be16 = Be16::new(0x0800);
/// Type of an IPv6 packet.
pub const ETHER_IPV6: Be16 = Be16::new(0x86dd);
/// Types that announce a VLAN tag: customer, service, and the service tag from before its standard.
pub const ETHER_VLAN: [Be16; 3] = [Be16::new(0x8100), Be16::new(0x88a8), Be16::new(0x9100)];
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

const _: () = assert!(ETHERNET_LEN == 14 && align_of::<Ethernet>() == 1);

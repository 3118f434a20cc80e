//! Which frames of an interface XDP may answer, by the VLAN tags in them (IEEE 802.1Q §9).
//!
//! An answer leaves with the tags that its query came with. A tag may not have come at all: network cards and veth take it
//! off and keep it beside the frame, where XDP does not see it and `XDP_TX` does not put it back. So untagged frames of an
//! interface on which that may happen are passed, and tagged ones are answered only if they belong to a VLAN of ours.

use bytemuck::{Pod, Zeroable};

/// Links that `LINKS` has room for.
/// Choice: a VLAN for every number on one interface.
pub const LINKS_MAX: usize = 4096;
/// Most VLAN tags of a frame that is answered.
pub const TAGS_MAX: usize = 2;

/// Key of `LINKS`: frames with these tags on this interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Link {
    /// Tags from the outer one on: type of each and its VLAN number, network order; priority bits zero. Zero where there is
    /// no tag.
    pub tags: [[u8; 4]; TAGS_MAX],
    /// Number of the interface that the program is on.
    pub ifindex: u32,
    /// Zero.
    pub padding: u32,
}

/// What is said about a link. Without a word, untagged frames are answered and tagged ones are passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct LinkRule {
    /// 1: queries are answered. 0: they pass.
    pub answers: u32,
}

impl Link {
    /// The link of these tags, as they lie in a frame.
    #[inline(always)]
    pub const fn new(ifindex: u32, tags: [[u8; 4]; TAGS_MAX]) -> Self {
        Self { tags, ifindex, padding: 0 }
    }
}

const _: () = assert!(size_of::<Link>() == 16 && size_of::<LinkRule>() == 4);

//! VLAN tags (IEEE 802.1Q §9): taken off a frame before it is served, and put back whatever came of it.
//!
//! In: a frame. Out: the frame without its tags, and [`Tags`]; then the frame with them. So all that serves knows one place for
//! each header, untagged frames pay nothing for tags, and tagged ones two moves of twelve bytes.
//! Refuses to touch a frame whose tags are not followed by IP, or are more than [`TAGS_MAX`].

use super::Frame;
use crate::abi::{Link, Outcome, TAGS_MAX};
use crate::wire::bytes::{Be16, low_len, low_u32};
use crate::wire::link::{
    ETHER_IPV4, ETHER_IPV6, ETHER_VLAN, STATIONS_WORDS, VLAN_TAG_LEN, VLAN_TAG_MASK, VLAN_TAGS_AT,
};

/// The tags of a frame, as they came.
///
/// VERIFIER: numbers, so that it can be forgotten how they came to be; see [`Frame::forget`].
#[derive(Clone, Copy)]
pub(super) struct Tags {
    /// Their length, in bytes: 0, 4 or 8.
    len: usize,
    /// As they lie, the outer one in the lower half; zero where there is none.
    bits: u64,
}

impl Tags {
    /// No tags.
    pub const NONE: Self = Self { len: 0, bits: 0 };

    /// Whether there are none.
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.len == 0
    }

    /// Room before the frame that they need, in bytes.
    #[inline(always)]
    pub fn room(self) -> i32 {
        low_len(self.len).into()
    }

    /// The same, see [`Frame::forget`].
    #[inline(always)]
    pub fn forgotten<F: Frame>(self, frame: &F, noise: u64) -> Self {
        Self { len: frame.forget_len(self.len, noise), bits: frame.forget(self.bits, noise) }
    }

    /// The link that the frame came by: its interface and its tags, without their priorities.
    #[inline(always)]
    pub fn link<F: Frame>(self, frame: &F) -> Link {
        const MASK: u64 = {
            let [a, b, c, d] = VLAN_TAG_MASK;
            u64::from_le_bytes([a, b, c, d, a, b, c, d])
        };
        Link::new(frame.ingress(), bytemuck::must_cast(self.bits & MASK))
    }
}

/// Takes the tags off a frame that has some.
///
/// # Errors
/// It is none that is answered, and is as it came.
#[inline(always)]
pub(super) fn take_off<F: Frame>(frame: &mut F) -> Result<Tags, Outcome> {
    let (outer, behind) = tag::<0, F>(frame)?;
    let mut tags = Tags { len: VLAN_TAG_LEN, bits: outer };
    if !is_ip(behind) {
        if !ETHER_VLAN.contains(&behind) {
            return Err(Outcome::PassNotIp);
        }
        let (inner, behind) = tag::<1, F>(frame)?;
        if !is_ip(behind) {
            return Err(if ETHER_VLAN.contains(&behind) { Outcome::PassVlan } else { Outcome::PassNotIp });
        }
        tags = Tags { len: 2 * VLAN_TAG_LEN, bits: outer | inner << 32 };
    }
    // VERIFIER: from here on, one way for any number of tags.
    tags = tags.forgotten(frame, u64::from(frame.ingress()));
    let stations = *frame.view::<Stations>(0).ok_or(Outcome::PassTruncated)?;
    if !frame.shrink_head(tags.room()) {
        return Err(Outcome::PassTruncated);
    }
    // The frame has an Ethernet header left, since there were tags between its stations and its type.
    *frame.view_mut::<Stations>(0).ok_or(Outcome::PassTruncated)? = stations;
    Ok(tags)
}

/// Puts the tags back, before the stations that the frame has now. It cannot fail: the room that they came out of is there still,
/// or was made when the frame grew ahead.
#[inline(always)]
pub(super) fn put_back<F: Frame>(frame: &mut F, tags: Tags) -> Option<()> {
    let stations = *frame.view::<Stations>(0)?;
    if !frame.grow_head(tags.room()) {
        return None;
    }
    *frame.view_mut::<Stations>(0)? = stations;
    *frame.view_mut::<[u8; 4]>(VLAN_TAGS_AT)? = low_u32(tags.bits).to_le_bytes();
    if tags.len > VLAN_TAG_LEN {
        *frame.view_mut::<[u8; 4]>(VLAN_TAGS_AT + VLAN_TAG_LEN)? = low_u32(tags.bits >> 32).to_le_bytes();
    }
    Some(())
}

/// A tag, as it lies, and the type behind it.
#[inline(always)]
fn tag<const NUMBER: usize, F: Frame>(frame: &F) -> Result<(u64, Be16), Outcome> {
    let tag = frame.view::<[u8; 6]>(const { VLAN_TAGS_AT + NUMBER * VLAN_TAG_LEN }).ok_or(Outcome::PassTruncated)?;
    let [a, b, c, d, high, low] = *tag;
    Ok((u64::from(u32::from_le_bytes([a, b, c, d])), Be16([high, low])))
}

/// Whether an IP header follows.
#[inline(always)]
fn is_ip(ether_type: Be16) -> bool {
    ether_type == ETHER_IPV4 || ether_type == ETHER_IPV6
}

/// Destination and source.
type Stations = [[u8; 4]; STATIONS_WORDS];

const _: () = assert!(TAGS_MAX == 2 && STATIONS_WORDS * 4 == VLAN_TAGS_AT);

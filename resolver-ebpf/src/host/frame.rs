//! A frame in plain memory, with room before and behind as a driver would leave it; and frames made of messages.

use core::net::{IpAddr, SocketAddr};
use std::vec::Vec;

use bytemuck::{Pod, bytes_of};

use crate::serve::{FAR_MAX, Frame};
use crate::wire::bytes::Be16;
use crate::wire::ip::{Ipv4, Ipv6};
use crate::wire::link::{ETHER_IPV4, ETHER_IPV6, Ethernet};
use crate::wire::udp::{UDP_LEN, Udp};

/// Bytes of memory that a frame has; the kernel gives a page.
const MEMORY_LEN: usize = 4096;

/// A frame that does not fit a [`PlainFrame`] with the room asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameTooLong;

/// A frame in plain memory.
#[derive(Clone, Debug)]
pub struct PlainFrame {
    memory: [u8; MEMORY_LEN],
    /// Where the frame starts, in bytes.
    start: usize,
    /// Where it ends.
    end: usize,
    /// Where the room behind it ends.
    limit: usize,
    /// Interface that it came in by.
    ingress: u32,
}

impl PlainFrame {
    /// A frame of `bytes` with so many bytes of room before and behind, on the loopback interface, as the kernel's test-run has
    /// it.
    ///
    /// # Errors
    /// When they do not fit one page.
    pub fn new(bytes: &[u8], head_room: usize, tail_room: usize) -> Result<Self, FrameTooLong> {
        let end = head_room + bytes.len();
        let mut frame = Self { memory: [0; MEMORY_LEN], start: head_room, end, limit: end + tail_room, ingress: 1 };
        if frame.limit > MEMORY_LEN {
            return Err(FrameTooLong);
        }
        frame.memory.get_mut(head_room..end).ok_or(FrameTooLong)?.copy_from_slice(bytes);
        Ok(frame)
    }

    /// The same, on another interface.
    pub fn on(self, ingress: u32) -> Self {
        Self { ingress, ..self }
    }

    /// The frame.
    pub fn bytes(&self) -> &[u8] {
        self.memory.get(self.start..self.end).unwrap_or_default()
    }

    /// The `len` bytes at `at` of the frame.
    fn part(&self, at: usize, len: usize) -> Option<&[u8]> {
        self.bytes().get(at..at.checked_add(len)?)
    }

    /// The same, to change.
    fn part_mut(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        self.memory.get_mut(self.start..self.end)?.get_mut(at..at.checked_add(len)?)
    }
}

/// The frame in which a client's UDP packet with this DNS message would come. None if the two are not of one family, or
/// the message is longer than any packet.
pub fn udp_frame(client: SocketAddr, server: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
    let udp_len = UDP_LEN.checked_add(message.len()).filter(|len| *len <= UDP_PACKET_LEN_MAX)?;
    let (ether_type, ip) = match (client.ip(), server.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (ETHER_IPV4, bytes_of(&Ipv4::udp_packet(from.octets(), to.octets(), udp_len)).to_vec())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            (ETHER_IPV6, bytes_of(&Ipv6::udp_packet(from.octets(), to.octets(), udp_len)).to_vec())
        }
        _ => return None,
    };
    let link = Ethernet { destination: [2, 0, 0, 0, 0, 2], source: [2, 0, 0, 0, 0, 1], ether_type };
    // The checksum is not looked at; over IPv6 there has to be one.
    let udp = Udp {
        source: Be16::new(client.port()),
        destination: Be16::new(server.port()),
        len: Be16::new(u16::try_from(udp_len).ok()?),
        checksum: Be16::new(0xffff),
    };
    Some([bytes_of(&link), &ip, bytes_of(&udp), message].concat())
}

/// Longest UDP packet that a frame of ours carries, in bytes.
const UDP_PACKET_LEN_MAX: usize = 1500 - 20;

impl Frame for PlainFrame {
    fn len(&self) -> usize {
        self.end - self.start
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }

    fn view<T: Pod>(&self, at: usize) -> Option<&T> {
        const { assert!(align_of::<T>() == 1) };
        bytemuck::try_from_bytes(self.part(at, size_of::<T>())?).ok()
    }

    fn view_mut<T: Pod>(&mut self, at: usize) -> Option<&mut T> {
        const { assert!(align_of::<T>() == 1) };
        bytemuck::try_from_bytes_mut(self.part_mut(at, size_of::<T>())?).ok()
    }

    fn view_far<T: Pod>(&self, at: usize) -> Option<&T> {
        if at > FAR_MAX { None } else { self.view(at) }
    }

    fn view_far_mut<T: Pod>(&mut self, at: usize) -> Option<&mut T> {
        if at > FAR_MAX { None } else { self.view_mut(at) }
    }

    fn forget(&self, value: u64, _noise: u64) -> u64 {
        value
    }

    fn hide(&self, value: usize) -> usize {
        value
    }

    fn forget_len(&self, len: usize, _noise: u64) -> usize {
        len
    }

    fn write_words(&mut self, at: usize, count: usize, word: impl Fn(usize) -> Option<u64>) -> bool {
        for turn in 0..count {
            let Some(place) = self.view_far_mut::<[u8; 8]>(at.wrapping_add(turn * 8)) else { return false };
            let Some(word) = word(turn) else { return false };
            *place = word.to_le_bytes();
        }
        true
    }

    fn resize_tail(&mut self, by: i32) -> bool {
        let Some(end) = self.end.checked_add_signed(by as isize) else { return false };
        // The kernel keeps at least an Ethernet header.
        if end > self.limit || end < self.start + 14 {
            return false;
        }
        if let Some(added) = self.memory.get_mut(self.end..end) {
            added.fill(0);
        }
        self.end = end;
        true
    }

    fn grow_head(&mut self, by: i32) -> bool {
        let Ok(by) = usize::try_from(by) else { return false };
        let Some(start) = self.start.checked_sub(by) else { return false };
        self.start = start;
        true
    }

    fn shrink_head(&mut self, by: i32) -> bool {
        let Some(start) = self.start.checked_add_signed(by as isize) else { return false };
        if start < self.start || self.end < start + 14 {
            return false;
        }
        self.start = start;
        true
    }
}

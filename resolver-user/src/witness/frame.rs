//! Reads frames that the kernel half answered, from Ethernet to the DNS message.
//! Only its own frames come here, but they hold what clients wrote: nothing is trusted.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::wire::RecordType;

/// A UDP packet in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpFrame<'f> {
    /// Who sent it.
    pub source: SocketAddr,
    /// Whom it goes to.
    pub destination: SocketAddr,
    /// The DNS message.
    pub message: &'f [u8],
}

/// Most VLAN tags of a frame.
const TAGS_MAX: usize = 2;

impl<'f> UdpFrame<'f> {
    /// Reads a frame; none if it is no UDP packet over IP without options, with at most two VLAN tags.
    pub fn read(frame: &'f [u8]) -> Option<Self> {
        let mut rest = frame.get(12..)?;
        for _ in 0..=TAGS_MAX {
            let (&[high, low], behind) = rest.split_first_chunk::<2>()?;
            match u16::from_be_bytes([high, low]) {
                0x0800 => return Self::read_v4(behind),
                0x86dd => return Self::read_v6(behind),
                0x8100 | 0x88a8 | 0x9100 => rest = behind.get(2..)?,
                _ => return None,
            }
        }
        None
    }

    fn read_v4(packet: &'f [u8]) -> Option<Self> {
        let (header, udp) = packet.split_first_chunk::<20>()?;
        let [0x45, _, _, _, _, _, _, _, _, 17, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header else { return None };
        let (source, destination) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
        let (ports, message) = read_udp(udp)?;
        Some(Self { source: (source, ports.0).into(), destination: (destination, ports.1).into(), message })
    }

    fn read_v6(packet: &'f [u8]) -> Option<Self> {
        let (header, udp) = packet.split_first_chunk::<40>()?;
        let [_, _, _, _, _, _, 17, _, addresses @ ..] = *header else { return None };
        let (source, destination) = (addresses.first_chunk::<16>()?, addresses.last_chunk::<16>()?);
        let (ports, message) = read_udp(udp)?;
        let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
        Some(Self { source: (source, ports.0).into(), destination: (destination, ports.1).into(), message })
    }
}

/// The ports of a UDP packet, and what it carries.
fn read_udp(packet: &[u8]) -> Option<((u16, u16), &[u8])> {
    let (&[s0, s1, d0, d1, l0, l1, _, _], behind) = packet.split_first_chunk::<8>()?;
    let len = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(8)?;
    Some(((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])), behind.get(..len)?))
}

/// Name and type of a message's one question; the name in wire form, letter case as it stands.
pub fn question(message: &[u8]) -> Option<(&[u8], RecordType)> {
    let [_, _, _, _, 0, 1, ..] = *message else { return None };
    let body = message.get(12..)?;
    let mut end = 0usize;
    // Bound: a name has at most 255 bytes.
    while end < 255 {
        match usize::from(*body.get(end)?) {
            0 => {
                let (name, rest) = body.split_at_checked(end.checked_add(1)?)?;
                let &[high, low] = rest.first_chunk::<2>()?;
                return Some((name, RecordType(u16::from_be_bytes([high, low]))));
            }
            length @ 1..=63 => end = end.checked_add(length)?.checked_add(1)?,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "made-up frames")]
mod tests {
    use resolver_ebpf::host::message::{CLIENT_V4, CLIENT_V6, ClientQuery, SERVER_V4, SERVER_V6};

    use super::*;

    #[test]
    fn frames_of_both_families_with_and_without_tags_are_read() {
        let plain = ClientQuery::new(b"\x03wWw\x04test\0", 28);
        for over_v6 in [false, true] {
            let query = ClientQuery { over_v6, padding: vec![0; 7], ..plain.clone() };
            for tags in 0..=2 {
                let mut frame = query.frame();
                for _ in 0..tags {
                    frame.splice(12..12, [0x81, 0, 0, 7]);
                }
                let read = UdpFrame::read(&frame).unwrap();
                assert_eq!(read.message, query.message());
                assert_eq!(question(read.message).unwrap(), (&b"\x03wWw\x04test\0"[..], RecordType::AAAA));
                let (source, destination): (SocketAddr, SocketAddr) = match over_v6 {
                    false => ((CLIENT_V4, 40_000).into(), (SERVER_V4, 53).into()),
                    true => ((CLIENT_V6, 40_000).into(), (SERVER_V6, 53).into()),
                };
                assert_eq!((read.source, read.destination), (source, destination));
            }
        }
    }

    #[test]
    fn what_is_cut_or_something_else_is_not_read() {
        let frame = ClientQuery::new(b"\x03www\0", 1).frame();
        assert!((0..frame.len()).all(|len| UdpFrame::read(&frame[..len]).is_none()));
        let mut tcp = frame.clone();
        tcp[23] = 6;
        assert!(UdpFrame::read(&tcp).is_none());
        let message = UdpFrame::read(&frame).unwrap().message;
        assert!((0..message.len() - 2).all(|len| question(&message[..len]).is_none()));
    }
}

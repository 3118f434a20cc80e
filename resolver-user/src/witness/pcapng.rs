//! Writes a capture file: pcapng (draft-ietf-opsawg-pcapng), with nanoseconds, directions and the number of lost packets.
//!
//! Choice: by hand, since three kinds of block are needed and a crate would bring them all.

/// Which way a frame went, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To us.
    Inbound,
    /// From us.
    Outbound,
}

/// Kinds of block (§4).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
/// LINKTYPE_ETHERNET.
const LINK_ETHERNET: u16 = 1;
/// Options: end of them all (§3.5); of an interface its name and resolution (§4.2); of a packet its flags (§4.3); of
/// statistics the packets given and lost (§4.6).
const END: u16 = 0;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;

/// How a file begins: one section with one interface of this name, whose times are in nanoseconds.
pub fn begin(interface: &str, snap_len: u32) -> Vec<u8> {
    let mut header = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    // Version 1.0; the section's length is not known.
    header.extend([1, 0, 0, 0]);
    header.extend(u64::MAX.to_le_bytes());
    let mut description = LINK_ETHERNET.to_le_bytes().to_vec();
    description.extend([0, 0]);
    description.extend(snap_len.to_le_bytes());
    option(&mut description, IF_NAME, interface.as_bytes());
    option(&mut description, IF_TSRESOL, &[9]);
    option(&mut description, END, &[]);
    [block(SECTION_HEADER, &header), block(INTERFACE, &description)].concat()
}

/// A packet: its time in nanoseconds since 1970, the bytes that were kept, and how many there were.
pub fn packet(unix_ns: u64, direction: Direction, kept: &[u8], len: u32) -> Vec<u8> {
    let mut body = 0_u32.to_le_bytes().to_vec();
    body.extend(time(unix_ns));
    body.extend(length(kept.len()).to_le_bytes());
    body.extend(len.to_le_bytes());
    body.extend(kept);
    pad(&mut body);
    let flags: u32 = if direction == Direction::Inbound { 1 } else { 2 };
    option(&mut body, EPB_FLAGS, &flags.to_le_bytes());
    option(&mut body, END, &[]);
    block(PACKET, &body)
}

/// How a file ends: when, in nanoseconds since 1970, and how many packets were captured and lost.
pub fn end(unix_ns: u64, captured: u64, lost: u64) -> Vec<u8> {
    let mut body = 0_u32.to_le_bytes().to_vec();
    body.extend(time(unix_ns));
    option(&mut body, ISB_IFRECV, &captured.to_le_bytes());
    option(&mut body, ISB_IFDROP, &lost.to_le_bytes());
    option(&mut body, END, &[]);
    block(STATISTICS, &body)
}

/// A time as two words, the higher one first.
fn time(unix_ns: u64) -> [u8; 8] {
    unix_ns.rotate_left(32).to_le_bytes()
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    body.extend(value);
    pad(body);
}

/// Pads to a multiple of four.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A block: kind, length, body, length.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = length(body.len() + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &len].concat()
}

fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the layout is what is tested")]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
    }

    #[test]
    fn every_block_has_its_length_at_both_ends_and_is_padded() {
        let file = [
            begin("xdp", 1536),
            packet(5_000_000_001, Direction::Inbound, b"seven77", 7),
            packet(u64::from(u32::MAX) + 2, Direction::Outbound, b"four", 9),
            end(6_000_000_000, 2, 1),
        ]
        .concat();
        let (mut at, mut kinds) = (0, Vec::new());
        while at < file.len() {
            let len = word(&file, at + 4) as usize;
            assert_eq!(word(&file, at + len - 4) as usize, len, "block at {at}");
            assert!(len.is_multiple_of(4));
            kinds.push((word(&file, at), at));
            at += len;
        }
        let only_kinds: Vec<u32> = kinds.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(only_kinds, [SECTION_HEADER, INTERFACE, PACKET, PACKET, STATISTICS]);
        let second = kinds[3].1;
        // Interface, time high and low, kept, length.
        let words: Vec<u32> = (0..5).map(|number| word(&file, second + 8 + 4 * number)).collect();
        assert_eq!(words, [0, 1, 1, 4, 9]);
        assert_eq!(&file[second + 28..second + 32], b"four");
    }
}

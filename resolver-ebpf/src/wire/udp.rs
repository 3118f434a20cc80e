//! UDP (RFC 768).

use bytemuck::{Pod, Zeroable};

use super::bytes::Be16;

/// UDP header.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Udp {
    /// Source port.
    pub source: Be16,
    /// Destination port.
    pub destination: Be16,
    /// Length of header and payload, in bytes.
    pub len: Be16,
    /// Checksum over pseudo-header, header and payload. 0 means none, which only IPv4 allows.
    pub checksum: Be16,
}

/// Length of [`Udp`], in bytes.
pub const UDP_LEN: usize = size_of::<Udp>();

const _: () = assert!(UDP_LEN == 8 && align_of::<Udp>() == 1);

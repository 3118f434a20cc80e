//! Requests to the kernel by netlink (RFC 3549), and attributes of what comes back.
//!
//! In: a request's number, flags and bytes. Out: the bytes of each reply behind its header.
//! Refuses to understand any of them; [`super`] and [`super::offload`] do.
//! Choice: written here, since it is a header and nested attributes; the crates for it bring a model of all of rtnetlink.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// A socket to one part of the kernel.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

/// Ask for one thing, and be told that this was all.
pub const ONE: u16 = REQUEST | ACKNOWLEDGE;
/// Ask for all there is.
pub const ALL: u16 = REQUEST | ROOT_AND_MATCH;

impl Netlink {
    /// Opens a socket.
    ///
    /// # Errors
    /// The system gives none.
    pub fn open(protocol: SockProtocol) -> io::Result<Self> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE.as_secs() as i64, 0))?;
        Ok(Self(socket))
    }

    /// Sends a request and waits for all replies to it.
    ///
    /// # Errors
    /// The kernel's; or `InvalidData` for what is no reply.
    pub fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        for _ in 0..TRIES {
            if let Some(replies) = self.ask_once(kind, flags, body)? {
                return Ok(replies);
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// The same; none if something changed while the kernel was listing.
    fn ask_once(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut request = ((HEADER_LEN + body.len()) as u32).to_ne_bytes().to_vec();
        request.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
        request.extend([SEQUENCE.to_ne_bytes(), [0; 4]].concat());
        request.extend(body);
        sendto(self.0.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let (mut replies, mut is_whole) = (Vec::new(), true);
        let mut buffer = vec![0; RECEIVE_LEN];
        loop {
            let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..len).ok_or(io::ErrorKind::InvalidData)?;
            while !rest.is_empty() {
                let message = Message::first_of(rest).ok_or(io::ErrorKind::InvalidData)?;
                rest = rest.get(message.len.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
                is_whole &= message.flags & INTERRUPTED == 0;
                match message.kind {
                    DONE => return Ok(is_whole.then_some(replies)),
                    ERROR => {
                        let errno = i32::from_ne_bytes(first(message.body).ok_or(io::ErrorKind::InvalidData)?);
                        if errno != 0 {
                            return Err(io::Error::from_raw_os_error(-errno));
                        }
                        return Ok(Some(replies));
                    }
                    _ => replies.push(message.body.to_vec()),
                }
            }
        }
    }
}

/// A message of a reply.
struct Message<'b> {
    /// With its header, in bytes.
    len: usize,
    kind: u16,
    flags: u16,
    body: &'b [u8],
}

impl<'b> Message<'b> {
    fn first_of(bytes: &'b [u8]) -> Option<Self> {
        let len = u32::from_ne_bytes(first(bytes)?) as usize;
        let kind = u16::from_ne_bytes(first(bytes.get(4..)?)?);
        let flags = u16::from_ne_bytes(first(bytes.get(6..)?)?);
        Some(Self { len, kind, flags, body: bytes.get(HEADER_LEN..len)? })
    }
}

/// Attributes in bytes: number and value of each. What is malformed ends them.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(first(bytes)?));
        let number = u16::from_ne_bytes(first(bytes.get(2..)?)?) & NUMBER;
        let value = bytes.get(ATTRIBUTE_HEADER_LEN..len)?;
        bytes = bytes.get(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((number, value))
    })
}

/// The value of the first attribute of a number.
pub fn attribute(bytes: &[u8], number: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == number).map(|(_, value)| value)
}

/// An attribute with its header, padded.
pub fn written(number: u16, value: &[u8]) -> Vec<u8> {
    let len = (ATTRIBUTE_HEADER_LEN + value.len()) as u16;
    let mut bytes = [len.to_ne_bytes(), number.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes
}

/// An attribute that holds attributes.
pub fn nested(number: u16, value: &[u8]) -> Vec<u8> {
    written(number | NESTED, value)
}

/// The first bytes, as many as fit the number they are to be.
pub fn first<const LEN: usize>(bytes: &[u8]) -> Option<[u8; LEN]> {
    bytes.first_chunk().copied()
}

/// A value that is one number of 32 bits in host order.
pub fn number(value: &[u8]) -> Option<u32> {
    first(value).map(u32::from_ne_bytes)
}

/// A value that is text with a final zero byte.
pub fn text(value: &[u8]) -> Option<String> {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8(value.get(..end)?.to_vec()).ok()
}

/// Longest wait for a reply. They come at once; this only keeps a mistake from stopping the thread.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a listing is begun anew because something changed meanwhile.
const TRIES: usize = 5;
/// Number of our only request at a time.
const SEQUENCE: u32 = 1;
/// Bytes that one reply may have; the kernel keeps to half of it.
const RECEIVE_LEN: usize = 1 << 16;
/// `struct nlmsghdr`.
const HEADER_LEN: usize = 16;
/// `struct nlattr`.
const ATTRIBUTE_HEADER_LEN: usize = 4;
/// Everything starts at a multiple of this.
const ALIGNMENT: usize = 4;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLMSG_DONE`
const DONE: u16 = 3;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;
/// `NLM_F_ACK`
const ACKNOWLEDGE: u16 = 4;
/// `NLM_F_DUMP_INTR`, in replies.
const INTERRUPTED: u16 = 0x10;
/// `NLM_F_DUMP`
const ROOT_AND_MATCH: u16 = 0x300;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are its number (`NLA_TYPE_MASK`).
const NUMBER: u16 = 0x3fff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_written_and_end_where_they_are_malformed() {
        let inner = [written(1, b"vlan\0"), written(7, &[1])].concat();
        let mut bytes = [written(3, b"eth0\0"), nested(18, &inner), written(5, &9u32.to_ne_bytes())].concat();
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        assert_eq!(attribute(&bytes, 3).and_then(text).as_deref(), Some("eth0"));
        assert_eq!(attribute(&bytes, 5).and_then(number), Some(9));
        assert_eq!(attribute(attribute(&bytes, 18).unwrap(), 7), Some(&[1][..]));
        let end = bytes.len();
        bytes.extend([0xff, 0xff, 9, 0, 1]);
        assert_eq!(attributes(&bytes).count(), 3, "a length over the end");
        bytes.truncate(end);
        bytes.extend([3, 0, 9, 0]);
        assert_eq!(attributes(&bytes).count(), 3, "a length below its header");
    }
}

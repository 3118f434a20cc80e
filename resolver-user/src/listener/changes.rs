//! Wakes whoever follows the machine's addresses when one of them, or an interface, comes or goes.
//!
//! Choice: the kernel's routing socket serves as a bell only. What it says is thrown away, and the addresses are read anew:
//! so nothing has to be parsed, no message can be misread, and lost ones (a full queue is an error that wakes, too) do no
//! harm. It needs no crate, and rings within a millisecond, where looking once a second would lose a second of queries.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use tokio::io::unix::AsyncFd;

/// The groups of messages to be sent (linux/rtnetlink.h): links, IPv4 addresses, IPv6 addresses.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// Bytes of a message that are read before it is thrown away; the kernel drops the rest.
const READ_LEN: usize = 64;
/// Messages thrown away in one go. More ring again.
const MESSAGES_MAX: usize = 4096;

/// A bell that rings when addresses or interfaces may have changed.
#[derive(Debug)]
pub struct AddressChanges(AsyncFd<OwnedFd>);

impl AddressChanges {
    /// Starts to listen for changes.
    ///
    /// # Errors
    /// The system gives no routing socket.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for types that may change their descriptor; an OwnedFd does not"
    )]
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        AsyncFd::new(socket).map(Self)
    }

    /// Waits for the next change, and takes all that have come by then for one.
    pub async fn rung(&self) {
        let Ok(mut ready) = self.0.readable().await else { return };
        let mut message = [0; READ_LEN];
        for _ in 0..MESSAGES_MAX {
            match recv(self.0.get_ref().as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                // Messages were lost: a change like any other.
                Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(_) => return ready.clear_ready(),
            }
        }
    }
}

//! The sockets for clients: those that the service manager opened for us, and those that we bind.

use std::io;
use std::net::SocketAddr;

use super::DaemonError;
use crate::config::ListeningConfig;
use crate::listener::{Listen, TcpSocket, UdpSocket, adopt_tcp, adopt_udp, bind_tcp, bind_udp, listen_addresses};
use crate::process::Inherited;

/// Every socket for clients.
pub(super) struct Sockets {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpSocket>,
}

/// Where the configuration wants us to listen.
pub(super) fn listen(config: &ListeningConfig) -> Listen {
    Listen { addresses: config.addresses.clone(), interfaces: config.interfaces.clone(), port: config.port }
}

/// Opens them: one UDP socket for each thread, one TCP socket for each address. If the service manager gave us sockets and
/// the configuration names no address and no interface, these are all; otherwise they come on top.
///
/// # Errors
/// An address that cannot be bound, or a socket of the service manager that is bound to no address of its own.
pub(super) fn open(listen: &Listen, threads: usize, inherited: &Inherited) -> Result<Sockets, DaemonError> {
    let given = inherited.addresses();
    if let Some(address) = given.iter().find(|address| address.ip().is_unspecified()) {
        let what = format!("the socket for {address} has no address of its own; name addresses in the socket unit");
        return Err(DaemonError::Inherited { source: io::Error::new(io::ErrorKind::AddrNotAvailable, what) });
    }
    let named = !listen.addresses.is_empty() || !listen.interfaces.is_empty();
    let mut addresses = if given.is_empty() || named { listen_addresses(listen)? } else { Vec::new() };
    addresses.extend(given);
    addresses.sort_unstable();
    addresses.dedup();
    let (mut udp, mut tcp) = (Vec::new(), Vec::new());
    for &address in &addresses {
        // TCP first: it fails where another daemon listens, whose UDP clients we would share (SO_REUSEPORT) without an error.
        tcp.push(match inherited.take_tcp(address) {
            Some(socket) => adopt_tcp(socket)?,
            None => bind_tcp(address)?,
        });
        let given = inherited.take_udp(address);
        for _ in 0..threads {
            udp.push(match &given {
                Some(socket) => adopt_udp(socket)?,
                None => bind_udp(address)?,
            });
        }
    }
    Ok(Sockets { addresses, udp, tcp })
}

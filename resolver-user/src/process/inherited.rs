//! Sockets that a service manager opened for us (sd_listen_fds(3)): they are there before we are, and while we are restarted.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use listenfd::ListenFd;

/// The sockets, until they are taken.
#[derive(Debug, Default)]
pub struct Inherited {
    udp: Mutex<Vec<UdpSocket>>,
    tcp: Mutex<Vec<TcpListener>>,
}

impl Inherited {
    /// Takes the sockets over; ones that are neither UDP nor TCP are an error.
    ///
    /// # Errors
    /// A descriptor that is no internet socket.
    pub fn from_environment() -> io::Result<Self> {
        let mut given = ListenFd::from_env();
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for index in 0..given.len() {
            match given.take_udp_socket(index) {
                Ok(socket) => udp.extend(socket),
                // Not UDP: it is put back, and must be TCP.
                Err(_) => tcp.extend(given.take_tcp_listener(index)?),
            }
        }
        Ok(Self { udp: Mutex::new(udp), tcp: Mutex::new(tcp) })
    }

    /// The addresses of all sockets that were not taken yet.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let udp = self.udp.lock().unwrap_or_else(PoisonError::into_inner);
        let tcp = self.tcp.lock().unwrap_or_else(PoisonError::into_inner);
        let of_udp = udp.iter().filter_map(|socket| socket.local_addr().ok());
        let mut addresses: Vec<SocketAddr> =
            of_udp.chain(tcp.iter().filter_map(|socket| socket.local_addr().ok())).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// The UDP socket of an address, if there is one.
    pub fn take_udp(&self, address: SocketAddr) -> Option<UdpSocket> {
        let mut udp = self.udp.lock().unwrap_or_else(PoisonError::into_inner);
        let index = udp.iter().position(|socket| socket.local_addr().ok() == Some(address))?;
        Some(udp.swap_remove(index))
    }

    /// The TCP socket of an address, if there is one.
    pub fn take_tcp(&self, address: SocketAddr) -> Option<TcpListener> {
        let mut tcp = self.tcp.lock().unwrap_or_else(PoisonError::into_inner);
        let index = tcp.iter().position(|socket| socket.local_addr().ok() == Some(address))?;
        Some(tcp.swap_remove(index))
    }
}

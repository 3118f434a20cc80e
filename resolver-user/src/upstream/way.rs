//! Sockets towards servers: from which address, port and interface a query leaves.
//!
//! A socket of its own for each query gives it a random port, which a forger has to guess (RFC 5452 §9.2). Where the
//! operator wants one fixed port, the queries to a server share one socket, and a task hands each reply to the query whose
//! ID it carries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::{ServerSpec, UpstreamConfig};

/// Ports of a range that are tried before a query is given up.
const DRAWS_MAX: usize = 16;
/// Packets that wait for the query they belong to. Each but the first is a stray or a forgery.
const PACKETS_MAX: usize = 8;
/// Bytes of a packet that are read, at least. More than is usually announced, for servers that do not care.
const PACKET_LEN_MIN: usize = 4096;

/// From where queries to one server are sent.
#[derive(Clone, Debug, Default)]
pub struct Way {
    interface: Option<String>,
    address: Option<IpAddr>,
    ports: Ports,
    /// UDP payload size that is announced, in bytes.
    announced: u16,
}

/// From which ports.
#[derive(Clone, Debug, Default)]
enum Ports {
    /// From one that the system draws anew for each query.
    #[default]
    Any,
    /// From one that we draw anew for each query, at or between these.
    Range(u16, u16),
    /// From this one, with a socket that all queries to the server share.
    Fixed(u16, Arc<Mutex<Option<SharedSocket>>>),
}

/// A socket for one query.
#[derive(Debug)]
pub(super) enum Line {
    /// Nobody else uses it. With the bytes of a packet that are read.
    Own(UdpSocket, usize),
    /// Others use it too, with other IDs.
    Shared(Waiter),
}

impl Way {
    /// The way to a server. `query_port`: the fixed one for all servers, if there is one.
    pub(super) fn new(spec: &ServerSpec, query_port: Option<u16>, config: &UpstreamConfig) -> Self {
        let own_port = spec.source.and_then(|(_, port)| port);
        let ports = match (own_port.or(query_port), config.port_range()) {
            (Some(port), _) => Ports::Fixed(port, Arc::default()),
            (None, Some((low, high))) => Ports::Range(low, high),
            (None, None) => Ports::Any,
        };
        let address = spec.source.map(|(address, _)| address);
        Self { interface: spec.interface.clone(), address, ports, announced: config.edns_packet_max }
    }

    /// Whether queries of both leave in the same manner.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let ports = match (&self.ports, &other.ports) {
            (Ports::Any, Ports::Any) => true,
            (Ports::Range(low, high), Ports::Range(other_low, other_high)) => (low, high) == (other_low, other_high),
            (Ports::Fixed(port, _), Ports::Fixed(other, _)) => port == other,
            _ => false,
        };
        ports && (&self.interface, self.address, self.announced) == (&other.interface, other.address, other.announced)
    }

    /// A socket whose packets come from `server` only, and an ID for the query.
    pub(super) fn line(&self, server: SocketAddr) -> io::Result<(Line, u16)> {
        let len_max = usize::from(self.announced).max(PACKET_LEN_MIN);
        match &self.ports {
            Ports::Any => Ok((Line::Own(self.connected(server, 0, false)?, len_max), rand::random())),
            Ports::Range(low, high) => Ok((Line::Own(self.drawn(server, *low, *high)?, len_max), rand::random())),
            Ports::Fixed(port, shared) => {
                let mut shared = lock(shared);
                let waiter = match shared.as_ref().filter(|shared| !shared.is_broken()) {
                    Some(shared) => shared.wait()?,
                    None => shared.insert(SharedSocket::new(self.connected(server, *port, true)?, len_max)).wait()?,
                };
                let id = waiter.id;
                Ok((Line::Shared(waiter), id))
            }
        }
    }

    /// A TCP connection. Its port is always the system's choice: a fixed one could not be used again for minutes.
    pub(super) async fn stream(&self, server: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.socket(server, Type::STREAM, Protocol::TCP)?;
        if let Some(address) = self.address {
            socket.bind(&SocketAddr::from((address, 0)).into())?;
        }
        TcpSocket::from_std_stream(socket.into()).connect(server).await
    }

    /// A UDP socket at a random port of a range.
    fn drawn(&self, server: SocketAddr, low: u16, high: u16) -> io::Result<UdpSocket> {
        let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..DRAWS_MAX {
            match self.connected(server, rand::random_range(low..=high), false) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = error,
                opened => return opened,
            }
        }
        Err(taken)
    }

    /// Connected: the kernel drops what comes from elsewhere, and reports ICMP errors.
    fn connected(&self, server: SocketAddr, port: u16, shared: bool) -> io::Result<UdpSocket> {
        let socket = self.socket(server, Type::DGRAM, Protocol::UDP)?;
        if shared {
            // Other servers' sockets have the same port; each gets what comes from its server.
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(true)?;
        }
        let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        socket.bind(&SocketAddr::new(self.address.unwrap_or(any), port).into())?;
        socket.connect(&server.into())?;
        UdpSocket::from_std(socket.into())
    }

    fn socket(&self, server: SocketAddr, socket_type: Type, protocol: Protocol) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(server), socket_type, Some(protocol))?;
        socket.set_nonblocking(true)?;
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        Ok(socket)
    }
}

impl Line {
    /// Sends the query.
    pub(super) async fn send(&self, query: &[u8]) -> io::Result<()> {
        match self {
            Self::Own(socket, _) => socket.send(query).await.map(drop),
            Self::Shared(waiter) => {
                let sent = waiter.socket.send(query).await.map(drop);
                sent.inspect_err(|error| note_error(&waiter.broken, error))
            }
        }
    }

    /// The next packet.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Own(socket, len_max) => receive(socket, *len_max).await,
            Self::Shared(waiter) => {
                waiter.packets.recv().await.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
            }
        }
    }
}

/// The next packet of a socket.
async fn receive(socket: &UdpSocket, len_max: usize) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; len_max];
    let length = socket.recv(&mut packet).await?;
    packet.truncate(length);
    Ok(packet)
}

type Packets = mpsc::Sender<io::Result<Vec<u8>>>;
type Waiting = Arc<Mutex<HashMap<u16, Packets>>>;

/// A socket that all queries to one server share. Its reader ends with it.
#[derive(Debug)]
struct SharedSocket {
    socket: Arc<UdpSocket>,
    waiting: Waiting,
    /// Another one is needed: our address, or the way to the server, has changed since it was connected.
    broken: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

/// One query's place at a [`SharedSocket`].
#[derive(Debug)]
pub(super) struct Waiter {
    id: u16,
    socket: Arc<UdpSocket>,
    waiting: Waiting,
    broken: Arc<AtomicBool>,
    packets: mpsc::Receiver<io::Result<Vec<u8>>>,
}

impl SharedSocket {
    fn new(socket: UdpSocket, len_max: usize) -> Self {
        let (socket, waiting, broken) = (Arc::new(socket), Waiting::default(), Arc::default());
        let reading = read_for_all(Arc::clone(&socket), Arc::clone(&waiting), Arc::clone(&broken), len_max);
        Self { socket, waiting, broken, reader: tokio::spawn(reading) }
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// A place under an ID that no other query of this socket has.
    fn wait(&self) -> io::Result<Waiter> {
        let (sender, packets) = mpsc::channel(PACKETS_MAX);
        let mut waiting = lock(&self.waiting);
        // Bound: so few queries are under way that a free ID is soon drawn.
        for _ in 0..DRAWS_MAX {
            if let Entry::Vacant(place) = waiting.entry(rand::random()) {
                let id = *place.key();
                place.insert(sender);
                let (socket, waiting) = (Arc::clone(&self.socket), Arc::clone(&self.waiting));
                return Ok(Waiter { id, socket, waiting, broken: Arc::clone(&self.broken), packets });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}

impl Drop for SharedSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        lock(&self.waiting).remove(&self.id);
    }
}

/// Reads for all queries of a socket, until it is aborted.
async fn read_for_all(socket: Arc<UdpSocket>, waiting: Waiting, broken: Arc<AtomicBool>, len_max: usize) {
    // Bound: until the first error that is not the server's own, or until it is aborted.
    let mut strays = 0;
    while !broken.load(Ordering::Relaxed) {
        let received = receive(&socket, len_max).await;
        if let Err(error) = &received {
            note_error(&broken, error);
        }
        let waiting = lock(&waiting);
        strays = match hand_over(received, &waiting) {
            true => 0,
            false if strays < STRAYS_MAX => strays + 1,
            // Somebody guesses: whoever waits is told to ask again, with another ID.
            false => {
                hand_over(Err(io::ErrorKind::InvalidData.into()), &waiting);
                0
            }
        };
    }
}

/// Notes that a socket is broken, unless the error only says that the server's port is closed.
fn note_error(broken: &AtomicBool, error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionRefused {
        broken.store(true, Ordering::Relaxed);
    }
}

/// Packets in a row that carry the ID of no query before all queries are given up. Each is a forger's guess.
/// Choice: as many as on a socket of one query's own.
const STRAYS_MAX: u32 = 64;

/// Hands a packet to the query whose ID it carries, an error to all; false if nobody waits for the packet. A query that does
/// not take its packets loses them.
fn hand_over(received: io::Result<Vec<u8>>, waiting: &HashMap<u16, Packets>) -> bool {
    match received {
        Ok(packet) => {
            let id = packet.first_chunk().map(|id| u16::from_be_bytes(*id));
            let sender = id.and_then(|id| waiting.get(&id));
            if let Some(sender) = sender {
                let _full = sender.try_send(Ok(packet));
            }
            sender.is_some()
        }
        Err(error) => {
            for sender in waiting.values() {
                let _full = sender.try_send(Err(error.kind().into()));
            }
            true
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

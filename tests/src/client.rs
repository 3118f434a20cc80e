//! Clients of the daemon.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use resolver_user::wire::Message;

use crate::message::TestQuery;

/// Longest time a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A UDP socket connected to `server`.
///
/// # Panics
/// If the system refuses.
pub fn udp(server: SocketAddr) -> UdpSocket {
    let local: SocketAddr =
        if server.is_ipv4() { ([127, 0, 0, 1], 0).into() } else { "[::1]:0".parse().expect("literal") };
    let socket = UdpSocket::bind(local).expect("bind");
    socket.connect(server).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("time-out");
    socket
}

/// Receives one packet.
///
/// # Panics
/// If none comes.
pub fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).expect("an answer");
    buffer.truncate(length);
    buffer
}

/// Sends a query by UDP and returns the answer's bytes.
pub fn ask_bytes(server: SocketAddr, query: &TestQuery) -> Vec<u8> {
    let socket = udp(server);
    socket.send(&query.wire()).expect("send");
    receive(&socket)
}

/// Sends a query by UDP and returns the answer.
///
/// # Panics
/// If there is none, or it is no message.
pub fn ask(server: SocketAddr, query: &TestQuery) -> Message {
    Message::read(&ask_bytes(server, query)).expect("a message")
}

/// A TCP connection to `server`.
///
/// # Panics
/// If the server refuses.
pub fn tcp(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
    stream
}

/// Sends a message with its length.
///
/// # Panics
/// If the connection is cut.
pub fn send_tcp(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).expect("short message");
    stream.write_all(&[&length.to_be_bytes(), message].concat()).expect("send");
}

/// Receives a message with its length.
///
/// # Panics
/// If none comes.
pub fn receive_tcp(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).expect("a message");
    message
}

/// Sends a query by TCP and returns the answer.
///
/// # Panics
/// If there is none, or it is no message.
pub fn ask_tcp(server: SocketAddr, query: &TestQuery) -> Message {
    let mut stream = tcp(server);
    send_tcp(&mut stream, &query.wire());
    Message::read(&receive_tcp(&mut stream)).expect("a message")
}

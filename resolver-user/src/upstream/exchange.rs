//! One query and its reply, by UDP or TCP. Only a reply that matches the query counts (RFC 5452 §9).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::UpstreamError;
use crate::metrics::Metrics;
use crate::wire::{CLASS_IN, Header, Message, Name, QueryWriter, Question, RecordType};

/// Largest UDP reply that is read, in bytes. More than we announce, for servers that do not care.
const UDP_REPLY_LEN_MAX: usize = 4096;
/// Packets on one socket that do not match before we give up on it. Each is one guess of a forger.
/// Choice: a forger needs about 2^15 guesses per port; 64 leaves stray duplicates harmless.
const MISMATCHES_MAX: u32 = 64;

/// Asks `server` by UDP, and again by TCP if the reply is truncated. A new socket for each query gives it a random port:
/// the kernel draws it from the local port range when it is bound to port 0. Nothing is dropped from the reply.
///
/// # Errors
/// No reply within `patience`, or none that is a DNS message.
pub async fn exchange(
    server: SocketAddr,
    query: QueryWriter<'_>,
    patience: Duration,
    metrics: &Metrics,
) -> Result<Message, UpstreamError> {
    let started = Instant::now();
    let late = |_| UpstreamError::Timeout {
        server,
        waited_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    metrics.upstream_udp.add_one();
    let reply = timeout(patience, exchange_udp(server, query, metrics)).await.map_err(late)??;
    if !reply.header.flags.truncated {
        return Ok(reply);
    }
    metrics.upstream_tcp.add_one();
    let left = patience.saturating_sub(started.elapsed());
    timeout(left, exchange_tcp(server, query)).await.map_err(late)?
}

async fn exchange_udp(server: SocketAddr, query: QueryWriter<'_>, metrics: &Metrics) -> Result<Message, UpstreamError> {
    let network = |source| UpstreamError::Network { server, source };
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await.map_err(network)?;
    // Connected: the kernel drops what comes from elsewhere, and reports ICMP errors.
    socket.connect(server).await.map_err(network)?;
    let id: u16 = rand::random();
    socket.send(&query.write(id)).await.map_err(network)?;
    let mut buffer = vec![0; UDP_REPLY_LEN_MAX];
    for _ in 0..MISMATCHES_MAX {
        let length = socket.recv(&mut buffer).await.map_err(network)?;
        let reply = buffer.get(..length).unwrap_or_default();
        if !matches(reply, id, query.question) {
            metrics.upstream_mismatched.add_one();
            continue;
        }
        // A truncated reply may end inside a record: all that counts of it is TC.
        return match (Message::read(reply), Header::read(reply)) {
            (Err(_), Some(header)) if header.flags.truncated => Ok(empty(header)),
            (read, _) => read.map_err(|source| UpstreamError::Malformed { server, source }),
        };
    }
    Err(network(io::Error::new(io::ErrorKind::InvalidData, "too many packets that match no query")))
}

async fn exchange_tcp(server: SocketAddr, query: QueryWriter<'_>) -> Result<Message, UpstreamError> {
    let network = |source| UpstreamError::Network { server, source };
    let mut stream = TcpStream::connect(server).await.map_err(network)?;
    let id: u16 = rand::random();
    let message = query.write(id);
    let mut framed = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    framed.extend_from_slice(&message);
    stream.write_all(&framed).await.map_err(network)?;
    let length = stream.read_u16().await.map_err(network)?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await.map_err(network)?;
    if !matches(&reply, id, query.question) {
        return Err(network(io::Error::new(io::ErrorKind::InvalidData, "reply does not match the query")));
    }
    Message::read(&reply).map_err(|source| UpstreamError::Malformed { server, source })
}

/// Whether `reply` is a response to our query: ID, opcode, and the question with its class.
fn matches(reply: &[u8], id: u16, question: &Question) -> bool {
    let Some(header) = Header::read(reply) else { return false };
    if !header.flags.response || header.id != id || header.opcode != 0 || header.counts.first() != Some(&1) {
        return false;
    }
    let Ok((qname, after)) = Name::read_compressed(reply, 12) else { return false };
    let Some(&[t0, t1, c0, c1]) = reply.get(after..).and_then(|rest| rest.first_chunk::<4>()) else { return false };
    qname == question.qname
        && RecordType(u16::from_be_bytes([t0, t1])) == question.qtype
        && u16::from_be_bytes([c0, c1]) == CLASS_IN
}

fn empty(header: Header) -> Message {
    Message { header, question: None, answer: Vec::new(), authority: Vec::new(), additional: Vec::new(), edns: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_response_to_the_very_question_matches() {
        let question = Question::new("www.example.".parse().unwrap(), RecordType::A);
        let query = QueryWriter {
            question: &question,
            recursion_desired: true,
            authentic_wanted: false,
            checking_disabled: true,
            dnssec_ok: true,
            udp_payload_len: 1232,
        };
        let reply = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = query.write(7);
            if let Some(flags) = bytes.get_mut(2) {
                *flags |= 0x80;
            }
            change(&mut bytes);
            matches(&bytes, 7, &question)
        };
        let set = |at: usize, value: u8| move |bytes: &mut Vec<u8>| *bytes.get_mut(at).unwrap() = value;
        assert!(reply(&|_| ()));
        assert!(reply(&set(13, b'W')), "letter case does not matter");
        for (what, at, value) in [
            ("a query", 2, 1),
            ("another id", 1, 8),
            ("another opcode", 2, 0x89),
            ("no question", 5, 0),
            ("another name", 13, b'x'),
            ("another type", 26, 2),
            ("another class", 28, 3),
        ] {
            assert!(!reply(&set(at, value)), "{what}");
        }
        assert!(!reply(&|bytes| bytes.truncate(27)), "cut short");
    }
}

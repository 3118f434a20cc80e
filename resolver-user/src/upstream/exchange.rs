//! One query and its reply, by UDP or TCP. Only a reply that matches the query counts (RFC 5452 §9).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::UpstreamError;
use super::socket::Way;
use crate::metrics::Metrics;
use crate::wire::{CLASS_IN, Header, Message, Name, QueryWriter, Question, RecordType};

/// Packets on one socket that do not match before we give up on it. Each is one guess of a forger.
/// Choice: a forger needs about 2^15 guesses per port; 64 leaves stray duplicates harmless.
const MISMATCHES_MAX: u32 = 64;

/// What a reply does with the letter case of its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LetterCase {
    /// It is as asked, or nobody looked.
    Kept,
    /// It is another one even by TCP, where nobody but the server can have changed it.
    Changed,
}

/// What a packet is to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Reply,
    /// A reply but for the letter case of its name.
    OtherCase,
    Nothing,
}

/// Asks `server` by UDP, and again by TCP if the reply is truncated. A new socket for each query gives it a random port,
/// unless `way` says otherwise. Nothing is dropped from the reply.
///
/// # Errors
/// No reply within `patience`, or none that is a DNS message.
pub async fn exchange(
    server: SocketAddr,
    way: &Way,
    query: QueryWriter<'_>,
    patience: Duration,
    metrics: &Metrics,
) -> Result<Message, UpstreamError> {
    within(server, patience, exchange_any(server, way, query, None, metrics)).await.map(|(message, _)| message)
}

/// The same, asking in mixed letter case (0x20). Only a reply in the very same counts; one that differs in nothing else may
/// come from a forger or from a server that changes it, so the question is asked again by TCP, where it does not matter.
///
/// # Errors
/// As those of [`exchange`].
pub(super) async fn exchange_mixed(
    server: SocketAddr,
    way: &Way,
    query: QueryWriter<'_>,
    patience: Duration,
    metrics: &Metrics,
) -> Result<(Message, LetterCase), UpstreamError> {
    let mixed = Question::new(mix_case(&query.question.qname), query.question.qtype);
    within(server, patience, exchange_any(server, way, query, Some(&mixed), metrics)).await
}

async fn within<T>(
    server: SocketAddr,
    patience: Duration,
    exchanging: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let started = Instant::now();
    timeout(patience, exchanging).await.unwrap_or_else(|_| {
        let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Err(UpstreamError::Timeout { server, waited_ms })
    })
}

async fn exchange_any(
    server: SocketAddr,
    way: &Way,
    query: QueryWriter<'_>,
    mixed: Option<&Question>,
    metrics: &Metrics,
) -> Result<(Message, LetterCase), UpstreamError> {
    metrics.upstream_udp.add_one();
    if let Some(reply) = exchange_udp(server, way, query, mixed, metrics).await?
        && !reply.header.flags.truncated
    {
        return Ok((reply, LetterCase::Kept));
    }
    metrics.upstream_tcp.add_one();
    exchange_tcp(server, way, query, mixed).await
}

/// The reply; none if there was one in another letter case.
async fn exchange_udp(
    server: SocketAddr,
    way: &Way,
    query: QueryWriter<'_>,
    mixed: Option<&Question>,
    metrics: &Metrics,
) -> Result<Option<Message>, UpstreamError> {
    let network = |source| UpstreamError::Network { server, source };
    let sent = QueryWriter { question: mixed.unwrap_or(query.question), ..query };
    let (mut line, id) = way.line(server).map_err(network)?;
    line.send(&sent.write(id)).await.map_err(network)?;
    for _ in 0..MISMATCHES_MAX {
        let mut reply = line.receive().await.map_err(network)?;
        match matches(&reply, id, sent.question) {
            Match::OtherCase if mixed.is_some() => {
                metrics.upstream_case_changed.add_one();
                return Ok(None);
            }
            Match::Reply | Match::OtherCase => {}
            Match::Nothing => {
                metrics.upstream_mismatched.add_one();
                continue;
            }
        }
        restore_case(&mut reply, query.question);
        // A truncated reply may end inside a record: all that counts of it is TC.
        return match (Message::read(&reply), Header::read(&reply)) {
            (Err(_), Some(header)) if header.flags.truncated => Ok(Some(empty(header))),
            (read, _) => read.map(Some).map_err(|source| UpstreamError::Malformed { server, source }),
        };
    }
    Err(network(io::Error::new(io::ErrorKind::InvalidData, "too many packets that match no query")))
}

async fn exchange_tcp(
    server: SocketAddr,
    way: &Way,
    query: QueryWriter<'_>,
    mixed: Option<&Question>,
) -> Result<(Message, LetterCase), UpstreamError> {
    let network = |source| UpstreamError::Network { server, source };
    let sent = QueryWriter { question: mixed.unwrap_or(query.question), ..query };
    let mut stream = way.stream(server).await.map_err(network)?;
    let id: u16 = rand::random();
    let message = sent.write(id);
    let mut framed = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    framed.extend_from_slice(&message);
    stream.write_all(&framed).await.map_err(network)?;
    let length = stream.read_u16().await.map_err(network)?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await.map_err(network)?;
    let letter_case = match matches(&reply, id, sent.question) {
        Match::Reply => LetterCase::Kept,
        Match::OtherCase => LetterCase::Changed,
        Match::Nothing => {
            return Err(network(io::Error::new(io::ErrorKind::InvalidData, "reply does not match the query")));
        }
    };
    restore_case(&mut reply, query.question);
    let message = Message::read(&reply).map_err(|source| UpstreamError::Malformed { server, source })?;
    Ok((message, letter_case))
}

/// Whether `reply` is a response to our query: ID, opcode, and the question with its class.
fn matches(reply: &[u8], id: u16, question: &Question) -> Match {
    let Some(header) = Header::read(reply) else { return Match::Nothing };
    if !header.flags.response || header.id != id || header.opcode != 0 || header.counts.first() != Some(&1) {
        return Match::Nothing;
    }
    let Ok((qname, after)) = Name::read_compressed(reply, 12) else { return Match::Nothing };
    let fixed = reply.get(after..).and_then(|rest| rest.first_chunk::<4>());
    let Some(&[t0, t1, c0, c1]) = fixed else { return Match::Nothing };
    let same = qname == question.qname
        && RecordType(u16::from_be_bytes([t0, t1])) == question.qtype
        && u16::from_be_bytes([c0, c1]) == CLASS_IN;
    match same {
        false => Match::Nothing,
        true if qname.wire() == question.qname.wire() => Match::Reply,
        true => Match::OtherCase,
    }
}

/// Puts the question's own letter case into a reply, and so into every name that points there.
fn restore_case(reply: &mut [u8], question: &Question) {
    let wire = question.qname.wire();
    // A question that is compressed itself stays as it is.
    if let Some(place) = reply.get_mut(12..wire.len().saturating_add(12))
        && place.eq_ignore_ascii_case(wire)
    {
        place.copy_from_slice(wire);
    }
}

/// The name with a random letter case.
fn mix_case(name: &Name) -> Name {
    let mut wire = name.wire().to_vec();
    for byte in &mut wire {
        // Length bytes are at most 63, so they are no letters.
        if byte.is_ascii_alphabetic() && rand::random() {
            *byte ^= 0x20;
        }
    }
    Name::from_wire(&wire).unwrap_or_else(|_| name.clone())
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
            udp_payload_len: Some(1232),
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
        assert_eq!(reply(&|_| ()), Match::Reply);
        assert_eq!(reply(&set(13, b'W')), Match::OtherCase);
        for (what, at, value) in [
            ("a query", 2, 1),
            ("another id", 1, 8),
            ("another opcode", 2, 0x89),
            ("no question", 5, 0),
            ("another name", 13, b'x'),
            ("another type", 26, 2),
            ("another class", 28, 3),
        ] {
            assert_eq!(reply(&set(at, value)), Match::Nothing, "{what}");
        }
        assert_eq!(reply(&|bytes| bytes.truncate(27)), Match::Nothing, "cut short");
    }

    #[test]
    fn mixed_case_is_the_same_name_and_is_taken_back() {
        let name: Name = "a-long-name.with-many-letters.example.".parse().unwrap();
        let mixed: Vec<Name> = (0..20).map(|_| mix_case(&name)).collect();
        assert!(mixed.iter().all(|one| *one == name));
        assert!(mixed.iter().any(|one| one.wire() != name.wire()), "2^-600 that this is chance");
        let mut reply = [&[0; 12][..], mixed[0].wire(), &[0, 1, 0, 1]].concat();
        restore_case(&mut reply, &Question::new(name.clone(), RecordType::A));
        assert_eq!(reply.get(12..12 + name.wire().len()), Some(name.wire()));
    }
}

//! The real network: each query in a socket of its own. Only a reply that matches the query counts (RFC 5452 §9).

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::transport::{Exchanging, LetterCase, Outgoing, Protocol, Reply, Transport, TransportError};
use crate::metrics::Metrics;
use crate::wire::{CLASS_IN, Header, Message, Name, QueryWriter, Question, RecordType};

/// Packets on one socket that do not match before we give up on it. Each is one guess of a forger.
/// Choice: a forger needs about 2^15 guesses per port; 64 leaves stray duplicates harmless.
const MISMATCHES_MAX: u32 = 64;

/// The network of this machine. A new socket for each query gives it a random port, unless its way says otherwise.
#[derive(Debug, Default)]
pub struct Network {
    metrics: Arc<Metrics>,
}

impl Network {
    /// The network, counting replies that match nothing.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Transport for Network {
    fn exchange<'a>(&'a self, outgoing: Outgoing<'a>) -> Exchanging<'a> {
        match outgoing.protocol {
            Protocol::Udp => Box::pin(exchange_udp(outgoing, &self.metrics)),
            Protocol::Tcp => Box::pin(exchange_tcp(outgoing)),
        }
    }
}

/// What a packet is to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Reply,
    /// A reply but for the letter case of its name.
    OtherCase,
    Nothing,
}

async fn exchange_udp(outgoing: Outgoing<'_>, metrics: &Metrics) -> Result<Reply, TransportError> {
    let Outgoing { server, query, spelled, way, .. } = outgoing;
    let sent = QueryWriter { question: spelled.unwrap_or(query.question), ..query };
    let (mut line, id) = way.line(server)?;
    line.send(&sent.write(id)).await?;
    for _ in 0..MISMATCHES_MAX {
        let mut reply = line.receive().await?;
        let letter_case = match matches(&reply, id, sent.question) {
            Match::OtherCase if spelled.is_some() => LetterCase::Changed,
            Match::Reply | Match::OtherCase => LetterCase::Kept,
            Match::Nothing => {
                metrics.upstream_mismatched.add_one();
                continue;
            }
        };
        restore_case(&mut reply, query.question);
        // A truncated reply may end inside a record: all that counts of it is TC.
        let message = match (Message::read(&reply), Header::read(&reply)) {
            (Err(_), Some(header)) if header.flags.truncated => empty(header),
            (read, _) => read?,
        };
        return Ok(Reply { message, letter_case });
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "too many packets that match no query").into())
}

async fn exchange_tcp(outgoing: Outgoing<'_>) -> Result<Reply, TransportError> {
    let Outgoing { server, query, spelled, way, .. } = outgoing;
    let sent = QueryWriter { question: spelled.unwrap_or(query.question), ..query };
    let mut stream = way.stream(server).await?;
    let id: u16 = rand::random();
    let message = sent.write(id);
    let mut framed = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    framed.extend_from_slice(&message);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await?;
    let letter_case = match matches(&reply, id, sent.question) {
        Match::Reply => LetterCase::Kept,
        Match::OtherCase => LetterCase::Changed,
        Match::Nothing => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "reply does not match the query").into());
        }
    };
    restore_case(&mut reply, query.question);
    Ok(Reply { message: Message::read(&reply)?, letter_case })
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
            cookie: &[],
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
    fn a_reply_gets_the_letter_case_of_the_question_back() {
        let name: Name = "a-long-name.example.".parse().unwrap();
        let mut reply = [&[0; 12][..], b"\x0bA-LONG-name\x07exAmple\0", &[0, 1, 0, 1]].concat();
        restore_case(&mut reply, &Question::new(name.clone(), RecordType::A));
        assert_eq!(reply.get(12..12 + name.wire().len()), Some(name.wire()));
    }
}

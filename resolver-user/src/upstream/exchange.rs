//! One question to one server: by UDP, and again by TCP where that is needed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::UpstreamError;
use super::transport::{LetterCase, Outgoing, Protocol, Reply, Transport};
use super::way::Way;
use crate::metrics::Metrics;
use crate::wire::{Message, Name, QueryWriter, Question};

/// Asks `server` by UDP, and again by TCP if the reply is truncated. Nothing is dropped from the reply.
///
/// # Errors
/// No reply within `patience`, or none that is a DNS message.
pub async fn exchange(
    transport: &dyn Transport,
    server: SocketAddr,
    way: &Way,
    query: QueryWriter<'_>,
    patience: Duration,
    metrics: &Metrics,
) -> Result<Message, UpstreamError> {
    let outgoing = Outgoing { server, protocol: Protocol::Udp, query, spelled: None, way };
    within(server, patience, exchange_any(transport, outgoing, metrics)).await.map(|(message, _)| message)
}

/// The same, asking in mixed letter case (0x20). Only a reply in the very same counts; one that differs in nothing else may
/// come from a forger or from a server that changes it, so the question is asked again by TCP, where it does not matter.
///
/// # Errors
/// As those of [`exchange`].
pub(super) async fn exchange_mixed(
    transport: &dyn Transport,
    server: SocketAddr,
    way: &Way,
    query: QueryWriter<'_>,
    patience: Duration,
    metrics: &Metrics,
) -> Result<(Message, LetterCase), UpstreamError> {
    let mixed = Question::new(mix_case(&query.question.qname), query.question.qtype);
    let outgoing = Outgoing { server, protocol: Protocol::Udp, query, spelled: Some(&mixed), way };
    within(server, patience, exchange_any(transport, outgoing, metrics)).await
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
    transport: &dyn Transport,
    outgoing: Outgoing<'_>,
    metrics: &Metrics,
) -> Result<(Message, LetterCase), UpstreamError> {
    metrics.upstream_udp.add_one();
    let reply = exchange_once(transport, outgoing).await?;
    match reply.letter_case {
        LetterCase::Changed => metrics.upstream_case_changed.add_one(),
        LetterCase::Kept if !reply.message.header.flags.truncated => return Ok((reply.message, LetterCase::Kept)),
        LetterCase::Kept => {}
    }
    metrics.upstream_tcp.add_one();
    let reply = exchange_once(transport, Outgoing { protocol: Protocol::Tcp, ..outgoing }).await?;
    Ok((reply.message, reply.letter_case))
}

async fn exchange_once(transport: &dyn Transport, outgoing: Outgoing<'_>) -> Result<Reply, UpstreamError> {
    transport.exchange(outgoing).await.map_err(|error| error.of(outgoing.server))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_case_is_the_same_name() {
        let name: Name = "a-long-name.with-many-letters.example.".parse().unwrap();
        let mixed: Vec<Name> = (0..20).map(|_| mix_case(&name)).collect();
        assert!(mixed.iter().all(|one| *one == name));
        assert!(mixed.iter().any(|one| one.wire() != name.wire()), "2^-600 that this is chance");
    }
}

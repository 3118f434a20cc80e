//! One question to one server: by UDP, and again by TCP where that is needed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::UpstreamError;
use super::allowance::Allowance;
use super::cookie::{Jar, Taste};
use super::transport::{LetterCase, Outgoing, Protocol, Reply, Transport};
use crate::metrics::Metrics;
use crate::wire::{Message, Name, QueryWriter, RCode};

/// Who carries queries, who pays for them, and where they are counted.
#[derive(Clone, Copy, Debug)]
pub struct Carrier<'a> {
    /// Who carries them.
    pub transport: &'a dyn Transport,
    /// What each is paid from.
    pub allowance: &'a Allowance,
    /// Where they are counted.
    pub metrics: &'a Metrics,
}

/// Asks by UDP, and again by TCP if the reply is truncated, or if somebody else may have sent it: because it changes the letter
/// case that we chose (0x20), or lacks the server's cookie. Nothing is dropped from the reply.
///
/// # Errors
/// No reply within `patience`, or none that is a DNS message.
pub async fn exchange(
    carrier: Carrier<'_>,
    outgoing: Outgoing<'_>,
    patience: Duration,
) -> Result<Message, UpstreamError> {
    exchange_with(carrier, outgoing, None, patience).await.map(|reply| reply.message)
}

/// The same with the server's cookies, if it is to get any.
///
/// # Errors
/// As those of [`exchange`].
pub(super) async fn exchange_with(
    carrier: Carrier<'_>,
    outgoing: Outgoing<'_>,
    jar: Option<&Jar>,
    patience: Duration,
) -> Result<Reply, UpstreamError> {
    let started = Instant::now();
    let server = outgoing.server;
    timeout(patience, exchange_any(carrier, outgoing, jar)).await.unwrap_or_else(|_| {
        let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Err(UpstreamError::Timeout { server, waited_ms })
    })
}

async fn exchange_any(carrier: Carrier<'_>, outgoing: Outgoing<'_>, jar: Option<&Jar>) -> Result<Reply, UpstreamError> {
    let Carrier { metrics, .. } = carrier;
    // A server that wants another cookie is asked once more with it.
    for _ in 0..2 {
        let reply = carrier.once(outgoing, Protocol::Udp, jar).await?;
        let taste = jar.map_or(Taste::Good, |jar| jar.check(&reply.message));
        match (reply.letter_case, taste) {
            (LetterCase::Changed, _) => metrics.upstream_case_changed.add_one(),
            (_, Taste::Renewed) => continue,
            (_, Taste::Doubtful) => metrics.upstream_cookies_missing.add_one(),
            (LetterCase::Kept, Taste::Good) if reply.message.header.flags.truncated => {}
            (LetterCase::Kept, Taste::Good) => return Ok(reply),
        }
        break;
    }
    let reply = carrier.once(outgoing, Protocol::Tcp, jar).await?;
    if let Some(jar) = jar {
        jar.trust(&reply.message);
    }
    if reply.message.header.flags.truncated {
        return Err(UpstreamError::Truncated { server: outgoing.server });
    }
    if reply.message.rcode() == RCode::BADCOOKIE {
        return Err(UpstreamError::Refused { server: outgoing.server, rcode: RCode::BADCOOKIE });
    }
    Ok(reply)
}

impl Carrier<'_> {
    async fn once(self, outgoing: Outgoing<'_>, protocol: Protocol, jar: Option<&Jar>) -> Result<Reply, UpstreamError> {
        if !self.allowance.spend() {
            return Err(UpstreamError::Exhausted);
        }
        match protocol {
            Protocol::Udp => self.metrics.upstream_udp.add_one(),
            Protocol::Tcp => self.metrics.upstream_tcp.add_one(),
        }
        let cookie = jar.map(Jar::cookie).unwrap_or_default();
        let query = QueryWriter { cookie: &cookie, ..outgoing.query };
        let exchanged = self.transport.exchange(Outgoing { protocol, query, ..outgoing }).await;
        exchanged.map_err(|error| error.of(outgoing.server))
    }
}

/// The name with a random letter case.
pub(super) fn mix_case(name: &Name) -> Name {
    let mut wire = name.wire().to_vec();
    for byte in &mut wire {
        // Length bytes are at most 63, so they are no letters.
        if byte.is_ascii_alphabetic() && rand::random() {
            *byte ^= 0x20;
        }
    }
    Name::from_wire(&wire).unwrap_or_else(|_| name.clone())
}

/// A plain query of a tool's own: by UDP first, in our own letter case, from wherever the system likes.
///
/// # Errors
/// As those of [`exchange`].
pub async fn ask_server(
    transport: &dyn Transport,
    server: SocketAddr,
    query: QueryWriter<'_>,
    patience: Duration,
) -> Result<Message, UpstreamError> {
    let carrier = Carrier { transport, allowance: &Allowance::default(), metrics: &Metrics::default() };
    let way = super::Way::default();
    exchange(carrier, Outgoing { server, protocol: Protocol::Udp, query, spelled: None, way: &way }, patience).await
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

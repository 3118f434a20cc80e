//! The seam between this room and the network: one query goes out, one reply comes back.
//!
//! In: an [`Outgoing`] query. Out: the [`Reply`] that matches it. The product has one [`Transport`], the
//! [`Network`](super::Network); a test puts scripted servers in its place. Nobody here has a time-out: whoever asks stops
//! waiting, by tokio's timers alone, which stand still in a runtime whose time is paused. What is remembered ages by the
//! [`Clock`] that stands beside the transport in [`Outside`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

use super::UpstreamError;
use super::way::Way;
use crate::clock::Clock;
use crate::wire::{Message, QueryWriter, Question, WireError};

/// Nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;

/// What this room needs of the world.
#[derive(Clone)]
pub struct Outside {
    /// How queries travel.
    pub transport: Arc<dyn Transport>,
    /// What ages what is remembered of servers.
    pub clock: Arc<dyn Clock>,
}

impl Outside {
    /// The time that what is remembered ages by, in milliseconds; never 0.
    pub(super) fn now_ms(&self) -> u64 {
        (self.clock.now().boot_ns / NS_PER_MS).saturating_add(1)
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// Carries queries to servers.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends a query and waits for the reply to it, for ever if none comes. Only a reply that matches in address, port, ID
    /// and question counts (RFC 5452 §9). Dropping the future ends the exchange.
    ///
    /// # Errors
    /// The network failed, or what matches is no DNS message.
    fn exchange<'a>(&'a self, outgoing: Outgoing<'a>) -> Exchanging<'a>;
}

/// An exchange under way.
pub type Exchanging<'a> = Pin<Box<dyn Future<Output = Result<Reply, TransportError>> + Send + 'a>>;

/// A query on its way to a server.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The server.
    pub server: SocketAddr,
    /// How it is sent.
    pub protocol: Protocol,
    /// What is asked, in our own letter case: the reply comes in this one.
    pub query: QueryWriter<'a>,
    /// The question in the letter case in which it is to be sent, if that is another one (0x20).
    pub spelled: Option<&'a Question>,
    /// From where it is sent.
    pub way: &'a Way,
}

/// By what a query is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP: the reply may be truncated.
    Udp,
    /// TCP.
    Tcp,
}

/// A reply that matches its query.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What it says. Of a truncated one nothing but the header need be there.
    pub message: Message,
    /// What it has done with the letter case of the question.
    pub letter_case: LetterCase,
}

/// What a reply does with the letter case of its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterCase {
    /// It is as asked, or nobody looked.
    Kept,
    /// It is another one.
    Changed,
}

/// Why there is no reply.
#[derive(Debug, Error)]
pub enum TransportError {
    /// A system call failed.
    #[error(transparent)]
    Network(#[from] io::Error),
    /// The reply is no DNS message.
    #[error(transparent)]
    Malformed(#[from] WireError),
}

impl TransportError {
    /// The same, told of a server.
    pub(super) fn of(self, server: SocketAddr) -> UpstreamError {
        match self {
            Self::Network(source) => UpstreamError::Network { server, source },
            Self::Malformed(source) => UpstreamError::Malformed { server, source },
        }
    }
}

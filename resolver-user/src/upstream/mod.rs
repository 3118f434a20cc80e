//! Asks other servers.
//!
//! In: a question. Out: a scrubbed [`Response`](crate::wire::Response), or an [`UpstreamError`] once every server and try
//! has failed. Rooms: [`Upstream`] chooses servers and tries: by name from a `table`, among those of a `group`. `attempt` asks
//! one `server` and remembers how it behaves, `exchange` one question by UDP or TCP over the `transport`, which is the `network` with the
//! sockets of a `way`, or scripted servers in a test; `scrub` drops what cannot
//! concern the question, `doubts` remembers who gave bogus data, `refresh` follows what changes while the daemon runs.
//! Refuses: to believe anything (the validator judges), to cache, and to accept a reply that does not match its query in
//! address, port, ID and question (RFC 5452 §9). Ruled by RFC 1035 §7, RFC 5452, RFC 6840 §5.9, RFC 7766 §5.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

mod allowance;
mod attempt;
mod cookie;
mod doubts;
mod exchange;
mod fetch;
mod forward;
mod group;
mod iterate;
mod network;
mod refresh;
mod scrub;
mod server;
mod table;
mod transport;
mod way;

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::wire::{Name, RCode, WireError};

pub use allowance::{Allowance, UPSTREAM_QUERIES_MAX};
pub use doubts::{Fetched, Source};
pub use exchange::{Carrier, ask_server, exchange};
pub use fetch::Upstream;
pub use network::Network;
pub use scrub::{is_circle, join_chain, rest_of_chain, scrub};
pub use server::ServerReport;

pub use transport::{Exchanging, LetterCase, Outgoing, Outside, Protocol, Reply, Transport, TransportError};
pub use way::Way;

/// What resolving from the root has found so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecursionReport {
    /// Whether all names are resolved so that no line gives to others; else those of stub zones.
    pub usual: bool,
    /// Zones whose servers are known.
    pub zones: usize,
    /// Servers that are known.
    pub servers: usize,
    /// Those that were asked most.
    pub most_asked: Vec<ServerReport>,
}

/// Why a question got no usable reply.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The server did not answer in time.
    #[error("{server} did not answer within {waited_ms} ms")]
    Timeout {
        /// The server.
        server: SocketAddr,
        /// How long we waited, in milliseconds.
        waited_ms: u64,
    },
    /// A system call failed; among them a port that ICMP reports as closed, and a connection that was cut.
    #[error("{server} cannot be reached: {source}")]
    Network {
        /// The server.
        server: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A reply that matches the query is no DNS message.
    #[error("{server} sent a malformed reply: {source}")]
    Malformed {
        /// The server.
        server: SocketAddr,
        /// What is wrong with it.
        source: WireError,
    },
    /// There is no server for the name, or none that is not left out.
    #[error("there is no server to ask")]
    NoServer,
    /// As many questions as may be are with the servers already.
    #[error("{limit} questions are with the servers already")]
    TooMany {
        /// How many may be.
        limit: usize,
    },
    /// A reply by TCP is truncated, so there is no whole one.
    #[error("{server} sent a truncated reply by TCP")]
    Truncated {
        /// The server.
        server: SocketAddr,
    },
    /// Aliases lead in a circle, or too far.
    #[error("the aliases of {name} lead nowhere")]
    Aliases {
        /// Where they begin.
        name: Name,
    },
    /// One query of a client has set off as many queries as it may.
    #[error("{UPSTREAM_QUERIES_MAX} queries to servers have found no answer")]
    Exhausted,
    /// The server knows nothing of the zone that it was named for.
    #[error("{server} knows nothing of {zone}")]
    Lame {
        /// The server.
        server: SocketAddr,
        /// The zone.
        zone: Name,
    },
    /// The server cannot or will not answer.
    #[error("{server} answered {rcode}")]
    Refused {
        /// The server.
        server: SocketAddr,
        /// Its RCODE.
        rcode: RCode,
    },
}

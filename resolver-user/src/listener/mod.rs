//! Takes queries from clients and gives them their answers, by UDP and TCP.
//!
//! In: packets and connections. Each query is checked once, in [`ClientQuery::read`]; what is malformed or not served is
//! refused here, the rest goes to a [`QueryService`], which answers at once from the cache or later from a task.
//! Refuses: any knowledge of names, zones, caches or servers. Everything is bounded: queries in progress, connections,
//! queries of one connection; over a bound, UDP queries are refused and connections wait.
//! Ruled by RFC 1035 §4.2, RFC 6891 §6–7, RFC 7766, RFC 8482.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod addresses;
mod query;
mod tcp;
mod udp;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Asked, Failure, Sent, write_failure};
use crate::metrics::Metrics;

pub use addresses::{Listen, listen_addresses, xdp_interfaces};
pub use query::{ClientQuery, Rejection};
pub use tcp::{TcpSocket, adopt_tcp, bind_tcp, serve_tcp};
pub use udp::{UdpSocket, adopt_udp, bind_udp, serve_udp};

/// Most queries that may be worked on at once; each waits for other servers.
/// Choice: dnsmasq allows 150. A miss costs about 10 kB, so this is 40 MB at most.
pub const QUERIES_IN_PROGRESS_MAX: usize = 4096;

/// Who answers queries.
pub trait QueryService: Send + Sync + 'static {
    /// What is left to do for an answer once it is on its way to the client.
    type Afterwork: Send;

    /// Answers from the cache, into `out`. Takes no longer than a look-up and does not allocate for a plain hit.
    fn answer_now(&self, query: &ClientQuery<'_>, out: &mut Vec<u8>) -> Answered<Self::Afterwork>;

    /// Answers a query for which [`answer_now`](Self::answer_now) found nothing.
    fn answer_later(
        self: Arc<Self>,
        query: QueryBytes,
    ) -> impl Future<Output = (Vec<u8>, Option<Self::Afterwork>)> + Send;

    /// Does what is left to do.
    fn after_sending(&self, work: Self::Afterwork);
}

/// What came of looking into the cache.
#[derive(Debug)]
pub enum Answered<W> {
    /// The answer is written; this is left to do after it was sent.
    Now(Option<W>),
    /// It has to be found first.
    Later,
}

/// A checked query that outlives its packet.
#[derive(Clone, Debug)]
pub struct QueryBytes {
    packet: Box<[u8]>,
    client: SocketAddr,
    transport: crate::answer::Transport,
}

impl QueryBytes {
    /// Copies a query.
    pub fn new(packet: &[u8], query: &ClientQuery<'_>) -> Self {
        Self { packet: packet.into(), client: query.client, transport: query.asked.transport }
    }

    /// The query; none only if the bytes were not checked, which [`new`](Self::new) rules out.
    pub fn query(&self) -> Option<ClientQuery<'_>> {
        ClientQuery::read(&self.packet, self.client, self.transport).ok()
    }
}

/// What all listeners share.
#[derive(Debug)]
pub struct Shared<S> {
    /// Who answers.
    pub service: Arc<S>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Owns the task of every query in progress.
    pub tracker: TaskTracker,
    /// Ends all listeners.
    pub stop: CancellationToken,
    /// Bounds the queries in progress.
    pub in_progress: Arc<Semaphore>,
    /// Bounds the connections.
    pub connections: Arc<Semaphore>,
}

impl<S> Shared<S> {
    /// Everything that listeners of `service` share.
    pub fn new(service: Arc<S>, metrics: Arc<Metrics>, tracker: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            service,
            metrics,
            tracker,
            stop,
            in_progress: Arc::new(Semaphore::new(QUERIES_IN_PROGRESS_MAX)),
            connections: Arc::new(Semaphore::new(tcp::CONNECTIONS_MAX)),
        }
    }
}

/// Why a listener cannot start.
#[derive(Debug, Error)]
pub enum ListenError {
    /// There is no such interface, or it has no address.
    #[error("interface {interface} does not exist or has no address")]
    Interface {
        /// Its name.
        interface: String,
    },
    /// The system did not tell the interfaces' addresses.
    #[error("cannot list the addresses of interfaces: {source}")]
    List {
        /// The system's reason.
        source: io::Error,
    },
    /// A socket that was bound for us cannot be used.
    #[error("cannot use the {transport} socket that the service manager gave: {source}")]
    Adopt {
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The system did not give us the socket.
    #[error("cannot listen on {address} by {transport}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// Writes the refusal of a query that is not served, and counts it; false if it gets no answer at all.
fn refuse(rejection: &Rejection<'_>, metrics: &Metrics, out: &mut Vec<u8>) -> bool {
    let Rejection::Refused(asked, failure) = rejection else {
        metrics.dropped_not_a_query.add_one();
        return false;
    };
    write_refusal(asked, failure, metrics, out);
    true
}

fn write_refusal(asked: &Asked<'_>, failure: &Failure<'_>, metrics: &Metrics, out: &mut Vec<u8>) {
    let counter = match failure {
        Failure::Malformed => &metrics.refused_malformed,
        Failure::Opcode => &metrics.refused_opcode,
        Failure::EdnsVersion => &metrics.refused_edns_version,
        Failure::Class => &metrics.refused_class,
        Failure::MetaType => &metrics.refused_meta_type,
        Failure::NotCached => &metrics.refused_not_cached,
        _ => &metrics.refused_overload,
    };
    counter.add_one();
    let sent = write_failure(asked, failure, out);
    count_sent(sent, metrics);
}

/// Counts an answer by RCODE.
pub fn count_sent(sent: Sent, metrics: &Metrics) {
    use crate::wire::RCode;
    let counter = match sent.rcode {
        RCode::NOERROR => &metrics.answers_noerror,
        RCode::NXDOMAIN => &metrics.answers_nxdomain,
        RCode::SERVFAIL => &metrics.answers_servfail,
        _ => &metrics.answers_other,
    };
    counter.add_one();
    if sent.truncated {
        metrics.answers_truncated.add_one();
    }
}

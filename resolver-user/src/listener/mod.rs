//! Takes queries from clients and gives them their answers, by UDP and TCP.
//!
//! In: packets and connections. Each query is checked once, in [`ClientQuery::read`]; what is malformed or not served is
//! refused here, as is whoever may not ask, the rest goes to a [`QueryService`], which answers at once from the cache or later from a task;
//! what is to be answered later begins in turns of the clients.
//! Refuses: any knowledge of names, zones, caches or servers. Everything is bounded: queries in progress, connections,
//! queries of one connection; over a bound, UDP queries are refused and connections wait.
//! Of EDNS options, keepalive (TCP only) and cookies are known, all others ignored: client subnet and padding too.
//! Ruled by RFC 1035 §4.2, RFC 6891 §6–7, RFC 7766, RFC 7828, RFC 7873, RFC 8482.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod addresses;
mod batch;
mod changes;
mod query;
mod sent;
mod share;
mod tcp;
mod turns;
mod udp;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use resolver_ebpf::wire::cookie::Cookies;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Access, AccessList, Standing};
use crate::answer::{Asked, Failure, Sent, Transport, write_cookies_alone, write_failure, write_slip};
use crate::cookies::CookieDoor;
use crate::metrics::Metrics;
use crate::rate_limit::{RateLimiter, Verdict};
use share::Shares;
use turns::{LateQuery, Turns};

pub use addresses::{Listen, Machine};
pub use changes::AddressChanges;
pub use query::{ClientQuery, Judgement, Rejection};
pub use sent::{Hits, count_sent};
pub use tcp::{TcpSocket, adopt_tcp, bind_tcp, serve_tcp};
pub use udp::{UdpSocket, UdpThreads, adopt_udp, bind_udp};

/// Most queries that may be worked on at once; each waits for other servers.
/// Choice: dnsmasq allows 150. A miss costs about 10 kB, so this is 40 MB at most.
pub const QUERIES_IN_PROGRESS_MAX: usize = 4096;

/// Most of them for one client. Choice: a sixteenth. With answers that take 50 ms it is five thousand misses a
/// second, which no client needs, and which leave others their places.
pub const QUERIES_OF_CLIENT_MAX: usize = QUERIES_IN_PROGRESS_MAX / 16;

/// Who answers queries.
pub trait QueryService: Send + Sync + 'static {
    /// What is left to do for an answer once it is on its way to the client.
    type Afterwork: Send;
    /// What holds for the queries of a batch, looked up once for all of them, and what is counted of them.
    type Present;

    /// What holds now.
    fn present(&self) -> Self::Present;

    /// Counts what was answered under it. Before it is sent: who has an answer finds it counted.
    fn is_past(&self, present: Self::Present);

    /// Answers from the cache, into `out`. Takes no longer than a look-up and does not allocate for a plain hit.
    fn answer_now(
        &self,
        query: &ClientQuery<'_>,
        present: &mut Self::Present,
        out: &mut Vec<u8>,
    ) -> Answered<Self::Afterwork>;

    /// Answers a question of another class than IN into `out`, if it is one about the daemon.
    fn answer_chaos(&self, asked: &Asked<'_>, out: &mut Vec<u8>) -> Option<Sent>;

    /// Answers a query for which [`answer_now`](Self::answer_now) found nothing.
    fn answer_later(
        self: Arc<Self>,
        query: QueryBytes,
    ) -> impl Future<Output = (Vec<u8>, Option<Self::Afterwork>)> + Send;

    /// Does what is left to do.
    fn after_sending(self: &Arc<Self>, work: Self::Afterwork);
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
    /// Its cookies, judged.
    cookies: Option<Cookies>,
}

impl QueryBytes {
    /// Copies a query.
    pub fn new(packet: &[u8], query: &ClientQuery<'_>) -> Self {
        let cookies = query.asked.edns.and_then(|edns| edns.cookies);
        Self { packet: packet.into(), client: query.client, transport: query.asked.transport, cookies }
    }

    /// The query; none only if the bytes were not checked, which [`new`](Self::new) rules out.
    pub fn query(&self) -> Option<ClientQuery<'_>> {
        ClientQuery::read(&self.packet, self.client, self.transport, |_| Ok(self.cookies)).ok()
    }
}

/// What becomes of a message as it comes in.
#[derive(Debug)]
pub enum Received<W> {
    /// Its answer or its refusal is written; this is left to do after it was sent.
    Answered(Option<W>),
    /// It has to be found first.
    Pending(QueryBytes),
    /// It gets no answer.
    Silence,
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
    /// Who may ask; replaced while we run.
    pub access: ArcSwap<AccessList>,
    /// Where cookies are judged.
    pub cookies: CookieDoor,
    /// Whether the operator was told that clients are ignored.
    ignoring_told: AtomicBool,
    /// How many answers a client gets by UDP.
    pub limiter: Arc<RateLimiter>,
    /// Bounds the queries in progress.
    pub in_progress: Arc<Semaphore>,
    /// Bounds those of one client.
    pub in_progress_of_client: Shares,
    /// Where queries by UDP wait whose answers have to be found.
    pub turns: Turns<LateQuery>,
    /// Bounds the connections of one client.
    pub connections_of_client: Shares,
    /// Bounds the memory of large answers that wait for their connections to take them, in bytes.
    pub answers_waiting: Arc<Semaphore>,
    /// Bounds the connections.
    pub connections: Arc<Semaphore>,
}

impl<S> Shared<S> {
    /// Everything that listeners of `service` share.
    pub fn new(
        service: Arc<S>,
        metrics: Arc<Metrics>,
        access: AccessList,
        limiter: Arc<RateLimiter>,
        cookies: CookieDoor,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            service,
            metrics,
            tracker,
            stop,
            access: ArcSwap::from_pointee(access),
            cookies,
            ignoring_told: AtomicBool::new(false),
            limiter,
            in_progress: Arc::new(Semaphore::new(QUERIES_IN_PROGRESS_MAX)),
            in_progress_of_client: Shares::new(QUERIES_OF_CLIENT_MAX),
            turns: Turns::default(),
            connections_of_client: Shares::new(tcp::CONNECTIONS_OF_CLIENT_MAX),
            answers_waiting: Arc::new(Semaphore::new(tcp::ANSWERS_WAITING_LEN_MAX)),
            connections: Arc::new(Semaphore::new(tcp::CONNECTIONS_MAX)),
        }
    }
}

#[cfg(test)]
impl<S> Shared<S> {
    /// What listeners of a test's service share: everybody may ask, as often as they like.
    fn of_test(service: S) -> Arc<Self> {
        let clock = || Arc::new(crate::clock::SystemClock);
        let (limiter, cookies) = (Arc::new(RateLimiter::new(None, clock())), CookieDoor::new(None, clock()));
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        Arc::new(Self::new(Arc::new(service), Arc::default(), AccessList::default(), limiter, cookies, tracker, stop))
    }
}

/// Why a listener cannot start.
#[derive(Debug, Error)]
pub enum ListenError {
    /// There is no such interface, or it has no address, and `bind-interfaces` demands it.
    #[error("interface {interface} does not exist or has no address (without bind-interfaces it would be waited for)")]
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

impl ListenError {
    /// Whether the address is not there, and may come.
    pub fn is_no_address_yet(&self) -> bool {
        matches!(self, Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable)
    }
}

impl<S> Shared<S> {
    /// Judges the data of a client's COOKIE option, and counts what came of it.
    fn judge(&self, client: SocketAddr, data: &[u8]) -> Judgement {
        let judged = self.cookies.judge(client.ip(), data);
        if let Ok(Some(cookies)) = &judged {
            self.metrics.count_cookies(cookies.verdict);
        }
        judged
    }
}

impl<S: QueryService> Shared<S> {
    /// Takes a message of a client: answers it into `out`, from the cache or with a refusal, unless its answer has to be found. What
    /// rate limits say stands before this.
    pub fn receive(
        &self,
        packet: &[u8],
        client: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Received<S::Afterwork> {
        let answered = |is_answered: bool| if is_answered { Received::Answered(None) } else { Received::Silence };
        // Asked for each query: the list may have changed since a connection began.
        let access = self.access.load().of(client.ip());
        if access != Access::Answer {
            return answered(self.turn_away(access, packet, client, transport, out));
        }
        let query = match ClientQuery::read(packet, client, transport, |data| self.judge(client, data)) {
            Ok(query) => query,
            Err(rejection) => return answered(refuse(&rejection, self, out)),
        };
        let mut present = self.service.present();
        let answered = self.service.answer_now(&query, &mut present, out);
        self.service.is_past(present);
        match answered {
            Answered::Now(work) => Received::Answered(work),
            Answered::Later => Received::Pending(QueryBytes::new(packet, &query)),
        }
    }

    /// Deals with a packet or message of a client that may not ask; false if it gets no answer.
    fn turn_away(
        &self,
        access: Access,
        packet: &[u8],
        client: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> bool {
        if access == Access::Ignore {
            self.ignore(client);
            return false;
        }
        // Malformed or not: what it asks makes no difference any more.
        match ClientQuery::read(packet, client, transport, |data| self.judge(client, data)) {
            Ok(ClientQuery { asked, .. }) | Err(Rejection::Refused(asked, _) | Rejection::CookiesAlone(asked)) => {
                write_refusal(&asked, &Failure::Prohibited, &self.metrics, out);
                true
            }
            Err(rejection @ Rejection::Silence) => refuse(&rejection, self, out),
        }
    }

    /// Holds a UDP query to its client's rate limits: none if it is within them, else whether it gets an empty answer. What
    /// gets no answer anyway costs nothing.
    fn over_limit(
        &self,
        standing: Standing,
        client: SocketAddr,
        read: &Result<ClientQuery<'_>, Rejection<'_>>,
        out: &mut Vec<u8>,
    ) -> Option<bool> {
        let is_silent = standing.access == Access::Ignore || matches!(read, Err(Rejection::Silence));
        // Who has a cookie of ours receives what is sent to its address.
        let is_proven = match read {
            Ok(ClientQuery { asked, .. }) | Err(Rejection::Refused(asked, _) | Rejection::CookiesAlone(asked)) => {
                asked.has_valid_cookie()
            }
            Err(Rejection::Silence) => false,
        };
        if !self.limiter.is_on() || !standing.is_limited || is_silent || is_proven {
            return None;
        }
        let metrics = &self.metrics;
        let (slipped, dropped, wants_slip) = match self.limiter.ask(client.ip()) {
            Verdict::Within => return None,
            Verdict::LoggedNarrow => {
                metrics.logged_rate.add_one();
                return None;
            }
            Verdict::LoggedWide => {
                metrics.logged_rate_wide.add_one();
                return None;
            }
            verdict @ (Verdict::SlippedNarrow | Verdict::DroppedNarrow) => {
                (&metrics.slipped_rate, &metrics.dropped_rate, verdict == Verdict::SlippedNarrow)
            }
            verdict @ (Verdict::SlippedWide | Verdict::DroppedWide) => {
                (&metrics.slipped_rate_wide, &metrics.dropped_rate_wide, verdict == Verdict::SlippedWide)
            }
        };
        // By TCP the others would be refused, too.
        let asked = match read {
            Ok(query) => Some(&query.asked),
            Err(Rejection::Refused(asked, Failure::MetaType)) => Some(asked),
            Err(_) => None,
        };
        match asked.filter(|_| wants_slip && standing.access == Access::Answer) {
            Some(asked) => {
                slipped.add_one();
                count_sent(write_slip(asked, out), metrics);
                Some(true)
            }
            None => {
                dropped.add_one();
                Some(false)
            }
        }
    }

    /// Counts a client that is ignored; of the first one the operator is told.
    fn ignore(&self, client: SocketAddr) {
        self.metrics.dropped_client.add_one();
        if !self.ignoring_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(client = %client.ip(), "local-service: clients of networks not attached are ignored; told once");
        }
    }
}

/// Writes the refusal of a query that is not served, and counts it; false if it gets no answer at all. Of another class
/// than IN there are questions about the daemon, which may have an answer.
fn refuse<S: QueryService>(rejection: &Rejection<'_>, shared: &Shared<S>, out: &mut Vec<u8>) -> bool {
    let (asked, failure) = match rejection {
        Rejection::Refused(asked, failure) => (asked, failure),
        Rejection::CookiesAlone(asked) => {
            shared.metrics.cookie_queries.add_one();
            count_sent(write_cookies_alone(asked, out), &shared.metrics);
            return true;
        }
        Rejection::Silence => {
            shared.metrics.dropped_not_a_query.add_one();
            return false;
        }
    };
    let told = matches!(failure, Failure::Class).then(|| shared.service.answer_chaos(asked, out)).flatten();
    match told {
        Some(sent) => {
            shared.metrics.chaos_answers.add_one();
            count_sent(sent, &shared.metrics);
        }
        None => write_refusal(asked, failure, &shared.metrics, out),
    }
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
        Failure::Prohibited => &metrics.refused_client,
        _ => &metrics.refused_overload,
    };
    counter.add_one();
    let sent = write_failure(asked, failure, out);
    count_sent(sent, metrics);
}

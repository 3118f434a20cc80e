//! UDP: packets are taken and answers given in batches; what the cache holds is answered in the loop itself.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio_util::sync::CancellationToken;

use super::{Answered, ClientQuery, ListenError, QueryBytes, QueryService, Shared, count_sent, refuse, write_refusal};
use crate::access::Access;
use crate::answer::{Failure, Transport, write_failure};

/// Packets taken by one system call.
const BATCH_LEN: usize = 32;
/// Largest query that is read, in bytes. A longer one is cut and so found malformed; queries need a tenth of this.
const QUERY_LEN_MAX: usize = 4096;
/// Batches handled before other tasks get their turn.
const BATCHES_PER_TURN: usize = 8;
/// Receive buffer asked of the kernel, in bytes. Choice: about a thousand packets, so that a burst survives one pause.
const RECEIVE_BUFFER_LEN: usize = 1 << 20;

/// A bound UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: tokio::net::UdpSocket,
    ipv6: bool,
}

/// Binds one of several UDP sockets of an address; the kernel spreads clients over them.
///
/// # Errors
/// The system's reason.
pub fn bind_udp(address: SocketAddr) -> Result<UdpSocket, ListenError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        // The kernel may give less; that is no reason not to start.
        let _less = socket.set_recv_buffer_size(RECEIVE_BUFFER_LEN);
        socket.bind(&address.into())?;
        tokio::net::UdpSocket::from_std(socket.into())
    };
    let socket = bind().map_err(|source| ListenError::Bind { address, transport: "UDP", source })?;
    Ok(UdpSocket { socket, ipv6: address.is_ipv6() })
}

/// Takes over a socket that somebody else has bound. Several may be made of one; each query goes to one of them.
///
/// # Errors
/// The system's reason.
pub fn adopt_udp(socket: &std::net::UdpSocket) -> Result<UdpSocket, ListenError> {
    let address = socket.local_addr().map_err(|source| ListenError::Adopt { transport: "UDP", source })?;
    let adopt = || {
        let socket = socket.try_clone()?;
        socket.set_nonblocking(true)?;
        tokio::net::UdpSocket::from_std(socket)
    };
    let socket = adopt().map_err(|source| ListenError::Bind { address, transport: "UDP", source })?;
    Ok(UdpSocket { socket, ipv6: address.is_ipv6() })
}

/// Answers queries on a socket until it is to be closed; what has come by then is still answered.
pub async fn serve_udp<S: QueryService>(socket: UdpSocket, shared: Arc<Shared<S>>, closing: CancellationToken) {
    let UdpSocket { socket, ipv6 } = socket;
    let socket = Arc::new(socket);
    let mut afterwork = Vec::new();
    loop {
        let is_last = tokio::select! {
            () = closing.cancelled() => true,
            // Readiness of a socket fails only while the runtime ends.
            ready = socket.readable() => ready.is_err(),
        };
        let has_more = BATCH.with_borrow_mut(|batch| {
            for _ in 0..BATCHES_PER_TURN {
                let received = batch.receive(&socket, ipv6);
                // Two looks at the clock for a batch, not for each query.
                let started = Instant::now();
                let answered_at_once = batch.answer(received, &socket, &shared, &mut afterwork);
                batch.send(&socket, &shared);
                if answered_at_once > 0 {
                    shared.metrics.hit_duration.record_several(started.elapsed(), answered_at_once);
                }
                for work in afterwork.drain(..) {
                    shared.service.after_sending(work);
                }
                if received < BATCH_LEN {
                    return false;
                }
            }
            true
        });
        if is_last {
            return;
        }
        if has_more {
            tokio::task::yield_now().await;
        }
    }
}

thread_local! {
    /// The batch of this thread. It is used between two awaits only, so one serves every socket of the thread.
    static BATCH: RefCell<Batch> = RefCell::new(Batch::new());
}

/// Memory of one batch, allocated once per thread.
struct Batch {
    /// One for each address family: the kernel notes in them how long the last address was, and cuts a longer one.
    receive_headers_v4: MultiHeaders<SockaddrStorage>,
    receive_headers_v6: MultiHeaders<SockaddrStorage>,
    send_headers: MultiHeaders<SockaddrStorage>,
    queries: Box<[[u8; QUERY_LEN_MAX]; BATCH_LEN]>,
    /// Length of each query received, and who sent it.
    received: [(usize, Option<SocketAddr>); BATCH_LEN],
    /// Answers to send: the first `answer_count` of them.
    answers: [Vec<u8>; BATCH_LEN],
    clients: [Option<SockaddrStorage>; BATCH_LEN],
    answer_count: usize,
}

impl Batch {
    fn new() -> Self {
        let queries = vec![[0; QUERY_LEN_MAX]; BATCH_LEN].into_boxed_slice();
        Self {
            receive_headers_v4: MultiHeaders::preallocate(BATCH_LEN, None),
            receive_headers_v6: MultiHeaders::preallocate(BATCH_LEN, None),
            send_headers: MultiHeaders::preallocate(BATCH_LEN, None),
            queries: queries.try_into().unwrap_or_else(|_| Box::new([[0; QUERY_LEN_MAX]; BATCH_LEN])),
            received: [(0, None); BATCH_LEN],
            answers: std::array::from_fn(|_| Vec::with_capacity(1232)),
            clients: [None; BATCH_LEN],
            answer_count: 0,
        }
    }

    /// Takes what is waiting, up to a batch; returns how many packets that were.
    fn receive(&mut self, socket: &tokio::net::UdpSocket, ipv6: bool) -> usize {
        let Self { receive_headers_v4, receive_headers_v6, queries, received, .. } = self;
        let receive_headers = if ipv6 { receive_headers_v6 } else { receive_headers_v4 };
        let mut slices = queries.each_mut().map(|query| [IoSliceMut::new(query)]);
        let mut count = 0;
        let taken = socket.try_io(Interest::READABLE, || {
            let flags = MsgFlags::MSG_DONTWAIT;
            let messages = recvmmsg(socket.as_raw_fd(), receive_headers, slices.iter_mut(), flags, None)?;
            for (message, slot) in messages.zip(received.iter_mut()) {
                *slot = (message.bytes, message.address.as_ref().and_then(std_address));
                count += 1;
            }
            // A batch that is not full has emptied the socket. Whatever comes next wakes us: to ask once more only to hear
            // that nothing is there would cost a system call for each such batch.
            if count < BATCH_LEN { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        // Nothing more there, or an ICMP error that a client's closed port caused: neither is of interest.
        let _of_no_interest = taken;
        count
    }

    /// Answers the packets received, or starts the tasks that will. Returns how many queries were answered at once.
    fn answer<S: QueryService>(
        &mut self,
        received: usize,
        socket: &Arc<tokio::net::UdpSocket>,
        shared: &Arc<Shared<S>>,
        afterwork: &mut Vec<S::Afterwork>,
    ) -> u64 {
        shared.metrics.queries_udp.add(received as u64);
        self.answer_count = 0;
        let access_list = shared.access.load();
        let mut answered_at_once = 0;
        for (query, &(length, client)) in self.queries.iter().zip(&self.received).take(received) {
            let (Some(packet), Some(client)) = (query.get(..length), client) else { continue };
            let Some(answer) = self.answers.get_mut(self.answer_count) else { continue };
            let standing = access_list.standing(client.ip());
            let read = ClientQuery::read(packet, client, Transport::Udp, |data| shared.judge(client, data));
            let over_limit = shared.over_limit(standing, client, &read, answer);
            let answered = match read {
                _ if over_limit.is_some() => over_limit == Some(true),
                _ if standing.access != Access::Answer => {
                    shared.turn_away(standing.access, packet, client, Transport::Udp, answer)
                }
                Err(rejection) => refuse(&rejection, shared, answer),
                Ok(query) => match shared.service.answer_now(&query, answer) {
                    Answered::Now(work) => {
                        afterwork.extend(work);
                        answered_at_once += 1;
                        true
                    }
                    Answered::Later => !answer_later(packet, &query, socket, shared, answer),
                },
            };
            if answered && let Some(slot) = self.clients.get_mut(self.answer_count) {
                *slot = Some(client.into());
                self.answer_count += 1;
            }
        }
        answered_at_once
    }

    /// Sends the answers. What the kernel does not take at once is dropped and counted: the client asks again.
    fn send<S>(&mut self, socket: &tokio::net::UdpSocket, shared: &Shared<S>) {
        let Self { send_headers, answers, clients, answer_count, .. } = self;
        let slices = answers.each_ref().map(|answer| [IoSlice::new(answer)]);
        let mut first = 0;
        // Bound: each turn sends or skips at least one answer.
        while first < *answer_count {
            let (Some(slices), Some(clients)) = (slices.get(first..*answer_count), clients.get(first..*answer_count))
            else {
                return;
            };
            let no_control: &[ControlMessage<'_>] = &[];
            let sent =
                sendmmsg(socket.as_raw_fd(), send_headers, slices.iter(), clients, no_control, MsgFlags::MSG_DONTWAIT);
            let sent = sent.map_or(0, |results| results.count());
            if sent == 0 {
                shared.metrics.dropped_send_failed.add_one();
            }
            first += sent.max(1);
        }
    }
}

/// Starts the task that answers a miss. If there are too many, writes a refusal into `answer` and returns false.
fn answer_later<S: QueryService>(
    packet: &[u8],
    query: &ClientQuery<'_>,
    socket: &Arc<tokio::net::UdpSocket>,
    shared: &Arc<Shared<S>>,
    answer: &mut Vec<u8>,
) -> bool {
    let Some(share) = shared.in_progress_of_client.try_take(query.client.ip()) else {
        shared.metrics.refused_share.add_one();
        count_sent(write_failure(&query.asked, &Failure::Overload, answer), &shared.metrics);
        return false;
    };
    let Ok(permit) = Arc::clone(&shared.in_progress).try_acquire_owned() else {
        write_refusal(&query.asked, &Failure::Overload, &shared.metrics, answer);
        return false;
    };
    let (query, client) = (QueryBytes::new(packet, query), query.client);
    let (socket, shared) = (Arc::clone(socket), Arc::clone(shared));
    let task_shared = Arc::clone(&shared);
    shared.tracker.spawn(async move {
        let (answer, work) = Arc::clone(&task_shared.service).answer_later(query).await;
        if socket.send_to(&answer, client).await.is_err() {
            task_shared.metrics.dropped_send_failed.add_one();
        }
        if let Some(work) = work {
            task_shared.service.after_sending(work);
        }
        drop((permit, share));
    });
    true
}

fn std_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|&v4| SocketAddr::from(v4));
    v4.or_else(|| address.as_sockaddr_in6().map(|&v6| SocketAddr::from(v6)))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "batches have known lengths")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clients_of_both_families_are_known_by_their_whole_address() {
        let mut batch = Batch::new();
        for ip in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0", "[::1]:0"] {
            let Ok(client) = std::net::UdpSocket::bind(ip) else { continue };
            let UdpSocket { socket: server, ipv6 } = bind_udp(ip.parse().unwrap()).unwrap();
            client.send_to(b"query", server.local_addr().unwrap()).unwrap();
            server.readable().await.unwrap();
            assert_eq!(batch.receive(&server, ipv6), 1);
            assert_eq!(batch.received[0], (5, Some(client.local_addr().unwrap())));
            assert_eq!(batch.queries[0][..5], *b"query");
        }
    }

    #[tokio::test]
    async fn every_packet_wakes_us_however_full_the_batch_before_it_was() {
        let mut batch = Batch::new();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let UdpSocket { socket: server, .. } = bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
        for count in [1, BATCH_LEN, 2, BATCH_LEN + 1, 1, BATCH_LEN - 1, 2 * BATCH_LEN, 1] {
            for _ in 0..count {
                client.send_to(b"query", server.local_addr().unwrap()).unwrap();
            }
            let mut received = 0;
            while received < count {
                tokio::time::timeout(std::time::Duration::from_secs(5), server.readable()).await.unwrap().unwrap();
                received += batch.receive(&server, false);
            }
            assert_eq!(received, count);
        }
    }
}

//! A batch of UDP packets: taken with one system call, answered from the cache one after the other, sent with another call.
//!
//! In: a socket with queries in it. Out: their answers, or the tasks that will find them. Refuses to wait, but for a moment
//! where the kernel has no room for answers.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, sendmmsg,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::turns::LateQuery;
use super::{Answered, ClientQuery, QueryBytes, QueryService, Shared, count_sent, refuse, write_refusal};
use crate::access::Access;
use crate::answer::{Failure, Transport, write_failure};
use crate::metrics::Metrics;

/// Packets taken by one system call.
pub(super) const BATCH_LEN: usize = 32;
/// Largest query that is read, in bytes. A longer one is cut and so found malformed; queries need a tenth of this.
const QUERY_LEN_MAX: usize = 4096;
/// Longest wait for room for answers in the kernel, once for a batch. Choice: a hundred packets at a megabit a second take
/// longer, but whoever asks then has others to wait for.
const ROOM_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// Tries to send an answer that had to be found, and the wait between them.
const LATE_TRIES: u32 = 20;
const LATE_WAIT: Duration = Duration::from_millis(1);

/// Memory of one batch, allocated once per thread. Whatever the length of a batch, memory that it does not need is not touched.
pub(super) struct Batch<W> {
    v4: Headers<SockaddrIn>,
    v6: Headers<SockaddrIn6>,
    queries: Box<[[u8; QUERY_LEN_MAX]; BATCH_LEN]>,
    /// Length of each query received, and who sent it.
    received: [(usize, Option<SocketAddr>); BATCH_LEN],
    /// Answers to send: the first `answer_count` of them.
    answers: [Vec<u8>; BATCH_LEN],
    clients: [Option<SocketAddr>; BATCH_LEN],
    answer_count: usize,
    /// What is left to do once they are sent.
    afterwork: Vec<W>,
}

impl<W: Send> Batch<W> {
    pub(super) fn new() -> Self {
        let queries = vec![[0; QUERY_LEN_MAX]; BATCH_LEN].into_boxed_slice();
        Self {
            v4: Headers::new(),
            v6: Headers::new(),
            queries: queries.try_into().unwrap_or_else(|_| Box::new([[0; QUERY_LEN_MAX]; BATCH_LEN])),
            received: [(0, None); BATCH_LEN],
            answers: std::array::from_fn(|_| Vec::new()),
            clients: [None; BATCH_LEN],
            answer_count: 0,
            afterwork: Vec::new(),
        }
    }

    /// Takes a batch and answers it; false if nothing was there.
    pub(super) fn serve<S: QueryService<Afterwork = W>>(
        &mut self,
        socket: &Arc<UdpSocket>,
        ipv6: bool,
        shared: &Arc<Shared<S>>,
    ) -> bool {
        let received = self.receive(socket, ipv6);
        if received == 0 {
            return false;
        }
        // Two looks at the clock for a batch, not for each query.
        let started = Instant::now();
        let answered_at_once = self.answer(received, socket, shared);
        self.send(socket, ipv6, &shared.metrics);
        if answered_at_once > 0 {
            shared.metrics.hit_duration.record_several(started.elapsed(), answered_at_once);
        }
        for work in self.afterwork.drain(..) {
            shared.service.after_sending(work);
        }
        true
    }

    /// Takes what is waiting, up to a batch; returns how many packets that were.
    pub(super) fn receive(&mut self, socket: &UdpSocket, ipv6: bool) -> usize {
        let Self { v4, v6, queries, received, .. } = self;
        if ipv6 { v6.receive(socket, queries, received) } else { v4.receive(socket, queries, received) }
    }

    /// Answers the packets received, or starts the tasks that will. Returns how many queries were answered at once.
    fn answer<S: QueryService<Afterwork = W>>(
        &mut self,
        received: usize,
        socket: &Arc<UdpSocket>,
        shared: &Arc<Shared<S>>,
    ) -> u64 {
        shared.metrics.queries_udp.add(received as u64);
        self.answer_count = 0;
        let access_list = shared.access.load();
        let mut present = shared.service.present();
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
                Ok(query) => match shared.service.answer_now(&query, &mut present, answer) {
                    Answered::Now(work) => {
                        self.afterwork.extend(work);
                        answered_at_once += 1;
                        true
                    }
                    Answered::Later => !answer_later(packet, &query, socket, shared, answer),
                },
            };
            if answered && let Some(slot) = self.clients.get_mut(self.answer_count) {
                *slot = Some(client);
                self.answer_count += 1;
            }
        }
        shared.service.is_past(present);
        answered_at_once
    }

    /// Sends the answers.
    fn send(&mut self, socket: &impl AsFd, ipv6: bool, metrics: &Metrics) {
        let Self { v4, v6, answers, clients, answer_count, .. } = self;
        let (Some(answers), Some(clients)) = (answers.get(..*answer_count), clients.get(..*answer_count)) else {
            return;
        };
        if ipv6 { v6.send(socket, answers, clients, metrics) } else { v4.send(socket, answers, clients, metrics) }
    }
}

/// What the system calls need for addresses of one family. Of both in one, each would be eight times as long, and the kernel, which
/// notes how long the last one was, would cut a longer one.
struct Headers<A> {
    receive: MultiHeaders<A>,
    send: MultiHeaders<A>,
}

/// An address of one family.
trait FamilyAddress: SockaddrLike + Copy {
    fn of(address: SocketAddr) -> Option<Self>;
    fn std(self) -> SocketAddr;
}

impl FamilyAddress for SockaddrIn {
    fn of(address: SocketAddr) -> Option<Self> {
        if let SocketAddr::V4(v4) = address { Some(v4.into()) } else { None }
    }

    fn std(self) -> SocketAddr {
        self.into()
    }
}

impl FamilyAddress for SockaddrIn6 {
    fn of(address: SocketAddr) -> Option<Self> {
        if let SocketAddr::V6(v6) = address { Some(v6.into()) } else { None }
    }

    fn std(self) -> SocketAddr {
        self.into()
    }
}

impl<A: FamilyAddress> Headers<A> {
    fn new() -> Self {
        Self { receive: MultiHeaders::preallocate(BATCH_LEN, None), send: MultiHeaders::preallocate(BATCH_LEN, None) }
    }

    /// Takes what is waiting; returns how many packets that were.
    fn receive(
        &mut self,
        socket: &UdpSocket,
        queries: &mut [[u8; QUERY_LEN_MAX]; BATCH_LEN],
        received: &mut [(usize, Option<SocketAddr>); BATCH_LEN],
    ) -> usize {
        let mut slices = queries.each_mut().map(|query| [IoSliceMut::new(query)]);
        let flags = MsgFlags::MSG_DONTWAIT;
        // An error: nothing there, or an ICMP error that a client's closed port caused. Neither is of interest.
        let taken = recvmmsg(socket.as_raw_fd(), &mut self.receive, slices.iter_mut(), flags, None);
        let mut count = 0;
        for (message, slot) in taken.into_iter().flatten().zip(received.iter_mut()) {
            *slot = (message.bytes, message.address.map(A::std));
            count += 1;
        }
        count
    }

    /// Sends answers. The kernel may take some of them only, and more a moment later; what it does not take then is
    /// dropped and counted: the client asks again.
    fn send(&mut self, socket: &impl AsFd, answers: &[Vec<u8>], clients: &[Option<SocketAddr>], metrics: &Metrics) {
        let mut slices = [[IoSlice::new(&[])]; BATCH_LEN];
        let mut addresses = [None; BATCH_LEN];
        for ((slice, answer), (address, client)) in
            slices.iter_mut().zip(answers).zip(addresses.iter_mut().zip(clients))
        {
            (*slice, *address) = ([IoSlice::new(answer)], client.and_then(A::of));
        }
        let (mut first, mut may_wait) = (0, true);
        // Bound: each turn sends or skips at least one answer, but for the one that waits.
        while first < answers.len() {
            let (Some(slices), Some(addresses)) =
                (slices.get(first..answers.len()), addresses.get(first..answers.len()))
            else {
                return;
            };
            let no_control: &[ControlMessage<'_>] = &[];
            let fd = socket.as_fd().as_raw_fd();
            let sent = sendmmsg(fd, &mut self.send, slices.iter(), addresses, no_control, MsgFlags::MSG_DONTWAIT);
            match sent.map(Iterator::count) {
                Ok(sent @ 1..) => first += sent,
                Err(Errno::EAGAIN) if may_wait => {
                    may_wait = false;
                    // Whether there is room now, the next turn finds out.
                    let _waited = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&ROOM_WAIT));
                }
                Ok(0) | Err(_) => {
                    metrics.dropped_send_failed.add_one();
                    first += 1;
                }
            }
        }
    }
}

/// Has a miss wait for its turn to be answered by a task. If there are too many, writes a refusal into `answer` and returns false.
fn answer_later<S: QueryService>(
    packet: &[u8],
    query: &ClientQuery<'_>,
    socket: &Arc<UdpSocket>,
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
    let late = LateQuery {
        query: QueryBytes::new(packet, query),
        client: query.client,
        socket: Arc::clone(socket),
        permits: [permit, share],
    };
    late.join(shared);
    true
}

/// Sends an answer that had to be found; false if the kernel did not take it.
pub(super) async fn send_late(socket: &UdpSocket, answer: &[u8], client: SocketAddr) -> bool {
    for _ in 0..LATE_TRIES {
        match socket.send_to(answer, client) {
            // The socket is in nobody's poll, since that would cost something with each packet.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(LATE_WAIT).await,
            sent => return sent.is_ok(),
        }
    }
    false
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "batches have known lengths")]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn clients_of_both_families_are_known_and_answered_by_their_whole_address() {
        let mut batch = Batch::<()>::new();
        for ip in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0", "[::1]:0"] {
            let Ok(client) = UdpSocket::bind(ip) else { continue };
            let server = UdpSocket::bind(ip).unwrap();
            client.send_to(b"query", server.local_addr().unwrap()).unwrap();
            assert_eq!(batch.receive(&server, ip.starts_with('[')), 1);
            assert_eq!(batch.received[0], (5, Some(client.local_addr().unwrap())));
            assert_eq!(batch.queries[0][..5], *b"query");
            (batch.answers[0], batch.clients[0], batch.answer_count) = (b"answer".to_vec(), batch.received[0].1, 1);
            batch.send(&server, ip.starts_with('['), &Metrics::default());
            let mut packet = [0; 16];
            assert_eq!(client.recv_from(&mut packet).unwrap(), (6, server.local_addr().unwrap()));
        }
    }

    #[test]
    fn what_does_not_fit_into_a_batch_stays_for_the_next_one() {
        let mut batch = Batch::<()>::new();
        let [client, server] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        for _ in 0..2 * BATCH_LEN + 1 {
            client.send_to(b"query", server.local_addr().unwrap()).unwrap();
        }
        let taken = std::array::from_fn(|_| batch.receive(&server, false));
        assert_eq!(taken, [BATCH_LEN, BATCH_LEN, 1, 0]);
    }

    /// A batch of numbered answers, to the other end of a pair.
    fn numbered() -> Batch<()> {
        let mut batch = Batch::new();
        batch.answers = std::array::from_fn(|i| vec![i as u8]);
        batch.answer_count = BATCH_LEN;
        batch
    }

    /// A pair whose first end has been filled, and how many packets that took.
    fn full_pair() -> ([UnixDatagram; 2], usize) {
        let (server, client) = UnixDatagram::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let filled = (0..).take_while(|_| server.send(b"full").is_ok()).count();
        ([server, client], filled)
    }

    #[test]
    fn answers_that_the_kernel_has_no_room_for_at_once_are_sent_a_moment_later() {
        let (mut batch, metrics) = (numbered(), Metrics::default());
        let ([server, client], filled) = full_pair();
        let read = std::thread::spawn(move || {
            let mut packet = [0; 8];
            let packets =
                (0..filled + BATCH_LEN).map(|_| client.recv(&mut packet).map(|len| (len, packet[0])).unwrap());
            packets.skip(filled).collect::<Vec<_>>()
        });
        batch.send(&server, false, &metrics);
        assert_eq!(metrics.dropped_send_failed.value(), 0);
        assert_eq!(read.join().unwrap(), (0..BATCH_LEN as u8).map(|i| (1, i)).collect::<Vec<_>>());
    }

    #[test]
    fn answers_that_the_kernel_never_takes_are_counted_and_hold_up_nobody_for_long() {
        let (mut batch, metrics) = (numbered(), Metrics::default());
        let ([server, _client], _) = full_pair();
        batch.send(&server, false, &metrics);
        assert_eq!(metrics.dropped_send_failed.value(), BATCH_LEN as u64);
    }
}

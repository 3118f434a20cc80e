//! UDP: threads that do nothing but answer, each with a socket of every address. What the cache holds is answered by the
//! thread that took the query; what has to be found is left to tasks of the runtime, so that neither waits for the other.
//!
//! Choice: no reactor. A socket that somebody waits for with epoll costs a call-back with each packet that comes or has left,
//! a tenth of what an answer costs; poll(2) waits only while there is nothing to do.

use std::future::Future;
use std::io;
use std::iter::once;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::batch::Batch;
use super::{ListenError, QueryService, Shared};

/// Batches of a socket that are handled before the others have their turn.
const BATCHES_PER_TURN: usize = 8;
/// Receive buffer asked of the kernel, in bytes. Choice: about a thousand packets, so that a burst survives one pause.
const RECEIVE_BUFFER_LEN: usize = 1 << 20;

/// A bound UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: std::net::UdpSocket,
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
        Ok(socket.into())
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
        Ok(socket)
    };
    let socket = adopt().map_err(|source| ListenError::Bind { address, transport: "UDP", source })?;
    Ok(UdpSocket { socket, ipv6: address.is_ipv6() })
}

/// The threads that answer. Dropping them ends them; what has come by then is still answered.
#[derive(Debug)]
pub struct UdpThreads(Vec<UdpThread>);

#[derive(Debug)]
struct UdpThread {
    door: Arc<Door>,
    thread: Option<JoinHandle<()>>,
}

/// Where a thread is told what changes.
#[derive(Debug)]
struct Door {
    /// Wakes it.
    bell: OwnedFd,
    told: Mutex<Told>,
}

/// What it has not heard yet.
#[derive(Debug, Default)]
struct Told {
    sockets: Vec<Served>,
    is_over: bool,
}

/// A socket that is answered on until it is to be closed.
#[derive(Debug)]
struct Served {
    socket: Arc<std::net::UdpSocket>,
    ipv6: bool,
    closing: CancellationToken,
    /// Dropped with the rest.
    _closed: oneshot::Sender<()>,
}

impl UdpThreads {
    /// Starts so many threads, whose tasks are those of the runtime that this is called in.
    ///
    /// # Errors
    /// The system has no room for them.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn start<S: QueryService>(count: usize, shared: &Arc<Shared<S>>) -> io::Result<Self> {
        let start = |_| {
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            let door = Arc::new(Door { bell, told: Mutex::default() });
            let (of_thread, shared, runtime) = (Arc::clone(&door), Arc::clone(shared), Handle::current());
            let serve = move || {
                let _entered = runtime.enter();
                of_thread.serve(&shared);
            };
            let thread = thread::Builder::new().name("udp".to_owned()).spawn(serve)?;
            Ok(UdpThread { door, thread: Some(thread) })
        };
        (0..count).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// Answers queries on a socket, on the thread of this number, from now on until it is to be closed; what has come by then
    /// is still answered. Ends when it is closed.
    pub fn serve(
        &self,
        number: usize,
        socket: UdpSocket,
        closing: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let door = self.0.get(number % self.0.len().max(1)).map(|thread| Arc::clone(&thread.door));
        let (open, closed) = oneshot::channel();
        let UdpSocket { socket, ipv6 } = socket;
        let served = Served { socket: Arc::new(socket), ipv6, closing: closing.clone(), _closed: open };
        if let Some(door) = &door {
            door.told(|told| told.sockets.push(served));
        }
        async move {
            closing.cancelled().await;
            if let Some(door) = &door {
                door.ring();
            }
            // It is never sent, only dropped.
            let _closed = closed.await;
        }
    }
}

impl Drop for UdpThread {
    fn drop(&mut self) {
        self.door.told(|told| told.is_over = true);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            error!("a thread that answers UDP panicked");
        }
    }
}

impl Door {
    /// Tells the thread something.
    fn told(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
        self.ring();
    }

    fn ring(&self) {
        // A bell that cannot be rung any louder is ringing.
        let _ringing = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Answers until it is over.
    fn serve<S: QueryService>(&self, shared: &Arc<Shared<S>>) {
        let (mut batch, mut sockets) = (Batch::new(), Vec::new());
        loop {
            let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
            sockets.extend(told.sockets);
            for served in sockets.extract_if(.., |served: &mut Served| told.is_over || served.closing.is_cancelled()) {
                turn(&served, &mut batch, shared);
            }
            if told.is_over {
                return;
            }
            self.answer_until_rung(&sockets, &mut batch, shared);
        }
    }

    fn answer_until_rung<S: QueryService>(
        &self,
        sockets: &[Served],
        batch: &mut Batch<S::Afterwork>,
        shared: &Arc<Shared<S>>,
    ) {
        let readable = |served| PollFd::new::<std::net::UdpSocket>(served, PollFlags::IN);
        let bell = PollFd::new(&self.bell, PollFlags::IN);
        let mut awaited: Vec<_> = once(bell).chain(sockets.iter().map(|served| readable(&served.socket))).collect();
        loop {
            match poll(&mut awaited, None) {
                Ok(_) | Err(Errno::INTR) => {}
                // Not enough memory, at the worst; the sockets themselves are sound.
                Err(_) => thread::yield_now(),
            }
            let Some((bell, ready)) = awaited.split_first() else { return };
            if !bell.revents().is_empty() {
                let _silenced = rustix::io::read(&self.bell, &mut [0; 8]);
                return;
            }
            for (_, served) in ready.iter().zip(sockets).filter(|(ready, _)| !ready.revents().is_empty()) {
                turn(served, batch, shared);
            }
        }
    }
}

/// Answers what a socket holds, up to some batches. A query over which we stumble takes its batch with it, but not the thread
/// that all others are answered by.
fn turn<S: QueryService>(served: &Served, batch: &mut Batch<S::Afterwork>, shared: &Arc<Shared<S>>) {
    let answer = || (0..BATCHES_PER_TURN).all(|_| batch.serve(&served.socket, served.ipv6, shared));
    if catch_unwind(AssertUnwindSafe(answer)).is_err() {
        error!("a query by UDP was more than we could take (a bug); those of its batch got no answer");
        *batch = Batch::new();
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as Client;
    use std::time::Duration;

    use super::*;
    use crate::answer::{Asked, Failure, Sent, write_failure};
    use crate::listener::{Answered, ClientQuery, QueryBytes};

    /// Refuses everything, and panics over type 2.
    struct Stumbler;

    impl QueryService for Stumbler {
        type Afterwork = ();
        type Present = ();

        fn present(&self) {}

        fn is_past(&self, (): ()) {}

        fn answer_now(&self, query: &ClientQuery<'_>, (): &mut (), out: &mut Vec<u8>) -> Answered<()> {
            assert!(!query.asked.question.ends_with(&[0, 2, 0, 1]), "stumbled, as the test wants");
            write_failure(&query.asked, &Failure::NotCached, out);
            Answered::Now(None)
        }

        fn answer_chaos(&self, _: &Asked<'_>, _: &mut Vec<u8>) -> Option<Sent> {
            None
        }

        async fn answer_later(self: Arc<Self>, _: QueryBytes) -> (Vec<u8>, Option<()>) {
            (Vec::new(), None)
        }

        fn after_sending(self: &Arc<Self>, (): ()) {}
    }

    #[tokio::test]
    async fn a_query_that_makes_a_thread_panic_does_not_end_it() {
        let shared = Shared::of_test(Stumbler);
        let threads = UdpThreads::start(1, &shared).unwrap();
        let socket = bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = socket.socket.local_addr().unwrap();
        let _closed = threads.serve(0, socket, CancellationToken::new());
        let client = Client::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (mut query, mut reply) = (*b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x01x\0\0\x01\0\x01", [0; 64]);
        for (id, qtype) in [(1, 1), (2, 2), (3, 1), (4, 2), (5, 1)] {
            (query[0], query[16]) = (id, qtype);
            let tries = if qtype == 1 { 50 } else { 1 };
            // One that shares a batch with the one before is lost with it; its client asks again.
            let mut is_answered = || {
                client.send_to(&query, server).unwrap();
                client.recv(&mut reply).is_ok() && reply[0] == id
            };
            assert_eq!((0..tries).any(|_| is_answered()), qtype == 1, "query {id}");
        }
    }
}

//! TCP (RFC 7766): queries of a connection are answered as they are ready, not in the order they came.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{ListenError, QueryBytes, QueryService, Received, Shared};
use crate::access::Access;
use crate::answer::Transport;

/// Most connections at once. Further ones wait in the kernel's backlog.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// Most of one client; see [`super::share`]. Choice: an eighth. Further ones are closed as they come.
pub(super) const CONNECTIONS_OF_CLIENT_MAX: usize = CONNECTIONS_MAX / 8;
/// Memory of answers that are ready, large, and wait for their turn on a connection, in bytes, of all connections together. Further ones
/// are given up and made again when there is room.
pub(super) const ANSWERS_WAITING_LEN_MAX: usize = 32 << 20;
/// Answers up to this many bytes are not counted there: all connections together have 64 MiB of them at most.
const SMALL_ANSWER_LEN: usize = 2048;
/// Most queries of one connection that are worked on at once. Further ones are not read before one is answered.
const PIPELINED_MAX: usize = 64;
/// A connection without a whole query or an answer for this long is closed (RFC 7766 §6.2.3 asks for seconds).
const IDLE_MAX: Duration = Duration::from_secs(10);
/// The same in tenths of a second, as keepalive tells it (RFC 7828 §3.1).
pub(super) const IDLE_MAX_DS: u16 = IDLE_MAX.as_secs() as u16 * 10;
/// Longest time to wait for a client to take an answer.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// Pause after a failed accept, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 256;
/// Bytes read by one system call.
const READ_LEN: usize = 4096;

/// A bound TCP socket.
#[derive(Debug)]
pub struct TcpSocket(TcpListener);

/// Binds the TCP socket of an address.
///
/// # Errors
/// The system's reason.
pub fn bind_tcp(address: SocketAddr) -> Result<TcpSocket, ListenError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A restart must not wait for the connections of the last run.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().map(TcpSocket).map_err(|source| ListenError::Bind { address, transport: "TCP", source })
}

/// Takes over a socket that somebody else has bound and listens on.
///
/// # Errors
/// The system's reason.
pub fn adopt_tcp(socket: std::net::TcpListener) -> Result<TcpSocket, ListenError> {
    let adopt = || {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    };
    adopt().map(TcpSocket).map_err(|source| ListenError::Adopt { transport: "TCP", source })
}

/// Accepts connections until the socket is to be closed; each becomes a task of the daemon, and may go on after that.
pub async fn serve_tcp<S: QueryService>(socket: TcpSocket, shared: Arc<Shared<S>>, closing: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => return,
            accepted = accept(&socket.0, &shared) => accepted,
        };
        let Some((stream, client, permit)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        shared.metrics.tcp_connections.add_one();
        if shared.access.load().of(client.ip()) == Access::Ignore {
            shared.ignore(client);
            continue;
        }
        let Some(share) = shared.connections_of_client.try_take(client.ip()) else {
            shared.metrics.tcp_connections_refused.add_one();
            continue;
        };
        let task_shared = Arc::clone(&shared);
        shared.tracker.spawn(async move {
            let ended = converse(stream, client, &task_shared).await;
            if ended.is_err() {
                task_shared.metrics.tcp_connections_aborted.add_one();
            }
            drop((permit, share));
        });
    }
}

async fn accept<S>(
    listener: &TcpListener,
    shared: &Shared<S>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(&shared.connections).acquire_owned().await.ok()?;
    let (stream, client) = listener.accept().await.ok()?;
    Some((stream, client, permit))
}

/// Serves one connection to its end. After the client has closed its half, or the daemon is told to stop, what was asked
/// is still answered.
async fn converse<S: QueryService>(stream: TcpStream, client: SocketAddr, shared: &Arc<Shared<S>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let mut input = Vec::with_capacity(READ_LEN);
    let mut answers: Answers<S> = JoinSet::new();
    let mut client_done = false;
    let mut idle_at = Instant::now() + IDLE_MAX;
    let mut output = Vec::new();
    loop {
        while answers.len() < PIPELINED_MAX
            && let Some(packet) = take_message(&mut input)
        {
            idle_at = Instant::now() + IDLE_MAX;
            shared.metrics.queries_tcp.add_one();
            let work = match shared.receive(&packet, client, Transport::Tcp, &mut output) {
                Received::Answered(work) => work,
                Received::Pending(query) => {
                    answers.spawn(answer_later(query, client, Arc::clone(shared)));
                    continue;
                }
                // It is no query; the connection is of no use.
                Received::Silence => return Err(io::ErrorKind::InvalidData.into()),
            };
            write_message(&mut writer, &output).await?;
            after_sending(shared, work);
        }
        if client_done && answers.is_empty() {
            return Ok(());
        }
        tokio::select! {
            // The daemon stops: nothing more is read, what was asked is still answered.
            () = shared.stop.cancelled(), if !client_done => client_done = true,
            Some(joined) = answers.join_next() => {
                let Ok((answer, work, _memory)) = joined else { return Err(io::ErrorKind::Other.into()) };
                write_message(&mut writer, &answer).await?;
                after_sending(shared, work);
                idle_at = Instant::now() + IDLE_MAX;
            }
            read = reader.read_buf(&mut input), if !client_done && answers.len() < PIPELINED_MAX => {
                client_done = read? == 0;
            }
            () = tokio::time::sleep_until(idle_at), if answers.is_empty() => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// The queries of a connection that are worked on: each ends with its answer, and what memory it has been given if that is large.
type Answers<S> = JoinSet<(Vec<u8>, Option<<S as QueryService>::Afterwork>, Option<tokio::sync::OwnedSemaphorePermit>)>;

/// Finds an answer, and waits with it for its turn.
async fn answer_later<S: QueryService>(
    query: QueryBytes,
    client: SocketAddr,
    shared: Arc<Shared<S>>,
) -> (Vec<u8>, Option<S::Afterwork>, Option<tokio::sync::OwnedSemaphorePermit>) {
    // A connection can wait for its turn; UDP clients cannot and are refused.
    let share = match shared.in_progress_of_client.place(client.ip()) {
        Some(place) => Arc::clone(place).acquire_owned().await.ok(),
        None => None,
    };
    let permit = Arc::clone(&shared.in_progress).acquire_owned().await.ok();
    let (answer, work) = Arc::clone(&shared.service).answer_later(query.clone()).await;
    drop((permit, share));
    let Some(len) = u32::try_from(answer.len()).ok().filter(|_| answer.len() > SMALL_ANSWER_LEN) else {
        return (answer, work, None);
    };
    if let Ok(memory) = Arc::clone(&shared.answers_waiting).try_acquire_many_owned(len) {
        return (answer, work, Some(memory));
    }
    // There is no room for it now. What is given up here is in the cache, unless that is full or it may not be kept.
    drop((answer, work));
    shared.metrics.tcp_answers_postponed.add_one();
    let memory = Arc::clone(&shared.answers_waiting).acquire_many_owned(len).await.ok();
    let (answer, work) = Arc::clone(&shared.service).answer_later(query).await;
    (answer, work, memory)
}

/// Takes the first whole message off the input: two bytes of length, then as many bytes.
fn take_message(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let &[high, low] = input.first_chunk::<2>()?;
    let end = usize::from(u16::from_be_bytes([high, low])).saturating_add(2);
    let message = input.get(2..end)?.to_vec();
    input.drain(..end);
    Some(message)
}

async fn write_message(writer: &mut tokio::net::tcp::OwnedWriteHalf, message: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(message.len().saturating_add(2));
    framed.extend_from_slice(&u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
    framed.extend_from_slice(message);
    timeout(WRITE_MAX, writer.write_all(&framed)).await?
}

fn after_sending<S: QueryService>(shared: &Shared<S>, work: Option<S::Afterwork>) {
    if let Some(work) = work {
        shared.service.after_sending(work);
    }
}

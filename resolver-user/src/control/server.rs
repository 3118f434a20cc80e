//! The daemon's end of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::report::{
    AnchorEntry, CachedEntry, CaptureFilter, CountsReport, ErrorReport, FastPathEntry, FlushReport, LimitedEntry,
    NegativeAnchorEntry, Request, Serving, ServingReport, StatusReport, TopReport, VerifyReport,
};
use crate::export::Family;

/// Longest request, in bytes.
const REQUEST_LEN_MAX: u64 = 4096;
/// Longest time to wait for a request, or for a reply to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rest after a connection could not be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 16;
/// Mode of the socket: its owner and group may use it.
const SOCKET_MODE: u32 = 0o660;
/// Mode of the directory, if it has to be made.
const DIRECTORY_MODE: u32 = 0o755;

/// Who serves requests.
pub trait ControlService: Send + Sync + 'static {
    /// The state of the daemon.
    fn status(&self) -> StatusReport;
    /// What both halves count and measure.
    fn families(&self) -> Vec<Family>;
    /// The daemon's cache.
    fn cache_dump(&self) -> Vec<CachedEntry>;
    /// The kernel map; none if XDP is off.
    fn fastpath_dump(&self) -> Option<Vec<FastPathEntry>>;
    /// Who was over a rate limit lately, by either half.
    fn limited(&self) -> Vec<LimitedEntry>;
    /// Empties the kernel map; none if XDP is off.
    fn fastpath_flush(&self) -> Option<FlushReport>;
    /// Has XDP answer, or not; none if XDP is off.
    fn fastpath_serve(&self, serving: Serving) -> Option<ServingReport>;
    /// Holds the kernel map against the daemon's cache; none if XDP is off.
    fn fastpath_verify(&self) -> Option<VerifyReport>;
    /// What a live view shows.
    fn top(&self) -> TopReport;
    /// Queries by client.
    ///
    /// # Errors
    /// They are not counted.
    fn clients(&self) -> Result<CountsReport, String>;
    /// Begins a capture.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn capture(&self, filter: &CaptureFilter) -> Result<CaptureStream, String>;
    /// The anchors; the error says why there can be none.
    ///
    /// # Errors
    /// Validation is off.
    fn anchors(&self) -> Result<Vec<AnchorEntry>, String>;
    /// Reads the anchors of a file again; then all anchors.
    ///
    /// # Errors
    /// Why it was not done; nothing has changed then.
    fn read_anchors(&self, file: &Path) -> Result<Vec<AnchorEntry>, String>;
    /// The negative anchors; the error says why there can be none.
    ///
    /// # Errors
    /// Validation is off.
    fn negative_anchors(&self) -> Result<Vec<NegativeAnchorEntry>, String>;
    /// Turns validation off at and below a name for so many seconds; then all negative anchors.
    ///
    /// # Errors
    /// Why it was not done.
    fn add_negative_anchor(&self, name: &str, for_s: u64) -> Result<Vec<NegativeAnchorEntry>, String>;
    /// Ends a negative anchor that was added; then all that are left.
    ///
    /// # Errors
    /// Why it was not done.
    fn remove_negative_anchor(&self, name: &str) -> Result<Vec<NegativeAnchorEntry>, String>;
}

/// Why the control socket cannot be had.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Another daemon answers on it.
    #[error("another daemon is running: it answers on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is in the way.
    #[error("{} is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot make control socket {}: {source}", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The bound socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
    /// What was made for it: the socket, and its directory if that was missing.
    made: Vec<PathBuf>,
}

/// The socket, listened to.
#[derive(Debug)]
pub struct ControlListener(UnixListener);

impl ControlSocket {
    /// The files and directories that were made for it.
    pub fn made(&self) -> &[PathBuf] {
        &self.made
    }

    /// Listens, within a runtime.
    ///
    /// # Errors
    /// The system's reason.
    pub fn listen(&self) -> Result<ControlListener, ControlError> {
        let system = |source| ControlError::System { path: self.path.clone(), source };
        let listener = self.listener.try_clone().map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        UnixListener::from_std(listener).map(ControlListener).map_err(system)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Nothing can be done about a file that somebody else has removed.
        let _gone = fs::remove_file(&self.path);
    }
}

/// Binds the control socket; the file that a dead daemon left behind is replaced.
///
/// # Errors
/// Another daemon is alive, or the system refuses.
pub fn bind_control(path: &Path) -> Result<ControlSocket, ControlError> {
    use std::os::unix::fs::FileTypeExt;
    let system = |source| ControlError::System { path: path.to_owned(), source };
    let mut made = vec![path.to_owned()];
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        made.extend((!directory.exists()).then(|| directory.to_owned()));
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(system)?;
    }
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(ControlError::NotASocket { path: path.to_owned() });
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(ControlError::InUse { path: path.to_owned() });
        }
        fs::remove_file(path).map_err(system)?;
    }
    // Bound under another name and renamed, so that nobody can connect before the mode is set.
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let _stale = fs::remove_file(&draft);
    let listener = std::os::unix::net::UnixListener::bind(&draft).map_err(system)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(SOCKET_MODE)).map_err(system)?;
    fs::rename(&draft, path).map_err(system)?;
    Ok(ControlSocket { listener, path: path.to_owned(), made })
}

/// Serves requests until the daemon stops.
pub async fn serve_control<S: ControlService>(
    socket: ControlListener,
    service: Arc<S>,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&socket.0, &connections) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (service, stop) = (Arc::clone(&service), stop.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                _given_up = converse(stream, &*service) => {}
            }
            drop(permit);
        });
    }
}

/// The next connection, once there is room for it; none if the system has none to give.
async fn accept(listener: &UnixListener, connections: &Arc<Semaphore>) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    Some((stream, permit))
}

/// A client that does not ask, or does not read, loses its connection.
async fn converse<S: ControlService>(stream: UnixStream, service: &S) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new((&mut reader).take(REQUEST_LEN_MAX)).read_line(&mut line)).await??;
    let reply = match serde_json::from_str(&line) {
        Ok(Request::Capture { filter }) => match service.capture(&filter) {
            Ok(stream) => return send_capture(stream, reader, writer).await,
            Err(error) => Err(error),
        },
        Ok(request) => reply(request, service),
        Err(error) => Err(error.to_string()),
    };
    let lines = reply.or_else(|error| lines([ErrorReport { error }]));
    timeout(PATIENCE, writer.write_all(lines.unwrap_or_default().as_bytes())).await??;
    writer.shutdown().await
}

/// Sends what is captured until the other end closes its half; then what is left, and how many were lost in all.
async fn send_capture(
    mut stream: CaptureStream,
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
) -> io::Result<()> {
    timeout(PATIENCE, writer.write_all(b"{}\n")).await??;
    let mut end = [0; 1];
    loop {
        let captured = tokio::select! {
            captured = stream.answers.recv() => captured,
            // What was captured by then is still sent.
            _closed = reader.read(&mut end), if !stream.answers.is_closed() => {
                stream.answers.close();
                continue;
            }
        };
        let is_last = captured.is_none();
        let captured = captured.unwrap_or_default();
        let len = u32::try_from(captured.len() + size_of::<u64>()).unwrap_or(u32::MAX);
        let lost = stream.lost.load(Ordering::Relaxed);
        let record = [&len.to_le_bytes()[..], &lost.to_le_bytes(), &captured].concat();
        timeout(PATIENCE, writer.write_all(&record)).await??;
        if is_last {
            return writer.shutdown().await;
        }
    }
}

fn reply<S: ControlService>(request: Request, service: &S) -> Result<String, String> {
    let off = || "XDP is off".to_owned();
    match request {
        Request::Status => lines([service.status()]),
        Request::Metrics => lines(service.families()),
        Request::CacheDump => lines(service.cache_dump()),
        Request::FastpathDump => lines(service.fastpath_dump().ok_or_else(off)?),
        Request::FastpathLimits => lines(service.limited()),
        Request::FastpathFlush => lines([service.fastpath_flush().ok_or_else(off)?]),
        Request::FastpathServe { serving } => lines([service.fastpath_serve(serving).ok_or_else(off)?]),
        Request::FastpathVerify => lines([service.fastpath_verify().ok_or_else(off)?]),
        Request::Top => lines([service.top()]),
        Request::Clients => lines([service.clients()?]),
        // Answered elsewhere, with a stream.
        Request::Capture { .. } => Ok(String::new()),
        Request::Anchors => lines(service.anchors()?),
        Request::ReadAnchors { file } => lines(service.read_anchors(&file)?),
        Request::NegativeAnchors => lines(service.negative_anchors()?),
        Request::AddNegativeAnchor { name, for_s } => lines(service.add_negative_anchor(&name, for_s)?),
        Request::RemoveNegativeAnchor { name } => lines(service.remove_negative_anchor(&name)?),
    }
}

/// A captured answer with its query, as blocks of pcapng.
pub type Captured = Box<[u8]>;

/// A capture under way. It ends when this is dropped.
#[derive(Debug)]
pub struct CaptureStream {
    /// What is captured.
    pub answers: mpsc::Receiver<Captured>,
    /// Answers that were not taken in time.
    pub lost: Arc<AtomicU64>,
}

fn lines<T: Serialize>(reports: impl IntoIterator<Item = T>) -> Result<String, String> {
    let mut text = String::new();
    for report in reports {
        text.push_str(&serde_json::to_string(&report).map_err(|error| error.to_string())?);
        text.push('\n');
    }
    Ok(text)
}

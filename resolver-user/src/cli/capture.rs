//! `resolver capture`: writes the queries that XDP answers, and its answers, to a file that tcpdump and Wireshark read.
//! What came of it is said on standard error, since the file may be standard output.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::{Control, EXIT_CONFIG, EXIT_FILES, EXIT_NETWORK, block_on, daemon_status};
use crate::control::Request;
use crate::control::report::{CaptureFilter, ErrorReport};
use crate::witness::{begin, end};

/// Longest answer with its query that the daemon sends, in bytes; anything longer is no capture.
const RECORD_LEN_MAX: usize = 1 << 16;
/// Bytes of a frame that are kept.
const SNAP_LEN: u32 = resolver_ebpf::abi::KEPT_LEN_MAX as u32;
/// Without `--seconds`: longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Arguments of `resolver capture`.
#[derive(Args)]
pub(super) struct CaptureArguments {
    /// The file, in pcapng format; `-` is standard output
    file: PathBuf,
    /// Only of clients in this network
    #[arg(long, value_name = "NETWORK")]
    client: Option<String>,
    /// Only of this name and what is below it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE")]
    rtype: Option<String>,
    /// Only with this RCODE: NOERROR or NXDOMAIN
    #[arg(long, value_name = "RCODE")]
    rcode: Option<String>,
    /// End after so many answers
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// End before the file is longer than so many bytes
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    #[command(flatten)]
    control: Control,
}

/// Why a capture ends badly.
#[derive(Debug, thiserror::Error)]
enum CaptureError {
    /// No daemon.
    #[error("no daemon answers on {}: {source}", path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    /// It does not want to.
    #[error("the daemon refused: {reason}")]
    Refused { reason: Box<str> },
    /// The file.
    #[error("cannot write {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// What was captured.
#[derive(Default)]
struct Captured {
    answers: u64,
    lost: u64,
    bytes: u64,
    /// Nothing more is written.
    is_full: bool,
}

pub(super) fn capture(arguments: &CaptureArguments) -> ExitCode {
    let filter = CaptureFilter {
        client: arguments.client.clone(),
        name: arguments.name.clone(),
        rtype: arguments.rtype.clone(),
        rcode: arguments.rcode.clone(),
    };
    if let Err(error) = filter.read() {
        eprintln!("{error}");
        return ExitCode::from(EXIT_CONFIG);
    }
    // What XDP could not tell is counted for all who want to know.
    let socket = &arguments.control.control_socket;
    let lost_by_xdp = || daemon_status(socket).ok().and_then(|status| status.fast_path).map_or(0, |xdp| xdp.seen.lost);
    let before = lost_by_xdp();
    let ended = block_on(run(arguments, filter));
    match ended.unwrap_or_else(|source| Err(CaptureError::Unreachable { path: socket.clone(), source })) {
        Ok(captured) => {
            let lost = captured.lost + lost_by_xdp().saturating_sub(before);
            match arguments.control.json {
                true => eprintln!("{}", serde_json::json!({ "answers": captured.answers, "lost": lost })),
                false => eprintln!("{} answers captured with their queries, {lost} lost", captured.answers),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if matches!(error, CaptureError::File { .. }) { EXIT_FILES } else { EXIT_NETWORK })
        }
    }
}

async fn run(arguments: &CaptureArguments, filter: CaptureFilter) -> Result<Captured, CaptureError> {
    let path = &arguments.control.control_socket;
    let unreachable = |source| CaptureError::Unreachable { path: path.clone(), source };
    // From here on, an interruption ends the capture in order.
    let mut interrupted = signal(SignalKind::interrupt()).map_err(unreachable)?;
    let mut stream = start(path, filter).await?;
    let mut file = Target::open(&arguments.file)?;
    let mut captured = Captured::default();
    captured.bytes += file.write(&begin("xdp", SNAP_LEN))?;
    let until = Instant::now() + arguments.seconds.map_or(FOR_EVER, Duration::from_secs);
    let mut is_ending = false;
    while arguments.count != Some(0) {
        let is_over = tokio::select! {
            () = sleep_until(until), if !is_ending => true,
            _ = interrupted.recv(), if !is_ending => true,
            // Takes nothing yet, so nothing is lost if this is given up.
            waiting = stream.fill_buf() => {
                if waiting.map_err(unreachable)?.is_empty() {
                    break;
                }
                false
            }
        };
        // Once it is over, what the daemon has captured by then still comes.
        if is_over || !captured.take(&mut stream, &mut file, arguments).await? && !is_ending {
            is_ending = true;
            stream.get_mut().shutdown().await.map_err(unreachable)?;
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    match file.write(&end(now_ns, 2 * captured.answers, 2 * captured.lost)) {
        Err(CaptureError::File { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(captured),
        written => written.map(|_| captured),
    }
}

impl Captured {
    /// Takes an answer with its query, if there is room for it; false if there is no room for another one.
    async fn take(
        &mut self,
        stream: &mut BufReader<UnixStream>,
        file: &mut Target,
        arguments: &CaptureArguments,
    ) -> Result<bool, CaptureError> {
        let path = &arguments.control.control_socket;
        let record = read_record(stream).await;
        let (lost, packets) = record.map_err(|source| CaptureError::Unreachable { path: path.clone(), source })?;
        self.lost = lost;
        if packets.is_empty() || self.is_full {
            return Ok(!self.is_full);
        }
        let last_len = end(0, 0, 0).len() as u64;
        if arguments.size.is_some_and(|size| self.bytes + packets.len() as u64 + last_len > size) {
            self.is_full = true;
            return Ok(false);
        }
        match file.write(&packets) {
            Ok(written) => self.bytes += written,
            // Whoever reads has seen enough.
            Err(CaptureError::File { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
                self.is_full = true;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        self.answers += 1;
        self.is_full = arguments.count == Some(self.answers);
        Ok(!self.is_full)
    }
}

/// Asks for the capture; the daemon then sends what it captures.
async fn start(path: &Path, filter: CaptureFilter) -> Result<BufReader<UnixStream>, CaptureError> {
    let begin = async || {
        let mut stream = UnixStream::connect(path).await?;
        let request = serde_json::to_string(&Request::Capture { filter })?;
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let (mut stream, mut line) = (BufReader::new(stream), String::new());
        stream.read_line(&mut line).await?;
        Ok((stream, line))
    };
    let (stream, line) =
        begin().await.map_err(|source: io::Error| CaptureError::Unreachable { path: path.to_owned(), source })?;
    match serde_json::from_str::<ErrorReport>(&line) {
        Ok(refused) => Err(CaptureError::Refused { reason: refused.error.into() }),
        Err(_) if line.trim() == "{}" => Ok(stream),
        Err(error) => Err(CaptureError::Unreachable { path: path.to_owned(), source: error.into() }),
    }
}

/// The next answer's packets, and how many answers were lost before.
async fn read_record(stream: &mut BufReader<UnixStream>) -> io::Result<(u64, Vec<u8>)> {
    let len = stream.read_u32_le().await? as usize;
    let lost = stream.read_u64_le().await?;
    let packets_len = len.checked_sub(8).filter(|len| *len <= RECORD_LEN_MAX).ok_or(io::ErrorKind::InvalidData)?;
    let mut packets = vec![0; packets_len];
    stream.read_exact(&mut packets).await?;
    Ok((lost, packets))
}

/// Where packets go.
struct Target {
    path: PathBuf,
    to: Box<dyn Write>,
}

impl Target {
    fn open(path: &Path) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::File { path: path.to_owned(), source };
        let to: Box<dyn Write> =
            if path == Path::new("-") { Box::new(io::stdout()) } else { Box::new(File::create(path).map_err(failed)?) };
        Ok(Self { path: path.to_owned(), to })
    }

    /// Writes at once, for whoever reads along.
    fn write(&mut self, bytes: &[u8]) -> Result<u64, CaptureError> {
        let written = self.to.write_all(bytes).and_then(|()| self.to.flush());
        written.map_err(|source| CaptureError::File { path: self.path.clone(), source })?;
        Ok(bytes.len() as u64)
    }
}

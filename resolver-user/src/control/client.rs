//! The operator's end of the control socket.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::report::{ErrorReport, Request};

/// Longest time to wait for the daemon.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no reply.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No daemon answers on the socket.
    #[error("no daemon answers on {}: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The daemon refused.
    #[error("the daemon refused: {reason}")]
    Refused {
        /// Its reason.
        reason: String,
    },
    /// The reply is not what was asked for.
    #[error("cannot read the reply: {source}")]
    Reply {
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// How long the daemon may take.
fn patience(request: &Request) -> Duration {
    // Millions of answers take seconds.
    if *request == Request::FastpathVerify { PATIENCE * 60 } else { PATIENCE }
}

/// Asks the daemon; returns its lines.
///
/// # Errors
/// No daemon, or its refusal.
pub fn ask(path: &Path, request: Request) -> Result<String, ClientError> {
    let talk = || {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(patience(&request)))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let line = serde_json::to_string(&request).map_err(io::Error::other)?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    };
    let reply: String = talk().map_err(|source| ClientError::Unreachable { path: path.to_owned(), source })?;
    match serde_json::from_str::<ErrorReport>(&reply) {
        Ok(refused) => Err(ClientError::Refused { reason: refused.error }),
        Err(_) => Ok(reply),
    }
}

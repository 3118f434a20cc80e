//! The end of a log line's way.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::Level;

use super::LogError;
use crate::config::LogTarget;

/// Where the system's log listens.
const SYSLOG_SOCKET: &str = "/dev/log";
/// Mode of a new log file: names that people ask for are not everybody's business.
const FILE_MODE: u32 = 0o640;

/// Where lines go.
#[derive(Debug)]
pub(super) enum Sink {
    StandardError,
    File { path: PathBuf, file: File },
    Syslog { facility: u8, socket: UnixDatagram },
}

impl Sink {
    pub(super) fn open(target: &LogTarget) -> Result<Self, LogError> {
        Ok(match target {
            LogTarget::StandardError => Self::StandardError,
            LogTarget::File(path) => Self::File { path: path.clone(), file: open_file(path)? },
            LogTarget::Syslog(facility) => Self::Syslog { facility: *facility, socket: connect()? },
        })
    }

    pub(super) fn reopen(&mut self) -> Result<(), LogError> {
        match self {
            Self::StandardError => {}
            Self::File { path, file } => *file = open_file(path)?,
            Self::Syslog { socket, .. } => *socket = connect()?,
        }
        Ok(())
    }

    pub(super) fn write(&mut self, level: Level, line: &[u8]) -> io::Result<()> {
        match self {
            Self::StandardError => io::stderr().write_all(line),
            Self::File { file, .. } => file.write_all(line),
            Self::Syslog { facility, socket } => {
                let message = syslog_message(*facility, level, std::process::id(), line);
                if socket.send(&message).is_err() {
                    // The system's log was started again since.
                    *socket = connect().map_err(io::Error::other)?;
                    socket.send(&message)?;
                }
                Ok(())
            }
        }
    }
}

fn open_file(path: &Path) -> Result<File, LogError> {
    let opened =
        OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(nix::libc::O_NOFOLLOW).open(path);
    opened.map_err(|source| LogError::File { path: path.to_owned(), source })
}

fn connect() -> Result<UnixDatagram, LogError> {
    let connected = UnixDatagram::unbound().and_then(|socket| {
        socket.connect(SYSLOG_SOCKET)?;
        Ok(socket)
    });
    connected.map_err(|source| LogError::Syslog { path: SYSLOG_SOCKET.into(), source })
}

/// A line as syslog(3) sends it to the local socket: priority, tag, text; the receiver adds time and host (RFC 3164 §5.3).
fn syslog_message(facility: u8, level: Level, pid: u32, line: &[u8]) -> Vec<u8> {
    let severity = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    };
    let priority = u16::from(facility) * 8 + severity;
    let mut message = format!("<{priority}>resolver[{pid}]: ").into_bytes();
    message.extend_from_slice(line.trim_ascii_end());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_syslog_message() {
        assert_eq!(syslog_message(3, Level::WARN, 7, b"cannot do it\n"), b"<28>resolver[7]: cannot do it");
    }
}

//! A file whose time of change is the earliest time that a set clock can show (dnsmasq's `dnssec-timestamp`).
//!
//! In: a path. Out: whether the clock has passed it. For machines whose clock starts in the past and is set by NTP, which
//! needs names resolved first. It is no anchor management (RFC 5011).

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc::O_NOFOLLOW;
use thiserror::Error as ThisError;

use crate::clock::Now;

/// The time of a new file, as dnsmasq has it: 1 January 2015, in seconds since 1970.
const NEW_FILE_UNIX_S: u64 = 1_420_070_400;

/// The file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("cannot {what} dnssec-timestamp {}: {kind}", path.display())]
pub struct TimestampError {
    /// What was tried: `make`, `read` or `update`.
    what: &'static str,
    /// The file.
    path: PathBuf,
    /// The system's reason.
    kind: ErrorKind,
}

/// The file, and the time that it had at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp {
    path: PathBuf,
    changed_unix_s: u64,
}

impl Timestamp {
    /// Reads the file's time of change, and makes the file if it is missing. It must be writable, as it is brought up to
    /// date later.
    ///
    /// # Errors
    /// The file cannot be made, opened for writing, or read.
    pub fn open(path: &Path) -> Result<Self, TimestampError> {
        let fail = |what| move |error: Error| TimestampError { what, path: path.to_owned(), kind: error.kind() };
        let file = match OpenOptions::new().write(true).custom_flags(O_NOFOLLOW).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(fail("make"))?;
                set_modified(&file, NEW_FILE_UNIX_S).map_err(fail("make"))?;
                file
            }
            Err(error) => return Err(fail("read")(error)),
        };
        let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(fail("read"))?;
        // Before 1970 is as good as 1970.
        let changed_unix_s = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self { path: path.to_owned(), changed_unix_s })
    }

    /// Whether the clock shows at least the file's time.
    pub fn is_past(&self, now: Now) -> bool {
        now.unix_s >= self.changed_unix_s
    }

    /// Makes the file's time that of the clock.
    ///
    /// # Errors
    /// The file cannot be changed.
    pub fn touch(&self, now: Now) -> Result<(), TimestampError> {
        let touched = OpenOptions::new().write(true).open(&self.path).and_then(|file| set_modified(&file, now.unix_s));
        touched.map_err(|error| TimestampError { what: "update", path: self.path.clone(), kind: error.kind() })
    }
}

fn set_modified(file: &File, unix_s: u64) -> Result<(), Error> {
    let time: Option<SystemTime> = UNIX_EPOCH.checked_add(Duration::from_secs(unix_s));
    file.set_modified(time.unwrap_or(UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_of_2015_and_one_that_cannot_be_made_is_an_error() {
        let path = std::env::temp_dir().join(format!("resolver-stamp-{}", std::process::id()));
        let timestamp = Timestamp::open(&path).unwrap();
        let at = |unix_s| Now { unix_s, boot_ns: 0 };
        assert!(timestamp.is_past(at(NEW_FILE_UNIX_S)) && !timestamp.is_past(at(NEW_FILE_UNIX_S - 1)));
        assert_eq!(Timestamp::open(&path).unwrap(), timestamp);
        std::fs::remove_file(&path).unwrap();
        let error = Timestamp::open(Path::new("/no/such/directory/stamp")).unwrap_err();
        assert!(error.to_string().contains("cannot make dnssec-timestamp /no/such/directory/stamp"), "{error}");
    }
}

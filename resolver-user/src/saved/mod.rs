//! The cache over a restart (`cache-file`): answers with their records and signatures as they were received.
//!
//! In: responses with their times, by wall clock. Out: a file; and, after a restart, the same responses with TTLs that have
//! aged, for as long as they would have been kept. Rooms: `format` is the file's bytes, [`Restored`] what was read and not asked for yet.
//!
//! Choice: the file says nothing about security. What is taken from it goes the way of a server's reply: it is validated
//! against today's anchors, clock and keys before anybody gets it, and if that fails a server is asked. So no file can make an answer
//! Secure, and none can make one bogus. A key beside the file, for a signature over conclusions, would have to be kept as well
//! as the conclusions.
//! Refuses: a file that another user could have written, or of other servers, local data, filters or anchors, or from the future,
//! or damaged, or too long; all of it, with the reason. Refuses to judge. Reads no clock.

mod format;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use thiserror::Error;

use crate::clock::{NS_PER_S, Now};
use crate::replace::replace_private_file;
use crate::wire::{Question, Response};
use format::{FormatError, message};

/// Longest file, in bytes. Choice: some 300,000 answers; what finds no room is asked for again.
const FILE_LEN_MAX: usize = 256 << 20;
/// Longest time that an answer of a file may have had in all, in seconds: a day and a bit; more is not of our making.
const ANSWER_TIME_S_MAX: u64 = 100_000;
/// How far wall time and boot time may drift apart before the ages of restored answers are not believed any more, in seconds.
const CLOCK_STEP_S_MAX: u64 = 5;

/// What two daemons must have in common for one to use the other's file.
pub type Basis = [u8; 32];

/// An answer to be kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedAnswer {
    /// When it was found, in seconds since 1970; not later than it was.
    pub found_at_unix_s: u64,
    /// Until when it may be given, in seconds since 1970; not later than it may.
    pub expires_at_unix_s: u64,
    /// The response as a DNS message.
    pub message: Box<[u8]>,
}

/// Why a file is not used.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no file.
    #[error("it is no regular file")]
    NoFile,
    /// Somebody else could have written it.
    #[error("user {uid} owns it with mode {mode:o}; only we (user {own_uid}) or root may be able to write it")]
    Foreign {
        /// Its owner.
        uid: u32,
        /// Its mode.
        mode: u32,
        /// Who we are.
        own_uid: u32,
    },
    /// It is longer than any that we write.
    #[error("it is longer than {FILE_LEN_MAX} bytes")]
    TooLong,
    /// It is not what was written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// What answers rest on has changed.
    #[error("it is of other servers, local data, filters, limits or trust anchors, or of another version")]
    OtherBasis,
    /// The clock shows a time before it was written.
    #[error("it was written {ahead_s} s in the future: the clock went back")]
    Future {
        /// How far, in seconds.
        ahead_s: u64,
    },
}

impl SavedAnswer {
    /// What is to be kept of a response that was found at `found_at_boot_ns` and may be given until `expires_at_boot_ns`; none if that is
    /// nothing. Times are rounded against it.
    pub fn new(response: &Response, found_at_boot_ns: u64, expires_at_boot_ns: u64, now: Now) -> Option<Self> {
        let age_s = now.boot_ns.saturating_sub(found_at_boot_ns).div_ceil(NS_PER_S);
        let left_s = expires_at_boot_ns.saturating_sub(now.boot_ns) / NS_PER_S;
        let found_at_unix_s = now.unix_s.saturating_sub(age_s);
        let expires_at_unix_s = now.unix_s.saturating_add(left_s);
        let message = message(response).filter(|_| left_s > 0)?;
        Some(Self { found_at_unix_s, expires_at_unix_s, message })
    }

    /// The response with the TTLs that it has now; none once its time is over, or if it is no response to this question.
    fn response(&self, question: &Question, now_unix_s: u64) -> Option<Response> {
        // The wall clock shows whole seconds: what has passed may be almost one more.
        let age_s = now_unix_s.checked_sub(self.found_at_unix_s)?.saturating_add(1);
        let left_s = self.expires_at_unix_s.checked_sub(now_unix_s)?.saturating_sub(1);
        let mut response = format::response(&self.message, question)?;
        for set in response.answer.iter_mut().chain(&mut response.authority) {
            let aged = |ttl_s: u32| {
                let aged_s = u64::from(ttl_s).saturating_sub(age_s).min(left_s);
                u32::try_from(aged_s).unwrap_or(0)
            };
            set.ttl_s = aged(set.ttl_s);
            for signature in &mut set.signatures {
                signature.ttl_s = aged(signature.ttl_s);
            }
            if set.ttl_s == 0 {
                return None;
            }
        }
        Some(response)
    }
}

/// Answers of a file that nobody has asked for yet.
#[derive(Debug, Default)]
pub struct Restored {
    entries: Mutex<HashMap<Question, SavedAnswer>>,
    /// How many, to be read without waiting.
    left: AtomicUsize,
    /// Wall time less boot time when they were read, in seconds.
    clocks_apart_s: u64,
}

impl Restored {
    /// What a file holds and is not over yet.
    ///
    /// # Errors
    /// Why it is not used; `NotFound` is one of them.
    pub fn read(path: &Path, basis: &Basis, now: Now) -> Result<Self, RestoreError> {
        let bytes = read_private(path)?;
        let (saved_at_unix_s, entries) = format::decode(&bytes, basis)?;
        if saved_at_unix_s > now.unix_s {
            return Err(RestoreError::Future { ahead_s: saved_at_unix_s.saturating_sub(now.unix_s) });
        }
        let entries: HashMap<Question, SavedAnswer> = entries
            .into_iter()
            .filter(|(_, answer)| {
                let in_all_s = answer.expires_at_unix_s.checked_sub(answer.found_at_unix_s);
                let is_sound = in_all_s.is_some_and(|in_all_s| in_all_s <= ANSWER_TIME_S_MAX);
                is_sound && answer.found_at_unix_s <= saved_at_unix_s && answer.expires_at_unix_s > now.unix_s
            })
            .collect();
        let left = AtomicUsize::new(entries.len());
        Ok(Self { entries: Mutex::new(entries), left, clocks_apart_s: clocks_apart_s(now) })
    }

    /// The response to a question, with TTLs as they are now; it is given once.
    pub fn take(&self, question: &Question, now: Now) -> Option<Response> {
        if self.is_empty() {
            return None;
        }
        let answer = {
            let mut entries = self.lock();
            let taken = entries.remove(question);
            self.left.store(entries.len(), Ordering::Relaxed);
            taken?
        };
        answer.response(question, now.unix_s)
    }

    /// Forgets what is over; and everything if the clock was set meanwhile, as ages then mean nothing. True in that case.
    pub fn look_at_clock(&self, now: Now) -> bool {
        if clocks_apart_s(now).abs_diff(self.clocks_apart_s) > CLOCK_STEP_S_MAX && self.clocks_apart_s > 0 {
            self.clear();
            return true;
        }
        let mut entries = self.lock();
        entries.retain(|_, answer| answer.expires_at_unix_s > now.unix_s);
        self.left.store(entries.len(), Ordering::Relaxed);
        false
    }

    /// What is left, to be kept over another restart.
    pub fn rest(&self) -> Vec<(Question, SavedAnswer)> {
        self.lock().iter().map(|(question, answer)| (question.clone(), answer.clone())).collect()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
        self.left.store(0, Ordering::Relaxed);
    }

    /// Number of answers.
    pub fn len(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Question, SavedAnswer>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a file of these answers, in place of the old one and for our eyes only; returns how many found room.
///
/// # Errors
/// The system's; the old file is then as it was.
pub fn save(path: &Path, basis: &Basis, answers: &[SavedAnswer], now: Now) -> io::Result<usize> {
    let (bytes, count) = format::encode(basis, now.unix_s, answers, FILE_LEN_MAX);
    replace_private_file(path, &bytes)?;
    Ok(count)
}

/// Reads a file that nobody but us and root can have written.
fn read_private(path: &Path) -> Result<Vec<u8>, RestoreError> {
    // Not waiting: a pipe in its place must not keep us from starting.
    let flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(RestoreError::NoFile);
    }
    let (uid, mode, own_uid) = (metadata.uid(), metadata.mode() & 0o7777, geteuid().as_raw());
    if (uid != own_uid && uid != 0) || mode & 0o022 != 0 {
        return Err(RestoreError::Foreign { uid, mode, own_uid });
    }
    let mut bytes = Vec::new();
    file.take(FILE_LEN_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_LEN_MAX { Err(RestoreError::TooLong) } else { Ok(bytes) }
}

fn clocks_apart_s(now: Now) -> u64 {
    now.unix_s.saturating_sub(now.boot_ns / NS_PER_S)
}

#[cfg(test)]
mod tests;

//! Reads what the kernel half tells of single answers.
//!
//! In: records from the ring `SEEN`. Out: a [`Seen`] for each, to whoever wants to know. A thread of its own sleeps until
//! there is something, takes all of it, and rests a little, so that many answers cost few wake-ups of it by XDP.
//! Refuses to hold up XDP: where the reader is too slow, the ring is full, and what is lost is counted.

use std::fmt;
use std::mem::size_of;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use resolver_ebpf::abi::SeenHead;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::program::FastPathError;

/// Rest after all was read. Choice: at 100 000 answers a second, 500 of them wait, an eighth of the ring.
const REST: Duration = Duration::from_millis(5);

/// An answer of XDP.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'r> {
    /// What the kernel half says of it.
    pub head: SeenHead,
    /// The query's frame, as much of it as was kept; empty if nothing was.
    pub query: &'r [u8],
    /// The answer's frame, as much of it as was kept.
    pub answer: &'r [u8],
}

/// Who wants to know of answers.
pub trait Witness: fmt::Debug + Send + Sync {
    /// XDP has given an answer. Whatever this takes, the next one waits.
    fn saw(&self, seen: &Seen<'_>);
}

impl<'r> Seen<'r> {
    /// Reads a record; none if it is shorter than it says.
    fn read(record: &'r [u8]) -> Option<Self> {
        let (head, frames) = record.split_first_chunk::<{ size_of::<SeenHead>() }>()?;
        let head: SeenHead = bytemuck::must_cast(*head);
        let query = frames.get(..head.query_kept as usize)?;
        let answer_at = query.len().next_multiple_of(8);
        let answer = frames.get(answer_at..answer_at + head.answer_kept as usize)?;
        Some(Self { head, query, answer })
    }
}

/// The reading thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct SeenReader {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl SeenReader {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`FastPathError::Thread`].
    pub fn start(mut ring: RingBuf<MapData>, witness: Arc<dyn Witness>) -> Result<Self, FastPathError> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| FastPathError::Thread(error.into()))?;
        let stop = Arc::new(stop);
        let stopped = Arc::clone(&stop);
        let read = move || {
            while sleep_until_there_is_something(&ring, &stopped) {
                while let Some(record) = ring.next() {
                    if let Some(seen) = Seen::read(&record) {
                        witness.saw(&seen);
                    }
                }
                thread::sleep(REST);
            }
        };
        let thread = Builder::new().name("seen".into()).spawn(read).map_err(FastPathError::Thread)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for SeenReader {
    fn drop(&mut self) {
        // An event that cannot be given would mean that one is there already.
        let _given = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that reads XDP's answers panicked");
        }
    }
}

/// Sleeps; false at the end.
fn sleep_until_there_is_something(ring: &RingBuf<MapData>, stop: &OwnedFd) -> bool {
    let ring = ring.as_fd();
    let mut awaited = [PollFd::new(&ring, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
    match poll(&mut awaited, None) {
        Ok(_) => awaited[1].revents().is_empty(),
        Err(rustix::io::Errno::INTR) => true,
        Err(error) => {
            tracing::error!(%error, "XDP's answers are not read any more");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_cut_into_its_frames_and_a_short_one_is_none() {
        let head = SeenHead { query_kept: 5, answer_kept: 3, ..SeenHead::default() };
        let mut record = bytemuck::bytes_of(&head).to_vec();
        record.extend(b"query\0\0\0ans\0\0\0\0\0");
        let seen = Seen::read(&record).unwrap();
        assert_eq!((seen.query, seen.answer), (&b"query"[..], &b"ans"[..]));
        assert!((0..record.len() - 5).all(|len| Seen::read(&record[..len]).is_none()));
    }
}

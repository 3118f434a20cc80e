//! The handle on the thread that owns the fast path: starts it, and ends it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use aya::maps::{MapData, RingBuf};
use resolver_ebpf::abi::Place;

use super::super::compare::Waiting;
use super::super::counters::KernelCounters;
use super::super::memory::MappedArray;
use super::super::pins::PinDir;
use super::super::program::{FastPathConfig, FastPathError};
use super::super::seen::{SeenReader, Witness};
use super::super::{Publisher, grace};
use super::{Command, Writer};
use crate::clock::Clock;

/// Commands that may wait for the thread. Choice: as many answers as a busy daemon gives in a tenth of a second.
const QUEUE_LEN: usize = 4096;

/// A running fast path. Dropping it takes the program off all interfaces and removes the pins.
#[derive(Debug)]
pub struct FastPath {
    commands: SyncSender<Command>,
    kernel_counters: Arc<KernelCounters>,
    waiting: Arc<Waiting>,
    /// Until somebody reads it.
    seen: Option<Unread>,
    reader: Option<SeenReader>,
    crowded: Arc<AtomicBool>,
    limits: Option<MappedArray>,
    thread: Option<JoinHandle<()>>,
}

/// The ring, before it has a reader.
struct Unread(RingBuf<MapData>);

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").finish_non_exhaustive()
    }
}

impl FastPath {
    /// Loads the object, attaches it, and starts the thread. XDP answers with what a daemon before us has published, if that
    /// rests on the same; else with nothing before something is published.
    ///
    /// # Errors
    /// Any [`FastPathError`]. What a daemon before us has left on interfaces may be there still.
    pub fn start(
        object: &[u8],
        config: &FastPathConfig,
        pins: PinDir,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FastPathError> {
        grace::check().map_err(FastPathError::NoGracePeriod)?;
        let (commands, inbox) = sync_channel(QUEUE_LEN);
        let retired = start_reclaimer(commands.clone())?;
        let mut writer = Writer::new(object, config, pins, clock, retired)?;
        let limits = Some(writer.loaded.map_limits()?);
        let seen = Some(Unread(writer.loaded.take_seen()?));
        let (kernel_counters, waiting) = (Arc::clone(&writer.counters), Arc::clone(&writer.waiting));
        let crowded = Arc::clone(&writer.crowded);
        let thread = Builder::new().name("publish".into()).spawn(move || writer.run(&inbox));
        let thread = Some(thread.map_err(FastPathError::Thread)?);
        Ok(Self { commands, kernel_counters, crowded, limits, waiting, seen, reader: None, thread })
    }

    /// Tells somebody of single answers, as far as [`Publisher::watch`] says. To be called once.
    ///
    /// # Errors
    /// [`FastPathError::Thread`].
    pub fn tell(&mut self, witness: Arc<dyn Witness>) -> Result<(), FastPathError> {
        if let Some(Unread(seen)) = self.seen.take() {
            self.reader = Some(SeenReader::start(seen, witness)?);
        }
        Ok(())
    }

    /// Ends the thread, but leaves program and maps as they are: XDP answers on until the TTLs end, and the next daemon takes
    /// over.
    pub fn leave(self) {
        // A send only fails when the thread is gone already; the program went with it.
        let _ = self.commands.send(Command::Leave);
    }

    /// A handle to publish with.
    pub fn publisher(&self) -> Publisher {
        Publisher {
            commands: self.commands.clone(),
            kernel_counters: Arc::clone(&self.kernel_counters),
            waiting: Arc::clone(&self.waiting),
            crowded: Arc::clone(&self.crowded),
        }
    }

    /// The table of the rate limits. To be taken once; it may outlive us.
    pub fn take_limits(&mut self) -> Option<MappedArray> {
        self.limits.take()
    }
}

impl Drop for FastPath {
    fn drop(&mut self) {
        // A send only fails when the thread is gone already, with the program taken off on its way out.
        let _ = self.commands.send(Command::Stop);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the publishing thread panicked");
        }
    }
}

/// Starts the thread that waits for grace periods, one batch at a time. It ends when its sender is dropped.
fn start_reclaimer(commands: SyncSender<Command>) -> Result<Sender<Vec<Place>>, FastPathError> {
    let (retired, batches) = channel::<Vec<Place>>();
    let reclaim = move || {
        for batch in batches {
            let word = match grace::wait() {
                Ok(()) => Command::Returned(batch),
                Err(error) => {
                    // Lost memory is better than a torn answer.
                    tracing::error!(%error, slots = batch.len(), "no grace period; slots are lost");
                    Command::Lost(batch.len())
                }
            };
            if commands.send(word).is_err() {
                break;
            }
        }
    };
    Builder::new().name("reclaim".into()).spawn(reclaim).map_err(FastPathError::Thread)?;
    Ok(retired)
}

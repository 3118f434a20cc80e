//! Changes the root once everything is open, though the privilege for it must not stay with the daemon.
//!
//! A thread of its own is made while the process is root. It keeps the one capability, waits, changes the root of the
//! whole process (threads share it), and ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use caps::{CapSet, Capability};
use nix::sys::prctl::set_keepcaps;
use nix::unistd::chroot;

/// The thread that waits. Dropped without [`enter`](Self::enter), it ends and changes nothing.
#[derive(Debug)]
pub struct LateChroot {
    go: SyncSender<()>,
    entered: Receiver<io::Result<()>>,
}

impl LateChroot {
    /// Makes the thread. To be called as root, before anything is given up.
    ///
    /// # Errors
    /// The directory does not exist, or no thread can be made.
    pub fn prepare(directory: &Path) -> io::Result<Self> {
        let directory = directory.canonicalize()?;
        let (go, may_go) = sync_channel(1);
        let (done, entered) = sync_channel(1);
        let (ready, is_ready) = sync_channel(1);
        thread::Builder::new().name("chroot".to_owned()).spawn(move || {
            // The capability survives the change of user that others make, in this thread.
            let prepared = set_keepcaps(true).map_err(io::Error::from);
            let failed = prepared.is_err();
            // Whoever waits may be gone; then nothing is to be done.
            _ = ready.send(prepared);
            if !failed && may_go.recv().is_ok() {
                _ = done.send(enter(&directory));
            }
        })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { go, entered })
    }

    /// Changes the root of the process.
    ///
    /// # Errors
    /// The system's reason.
    pub fn enter(self) -> io::Result<()> {
        self.go.send(()).map_err(io::Error::other)?;
        self.entered.recv().map_err(io::Error::other)?
    }
}

fn enter(directory: &PathBuf) -> io::Result<()> {
    caps::raise(None, CapSet::Effective, Capability::CAP_SYS_CHROOT).map_err(io::Error::other)?;
    chroot(directory)?;
    std::env::set_current_dir("/")
}

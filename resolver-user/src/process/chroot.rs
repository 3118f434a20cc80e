//! Changes the root once everything is open, though the privilege for it must not stay with the daemon.
//!
//! A thread of its own is made while the process is root. It keeps the capability for it, waits, changes the root of the
//! whole process (threads share it), and ends. The directory is opened at once: a later user may not get to it by its path.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use caps::{CapSet, Capability};
use nix::sys::prctl::set_keepcaps;
use nix::unistd::{chroot, fchdir};

/// What the thread needs: to change the root, and to follow the others when they change user and groups.
const CAPABILITIES: [Capability; 3] = [Capability::CAP_SYS_CHROOT, Capability::CAP_SETUID, Capability::CAP_SETGID];

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
        let directory = OwnedFd::from(File::open(directory)?);
        let (go, may_go) = sync_channel(1);
        let (done, entered) = sync_channel(1);
        let (ready, is_ready) = sync_channel(1);
        thread::Builder::new().name("chroot".to_owned()).spawn(move || {
            // The capability survives the change of user that others make, in this thread.
            let prepared = keep_few().and_then(|()| Ok(set_keepcaps(true)?));
            let failed = prepared.is_err();
            // Whoever waits may be gone; then nothing is to be done.
            _ = ready.send(prepared);
            if !failed && may_go.recv().is_ok() {
                _ = done.send(enter(directory));
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

/// Gives up, in this thread, every capability that it has no need for.
fn keep_few() -> io::Result<()> {
    for set in [CapSet::Effective, CapSet::Permitted] {
        let held = caps::read(None, set).map_err(io::Error::other)?;
        let few = held.into_iter().filter(|capability| CAPABILITIES.contains(capability)).collect();
        caps::set(None, set, &few).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Enters the open directory, as which user ever, and makes it the root.
fn enter(directory: OwnedFd) -> io::Result<()> {
    caps::raise(None, CapSet::Effective, Capability::CAP_SYS_CHROOT).map_err(io::Error::other)?;
    fchdir(directory.as_fd())?;
    chroot(".")?;
    std::env::set_current_dir("/")
}

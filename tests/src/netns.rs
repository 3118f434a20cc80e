//! Work inside a network namespace: sockets keep the namespace they were made in, so a short visit is enough.

use std::fs::File;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

/// Runs `work` on a thread that has entered the network namespace at `path`.
///
/// # Panics
/// If the namespace cannot be entered (that needs root), or `work` panics.
pub fn inside<T: Send>(path: &str, work: impl FnOnce() -> T + Send) -> T {
    let visit = || {
        let file = File::open(Path::new(path)).unwrap_or_else(|error| panic!("namespace {path}: {error}"));
        setns(file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("namespace {path}: {error}"));
        work()
    };
    std::thread::scope(|scope| match scope.spawn(visit).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

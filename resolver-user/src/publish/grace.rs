//! Waits until no XDP program that runs now can still see what was cleared before.

use std::io;

use rustix::thread::{MembarrierCommand, membarrier, membarrier_query};

/// Checks that [`wait`] works here. It does not on kernels with `nohz_full` CPUs.
///
/// # Errors
/// `Unsupported`, or what the kernel says.
pub fn check() -> io::Result<()> {
    if !membarrier_query().contains_command(MembarrierCommand::Global) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    wait()
}

/// Blocks for one grace period, typically 10 to 30 ms.
///
/// `MEMBARRIER_CMD_GLOBAL` (Linux 4.16) is `synchronize_rcu` on kernels with more than one CPU, and XDP programs run
/// inside an RCU read-side section.
///
/// # Errors
/// What the kernel says; the caller must then not reuse anything.
pub fn wait() -> io::Result<()> {
    membarrier(MembarrierCommand::Global).map_err(Into::into)
}

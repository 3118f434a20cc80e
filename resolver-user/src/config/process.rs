//! The process itself.

use std::path::PathBuf;

use super::option::{OptionSpec, PATH, number, path, value};

/// Most listener threads that may be asked for.
pub const THREADS_MAX: usize = 256;
/// Where `resolver status` and its like reach the daemon unless told otherwise.
pub const CONTROL_SOCKET: &str = "/run/resolver/control.sock";

/// The process itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// `threads`: 1..=256; one a CPU unless told otherwise.
    pub threads: usize,
    /// `control-socket`.
    pub control_socket: PathBuf,
    /// `pid-file`.
    pub pid_file: Option<PathBuf>,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        Self { threads: cpus, control_socket: CONTROL_SOCKET.into(), pid_file: None }
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("threads", "1..=256", "listener threads (one per CPU)", |config, value| {
        config.process.threads = number(value, 1, THREADS_MAX)?;
        Ok(())
    }),
    value("control-socket", PATH, "Unix socket of `resolver status` (/run/resolver/control.sock)", |config, value| {
        config.process.control_socket = path(value)?;
        Ok(())
    }),
    value("pid-file", PATH, "write the process number there", |config, value| {
        config.process.pid_file = Some(path(value)?);
        Ok(())
    })
    .letter('x'),
];

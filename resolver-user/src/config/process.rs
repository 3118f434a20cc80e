//! The process itself.

use std::path::PathBuf;

use super::option::{OptionSpec, PATH, flag, number, path, value};
use super::syntax::reveal;

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
    /// `user`: whom to become once all that only root may do is done; none: nobody else.
    pub user: Option<String>,
    /// `group`: the group to become a member of with it; none: the user's own.
    pub group: Option<String>,
    /// `chroot`: the directory to make the root once everything is open.
    pub chroot: Option<PathBuf>,
    /// `no-daemon`: `user`, `group`, `chroot` and `log-facility` do not count.
    pub no_daemon: bool,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        Self {
            threads: cpus,
            control_socket: CONTROL_SOCKET.into(),
            pid_file: None,
            user: None,
            group: None,
            chroot: None,
            no_daemon: false,
        }
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
    value("user", ACCOUNT, "become this user after the start, if started as root", |config, value| {
        config.process.user = Some(account(value)?);
        Ok(())
    })
    .letter('u'),
    value("group", ACCOUNT, "become a member of this group (the user's own)", |config, value| {
        config.process.group = Some(account(value)?);
        Ok(())
    })
    .letter('g'),
    value("chroot", PATH, "make this directory the root after the start", |config, value| {
        config.process.chroot = Some(path(value)?);
        Ok(())
    }),
    flag("keep-in-foreground", "accepted: we never leave the foreground", |_| ()).letter('k'),
    flag("no-daemon", "stay root, and log to standard error", |config| {
        config.process.no_daemon = true;
    })
    .letter('d'),
];

/// What a user or group may be.
const ACCOUNT: &str = "a name or a number";

fn account(value: &str) -> Result<String, String> {
    match reveal(value) {
        empty if empty.is_empty() => Err("empty name".to_owned()),
        name => Ok(name),
    }
}

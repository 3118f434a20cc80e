//! The signals that a daemon takes.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGINT, SIGTERM: end, in order.
    /// Differs: with dnsmasq, SIGINT turns on what `dnssec-no-timecheck` turned off.
    Stop(&'static str),
    /// SIGQUIT: end, and let XDP answer on for the next daemon.
    HandOver(&'static str),
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: write statistics to the log.
    Statistics,
    /// SIGUSR2: open the log file again.
    ReopenLog,
}

/// All of them, taken from here on.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hang_up: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    /// Takes them.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn take() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one. Several of a kind that come while nobody waits count as one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.quit.recv() => Asked::HandOver("SIGQUIT"),
            _ = self.hang_up.recv() => Asked::Reload,
            _ = self.user_1.recv() => Asked::Statistics,
            _ = self.user_2.recv() => Asked::ReopenLog,
        }
    }
}

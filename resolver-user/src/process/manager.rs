//! Tells the service manager how we are (sd_notify(3)). Without one, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// The service manager, if there is one. It is told: ready, reloading, stopping, alive, and a line of text.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceManager;

impl ServiceManager {
    /// The start, or a reload, is done.
    pub fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A reload has begun.
    pub fn reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!(%error, "the service manager was not told of the reload"),
        }
    }

    /// We are about to end.
    pub fn stopping(self) {
        tell(&[NotifyState::Stopping]);
    }

    /// We are alive.
    pub fn alive(self) {
        tell(&[NotifyState::Watchdog]);
    }
}

/// How often the service manager wants to hear that we are alive: twice in the time after which it gives us up. None: it
/// does not want to hear it.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager does not listen");
    }
}

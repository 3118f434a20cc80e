//! Keeps the secrets of clients' cookies, and puts them in force in both halves: at the start, on reload, and as time goes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{Config, Resolver};
use crate::clock::{Clock, SystemClock};
use crate::cookies::{CookieDoor, CookieJar, CookieSecret};
use crate::listener::Shared;

/// How often it is looked whether a secret's time is over.
const PERIOD: Duration = Duration::from_secs(60);

/// The secrets, and where they are in force.
pub(super) struct Cookies {
    jar: Mutex<CookieJar>,
    shared: Arc<Shared<Resolver>>,
}

/// The secrets at the start.
pub(super) fn jar(config: &Config) -> CookieJar {
    CookieJar::new(&config.cookies, SystemClock.now().boot_ns, CookieSecret::draw)
}

/// Where the listeners have cookies judged, by these secrets.
pub(super) fn door(jar: &CookieJar) -> CookieDoor {
    CookieDoor::new(jar.secrets(), Arc::new(SystemClock))
}

impl Cookies {
    /// Keeps secrets that are in force already.
    pub fn new(jar: CookieJar, shared: Arc<Shared<Resolver>>) -> Self {
        Self { jar: Mutex::new(jar), shared }
    }

    /// Puts the secrets of another configuration in force.
    pub fn configure(&self, config: &Config) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = jar.configured(&config.cookies, SystemClock.now().boot_ns, CookieSecret::draw);
        if changed != *jar {
            *jar = changed;
            self.put_in_force(&jar);
        }
    }

    /// Ends secrets when their time is over, until the daemon stops.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut period = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = period.tick() => {}
            }
            tokio::task::block_in_place(|| {
                let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
                if jar.look_at_clock(SystemClock.now().boot_ns, CookieSecret::draw) {
                    self.put_in_force(&jar);
                }
            });
        }
    }

    /// Tells both halves. For a moment one of them may have other secrets than the other: then clients get fresh cookies.
    fn put_in_force(&self, jar: &CookieJar) {
        let secrets = jar.secrets();
        self.shared.cookies.set(secrets);
        if let Some(publisher) = &self.shared.service.publisher
            && !publisher.set_cookies(secrets)
        {
            error!("XDP does not have the new secrets of cookies");
        }
        info!(on = secrets.is_some(), "secrets of cookies changed");
    }
}

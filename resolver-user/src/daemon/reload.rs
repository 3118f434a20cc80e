//! Reads the configuration again while queries go on (SIGHUP), and takes over what may change in a running daemon.
//!
//! A configuration with an error changes nothing. Listeners and access lists are put right by [`super::listening`]; so
//! are the interfaces that XDP is on. The cache stays unless the change makes other answers of the same
//! questions; then it is emptied, and XDP's with it, before the reload counts as done.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tracing::{error, info, warn};

use super::anchors::{log_anchors, log_remembered};
use super::{Daemon, configured, rules};
use crate::config::{self, Config, ConfigError, XdpConfig};
use crate::process::ServiceManager;
use crate::resolve::ANSWER_TTL_S_MAX;

impl Daemon {
    /// Reads the configuration again and takes it over.
    pub(super) async fn reload(&self) {
        ServiceManager.reloading();
        let old = self.config.load_full();
        let status = match block_in_place(|| self.read_again()) {
            Ok(()) => {
                let new = self.config.load_full();
                let listens = old.listening != new.listening || old.access != new.access;
                if listens || old.xdp != new.xdp || old.rate_limit != new.rate_limit {
                    self.listening.reload(Config::clone(&new)).await;
                }
                self.resolver.metrics.reloads.add_one();
                "answering"
            }
            Err(errors) => {
                for error in errors {
                    error!("{error}");
                }
                error!("the configuration is wrong: the old one stays");
                self.resolver.metrics.reloads_failed.add_one();
                "answering; the configuration was changed, but it is wrong"
            }
        };
        ServiceManager.ready(status);
    }

    fn read_again(&self) -> Result<(), Vec<ConfigError>> {
        let _turn = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_over(config::load_again(&self.arguments, &self.config.load())?);
        Ok(())
    }

    /// Reads the anchors of one file again and takes them over.
    ///
    /// # Errors
    /// The configuration does not read that file, or it is wrong; then nothing changes.
    pub(super) fn read_anchors_again(&self, file: &Path) -> Result<(), Vec<ConfigError>> {
        let _turn = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.config.load_full();
        let dnssec = old.dnssec.with_file_read_again(file)?;
        self.take_over(Config { dnssec, ..Config::clone(&old) });
        Ok(())
    }

    fn take_over(&self, mut new: Config) {
        let old = self.config.load_full();
        for warning in new.warnings.iter().filter(|warning| !old.warnings.contains(warning)) {
            warn!("{warning}");
        }
        for part in keep_until_restart(&old, &mut new) {
            warn!("{part} changed: that counts from the next start on");
        }
        let changed = *old != new;
        if changed {
            let trust_differs = configured(&old) != configured(&new);
            let answers_differ = trust_differs || answers_differ(&old, &new);
            let before = self.resolver.rules.load_full();
            let own = self.listening.addresses();
            // Servers that stay are known as before.
            let upstream = if old.upstream == new.upstream {
                Arc::clone(&before.upstream)
            } else {
                Arc::new(before.upstream.renewed(&new.upstream, new.dnssec.enabled, &own))
            };
            let mut after = rules(&new, upstream);
            // The names of servers, before the first question needs them.
            Handle::current().block_on(after.upstream.refresh_names());
            after.generation = before.generation.saturating_add(u64::from(answers_differ));
            self.resolver.rules.store(Arc::new(after));
            // What was set over the control socket stays until the option itself changes.
            if old.xdp.serving != new.xdp.serving
                && let Some(publisher) = &self.resolver.publisher
                && !publisher.serve(new.xdp.serving)
            {
                error!("XDP does not keep to the new xdp-mode");
            }
            self.config.store(Arc::new(new));
            // The rules first: what is found from here on by the old ones carries the old generation.
            if answers_differ {
                if let Some(trust) = &self.resolver.trust {
                    trust.configure(configured(&self.config.load()));
                }
                self.resolver.forget_conclusions();
            }
            self.watching.configure(&self.config.load());
            if trust_differs {
                let dnssec = &self.config.load().dnssec;
                log_anchors(dnssec);
                self.resolver.trust.iter().for_each(|trust| log_remembered(dnssec, Some(&old.dnssec), trust));
            }
            self.limiter.configure(&self.config.load());
            self.cookies.configure(&self.config.load());
            let shown_s_max = self.resolver.rules().keeping.shown_s(ANSWER_TTL_S_MAX);
            let rotation_s = self.config.load().cache.rotation_s();
            if let Some(publisher) = &self.resolver.publisher
                && !(publisher.show_at_most(shown_s_max) && publisher.rotate(rotation_s))
            {
                error!("XDP does not keep to the new max-ttl or round-robin");
            }
            if let Some(publisher) = &self.resolver.publisher
                && !publisher.set_limited(self.limiter.is_on())
            {
                error!("XDP does not keep to the new rate limits");
            }
        }
        self.resolver.rules().upstream.reread();
        info!(changed, "configuration read again");
    }
}

/// Whether the same question may have another answer, but for what is trusted.
fn answers_differ(old: &Config, new: &Config) -> bool {
    old.upstream != new.upstream
        || old.local != new.local
        || old.filter != new.filter
        || old.cache.keeping != new.cache.keeping
}

/// Puts back what a running daemon cannot change, and names it.
fn keep_until_restart(old: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    let mut keep = |name, differs| {
        if differs {
            kept.push(name);
        }
        differs
    };
    if keep("cache-size", old.cache.size != new.cache.size) {
        new.cache.size = old.cache.size;
    }
    if keep("cache-file", old.cache.file != new.cache.file) {
        new.cache.file.clone_from(&old.cache.file);
    }
    if keep("dnssec", old.dnssec.enabled != new.dnssec.enabled) {
        new.dnssec = old.dnssec.clone();
    }
    if keep("dnssec-timestamp", old.dnssec.timestamp != new.dnssec.timestamp) {
        new.dnssec.timestamp.clone_from(&old.dnssec.timestamp);
    }
    if keep("trust-anchor-state", old.dnssec.anchor_state != new.dnssec.anchor_state) {
        new.dnssec.anchor_state.clone_from(&old.dnssec.anchor_state);
    }
    // Where XDP is, and whether it answers, can change at any time.
    let (interfaces, serving) = (new.xdp.interfaces.clone(), new.xdp.serving);
    let xdp = XdpConfig { interfaces, serving, ..old.xdp.clone() };
    if keep("an xdp option", xdp != new.xdp) {
        new.xdp = xdp;
    }
    if keep("log-facility", old.logging.target != new.logging.target) {
        new.logging.target = old.logging.target.clone();
    }
    if keep("log-async", old.logging.queue_len != new.logging.queue_len) {
        new.logging.queue_len = old.logging.queue_len;
    }
    if keep("an option of the process", old.process != new.process) {
        new.process = old.process.clone();
    }
    kept
}

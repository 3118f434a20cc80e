//! Keeps the daemon's cache in a file over a restart (`cache-file`): reads it at the start, writes it now and then and at the end.
//!
//! Ages are told by the wall clock, so nothing is read or written while that is not known to be right: before it has passed the
//! `dnssec-timestamp` file, or with `dnssec-no-timecheck`; and if it is set while we run, what was read is forgotten.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Daemon;
use super::fingerprint::fingerprint;
use crate::cache::Outcome;
use crate::clock::Now;
use crate::config::Config;
use crate::resolve::Resolver;
use crate::saved::{RestoreError, Restored, SavedAnswer, save};
use crate::trust::Trust;

/// Time between two writes. Choice: a crash loses ten minutes at most; a write takes milliseconds.
const SAVE_PERIOD: Duration = Duration::from_secs(600);
/// Time between two looks at the clock.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// What the file holds; nothing, and a word about it, if it is not to be used.
pub(super) fn restore(config: &Config, trust: Option<&Trust>, now: Now) -> Restored {
    let Some(path) = &config.cache.file else { return Restored::default() };
    if !is_clock_right(trust) {
        warn!(file = %path.display(), "the cache file is not used: the clock is not known to be right");
        return Restored::default();
    }
    let basis = trust.map(Trust::basis);
    match Restored::read(path, &fingerprint(config, basis.as_deref()), now) {
        Ok(restored) => {
            info!(file = %path.display(), answers = restored.len(), "cache file read");
            restored
        }
        Err(RestoreError::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            info!(file = %path.display(), "there is no cache file yet");
            Restored::default()
        }
        Err(error) => {
            warn!(file = %path.display(), %error, "the cache file is not used");
            Restored::default()
        }
    }
}

/// Writes the file now and then, and looks at the clock.
pub(super) async fn keep_cache_file(daemon: Arc<Daemon>, stop: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_PERIOD);
    let mut saves = tokio::time::interval_at(tokio::time::Instant::now() + SAVE_PERIOD, SAVE_PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => look_at_clock(&daemon.resolver),
            _ = saves.tick() => block_in_place(|| daemon.save_cache()),
        }
    }
}

fn look_at_clock(resolver: &Resolver) {
    let restored = &resolver.restored;
    if restored.look_at_clock(resolver.clock.now()) && resolver.metrics.cache_file_answers.value() > 0 {
        warn!("the clock was set: what came from the cache file is forgotten, its age is not known");
        block_in_place(|| resolver.forget_conclusions());
    }
}

impl Daemon {
    /// Writes the cache file, if there is to be one.
    pub(super) fn save_cache(&self) {
        let config = self.config.load();
        let Some(path) = config.cache.file.as_deref() else { return };
        let trust = self.resolver.trust.as_ref();
        if !is_clock_right(trust) {
            warn!(file = %path.display(), "the cache file is not written: the clock is not known to be right");
            return;
        }
        let basis = trust.map(Trust::basis);
        let generation = self.resolver.generation();
        let now = self.resolver.clock.now();
        let kept = self.resolver.cache.dump(now.boot_ns);
        let of_today = kept.iter().filter(|answer| answer.generation == generation);
        let mut answers: Vec<SavedAnswer> = of_today
            .filter_map(|answer| {
                let save =
                    |response| SavedAnswer::new(response, answer.found_at_boot_ns(), answer.expires_at_boot_ns, now);
                match answer.outcome() {
                    Outcome::Proven(validated) => save(validated.response()),
                    Outcome::Unchecked(response) => save(&response),
                    Outcome::Bogus(..) | Outcome::Failed(..) | Outcome::Filtered(..) => None,
                }
            })
            .collect();
        answers.extend(self.resolver.restored.rest().into_iter().map(|(_, answer)| answer));
        write(path, &fingerprint(&config, basis.as_deref()), &answers, now);
    }
}

fn write(path: &Path, basis: &[u8; 32], answers: &[SavedAnswer], now: Now) {
    match save(path, basis, answers, now) {
        Ok(count) => {
            info!(file = %path.display(), answers = count, left_out = answers.len() - count, "cache file written")
        }
        Err(error) => warn!(file = %path.display(), %error, "the cache file cannot be written"),
    }
}

/// Whether ages may be told by the wall clock.
fn is_clock_right(trust: Option<&Trust>) -> bool {
    trust.is_none_or(|trust| trust.basis().policy.times_checked)
}

//! Gathers what both halves count and measure, for whoever watches the daemon.

use super::Daemon;
use crate::chain::extended_error_name;
use crate::export::{CacheFacts, Family, Observed, ProcessFacts, TrustFacts, families};
use crate::publish::Publisher;
use crate::trust::Trust;
use crate::wire::Name;

impl Daemon {
    /// Everything that is shown to monitoring systems, as of now. Waits for the publishing thread.
    pub(super) fn families(&self) -> Vec<Family> {
        families(&self.observed())
    }

    fn observed(&self) -> Observed {
        let resolver = &self.resolver;
        let by_error = resolver.metrics.extended_errors.snapshot();
        Observed {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: ProcessFacts { started_unix_s: Some(self.started_unix_s as f64), ..ProcessFacts::read() },
            counters: resolver.metrics.named(),
            extended_errors: by_error.map(|(code, count)| (code, extended_error_name(code), count)).collect(),
            hits: resolver.metrics.hit_duration.snapshot(),
            misses: resolver.metrics.miss_duration.snapshot(),
            cache: CacheFacts {
                entries: resolver.cache.len() as u64,
                entries_max: self.config.load().cache.size as u64,
                insertions: resolver.cache.insertions.value(),
                evictions: resolver.cache.evictions(),
            },
            searches: resolver.searches.len() as u64,
            servers: resolver.rules().upstream.reports(),
            trust: resolver.trust.as_ref().map(|trust| self.trust_facts(trust)),
            fast_path: self.ask_publisher(Publisher::status),
        }
    }

    fn trust_facts(&self, trust: &Trust) -> TrustFacts {
        let now = self.resolver.clock.now();
        TrustFacts {
            anchors: self.config.load().dnssec.anchors.len() as u64,
            negative_anchors: trust.negative_anchors(now).len() as u64,
            root_keys_age_s: trust.basis().zones.secure_age_s(&Name::root(), now),
        }
    }
}

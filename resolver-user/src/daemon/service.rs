//! What the control socket gets to see and to change.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tracing::info;

use super::Daemon;
use super::anchors::anchor_entries;
use super::verify::verify;
use crate::answer::Form;
use crate::cache::{CachedAnswer, Kept, Outcome};
use crate::config;
use crate::control::report::{
    AnchorEntry, CachedEntry, CaptureFilter, CountsReport, FastPathEntry, FlushReport, KeptReport, LimitedEntry,
    NegativeAnchorEntry, RecursionStatus, ServerStatus, Serving, ServingReport, StatusReport, TopReport, VerifyReport,
    WorkReport,
};
use crate::control::{CaptureStream, ControlService};
use crate::export::Family;
use crate::metrics::WorkMetric;
use crate::publish::Publisher;
use crate::rate_limit::Limited;
use crate::trust::{NegativeAnchor, NegativeAnchorError, Trust};
use crate::upstream::{ServerReport, UPSTREAM_QUERIES_MAX};
use crate::validator::{ProvenStatus, WorkLimits};
use crate::wire::{Name, RCode};

/// Names and clients that a live view gets; no terminal has more lines for them.
const TOP_ROWS: usize = 100;

impl ControlService for Daemon {
    fn status(&self) -> StatusReport {
        let upstream = Arc::clone(&self.resolver.rules().upstream);
        let recursion = upstream.recursion().map(|report| RecursionStatus {
            usual: report.usual,
            zones_known: report.zones as u64,
            servers_known: report.servers as u64,
            servers: report.most_asked.into_iter().map(server_status).collect(),
        });
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            dnssec: self.config.load().dnssec.enabled,
            dnssec_options: self.dnssec_options(),
            awaits_clock: self.resolver.trust.as_ref().is_some_and(Trust::awaits_clock),
            work: self.work(),
            listening: self.listening.addresses().iter().map(SocketAddr::to_string).collect(),
            servers: upstream.reports().into_iter().map(server_status).collect(),
            recursion,
            server_options: upstream.options(),
            cache_entries: self.resolver.cache.len() as u64,
            cache_entries_max: self.config.load().cache.size as u64,
            kept_beside: self.kept_beside(),
            local_names: self.resolver.rules().local.name_count() as u64,
            local_domains: self.resolver.rules().local.domain_count() as u64,
            searches: self.resolver.searches.len() as u64,
            counters: self.resolver.metrics.snapshot(),
            fast_path: self.ask_publisher(Publisher::status),
        }
    }

    fn families(&self) -> Vec<Family> {
        Daemon::families(self)
    }

    fn cache_dump(&self) -> Vec<CachedEntry> {
        let now_boot_ns = self.resolver.clock.now().boot_ns;
        let mut entries: Vec<_> = self.resolver.cache.dump(now_boot_ns);
        entries
            .sort_by(|a, b| (&a.question().qname, a.question().qtype).cmp(&(&b.question().qname, b.question().qtype)));
        entries.iter().map(|entry| cached_entry(entry, now_boot_ns)).collect()
    }

    fn fastpath_dump(&self) -> Option<Vec<FastPathEntry>> {
        self.ask_publisher(Publisher::dump)
    }

    fn anchors(&self) -> Result<Vec<AnchorEntry>, String> {
        let trust = self.resolver.trust.as_ref().ok_or("dnssec is off")?;
        Ok(anchor_entries(&self.config.load().dnssec, trust, self.resolver.clock.now()))
    }

    fn read_anchors(&self, file: &Path) -> Result<Vec<AnchorEntry>, String> {
        let read = tokio::task::block_in_place(|| self.read_anchors_again(file));
        read.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        self.anchors()
    }

    fn negative_anchors(&self) -> Result<Vec<NegativeAnchorEntry>, String> {
        let trust = self.resolver.trust.as_ref().ok_or("dnssec is off")?;
        let anchors = trust.negative_anchors(self.resolver.clock.now()).into_iter();
        let entry =
            |anchor: NegativeAnchor| NegativeAnchorEntry { name: anchor.name.to_string(), left_s: anchor.left_s };
        Ok(anchors.map(entry).collect())
    }

    fn add_negative_anchor(&self, name: &str, for_s: u64) -> Result<Vec<NegativeAnchorEntry>, String> {
        let now = self.resolver.clock.now();
        self.change_negative(name, |trust, name| trust.add_negative(name, for_s, now))
    }

    fn remove_negative_anchor(&self, name: &str) -> Result<Vec<NegativeAnchorEntry>, String> {
        self.change_negative(name, |trust, name| trust.remove_negative(&name))
    }

    fn limited(&self) -> Vec<LimitedEntry> {
        let entry = |limited: Limited| LimitedEntry {
            prefix: limited.to_string(),
            limit: if limited.is_wide { "rate-limit-wide" } else { "rate-limit" }.to_owned(),
            queries: limited.queries.into(),
            seen_s_ago: limited.seen_s_ago.into(),
        };
        self.limiter.limited().into_iter().map(entry).collect()
    }

    fn fastpath_serve(&self, serving: Serving) -> Option<ServingReport> {
        self.ask_publisher(|publisher| publisher.serve(serving).then_some(ServingReport { serving }))
    }

    fn fastpath_verify(&self) -> Option<VerifyReport> {
        let report = self.ask_publisher(|publisher| verify(&self.resolver, publisher))?;
        self.resolver.metrics.verify_faults.add(report.wrong);
        Some(report)
    }

    fn top(&self) -> TopReport {
        let counts = tokio::task::block_in_place(|| self.watching.top(TOP_ROWS, TOP_ROWS));
        TopReport { status: self.status(), counts }
    }

    fn clients(&self) -> Result<CountsReport, String> {
        self.watching.clients().ok_or_else(|| "queries are not counted by client: set client-counts".to_owned())
    }

    fn capture(&self, filter: &CaptureFilter) -> Result<CaptureStream, String> {
        tokio::task::block_in_place(|| self.watching.capture(filter))
    }

    fn fastpath_flush(&self) -> Option<FlushReport> {
        self.ask_publisher(Publisher::flush).map(|removed| FlushReport { removed: removed as u64 })
    }
}

fn server_status(server: ServerReport) -> ServerStatus {
    ServerStatus {
        address: server.address.to_string(),
        domains: server.domains,
        looping: server.looping,
        without_edns: server.without_edns,
        sent: server.sent,
        failed: server.failed,
        srtt_ms: server.srtt_us.map(|srtt_us| f64::from(srtt_us) / 1e3),
    }
}

impl Daemon {
    /// The options that make others validate as we do now.
    fn dnssec_options(&self) -> Vec<String> {
        let Some(trust) = &self.resolver.trust else { return Vec::new() };
        let negative: Vec<Name> =
            trust.negative_anchors(self.resolver.clock.now()).into_iter().map(|anchor| anchor.name).collect();
        config::dnssec_options(trust.basis().anchors.all(), &negative, &trust.basis().policy)
    }

    /// What is kept beside answers, of how much that may be.
    fn kept_beside(&self) -> Vec<KeptReport> {
        let (sets, trust) = (&self.resolver.sets, self.resolver.trust.as_ref());
        let report = |name: &str, entries: usize, entries_max: usize| KeptReport {
            name: name.to_owned(),
            entries: entries as u64,
            entries_max: entries_max as u64,
        };
        let of_zones = trust.map(|trust| {
            let zones = Arc::clone(&trust.basis().zones);
            let denials = report("denials", zones.denials.len(), zones.denials.capacity());
            [report("sets", sets.len(), sets.capacity()), report("zones", zones.len(), zones.capacity()), denials]
        });
        of_zones.into_iter().flatten().collect()
    }

    /// What validations have cost, each kind beside its limit.
    fn work(&self) -> Vec<WorkReport> {
        let metrics = &self.resolver.metrics;
        let (work, limits) = (&metrics.work, self.resolver.trust.as_ref().map(|trust| trust.basis().policy.limits));
        let limits = limits.unwrap_or(WorkLimits::DEFAULT);
        let kinds = [
            ("upstream_queries", &metrics.queries_per_search, Some(UPSTREAM_QUERIES_MAX)),
            ("signature_checks", &work.signature_checks, None),
            ("signature_weight", &work.signature_weight, Some(limits.signature_checks)),
            ("failed_checks", &work.failed_checks, None),
            ("nsec3_rounds", &work.nsec3_rounds, Some(limits.nsec3_rounds)),
            ("sub_queries", &work.sub_queries, Some(limits.sub_queries)),
            ("alias_hops", &work.alias_hops, Some(limits.alias_hops)),
        ];
        let report = |(name, work, limit): (&str, &WorkMetric, Option<u32>)| WorkReport {
            name: name.to_owned(),
            total: work.total(),
            most: work.most(),
            limit: limit.map(u64::from),
        };
        kinds.map(report).to_vec()
    }

    /// Changes the negative anchors, forgets what was concluded before, and lists those that are left.
    fn change_negative(
        &self,
        name: &str,
        change: impl FnOnce(&Trust, Name) -> Result<(), NegativeAnchorError>,
    ) -> Result<Vec<NegativeAnchorEntry>, String> {
        let trust = self.resolver.trust.as_ref().ok_or("dnssec is off")?;
        let name: Name = name.parse().map_err(|error| format!("domain \"{name}\": {error}"))?;
        change(trust, name.clone()).map_err(|error| error.to_string())?;
        tokio::task::block_in_place(|| self.resolver.forget_conclusions());
        info!(%name, "negative anchors changed");
        self.negative_anchors()
    }

    /// Asks the publishing thread and waits for it, while other tasks go on elsewhere.
    pub(super) fn ask_publisher<T>(&self, question: impl FnOnce(&Publisher) -> Option<T>) -> Option<T> {
        let publisher = self.resolver.publisher.as_ref()?;
        tokio::task::block_in_place(|| question(publisher))
    }
}

fn cached_entry(entry: &CachedAnswer, now_boot_ns: u64) -> CachedEntry {
    let of_proven =
        |status, rcode: RCode| (if status == ProvenStatus::Secure { "secure" } else { "insecure" }, rcode.to_string());
    let (status, rcode) = match entry.kept() {
        Kept::Proven(packed) => of_proven(packed.status(), packed.rcode()),
        Kept::Other(other) => match &other.1 {
            Outcome::Proven(validated) => of_proven(validated.status(), validated.response().rcode),
            Outcome::Unchecked(response) => ("unchecked", response.rcode.to_string()),
            Outcome::Filtered(response, _) => ("filtered", response.rcode.to_string()),
            Outcome::Bogus(..) => ("bogus", "SERVFAIL".to_owned()),
            Outcome::Failed(..) => ("failed", "SERVFAIL".to_owned()),
        },
    };
    let published =
        [(Form::Plain, "plain"), (Form::Dnssec, "dnssec")].into_iter().filter(|(form, _)| entry.is_published(*form));
    CachedEntry {
        name: entry.question().qname.to_string(),
        rtype: entry.question().qtype.to_string(),
        status: status.to_owned(),
        rcode,
        ttl_s: entry.ttl_left_s(now_boot_ns),
        size: entry.rendered_len() as u64,
        published: published.map(|(_, name)| name.to_owned()).collect(),
    }
}

//! What is told of queries: log lines, counters, and the answers of class CH about ourselves.
//!
//! In: a query, what was found, who had it. Out: nothing that any answer depends on.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::info;

use super::{Present, Resolver, Source};
use crate::answer::{ChaosName, ExtendedError, Failure, Form, Sent, Transport};
use crate::cache::{CachedAnswer, Outcome, RenderedForm};
use crate::config::QueryLog;
use crate::listener::ClientQuery;
use crate::publish::Comparison;
use crate::validator::{ChainStep, ProvenStatus, Validation, Verdict};
use crate::wire::{Message, Name, Question, RCode};
use crate::witness::AnsweredBy;

impl Resolver {
    /// Logs the chain of a validation step by step, if that is wanted.
    pub(super) fn log_chain(&self, question: &Question, validation: &Validation, verdict: &Verdict) {
        if !self.rules().logging.dnssec {
            return;
        }
        for step in validation.steps() {
            match step {
                ChainStep::Zone { name, standing } => info!(%question, zone = %name, %standing, "chain"),
                ChainStep::Set { owner, rtype, signer, verified } => {
                    info!(%question, set = %Question::new(owner, rtype), %signer, verified, "chain");
                }
            }
        }
        match verdict {
            Verdict::Proven(validated) => {
                let reason = validated.insecure_reason().map(ToString::to_string).unwrap_or_default();
                info!(%question, status = ?validated.status(), reason, ttl_s = validated.ttl_s(), "verdict");
            }
            Verdict::Unchecked { ttl_s, .. } => info!(%question, status = "Unchecked", ttl_s, "verdict"),
            Verdict::Bogus(reason) => info!(%question, status = "Bogus", %reason, "verdict"),
            Verdict::Indeterminate(reason) => info!(%question, status = "Indeterminate", %reason, "verdict"),
        }
    }

    /// Has an answer from the cache compared with what XDP would have sent, in dry-run mode.
    pub(super) fn compare(&self, query: &ClientQuery<'_>, answer: &CachedAnswer, present: &Present, sent: &[u8]) {
        let Some(publisher) = &self.publisher else { return };
        // Where records take turns, each half turns them by itself.
        let turns = |rendered: &RenderedForm| match rendered {
            RenderedForm::Proven(rendered) => rendered.rotation().is_some(),
            RenderedForm::Unchecked(_) => true,
        };
        if present.rules.round_robin && answer.rendered(query.asked.form()).is_none_or(turns) {
            return;
        }
        publisher.compare(|| Comparison {
            question: answer.question().clone(),
            form: query.asked.form(),
            client: query.client,
            query: query.packet.into(),
            answer: sent.into(),
            expires_at_boot_ns: answer.expires_at_boot_ns,
            answered_at_boot_ns: present.boot_ns,
        });
    }

    /// Logs an answer, if that is wanted.
    pub(super) fn log(
        &self,
        query: &ClientQuery<'_>,
        answer: &CachedAnswer,
        present: &Present,
        sent: Sent,
        source: Source,
        took: Duration,
    ) {
        self.log_as(query, &InWords(answer), present, sent, source, took);
    }

    /// The same, of what is no outcome of a search.
    pub(super) fn log_as(
        &self,
        query: &ClientQuery<'_>,
        outcome: &dyn fmt::Display,
        Present { rules, .. }: &Present,
        sent: Sent,
        source: Source,
        took: Duration,
    ) {
        let failed = !matches!(sent.rcode, RCode::NOERROR | RCode::NXDOMAIN);
        self.count(query, failed, source);
        match rules.logging.queries {
            QueryLog::All => {}
            QueryLog::Failed if failed => {}
            QueryLog::Failed | QueryLog::Off => return,
        }
        let number = rules.logging.query_numbers.then(|| self.queries_logged.fetch_add(1, Ordering::Relaxed));
        let transport = rules.logging.query_transport.then_some(query.asked.transport);
        let qname = Name::from_wire(query.qname_wire).unwrap_or_else(|_| Name::root());
        info!(
            number, transport = transport.map(tracing::field::debug),
            %qname, qtype = %query.qtype, client = %query.client, dnssec_ok = query.asked.form() == Form::Dnssec,
            %outcome, rcode = %sent.rcode, ad = sent.authentic, tc = sent.truncated, from = %source,
            ms = %format_args!("{:.1}", took.as_secs_f64() * 1e3), "answered"
        );
    }

    /// Counts an answer of the daemon's by client and name, if that is wanted.
    fn count(&self, query: &ClientQuery<'_>, failed: bool, source: Source) {
        let one_in = self.counting.one_in();
        if one_in == 0 || one_in > 1 && rand::random_range(0..one_in) != 0 {
            return;
        }
        let by = match source {
            _ if failed => AnsweredBy::Failed,
            Source::Local | Source::Stale | Source::Cache => AnsweredBy::Cache,
            Source::Upstream | Source::Merged => AnsweredBy::Upstream,
            Source::Xdp => AnsweredBy::Xdp,
        };
        self.counting.add(query.client.ip(), query.qname_wire, query.qtype, by, one_in.into());
    }

    /// Logs an answer that XDP gave, if that is wanted: one of `one_in`, which the kernel half has drawn.
    pub fn log_seen(&self, client: SocketAddr, message: &[u8], is_secure: bool, one_in: u32) {
        let rules = self.rules();
        if rules.logging.queries != QueryLog::All {
            return;
        }
        let Ok(message) = Message::read(message) else { return };
        let Some((question, _)) = &message.question else { return };
        let number = rules.logging.query_numbers.then(|| self.queries_logged.fetch_add(1, Ordering::Relaxed));
        let transport = rules.logging.query_transport.then_some(Transport::Udp);
        let outcome = if is_secure { "secure" } else { "insecure" };
        let dnssec_ok = message.edns.as_ref().is_some_and(|edns| edns.dnssec_ok);
        info!(
            number, transport = transport.map(tracing::field::debug),
            qname = %question.qname, qtype = %question.qtype, %client, dnssec_ok, %outcome, rcode = %message.rcode(),
            ad = message.header.flags.authentic_data, tc = message.header.flags.truncated, from = %Source::Xdp,
            ms = %"0.0", one_in = (one_in > 1).then_some(one_in), "answered"
        );
    }

    /// Counts what a search has found, by status and by extended error.
    pub(super) fn count_outcome(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Proven(validated) if validated.status() == ProvenStatus::Secure => &self.metrics.outcomes_secure,
            Outcome::Proven(_) => &self.metrics.outcomes_insecure,
            Outcome::Bogus(..) => &self.metrics.outcomes_bogus,
            Outcome::Failed(..) => &self.metrics.outcomes_failed,
            Outcome::Unchecked(_) => &self.metrics.outcomes_unchecked,
            // Counted by `search` beside what it was before.
            Outcome::Filtered(..) => return,
        };
        counter.add_one();
        let extended_error = match outcome {
            Outcome::Proven(validated) => validated.insecure_reason().and_then(ExtendedError::of_insecure),
            Outcome::Bogus(reason, _) => Failure::Bogus(reason).extended_error(),
            Outcome::Failed(reason, _) => Failure::Indeterminate(reason).extended_error(),
            Outcome::Unchecked(_) | Outcome::Filtered(..) => None,
        };
        if let Some(error) = extended_error {
            self.metrics.extended_errors.add_one(error.code);
        }
    }

    /// The answer to a question of class CH, as strings; none with `no-ident`.
    pub(super) fn told_in_chaos(&self, name: ChaosName) -> Vec<String> {
        let rules = self.rules();
        let Some(ident) = &rules.ident else { return Vec::new() };
        let metrics = &self.metrics;
        let told = match name {
            ChaosName::Version => concat!("resolver-", env!("CARGO_PKG_VERSION")).to_owned(),
            ChaosName::Authors => "the authors of resolver".to_owned(),
            ChaosName::Copyright => concat!("licensed under ", env!("CARGO_PKG_LICENSE")).to_owned(),
            ChaosName::CacheSize => ident.cache_size.to_string(),
            ChaosName::Insertions => self.cache.insertions.value().to_string(),
            ChaosName::Evictions => self.cache.evictions().to_string(),
            ChaosName::Misses => metrics.cache_misses.value().to_string(),
            ChaosName::Hits => {
                let by_xdp = self.publisher.as_ref().and_then(|publisher| publisher.kernel_counters().answered());
                let local = metrics.local_answers.value().saturating_add(metrics.cache_stale_hits.value());
                metrics.cache_hits.value().saturating_add(local).saturating_add(by_xdp.unwrap_or(0)).to_string()
            }
            // We have no zones of our own.
            ChaosName::Auth => "0".to_owned(),
            ChaosName::Servers => {
                let servers = rules.upstream.reports().into_iter();
                let told = servers.map(|server| {
                    let address = server.address;
                    format!("{}#{} {} {}", address.ip(), address.port(), server.sent, server.failed)
                });
                return told.collect();
            }
            ChaosName::Identity => return ident.identity.iter().cloned().collect(),
        };
        vec![told]
    }
}

/// An outcome for the log. It is looked at only if it is logged: it lies where a hit has nothing else to look for.
struct InWords<'a>(&'a CachedAnswer);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.outcome() {
            Outcome::Proven(validated) if validated.status() == ProvenStatus::Secure => f.write_str("secure"),
            Outcome::Proven(_) => f.write_str("insecure"),
            Outcome::Unchecked(_) => f.write_str("unchecked"),
            Outcome::Filtered(_, reason) => reason.fmt(f),
            Outcome::Bogus(reason, _) => reason.fmt(f),
            Outcome::Failed(reason, _) => reason.fmt(f),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Stale => "stale",
            Self::Cache => "cache",
            Self::Xdp => "xdp",
            Self::Upstream => "upstream",
            Self::Merged => "merged",
        })
    }
}

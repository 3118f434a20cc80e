//! What the daemon counts. Every refusal, drop and fallback adds to one of these.
//!
//! In: one call per event, from any thread. Out: names and numbers, for `resolver status` and for [`crate::export`].
//! Keeps no history and computes no rates, but for the most work that one query has caused.

mod histogram;

use std::sync::atomic::{AtomicU64, Ordering};

use resolver_ebpf::abi::CookieVerdict;

use crate::validator::WorkSpent;
pub use histogram::{Durations, Histogram};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// What it shows now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A kind of work, over all validations.
#[derive(Debug, Default)]
pub struct WorkMetric {
    total: AtomicU64,
    most: AtomicU64,
}

impl WorkMetric {
    /// Counts what one query has cost.
    pub fn count(&self, amount: u32) {
        self.total.fetch_add(amount.into(), Ordering::Relaxed);
        self.most.fetch_max(amount.into(), Ordering::Relaxed);
    }

    /// What all validations together have spent.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The most that one query has spent.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

/// What validations have cost, kind by kind as in [`WorkSpent`].
#[derive(Debug, Default)]
pub struct WorkMetrics {
    /// Signature checks.
    pub signature_checks: WorkMetric,
    /// The same by weight.
    pub signature_weight: WorkMetric,
    /// Signature checks that failed.
    pub failed_checks: WorkMetric,
    /// NSEC3 hash rounds.
    pub nsec3_rounds: WorkMetric,
    /// Queries on behalf of validations.
    pub sub_queries: WorkMetric,
    /// Aliases followed.
    pub alias_hops: WorkMetric,
}

impl WorkMetrics {
    /// Counts what the validation of one query has spent.
    pub fn count(&self, spent: &WorkSpent) {
        let WorkSpent { signature_checks, signature_weight, failed_checks, nsec3_rounds, sub_queries, alias_hops } =
            *spent;
        self.signature_checks.count(signature_checks);
        self.signature_weight.count(signature_weight);
        self.failed_checks.count(failed_checks);
        self.nsec3_rounds.count(nsec3_rounds);
        self.sub_queries.count(sub_queries);
        self.alias_hops.count(alias_hops);
    }
}

/// A counter as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCounter {
    /// Its name.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: String,
    /// What it shows.
    pub value: u64,
}

/// Outcomes by INFO-CODE of their extended error (RFC 8914). Codes that the registry does not have yet share one counter.
#[derive(Debug, Default)]
pub struct ByExtendedError([Counter; EXTENDED_ERROR_CODES]);

/// Counted codes: those of the registry are below, the last one is for all others.
const EXTENDED_ERROR_CODES: usize = 32;

impl ByExtendedError {
    /// Adds one to a code.
    pub fn add_one(&self, code: u16) {
        let counter = self.0.get(usize::from(code)).or(self.0.last());
        counter.into_iter().for_each(Counter::add_one);
    }

    /// Every code with its count.
    pub fn snapshot(&self) -> impl Iterator<Item = (u16, u64)> {
        (0..).zip(&self.0).map(|(code, counter)| (code, counter.value()))
    }
}

/// Declares [`Metrics`] with its list of names, so that no counter is left out of the report. The comment on a counter is
/// its help.
macro_rules! metrics {
    ($($(#[doc = $doc:literal])* $field:ident,)*) => {
        /// What the daemon counts and measures.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $doc])* pub $field: Counter,)*
            /// What validations have cost.
            pub work: WorkMetrics,
            /// Queries to servers on behalf of each search.
            pub queries_per_search: WorkMetric,
            /// How long UDP queries that were answered at once were with us: from receiving a batch to having sent its answers.
            pub hit_duration: Histogram,
            /// How long the answers took that had to be found.
            pub miss_duration: Histogram,
            /// Outcomes by extended error.
            pub extended_errors: ByExtendedError,
        }

        impl Metrics {
            /// Every counter with its name, in the order of a query's journey.
            pub fn snapshot(&self) -> Vec<(String, u64)> {
                vec![$((stringify!($field).to_owned(), self.$field.value()),)*]
            }

            /// Every counter with its name and its help.
            pub fn named(&self) -> Vec<NamedCounter> {
                vec![$(NamedCounter {
                    name: stringify!($field),
                    help: concat!($($doc),*).trim().to_owned(),
                    value: self.$field.value(),
                },)*]
            }
        }
    };
}

impl Metrics {
    /// Counts a query with cookies by what its server cookie is worth.
    pub fn count_cookies(&self, verdict: CookieVerdict) {
        let counter = match verdict {
            CookieVerdict::New => &self.cookies_new,
            CookieVerdict::Valid => &self.cookies_valid,
            CookieVerdict::Renewed => &self.cookies_renewed,
            CookieVerdict::Bad => &self.cookies_bad,
        };
        counter.add_one();
    }
}

metrics! {
    /// Queries received over UDP, whatever became of them.
    queries_udp,
    /// Queries received over TCP, whatever became of them.
    queries_tcp,
    /// Packets and messages dropped without an answer: no header, or a response.
    dropped_not_a_query,
    /// UDP answers that the kernel did not take.
    dropped_send_failed,
    /// Ignored: UDP queries and TCP connections of clients that are not local, with `local-service`.
    dropped_client,
    /// Dropped: UDP queries whose client is over `rate-limit`.
    dropped_rate,
    /// Dropped: UDP queries whose wider network is over `rate-limit-wide`.
    dropped_rate_wide,
    /// UDP queries over `rate-limit` that were answered with TC and nothing else.
    slipped_rate,
    /// UDP queries over `rate-limit-wide` that were answered with TC and nothing else.
    slipped_rate_wide,
    /// UDP queries over `rate-limit` that were answered all the same (`rate-limit-log-only`).
    logged_rate,
    /// UDP queries over `rate-limit-wide` that were answered all the same (`rate-limit-log-only`).
    logged_rate_wide,
    /// Refused: the client is not allowed.
    refused_client,
    /// Refused: malformed (FORMERR).
    refused_malformed,
    /// Refused: an opcode other than QUERY (NOTIMP).
    refused_opcode,
    /// Refused: an EDNS version other than 0 (BADVERS).
    refused_edns_version,
    /// Refused: a class other than IN.
    refused_class,
    /// Refused: a transfer or a meta type.
    refused_meta_type,
    /// Refused: recursion was not desired and the answer is not in the cache.
    refused_not_cached,
    /// Refused: too many queries are being worked on.
    refused_overload,
    /// Refused: too many queries of the same client are being worked on.
    refused_share,
    /// Refused: as many questions as `dns-forward-max` allows are with the servers.
    refused_forward_max,
    /// A client cookie alone: the client got a server cookie.
    cookies_new,
    /// A valid server cookie.
    cookies_valid,
    /// A valid server cookie that was replaced by a fresh one.
    cookies_renewed,
    /// A server cookie that is not valid: the client got a fresh one.
    cookies_bad,
    /// Queries for cookies alone, without a question (RFC 7873 §5.4).
    cookie_queries,
    /// TCP connections accepted.
    tcp_connections,
    /// TCP connections closed because they were idle, slow or broken.
    tcp_connections_aborted,
    /// TCP connections closed as they came, because their client has as many as it may have.
    tcp_connections_refused,
    /// Large answers by TCP that were given up and made again, because others wait to be taken.
    tcp_answers_postponed,
    /// Queries answered from what the operator says about names.
    local_answers,
    /// Queries answered from the cache.
    cache_hits,
    /// Queries answered from the cache although its time was up (`use-stale-cache`).
    cache_stale_hits,
    /// Queries whose answer had to be found.
    cache_misses,
    /// Searches begun for popular answers before their time was over (`prefetch`).
    prefetches,
    /// Such searches that found nothing to take the place of the answer that is there.
    prefetches_failed,
    /// Such searches that were not begun because there were as many as `prefetch` allows.
    prefetches_held_back,
    /// Searches that were not begun because the question had failed a moment ago (RFC 9520).
    failures_remembered,
    /// Answers that were taken from the cache file, validated again, instead of from a server.
    cache_file_answers,
    /// Misses that waited for the same question asked by somebody else.
    misses_merged,
    /// DS, DNSKEY and alias fetches made for validation.
    sub_queries,
    /// Such fetches that were answered by an earlier or running one.
    sub_queries_merged,
    /// Replies of other servers that validations took in place of bogus ones.
    bogus_replaced,
    /// Validations that were bogus at first, and proven with what other servers said.
    bogus_mended,
    /// Validations that looked like an attack and went on in the slow lane, each time that they did.
    costly_validations,
    /// Validations that were given up because the slow lane had no place for another of their zone, or for any.
    costly_refused,
    /// Searches that earlier denials answered (RFC 8198).
    denials_from_cache,
    /// Searches that earlier answers from wildcards, and proofs that came with them, answered (RFC 8198 §5.3).
    wildcards_from_cache,
    /// Replies that searches had at hand instead of asking a server: answers to other questions, or single sets of them.
    at_hand,
    /// Searches that asked servers after all, because what began with such a reply was bogus.
    at_hand_refused,
    /// Outcomes found secure.
    outcomes_secure,
    /// Outcomes proven insecure.
    outcomes_insecure,
    /// Outcomes found bogus.
    outcomes_bogus,
    /// Outcomes that could not be found out.
    outcomes_failed,
    /// Outcomes taken over without validation, because `dnssec` is off.
    outcomes_unchecked,
    /// Outcomes that filters have changed, whatever else they were.
    outcomes_filtered,
    /// Replies passed over because of an address in them (`ignore-address`).
    replies_ignored,
    /// Queries sent to upstream servers over UDP.
    upstream_udp,
    /// Queries sent to upstream servers over TCP, after a truncated answer.
    upstream_tcp,
    /// Packets from an upstream server's address that match no query of ours.
    upstream_mismatched,
    /// Replies in another letter case than the query, which was then sent again by TCP.
    upstream_case_changed,
    /// Replies without the cookie of a server that has sent one before, or with another's; it was then asked again by TCP.
    upstream_cookies_missing,
    /// Tries at authoritative servers that were waited for in vain, before another one was made.
    upstream_timeouts,
    /// Replies of authoritative servers that know nothing of the zone they were named for.
    upstream_lame,
    /// Referrals to zones further down.
    upstream_referrals,
    /// Queries sent without EDNS, because the server does not take it or did not answer.
    upstream_without_edns,
    /// Servers that sent a query of ours back to us.
    upstream_loops,
    /// Questions for which a second or later server or try was needed.
    upstream_retries,
    /// Questions that no server answered usably.
    upstream_failures,
    /// Answers sent with NOERROR.
    answers_noerror,
    /// Answers sent with NXDOMAIN.
    answers_nxdomain,
    /// Answers sent with SERVFAIL.
    answers_servfail,
    /// Answers sent with another RCODE.
    answers_other,
    /// Answers sent with TC because they were too large for the client.
    truncated_answers,
    /// Questions of class CH about the daemon itself that were answered.
    chaos_answers,
    /// Answer forms offered for publication.
    publications_offered,
    /// Answer forms not offered yet because room in the kernel map is scarce and nobody has asked for them twice.
    publications_unearned,
    /// Answer forms that the publisher's full queue did not take.
    publications_refused,
    /// Anchored zones that were told which anchors we have (RFC 8145).
    anchors_signalled,
    /// Answers turned into SERVFAIL because a root key sentinel's claim does not hold (RFC 8509).
    sentinel_refusals,
    /// Times that the configuration was read again and taken over.
    reloads,
    /// Times that it was read again and was wrong.
    reloads_failed,
    /// Faults in the kernel map that `resolver fastpath verify` has found.
    verify_faults,
    /// Scrapes of the metrics over HTTP.
    scrapes,
    /// Requests over HTTP that were none, or that were not taken to their end.
    scrapes_failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_errors_beyond_the_registry_share_a_counter() {
        let by_error = ByExtendedError::default();
        [0, 6, 6, 31, 32, u16::MAX].into_iter().for_each(|code| by_error.add_one(code));
        let counted: Vec<(u16, u64)> = by_error.snapshot().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(0, 1), (6, 2), (31, 3)]);
    }

    #[test]
    fn every_counter_has_a_name_and_says_what_it_counts() {
        let metrics = Metrics::default();
        let named = metrics.named();
        assert_eq!(named.len(), metrics.snapshot().len());
        assert!(named.iter().all(|counter| counter.help.ends_with('.') && !counter.help.starts_with(' ')));
    }
}

//! What the daemon counts. Every refusal, drop and fallback adds to one of these.
//!
//! In: one call per event, from any thread. Out: names and numbers for `resolver status`.
//! Keeps no history and computes no rates.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// Declares [`Metrics`] with its list of names, so that no counter is left out of the report.
macro_rules! metrics {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// The daemon's counters.
        #[derive(Debug, Default)]
        pub struct Metrics { $($(#[$doc])* pub $field: Counter,)* }

        impl Metrics {
            /// Every counter with its name, in the order of a query's journey.
            pub fn snapshot(&self) -> Vec<(String, u64)> {
                vec![$((stringify!($field).to_owned(), self.$field.value()),)*]
            }
        }
    };
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
    /// Refused: as many questions as `dns-forward-max` allows are with the servers.
    refused_forward_max,
    /// TCP connections accepted.
    tcp_connections,
    /// TCP connections closed because they were idle, slow or broken.
    tcp_connections_aborted,
    /// Queries answered from the cache.
    cache_hits,
    /// Queries whose answer had to be found.
    cache_misses,
    /// Misses that waited for the same question asked by somebody else.
    misses_merged,
    /// DS, DNSKEY and alias fetches made for validation.
    sub_queries,
    /// Such fetches that were answered by an earlier or running one.
    sub_queries_merged,
    /// Searches that earlier denials answered (RFC 8198).
    denials_from_cache,
    /// Queries for names that are never forwarded.
    answers_local_only,
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
    /// Queries sent to upstream servers over UDP.
    upstream_udp,
    /// Queries sent to upstream servers over TCP, after a truncated answer.
    upstream_tcp,
    /// Packets from an upstream server's address that match no query of ours.
    upstream_mismatched,
    /// Replies in another letter case than the query, which was then sent again by TCP.
    upstream_case_changed,
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
    answers_truncated,
    /// Answer forms offered for publication.
    publications_offered,
    /// Answer forms that the publisher's full queue did not take.
    publications_refused,
}

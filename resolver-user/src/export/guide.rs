//! The numbers that the guide's monitoring script gives, under its names, so that dashboards made for it go on working.

use super::{Family, Kind, Value};

/// What a round of queries for known names has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GuideFacts {
    /// Answers with AD.
    pub valid: u64,
    /// SERVFAIL for a name that is signed.
    pub invalid: u64,
    /// Answers without AD for names that are not signed.
    pub unsigned: u64,
    /// Neither: no answer, or one that does not fit the name.
    pub errors: u64,
    /// Time of one query, in milliseconds.
    pub query_time_ms: f64,
    /// Answers that the daemon's cache may hold: what `cachesize.bind` says.
    pub cache_size: u64,
}

/// The numbers under the guide's names.
/// Differs: these break Prometheus' rules for names and units; they are the guide's.
pub fn guide_families(facts: &GuideFacts) -> Vec<Family> {
    let GuideFacts { valid, invalid, unsigned, errors, query_time_ms, cache_size } = *facts;
    let gauge = |name, help, value| Family::new(Kind::Gauge, name, help).with(&[], value);
    vec![
        gauge("dnssec_valid_responses", "Names whose answers were validated.", Value::Whole(valid)),
        gauge("dnssec_invalid_responses", "Names whose answers failed validation.", Value::Whole(invalid)),
        gauge("dnssec_unsigned_responses", "Names that are not signed and were answered.", Value::Whole(unsigned)),
        gauge("dnssec_errors", "Names without an answer, or with one that does not fit.", Value::Whole(errors)),
        gauge("dns_query_time_ms", "Time of one query in milliseconds.", Value::Fraction(query_time_ms)),
        gauge("dns_cache_size", "Answers that the cache may hold.", Value::Whole(cache_size)),
    ]
}

//! The one table from what went wrong to RCODE and extended error (RFC 8914).

use crate::filter::FilterReason;
use crate::validator::{BogusReason, BudgetItem, FetchFailure, IndeterminateReason, InsecureReason};
use crate::wire::RCode;

/// Longest EXTRA-TEXT, in bytes. Choice: with the longest question it keeps a failure under 512 bytes.
const EXTRA_TEXT_LEN_MAX: usize = 160;

/// Why a query gets no data.
#[derive(Clone, Copy, Debug)]
pub enum Failure<'a> {
    /// The query is malformed.
    Malformed,
    /// The opcode is not QUERY.
    Opcode,
    /// The EDNS version is not 0 (RFC 6891 §6.1.3).
    EdnsVersion,
    /// The class is not IN.
    Class,
    /// A question of class CH about a server that has no answer here.
    ChaosName,
    /// The type is a transfer or another meta type; ANY is one (RFC 8482).
    MetaType,
    /// Recursion is not desired and the answer is not in the cache.
    NotCached,
    /// Too many queries are being worked on.
    Overload,
    /// The client may not ask here.
    Prohibited,
    /// It is a query of our own that a server sent back to us.
    Loop,
    /// The daemon is stopping, or a task of it failed.
    Unavailable,
    /// The claim that a root key sentinel's name makes about our anchors does not hold (RFC 8509 §3.2).
    KeySentinel,
    /// Validation failed.
    Bogus(&'a BogusReason),
    /// The answer, or the chain of trust to it, could not be found out.
    Indeterminate(&'a IndeterminateReason),
}

impl Failure<'_> {
    /// The RCODE that the client sees.
    pub fn rcode(&self) -> RCode {
        match self {
            Self::Malformed => RCode::FORMERR,
            Self::Opcode | Self::ChaosName => RCode::NOTIMP,
            Self::EdnsVersion => RCode::BADVERS,
            Self::Class | Self::MetaType | Self::NotCached | Self::Overload | Self::Prohibited | Self::Loop => {
                RCode::REFUSED
            }
            Self::Indeterminate(IndeterminateReason::Fetch { failure: FetchFailure::TooMany, .. }) => RCode::REFUSED,
            Self::Unavailable | Self::KeySentinel | Self::Bogus(_) | Self::Indeterminate(_) => RCode::SERVFAIL,
        }
    }

    /// The extended error that the client sees, if it speaks EDNS.
    pub fn extended_error(&self) -> Option<ExtendedError> {
        let (code, text) = match self {
            Self::Malformed | Self::Opcode | Self::EdnsVersion | Self::ChaosName => return None,
            Self::Class => (NOT_SUPPORTED, "only class IN is served".to_owned()),
            Self::MetaType => (NOT_SUPPORTED, "query type is not served".to_owned()),
            Self::NotCached => (NOT_AUTHORITATIVE, "not cached and recursion not desired".to_owned()),
            Self::Overload => (OTHER, "too many queries in progress".to_owned()),
            Self::Prohibited => (PROHIBITED, "client is not allowed here".to_owned()),
            Self::Loop => (OTHER, "a query of this server came back to it".to_owned()),
            Self::KeySentinel => (OTHER, "root key sentinel: not so".to_owned()),
            Self::Unavailable => (NOT_READY, "stopping".to_owned()),
            Self::Bogus(reason) => (bogus_code(reason), reason.to_string()),
            Self::Indeterminate(reason) => (indeterminate_code(reason), reason.to_string()),
        };
        Some(ExtendedError::new(code, text))
    }
}

/// What a client should know about data that it does get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The operator's filters have taken something out.
    Filtered(FilterReason),
    /// Their time is over; with the RCODE (RFC 8767 §4).
    Stale(RCode),
}

impl Notice {
    /// The extended error that says so.
    pub fn extended_error(self) -> ExtendedError {
        let code = match self {
            Self::Filtered(FilterReason::Rebind | FilterReason::BogusNxdomain) => BLOCKED,
            Self::Filtered(FilterReason::Type) => FILTERED,
            Self::Filtered(FilterReason::Known) => FORGED,
            Self::Stale(RCode::NXDOMAIN) => STALE_NXDOMAIN,
            Self::Stale(_) => STALE,
        };
        let text = match self {
            Self::Filtered(reason) => reason.to_string(),
            Self::Stale(_) => "expired; being refreshed".to_owned(),
        };
        ExtendedError::new(code, text)
    }
}

/// INFO-CODE and EXTRA-TEXT of an extended error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT: names the zone or owner and the reason. At most 160 bytes.
    pub text: String,
}

impl ExtendedError {
    fn new(code: u16, mut text: String) -> Self {
        if text.len() > EXTRA_TEXT_LEN_MAX {
            let end = (0..=EXTRA_TEXT_LEN_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            text.truncate(end);
        }
        Self { code, text }
    }

    /// What a client of an insecure answer should know; none for the common unsigned delegation.
    pub fn of_insecure(reason: &InsecureReason) -> Option<Self> {
        let code = match reason {
            InsecureReason::NoDs { .. }
            | InsecureReason::OptOut { .. }
            // The common way to be unsigned where the operator has private domains.
            | InsecureReason::PrivateDomain { .. } => return None,
            // The registry has no code for it.
            InsecureReason::NegativeAnchor { .. } => OTHER,
            // Not proven, and so not published either (RFC 4033 §5).
            InsecureReason::NoAnchor { .. } => INDETERMINATE,
            InsecureReason::Algorithm { .. } | InsecureReason::KeySize { .. } => UNSUPPORTED_ALGORITHM,
            InsecureReason::Digest { .. } => UNSUPPORTED_DIGEST,
            InsecureReason::Iterations { .. } => UNSUPPORTED_ITERATIONS,
        };
        Some(Self::new(code, reason.to_string()))
    }
}

fn bogus_code(reason: &BogusReason) -> u16 {
    match reason {
        BogusReason::BadSignature { .. } | BogusReason::Unrelated { .. } => BOGUS,
        BogusReason::Expired { .. } => EXPIRED,
        BogusReason::NotYetValid { .. } => NOT_YET_VALID,
        BogusReason::NoMatchingKey { .. } | BogusReason::MissingDnskey { .. } => DNSKEY_MISSING,
        BogusReason::MissingRrsig { .. } => RRSIGS_MISSING,
        BogusReason::NoZoneKeyBit { .. } => NO_ZONE_KEY_BIT,
        BogusReason::MissingDenial { .. } | BogusReason::MissingDsDenial { .. } => NSEC_MISSING,
        BogusReason::Iterations { .. } => UNSUPPORTED_ITERATIONS,
    }
}

fn indeterminate_code(reason: &IndeterminateReason) -> u16 {
    match reason {
        IndeterminateReason::Fetch { failure: FetchFailure::NoAnswer | FetchFailure::ServerError, .. } => {
            NO_REACHABLE_AUTHORITY
        }
        IndeterminateReason::Fetch { failure: FetchFailure::Network, .. } => NETWORK_ERROR,
        IndeterminateReason::Fetch { failure: FetchFailure::TooMany, .. } => OTHER,
        IndeterminateReason::Budget { item: BudgetItem::Nsec3Hashes } => UNSUPPORTED_ITERATIONS,
        IndeterminateReason::Budget { .. } => INDETERMINATE,
    }
}

// INFO-CODEs of RFC 8914 §4 and, from 27 on, of the IANA registry.
const OTHER: u16 = 0;
const UNSUPPORTED_ALGORITHM: u16 = 1;
const UNSUPPORTED_DIGEST: u16 = 2;
const STALE: u16 = 3;
const FORGED: u16 = 4;
const INDETERMINATE: u16 = 5;
const BOGUS: u16 = 6;
const EXPIRED: u16 = 7;
const NOT_YET_VALID: u16 = 8;
const DNSKEY_MISSING: u16 = 9;
const RRSIGS_MISSING: u16 = 10;
const NO_ZONE_KEY_BIT: u16 = 11;
const NSEC_MISSING: u16 = 12;
const NOT_READY: u16 = 14;
const BLOCKED: u16 = 15;
const FILTERED: u16 = 17;
const PROHIBITED: u16 = 18;
const STALE_NXDOMAIN: u16 = 19;
const NOT_AUTHORITATIVE: u16 = 20;
const NOT_SUPPORTED: u16 = 21;
const NO_REACHABLE_AUTHORITY: u16 = 22;
const NETWORK_ERROR: u16 = 23;
const UNSUPPORTED_ITERATIONS: u16 = 27;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_cut_on_a_character() {
        let error = ExtendedError::new(0, "é".repeat(100));
        assert_eq!(error.text.len(), EXTRA_TEXT_LEN_MAX);
        assert_eq!(ExtendedError::new(0, format!("x{}", "é".repeat(100))).text.len(), EXTRA_TEXT_LEN_MAX - 1);
    }
}

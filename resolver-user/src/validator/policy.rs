//! What the operator lets the validator accept: limits, old algorithms, clocks that cannot be trusted, unsigned answers.
//!
//! In: configuration. Out: one small [`Policy`] that goes with every validation. Decides nothing by itself.
//! A fact in a [`ZoneCache`](super::ZoneCache) is only as good as the policy it was derived under, so a change of policy
//! needs a new cache.

use super::WorkLimits;

/// What validation may accept and how much it may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Work that one client query may cause.
    pub limits: WorkLimits,
    /// Whether algorithms 5 and 7 and digest type 1 count as supported. Without, zones that have nothing else are insecure
    /// (RFC 9905).
    pub sha1_allowed: bool,
    /// For tests alone, which no option can set: every signature of algorithms 3, 5, 6 and 7 counts as valid, as in the runner that
    /// the scripts of others were written for.
    pub sha1_taken_on_trust: bool,
    /// Whether inception and expiration of signatures are checked.
    pub times_checked: bool,
    /// Whether an answer without signatures must be proven to come from an unsigned zone. Without, it passes as
    /// unchecked: never secure and never published.
    pub unsigned_checked: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Policy {
    /// The defaults: everything is checked, and SHA-1 is not accepted.
    pub const DEFAULT: Self = Self {
        limits: WorkLimits::DEFAULT,
        sha1_allowed: false,
        sha1_taken_on_trust: false,
        times_checked: true,
        unsigned_checked: true,
    };
}

//! Decides whether a response may be believed: the chain of trust from an anchor down to each set, and the proofs that
//! something does not exist (RFC 4033 to 4035, RFC 5155, RFC 6840).
//!
//! Ask-and-answer: [`Validation::advance`] says which set it needs next or what the verdict is; the caller fetches, and
//! hands over with [`Validation::supply`]. In: a [`Response`](crate::wire::Response), anchors, the time. Out: a
//! [`Verdict`]. Only this room builds a [`Validated`], and only a `Validated` can carry AD or be published.
//! The way through the room: `validation` reads the path of a response with `alias` and has each claim on it judged by
//! `judge`, which gets the keys from `chain` (with `key`, `anchor`, and `zones` as its memory), verifies with
//! `signature` (`canonical`, `algorithm`), and has denials proven by `denial`. `describe` tells people what a validation
//! saw, with the same functions.
//!
//! Refuses: sockets, clocks, tasks, logs, and any opinion on RCODEs and extended errors, which `answer` has.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::unwrap_used
    )
)]

mod algorithm;
mod alias;
mod anchor;
mod budget;
mod canonical;
mod chain;
mod denial;
mod describe;
mod judge;
mod key;
mod key_set;
mod locally_served;
mod packed;
mod policy;
mod signature;
mod status;
mod steps;
mod validation;
mod vouch;
mod work;
mod zones;

#[cfg(test)]
pub(crate) mod tests;

pub use anchor::{AnchorError, DsAnchor, TrustAnchors};
pub use budget::{BudgetItem, WorkBudget, WorkLimits, WorkSpent};
pub use denial::{DenialCache, DenialFacts, Nsec3Facts, Relation, Role};
pub use describe::{DsFacts, DsOutcome, KeyFacts, SignatureOutcome, check_signature, describe_denial};
pub use key_set::{EntryKey, KeySet, KeySetError, Presence, flagged_revoked, proven_revoked};
pub use packed::PackedValidated;
pub use policy::Policy;
pub use status::{
    BogusReason, FetchFailure, IndeterminateReason, InsecureReason, ProvenStatus, Step, Validated, Verdict,
};
pub use steps::{ChainStep, ZoneStanding};
pub use validation::{Blame, Validation};
pub use work::Pace;
pub use zones::ZoneCache;

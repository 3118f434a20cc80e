//! What every step of a validation needs besides data: the time, the policy, and the budget that it is paid from.
//! In: one call of [`Validation::advance`](super::Validation::advance). Out: nothing; it is handed down.

use super::{Policy, WorkBudget};
use crate::clock::Now;

/// The time, the policy, and what may be spent, on the way through a walk.
pub(super) struct Work<'a> {
    /// The time.
    pub(super) now: Now,
    /// What may be accepted.
    pub(super) policy: &'a Policy,
    /// The budget of the client query.
    pub(super) budget: &'a mut WorkBudget,
}

impl Work<'_> {
    /// Wall time as signatures count it, seconds since 1970 modulo 2^32; none if policy does not look at it.
    pub(super) fn signature_time_s(&self) -> Option<u32> {
        let [_, _, _, _, low @ ..] = self.now.unix_s.to_be_bytes();
        self.policy.times_checked.then(|| u32::from_be_bytes(low))
    }
}

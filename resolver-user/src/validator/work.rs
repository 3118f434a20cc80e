//! What every step of a validation needs besides data: the time, the policy, the budget that it is paid from, and its pace.
//! In: one call of [`Validation::advance`](super::Validation::advance). Out: nothing; it is handed down.

use super::{BudgetItem, Policy, WorkBudget};
use crate::clock::Now;

/// Weight of signature checks that a validation may spend before it counts as costly: the cold chain to a denial in two zones
/// of a usual algorithm, or two checks of the costliest.
const USUAL_WEIGHT_MAX: u32 = 12;
/// Weight of signature checks after which a costly validation lets others in between.
const SLICE_WEIGHT: u32 = 2;

/// How far a validation goes before it lets others in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// To its end: nobody else waits.
    Unhindered,
    /// Until it looks costly: a check failed, a set has more signatures or a tag more keys than honest ones have, or much
    /// was verified already.
    WhileCheap,
    /// A slice of costly work.
    Slice,
}

/// Why a check was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// There is no budget for it.
    Budget(BudgetItem),
    /// The pace asks for a pause before it.
    Pace,
}

/// The time, the policy, and what may be spent, on the way through a walk.
pub(super) struct Work<'a> {
    /// The time.
    pub(super) now: Now,
    /// What may be accepted.
    pub(super) policy: &'a Policy,
    /// The budget of the client query.
    pub(super) budget: &'a mut WorkBudget,
    /// When to pause.
    pub(super) pace: Pace,
    /// Weight that the budget had spent when this call began.
    pub(super) spent_before: u32,
}

impl Work<'_> {
    /// Pays for one signature check, unless it is time to pause. `crowded`: the set or the key's tag looks like an attack.
    pub(super) fn pay_signature_check(&mut self, weight: u32, crowded: bool) -> Result<(), Halt> {
        let spent = self.budget.spent();
        let pauses = match self.pace {
            Pace::Unhindered => false,
            Pace::WhileCheap => {
                crowded || spent.failed_checks > 0 || spent.signature_weight.saturating_add(weight) > USUAL_WEIGHT_MAX
            }
            Pace::Slice => spent.signature_weight.saturating_sub(self.spent_before) >= SLICE_WEIGHT,
        };
        if pauses {
            return Err(Halt::Pace);
        }
        self.budget.spend_signature_check(weight).map_err(Halt::Budget)
    }

    /// Wall time as signatures count it, seconds since 1970 modulo 2^32; none if policy does not look at it.
    pub(super) fn signature_time_s(&self) -> Option<u32> {
        let [_, _, _, _, low @ ..] = self.now.unix_s.to_be_bytes();
        self.policy.times_checked.then(|| u32::from_be_bytes(low))
    }
}

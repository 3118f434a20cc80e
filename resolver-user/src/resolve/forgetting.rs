//! What happens when that changes which answers rest on: everything concluded before is forgotten, here and in the kernel half.

use std::sync::{MutexGuard, PoisonError};

use tracing::error;

use super::Resolver;
use crate::daemon::fingerprint_with;
use crate::trust::Trust;

impl Resolver {
    /// Forgets every conclusion, here and in the kernel map, after what they rest on has changed. Conclusions of searches under way
    /// carry their generation and are not used either.
    pub fn forget_conclusions(&self) {
        self.forget_in_turn(&self.take_turn());
    }

    /// Waits until nobody else changes what answers rest on. Who changes several parts of it takes a turn for all of them.
    pub fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.basis_turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Self::forget_conclusions`] for who has the turn. XDP is told what answers rest on now: the last one to tell has seen
    /// every change, and no half of one.
    pub fn forget_in_turn(&self, _turn: &MutexGuard<'_, ()>) {
        self.cache.clear();
        self.sets.clear();
        self.responses.clear();
        self.failures.clear();
        self.restored.clear();
        self.fetches.disown();
        self.fetches_elsewhere.disown();
        let Some(publisher) = &self.publisher else { return };
        let (rules, basis) = (self.rules(), self.trust.as_ref().map(Trust::basis));
        let fingerprint = fingerprint_with(&rules.fingerprint, basis.as_deref());
        let generation = basis.map_or(rules.generation, |basis| basis.generation);
        if publisher.rebase(bytemuck::must_cast(fingerprint), generation).is_none() {
            error!("published answers could not be withdrawn from XDP after a change of trust");
        }
    }
}
